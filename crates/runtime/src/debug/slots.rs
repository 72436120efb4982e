//! How many connections there are: counted when they have shaken hands, released when they end.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::refusal::Refusal;

/// The counters, in all and per tenant.
#[derive(Debug)]
pub(super) struct Slots {
    total: usize,
    per_tenant: usize,
    taken: Mutex<HashMap<Uuid, usize>>,
}

impl Slots {
    pub(super) fn new(total: usize, per_tenant: usize) -> Arc<Self> {
        Arc::new(Self { total, per_tenant, taken: Mutex::default() })
    }

    /// A place for one more connection of the tenant, until the slot is dropped.
    pub(super) fn take(self: &Arc<Self>, tenant_id: Uuid) -> Result<Slot, Refusal> {
        let mut taken = self.taken.lock();
        if taken.values().sum::<usize>() >= self.total {
            return Err(Refusal::Busy);
        }
        let own = taken.entry(tenant_id).or_default();
        if *own >= self.per_tenant {
            return Err(Refusal::TenantBusy { limit: self.per_tenant });
        }
        *own += 1;
        Ok(Slot { slots: Arc::clone(self), tenant_id })
    }
}

/// One place.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    tenant_id: Uuid,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        if let Some(own) = taken.get_mut(&self.tenant_id) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.tenant_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_given_back_once() {
        let slots = Slots::new(3, 2);
        let [one, two, three] = [1, 2, 3].map(Uuid::from_u128);
        let first = slots.take(one).unwrap();
        let _second = slots.take(one).unwrap();
        assert!(matches!(slots.take(one), Err(Refusal::TenantBusy { limit: 2 })));
        let _third = slots.take(two).unwrap();
        for tenant in [one, two, three] {
            assert!(matches!(slots.take(tenant), Err(Refusal::Busy)));
        }
        drop(first);
        let again = slots.take(three).unwrap();
        assert!(matches!(slots.take(one), Err(Refusal::Busy)));
        drop(again);
        assert_eq!(slots.taken.lock().len(), 2);
    }
}
