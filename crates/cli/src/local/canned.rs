//! Sample answers to calls back, of the shape that Dify's have and the same each time (cli 6.5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use plugin_manifest::Declaration;
use plugin_manifest::declaration::Permission;
use plugin_protocol::callback::{Invoke, Kind, StorageRequest};
use plugin_runtime::permits;
use serde_json::{Value, json};

use super::conversation::{Answers, Counterpart, Unanswered};
use super::schema::sample;

/// Between two parts of an answer.
const PAUSE: Duration = Duration::from_millis(100);
/// The words of a language model's answer.
const WORDS: [&str; 5] = ["hello", " world", " world", " !", " !"];
/// Most bytes of all stored values together, in hex, where the manifest allows more.
const MOST_STORED: usize = 64 << 20;

/// Answers calls back without any other service. Stored values live as long as this does.
#[derive(Debug)]
pub(crate) struct Canned {
    permission: Option<Permission>,
    stored: Mutex<BTreeMap<String, String>>,
}

impl Canned {
    /// For a plugin, whose permissions are checked as by a daemon.
    pub(crate) fn of(declaration: &Declaration) -> Arc<Self> {
        Arc::new(Self { permission: declaration.permission().cloned(), stored: Mutex::default() })
    }

    fn store(&self, request: StorageRequest) -> Result<Value, String> {
        let mut stored = self.stored.lock();
        Ok(match request {
            StorageRequest::Get { key } => {
                let value = stored.get(&key);
                json!({"data": value.ok_or("load data failed, please check if the key is correct or you have not set it")?})
            }
            StorageRequest::Set { key, value } => {
                let others: usize =
                    stored.iter().filter(|(other, _)| **other != key).map(|(_, value)| value.len()).sum();
                let storage = self.permission.as_ref().and_then(|permission| permission.storage.as_ref());
                let limit = storage.and_then(|storage| usize::try_from(storage.size).ok()).unwrap_or(0);
                if others + value.len() > limit.saturating_mul(2).min(MOST_STORED) {
                    return Err("allocated size is greater than max storage size".to_owned());
                }
                stored.insert(key, value);
                json!({"data": "ok"})
            }
            StorageRequest::Del { key } => {
                let removed = stored.remove(&key).ok_or("delete data failed: there is no such key")?;
                json!({"data": "ok", "deleted_num": usize::from(!removed.is_empty())})
            }
            StorageRequest::Exist { key } => {
                let is_there = stored.contains_key(&key);
                json!({"data": is_there, "exist_num": usize::from(is_there)})
            }
        })
    }
}

#[async_trait]
impl Counterpart for Canned {
    async fn answer(&self, call: &Invoke<'_>, answers: &Answers) -> Result<(), Unanswered> {
        let refused = |text: String| Unanswered::Refused(text);
        let kind = Kind::parse(&call.kind).ok_or_else(|| refused(format!("unsupported invoke type: {}", call.kind)))?;
        if let Some(grant) = kind.grant().filter(|grant| !permits(self.permission.as_ref(), *grant)) {
            return Err(refused(grant.denial()));
        }
        let malformed = |error: serde_json::Error| {
            refused(format!("unmarshal backwards invoke request failed: error decoding map: {error}"))
        };
        let request: Value = serde_json::from_str(call.request.get()).map_err(malformed)?;
        let said = match kind {
            Kind::Storage => {
                let request = serde_json::from_value(request).map_err(malformed)?;
                Said::Once(self.store(request).map_err(refused)?)
            }
            kind => said(kind, &request),
        };
        match said {
            Said::Once(value) => answers.only(&value.to_string()).await?,
            Said::Parts(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    if at > 0 {
                        tokio::time::sleep(PAUSE).await;
                    }
                    answers.one_of(&part.to_string()).await?;
                }
            }
        }
        Ok(())
    }
}

/// An answer.
enum Said {
    Once(Value),
    Parts(Vec<Value>),
}

