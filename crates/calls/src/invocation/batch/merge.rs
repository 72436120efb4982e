//! The answers of several batches as one.

use bytes::Bytes;
use plugin_protocol::Action;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Answers that do not go together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    expected: usize,
    actual: usize,
    responses: usize,
    reason: &'static str,
}

impl Mismatch {
    /// The reference's word for it.
    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }

    pub(super) fn text(&self, action: Action, batch: usize) -> String {
        let Self { expected, actual, responses, reason } = self;
        format!(
            "ServerlessBatchResultMismatch: action={action} batch_index={batch} expected_items={expected} \
             actual_items={actual} response_count={responses} reason={reason}"
        )
    }
}

/// What has been answered so far.
#[derive(Debug)]
pub(super) struct Merger {
    action: Action,
    /// The items of all batches, as JSON.
    items: String,
    head: Option<Head>,
}

/// What all batches have in common, and what is added up.
#[derive(Debug)]
struct Head {
    model: String,
    usage: Usage,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Usage {
    tokens: i64,
    total_tokens: i64,
    unit_price: String,
    price_unit: String,
    total_price: Decimal,
    currency: String,
    latency: f64,
}

#[derive(Deserialize)]
struct Vectors<'a> {
    model: String,
    #[serde(borrow)]
    embeddings: Vec<&'a RawValue>,
    usage: Usage,
}

#[derive(Deserialize)]
struct NumTokens<'a> {
    #[serde(borrow)]
    num_tokens: Vec<&'a RawValue>,
}

impl Merger {
    pub(super) fn new(action: Action) -> Self {
        Self { action, items: String::new(), head: None }
    }

    /// Adds the answer to `expected` texts; its shape has been checked.
    pub(super) fn add(&mut self, answers: &[Bytes], expected: usize) -> Result<(), Mismatch> {
        let mismatch = |actual, reason| Mismatch { expected, actual, responses: answers.len(), reason };
        let [answer] = answers else { return Err(mismatch(0, "response_count")) };
        let (items, reason, head) = if self.action == Action::InvokeTextEmbedding {
            let read = serde_json::from_slice::<Vectors<'_>>(answer);
            let Vectors { model, embeddings, usage } = read.map_err(|_| mismatch(0, "missing_usage_field"))?;
            (embeddings, "embedding_count", Some(Head { model, usage }))
        } else {
            let read = serde_json::from_slice::<NumTokens<'_>>(answer);
            (read.map_err(|_| mismatch(0, "token_count"))?.num_tokens, "token_count", None)
        };
        if items.len() != expected {
            return Err(mismatch(items.len(), reason));
        }
        match (&mut self.head, head) {
            (Some(head), Some(more)) => head.add(more).map_err(|reason| mismatch(items.len(), reason))?,
            (head, first) => *head = first,
        }
        for item in items {
            if !self.items.is_empty() {
                self.items.push(',');
            }
            self.items.push_str(item.get());
        }
        Ok(())
    }

    /// The one answer, as JSON.
    pub(super) fn whole(self) -> String {
        let items = self.items;
        match self.head {
            None => format!("{{\"num_tokens\":[{items}]}}"),
            Some(Head { model, usage }) => {
                let usage = Usage { total_price: usage.total_price.normalize(), ..usage };
                let (model, usage) = (json(&model), json(&usage));
                format!("{{\"model\":{model},\"embeddings\":[{items}],\"usage\":{usage}}}")
            }
        }
    }
}

impl Head {
    fn add(&mut self, more: Self) -> Result<(), &'static str> {
        let (usage, new) = (&mut self.usage, more.usage);
        if self.model != more.model {
            return Err("model");
        }
        for (one, other, reason) in [
            (&usage.unit_price, &new.unit_price, "unit_price"),
            (&usage.price_unit, &new.price_unit, "price_unit"),
            (&usage.currency, &new.currency, "currency"),
        ] {
            if one != other {
                return Err(reason);
            }
        }
        usage.tokens = usage.tokens.saturating_add(new.tokens);
        usage.total_tokens = usage.total_tokens.saturating_add(new.total_tokens);
        usage.total_price = usage.total_price.saturating_add(new.total_price);
        usage.latency += new.latency;
        Ok(())
    }
}

fn json<T: Serialize>(value: &T) -> String {
    String::from_utf8_lossy(&plugin_service::json::to_json(value)).into_owned()
}
