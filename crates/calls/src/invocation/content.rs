//! What is asked of a plugin and what it answers, for traces that have it (`PLUGIN_TRACE_CONTENT`).

use std::borrow::Cow;

use serde_json::Value;

/// Bytes of a request or an answer in a trace.
const MOST: usize = 8 * 1024;
/// What is left out of requests, wherever it stands in them. The settings are those of a webhook.
const SECRET: [&str; 3] = ["credentials", "system_credentials", "settings"];

/// The data of a request without credentials; none if it cannot be read.
pub(super) fn of_request(data: &str) -> Option<String> {
    let mut value = serde_json::from_str(data).ok()?;
    remove_secrets(&mut value);
    let mut text = value.to_string();
    text.truncate(text.floor_char_boundary(MOST));
    Some(text)
}

fn remove_secrets(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|name, _| !SECRET.contains(&name.as_str()));
            object.values_mut().for_each(remove_secrets);
        }
        Value::Array(values) => values.iter_mut().for_each(remove_secrets),
        _ => {}
    }
}

/// The beginning of an answer, a line a chunk.
#[derive(Debug, Default)]
pub(super) struct Answer(Vec<u8>);

impl Answer {
    pub(super) fn add(&mut self, chunk: &[u8]) {
        let room = MOST - self.0.len();
        self.0.extend(chunk.iter().chain(b"\n").take(room));
    }

    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_without_credentials_and_long_ones_cut() {
        let data = r#"{"tool":"t","credentials":{"key":"s3cr3t"},"tools":[{"credentials":{"key":"s3cr3t"},"n":1}]}"#;
        assert_eq!(of_request(data).as_deref(), Some(r#"{"tool":"t","tools":[{"n":1}]}"#));
        let long = of_request(&format!("{{\"a\":\"x{}\"}}", "\u{fc}".repeat(MOST))).unwrap();
        assert!(long.len() == MOST - 1 && long.ends_with('\u{fc}'), "{}", long.len());
        assert_eq!(of_request("{"), None);
    }

    #[test]
    fn of_an_answer_the_beginning_is_kept() {
        let mut answer = Answer::default();
        answer.add(b"one");
        answer.add(&[b'x'; MOST]);
        answer.add(b"more");
        assert!(answer.text().starts_with("one\nxxx") && answer.text().len() == MOST);
    }
}
