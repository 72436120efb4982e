//! How a platform of functions says that a function failed (plugin-protocol 2.3): `PluginRuntimeError`.

use plugin_protocol::ErrorObject;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;

/// The document by which AWS Lambda reports a failed function. Members of another type count as absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LambdaError {
    pub(super) kind: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
}

impl LambdaError {
    /// Reads the first JSON object of a body or a line; what is none says nothing.
    pub(super) fn read(body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Wire {
            error_type: serde_json::Value,
            error_message: serde_json::Value,
            request_id: serde_json::Value,
        }
        let mut documents = serde_json::Deserializer::from_slice(body).into_iter::<Wire>();
        let wire = documents.next().and_then(Result::ok).unwrap_or_default();
        let text = |value: serde_json::Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        Self { kind: text(wire.error_type), message: text(wire.error_message), request_id: text(wire.request_id) }
    }
}

/// What errors quote of the head of an answer.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    error_type: Option<String>,
    request_id: Option<String>,
}

impl Head {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
        Self {
            status,
            error_type: text("x-amzn-ErrorType").map(str::to_owned),
            request_id: text("x-amzn-RequestId").map(str::to_owned),
        }
    }

    /// Whether the platform says that the function failed, by a status or by a header.
    pub(super) fn is_refusal(&self) -> bool {
        !self.status.is_success() || self.error_type.is_some()
    }

    /// The error; `fallback` says what happened where neither header nor document does.
    pub(super) fn error(&self, document: &LambdaError, fallback: &str) -> ErrorObject {
        let kind = self.error_type.as_deref().or(document.kind.as_deref()).unwrap_or(fallback);
        let id = self.request_id.as_deref().or(document.request_id.as_deref());
        ErrorObject::function_failed(kind, document.message.as_deref(), self.status.as_u16(), id)
    }

    /// The status as a status line has it.
    pub(super) fn status_text(&self) -> String {
        match self.status.canonical_reason() {
            Some(reason) => format!("{} {reason}", self.status.as_u16()),
            None => format!("HTTP {}", self.status.as_u16()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_failed_functions() {
        let check = |body: &str, expected: [Option<&str>; 3]| {
            let LambdaError { kind, message, request_id } = LambdaError::read(body.as_bytes());
            assert_eq!([kind.as_deref(), message.as_deref(), request_id.as_deref()], expected, "{body}");
        };
        check(
            r#"{"errorType":"T","errorMessage":"m","requestId":"r","stackTrace":[]}"#,
            [Some("T"), Some("m"), Some("r")],
        );
        check(r#"{"errorType":7,"errorMessage":"m"} rest"#, [None, Some("m"), None]);
        check(r#"{"errorType":""}"#, [None; 3]);
        check("<html>", [None; 3]);
        check("", [None; 3]);
    }

    #[test]
    fn headers_go_before_documents() {
        let check = |headers: &[(&'static str, &str)], body: &str, expected: &str| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            let head = Head::new(StatusCode::from_u16(599).unwrap(), &map);
            assert!(head.is_refusal());
            assert_eq!(head.error(&LambdaError::read(body.as_bytes()), &head.status_text()).to_json(), expected);
        };
        check(
            &[],
            "",
            r#"{"args":{"status_code":599},"error_type":"PluginRuntimeError","message":"Plugin runtime request failed: HTTP 599"}"#,
        );
        check(
            &[("x-amzn-errortype", "H"), ("x-amzn-requestid", "h")],
            r#"{"errorType":"T","errorMessage":"m","requestId":"r"}"#,
            r#"{"args":{"request_id":"h","status_code":599},"error_type":"PluginRuntimeError","message":"Plugin runtime request failed: H: m"}"#,
        );
    }
}