fn said(kind: Kind, request: &Value) -> Said {
    let list = |key: &str| request.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default();
    let model = text("model");
    match kind {
        Kind::Llm => Said::Parts(llm(model, request)),
        Kind::LlmStructuredOutput => Said::Parts(structured(model, request)),
        Kind::TextEmbedding => Said::Once(embeddings(model, list("texts").len())),
        Kind::MultimodalEmbedding => Said::Once(embeddings(model, list("documents").len())),
        Kind::Rerank | Kind::MultimodalRerank => {
            let docs = list("docs").into_iter().enumerate().map(|(index, doc)| {
                let text = doc.get("content").cloned().unwrap_or(doc);
                json!({"index": index, "text": text, "score": 0.1})
            });
            Said::Once(json!({"model": model, "docs": docs.collect::<Vec<_>>()}))
        }
        Kind::Tts => Said::Parts(vec![json!({"result": "a1b2c3d4"}); 10]),
        Kind::Speech2Text => Said::Once(json!({"result": "hello world"})),
        Kind::Moderation => Said::Once(json!({"result": true})),
        Kind::Tool => Said::Parts(vec![json!({"type": "text", "message": {"text": "hello world"}, "meta": null}); 10]),
        Kind::App => Said::Parts(app(text("app_id"))),
        Kind::ParameterExtractor => {
            let outputs = list("parameters").iter().filter_map(extracted).collect::<serde_json::Map<_, _>>();
            Said::Once(json!({"process_data": {}, "outputs": outputs, "inputs": {"query": text("query")}}))
        }
        Kind::QuestionClassifier => {
            let class = list("classes").first().and_then(|class| class.get("name")).cloned().unwrap_or_default();
            let outputs = json!({"class_name": class});
            Said::Once(json!({"process_data": {}, "outputs": outputs, "inputs": {"query": text("query")}}))
        }
        Kind::Summary => Said::Once(json!({"summary": text("text")})),
        Kind::UploadFile => Said::Once(json!({"url": "https://example.com/upload"})),
        Kind::FetchApp => Said::Once(json!({"data": {"name": "test"}})),
        Kind::Storage => Said::Once(Value::Null),
    }
}

/// A call of the first tool, unless one has been answered already, and some words.
fn llm(model: &str, request: &Value) -> Vec<Value> {
    let mut chunks = Vec::new();
    let messages = request.get("prompt_messages").and_then(Value::as_array);
    let has_answer = messages.into_iter().flatten().any(|message| message.get("role") == Some(&json!("tool")));
    let tool = request.get("tools").and_then(|tools| tools.as_array()?.first()).filter(|_| !has_answer);
    if let Some(tool) = tool {
        let arguments = tool.get("parameters").map(sample).filter(Value::is_object).unwrap_or_else(|| json!({}));
        let function = json!({"name": tool.get("name"), "arguments": arguments.to_string()});
        let call = json!({"id": "call-1", "type": "function", "function": function});
        chunks.push(chunk(model, 0, "", &json!([call]), None));
    }
    for (at, word) in WORDS.iter().enumerate() {
        let is_last = at + 1 == WORDS.len();
        chunks.push(chunk(model, chunks.len(), word, &json!([]), is_last.then(usage).as_ref()));
    }
    chunks
}

fn structured(model: &str, request: &Value) -> Vec<Value> {
    let object = request.get("structured_output_schema").map_or_else(|| json!({}), sample);
    let text: Vec<char> = object.to_string().chars().collect();
    let size = text.len().div_ceil(10).max(1);
    let pieces = text.chunks(size).map(|piece| piece.iter().collect::<String>());
    let mut chunks: Vec<Value> =
        pieces.enumerate().map(|(at, piece)| chunk(model, at, &piece, &json!([]), None)).collect();
    let mut last = chunk(model, chunks.len(), "", &json!([]), Some(&usage()));
    if let Some(last) = last.as_object_mut() {
        last.insert("structured_output".to_owned(), object);
    }
    chunks.push(last);
    chunks
}

fn chunk(model: &str, index: usize, text: &str, calls: &Value, usage: Option<&Value>) -> Value {
    let message = json!({"role": "assistant", "content": text, "name": "", "tool_calls": calls});
    let reason = usage.map(|_| "stop");
    let delta = json!({"index": index, "message": message, "usage": usage, "finish_reason": reason});
    json!({"model": model, "prompt_messages": [], "system_fingerprint": "", "delta": delta})
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 100, "prompt_unit_price": "0.0001", "prompt_price_unit": "1", "prompt_price": "0.01",
        "completion_tokens": 100, "completion_unit_price": "0.0001", "completion_price_unit": "1",
        "completion_price": "0.01", "total_tokens": 200, "total_price": "0.02", "currency": "USD", "latency": 0.4,
    })
}

