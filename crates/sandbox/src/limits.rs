//! What a process may use.

use std::io;

use rustix::process::{Resource, Rlimit};

/// Limits of each process by itself. Those of a whole tree of processes are the business of its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Files that it may have open.
    pub open_files: Option<u64>,
    /// Bytes that one file may grow to.
    pub file_size: Option<u64>,
    /// Bytes of address space.
    pub address_space: Option<u64>,
}

/// One limit as the kernel takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The number of the resource.
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

impl Limits {
    /// As the kernel takes them, with no core files.
    pub fn list(&self) -> Vec<Limit> {
        let given = [
            (Resource::Nofile, self.open_files),
            (Resource::Fsize, self.file_size),
            (Resource::As, self.address_space),
            (Resource::Core, Some(0)),
        ];
        let limit = |(resource, value): (Resource, Option<u64>)| {
            value.map(|value| Limit { resource: resource as u32, soft: value, hard: value })
        };
        given.into_iter().filter_map(limit).collect()
    }
}

/// Limits this process, where it is not limited further already.
pub(crate) fn apply(limit: Limit) -> io::Result<()> {
    let Limit { resource, soft, hard } = limit;
    let known = [Resource::Nofile, Resource::Fsize, Resource::As, Resource::Core, Resource::Locks];
    let resource = (known.into_iter().find(|known| *known as u32 == resource))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("unknown resource {resource}")))?;
    let now = rustix::process::getrlimit(resource).maximum;
    let lower = |value: u64| Some(now.map_or(value, |now| now.min(value)));
    rustix::process::setrlimit(resource, Rlimit { current: lower(soft), maximum: lower(hard) })?;
    Ok(())
}
