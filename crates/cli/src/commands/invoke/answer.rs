//! Shows what a plugin answers.

use anyhow::Result;
use plugin_protocol::Action;
use plugin_protocol::endpoint::Piece;
use serde_json::Value;

use crate::printer::Printer;
use crate::wire::compact;

/// The answer as it comes.
#[derive(Clone, Copy)]
pub(super) struct Answers {
    printer: Printer,
    json: bool,
    action: Action,
}

impl Answers {
    pub(super) fn new(printer: Printer, json: bool, action: Action) -> Self {
        Self { printer, json, action }
    }

    /// One chunk, as JSON.
    pub(super) fn chunk(self, chunk: &str) -> Result<()> {
        if self.json {
            return Ok(self.printer.line(compact(chunk))?);
        }
        if self.action == Action::InvokeEndpoint
            && let Ok(piece) = Piece::parse(chunk.as_bytes())
        {
            return self.piece(&piece);
        }
        let Ok(value) = serde_json::from_str::<Value>(chunk) else { return Ok(self.printer.line(chunk)?) };
        match said(self.action, &value) {
            Some(text) => Ok(self.printer.bytes(text.as_bytes())?),
            None => Ok(self.printer.line(serde_json::to_string_pretty(&value)?)?),
        }
    }

    /// What a webhook answers, as a client would see it.
    fn piece(self, piece: &Piece) -> Result<()> {
        if let Some(status) = piece.status {
            self.printer.line(format_args!("HTTP {status}"))?;
        }
        for (name, value) in &piece.headers {
            self.printer.line(format_args!("{name}: {value}"))?;
        }
        if piece.status.is_some() {
            self.printer.line("")?;
        }
        Ok(self.printer.bytes(piece.body.as_deref().unwrap_or_default())?)
    }

    /// There is no more.
    pub(super) fn end(self) -> Result<()> {
        if !self.json && matches!(self.action, Action::InvokeLlm | Action::InvokeEndpoint) {
            self.printer.line("")?;
        }
        Ok(())
    }
}

/// A chunk that is text for people.
fn said(action: Action, chunk: &Value) -> Option<String> {
    if action == Action::InvokeLlm {
        let message = chunk.pointer("/delta/message")?;
        let has_calls = message.get("tool_calls").and_then(Value::as_array).is_some_and(|calls| !calls.is_empty());
        return message.get("content")?.as_str().filter(|_| !has_calls).map(str::to_owned);
    }
    let is_text = chunk.get("type").and_then(Value::as_str) == Some("text");
    let text = chunk.pointer("/message/text").and_then(Value::as_str).filter(|_| is_text)?;
    Some(format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts() {
        let text = json!({"type": "text", "message": {"text": "hi"}});
        assert_eq!(said(Action::InvokeTool, &text), Some("hi\n".to_owned()));
        assert_eq!(said(Action::InvokeTool, &json!({"type": "json", "message": {"json_object": {}}})), None);
        let chunk = json!({"delta": {"message": {"content": "hi ", "tool_calls": []}}});
        assert_eq!(said(Action::InvokeLlm, &chunk), Some("hi ".to_owned()));
    }
}