fn embeddings(model: &str, count: usize) -> Value {
    let vector: Vec<f64> = (1..=10).map(|number| f64::from(number) / 10.0).collect();
    let usage = json!({
        "tokens": 100, "total_tokens": 100, "unit_price": "0.0001", "price_unit": "1", "total_price": "0.01",
        "currency": "USD", "latency": 0.1,
    });
    json!({"model": model, "embeddings": vec![vector; count], "usage": usage})
}

fn app(app_id: &str) -> Vec<Value> {
    let ids = json!({"task_id": "task", "id": "message", "message_id": "message", "conversation_id": "conversation"});
    let event = |name: &str, more: Value| {
        let mut event = ids.clone();
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.insert("event".to_owned(), json!(name));
            event.insert("app_id".to_owned(), json!(app_id));
            event.extend(more);
        }
        event
    };
    let mut events: Vec<Value> =
        ["hello", " world", " !"].iter().map(|word| event("agent_message", json!({"answer": word}))).collect();
    events.push(event("message_end", json!({"metadata": {"usage": usage()}})));
    events
        .push(event("message_file", json!({"url": "https://example.com/file", "type": "image", "belongs_to": "user"})));
    events
}

/// A value for a parameter that is to be found in a text.
fn extracted(parameter: &Value) -> Option<(String, Value)> {
    let name = parameter.get("name")?.as_str()?.to_owned();
    let option = || parameter.get("options")?.as_array()?.first().cloned();
    let value = match parameter.get("type").and_then(Value::as_str).unwrap_or_default() {
        "number" => json!(1),
        "bool" | "boolean" => json!(true),
        "select" => option().unwrap_or_else(|| json!("hello world")),
        "array[string]" => json!(["hello world"]),
        "array[number]" => json!([1]),
        "array[boolean]" => json!([true]),
        "array[object]" => json!([{"name": "hello world"}]),
        // "string", and whatever else Dify would treat as a text
        _ => json!("hello world"),
    };
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use plugin_manifest::declaration::StoragePermission;
    use plugin_protocol::shape::Checker;

    use super::*;

    fn parts(said: Said) -> Vec<Value> {
        match said {
            Said::Once(value) => vec![value],
            Said::Parts(parts) => parts,
        }
    }

    #[test]
    fn every_answer_has_the_shape_that_dify_gives_it() {
        let request = json!({
            "model": "m", "texts": ["a"], "documents": [{}], "docs": ["a", {"content": "b"}], "app_id": "app", "text": "t",
            "parameters": [{"name": "city", "type": "string"}], "classes": [{"id": "1", "name": "good"}],
            "structured_output_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
            "tools": [{"name": "f", "parameters": {"type": "object"}}], "query": "q",
        });
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Storage) {
            for part in parts(said(*kind, &request)) {
                let text = part.to_string();
                let checked = Checker::default().check("", kind.result(), text.as_bytes()).map(drop);
                assert!(checked.is_ok(), "{}: {text}: {}", kind.as_str(), checked.unwrap_err());
            }
        }
    }

    #[test]
    fn a_model_calls_a_tool_once() {
        let mut request = json!({"model": "m", "tools": [{"name": "f", "parameters": {"type": "object"}}]});
        assert_eq!(llm("m", &request).len(), 6);
        request["prompt_messages"] = json!([{"role": "tool", "content": "done"}]);
        assert_eq!(llm("m", &request).len(), 5);
    }

    #[test]
    fn storage_is_kept_and_limited() {
        let storage = StoragePermission { enabled: true, size: 1024 };
        let permission = Some(Permission { storage: Some(storage), ..Permission::default() });
        let canned = Canned { permission, stored: Mutex::default() };
        let key = || "k".to_owned();
        assert!(canned.store(StorageRequest::Get { key: key() }).is_err());
        canned.store(StorageRequest::Set { key: key(), value: "6162".into() }).unwrap();
        assert_eq!(canned.store(StorageRequest::Get { key: key() }), Ok(json!({"data": "6162"})));
        assert!(canned.store(StorageRequest::Set { key: key(), value: "00".repeat(2000) }).is_err());
        canned.store(StorageRequest::Del { key: key() }).unwrap();
        let gone = canned.store(StorageRequest::Exist { key: key() }).unwrap();
        assert_eq!(gone, json!({"data": false, "exist_num": 0}));
    }
}
