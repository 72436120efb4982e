use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use tower::ServiceExt as _;

use super::*;
use crate::Success;

#[derive(Debug, Default, Clone, Deserialize, serde::Serialize)]
#[serde(default)]
struct Item {
    name: String,
    weight: f64,
}

impl Validate for Item {
    fn validate(&self, violations: &mut Violations) {
        violations.required("name", &self.name);
    }
}

#[derive(Debug, Default, Deserialize, serde::Serialize)]
#[serde(default)]
struct Parameters {
    tenant_id: String,
    page: i64,
    #[serde(alias = "PluginUniqueIdentifier")]
    identifier: String,
    enabled: bool,
    tags: Vec<String>,
    items: Option<Vec<Item>>,
    data: Option<Box<RawValue>>,
}

impl Validate for Parameters {
    fn validate(&self, violations: &mut Violations) {
        violations.range("page", &self.page, 1..=256);
        if let Some(items) = &self.items {
            violations.each("items", items);
        }
    }
}

async fn echo(Bound(parameters): Bound<Parameters>) -> Success<Parameters> {
    Success(parameters)
}

async fn send(method: &str, target: &str, kind: Option<&str>, body: impl Into<Body>) -> (u16, serde_json::Value) {
    let mut request = http::Request::builder().method(method).uri(target);
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    let router: Router =
        Router::new().route("/{tenant_id}", any(echo)).layer(DefaultBodyLimit::max(4 * DECODE_ASIDE)).with_state(());
    let response = router.oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body: serde_json::Value =
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    if status == 200 {
        return (status, body["data"].clone());
    }
    let message: serde_json::Value = serde_json::from_str(body["message"].as_str().unwrap()).unwrap();
    assert_eq!(message["error_type"], "PluginDaemonBadRequestError");
    (status, message["message"].clone())
}

const JSON: Option<&str> = Some("application/json");

#[track_caller]
fn has(answer: &(u16, serde_json::Value), field: &str, expected: &serde_json::Value) {
    assert_eq!((answer.0, &answer.1[field]), (200, expected), "{answer:?}");
}

#[tokio::test]
async fn a_json_body_is_bound() {
    let body = r#"{"page":2,"tags":["a"],"items":[{"name":"n","weight":1}],"data":{"big":12345678901234567890123, "b":1.0},"x":1}"#;
    let answer = send("POST", "/t?page=9", JSON, body).await;
    has(&answer, "page", &2.into());
    has(&answer, "tenant_id", &"t".into());
    has(&answer, "items", &serde_json::json!([{"name": "n", "weight": 1.0}]));
}

#[tokio::test]
async fn the_path_wins_over_the_body_and_the_body_over_the_query() {
    let answer = send("POST", "/t?page=9&enabled=true", JSON, r#"{"tenant_id":"other","PAGE":3}"#).await;
    has(&answer, "tenant_id", &"t".into());
    has(&answer, "page", &3.into());
    has(&answer, "enabled", &true.into());
}

#[tokio::test]
async fn names_match_without_case_and_null_is_zero() {
    let body =
        r#"{"Page":1,"TAGS":null,"Identifier":null,"enabled":null,"items":[{"NAME":"n","weight":null}],"data":null}"#;
    let answer = send("POST", "/t", JSON, body).await;
    has(&answer, "tags", &serde_json::json!([]));
    has(&answer, "identifier", &"".into());
    has(&answer, "items", &serde_json::json!([{"name": "n", "weight": 0.0}]));
}

#[tokio::test]
async fn a_query_is_parsed_by_the_type_of_its_field() {
    let answer = send("GET", "/t?page=7&tags=a&tags=b%20c+d&PluginUniqueIdentifier=x&enabled=1", None, "").await;
    has(&answer, "page", &7.into());
    has(&answer, "tags", &serde_json::json!(["a", "b c d"]));
    has(&answer, "identifier", &"x".into());
    has(&answer, "enabled", &true.into());
}

#[tokio::test]
async fn forms_and_bodiless_posts_are_bound() {
    has(
        &send("POST", "/t?page=1", Some("application/x-www-form-urlencoded"), "tags=a").await,
        "tags",
        &serde_json::json!(["a"]),
    );
    has(&send("POST", "/t?page=1", None, "").await, "page", &1.into());
    has(&send("POST", "/t?page=1", JSON, "").await, "page", &1.into());
    has(&send("GET", "/t", JSON, r#"{"page":4}"#).await, "page", &4.into());
    has(&send("POST", "/t", Some("Application/JSON; charset=utf-8"), r#"{"page":4}"#).await, "page", &4.into());
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_place() {
    let long = format!("{{\"page\":1,\"identifier\":\"{}\"", "x".repeat(2 * DECODE_ASIDE));
    for (target, kind, body, expected) in [
        ("/t", JSON, "{", "invalid request: EOF while parsing an object at line 1 column 1"),
        ("/t", JSON, "[]", "invalid request: invalid type: sequence, expected a JSON object at line 1 column 0"),
        ("/t", JSON, "null", "invalid request: invalid type: null, expected a JSON object at line 1 column 4"),
        ("/t", JSON, r#"{"page":1} x"#, "invalid request: trailing characters at line 1 column 12"),
        (
            "/t",
            JSON,
            r#"{"page":1,"items":[{},{"name":5}]}"#,
            "invalid request: items[1].name: invalid type: integer `5`, expected a string at line 1 column 31",
        ),
        ("/t?page=x", None, "", "invalid request: page: 'x' is not an integer: invalid digit found in string"),
        ("/t?page=1&enabled=x", None, "", "invalid request: enabled: 'x' is not a boolean"),
        (
            "/t?page=",
            None,
            "",
            "Key: 'page' Error:Field validation for 'page' failed on the 'min' tag: 0 given, at least 1",
        ),
        (
            "/t?page=257",
            None,
            "",
            "Key: 'page' Error:Field validation for 'page' failed on the 'max' tag: 257 given, at most 256",
        ),
        (
            "/t",
            JSON,
            r#"{"items":[{"name":""}]}"#,
            "Key: 'page' Error:Field validation for 'page' failed on the 'min' tag: 0 given, at least 1\nKey: 'items[0].name' Error:Field \
             validation for 'name' failed on the 'required' tag",
        ),
        ("/t", Some("text/yaml"), "page: 1", "content type 'text/yaml' is not supported here, send application/json"),
        ("/t", JSON, &long, "invalid request: EOF while parsing an object at line 1 column 2097177"),
    ] {
        assert_eq!(send("POST", target, kind, body.to_owned()).await, (400, expected.into()), "{target} {body:.100}");
    }
}

#[tokio::test]
async fn a_large_body_is_refused_before_it_is_read() {
    let (status, text) = send("POST", "/t", JSON, "x".repeat(4 * DECODE_ASIDE + 1)).await;
    assert_eq!((status, text), (413, "the request body is too large".into()));
}

fn received(format: Format, query: &str, body: &[u8]) -> Received {
    Received { format, path: Vec::new(), query: query.to_owned(), body: Bytes::copy_from_slice(body) }
}

proptest! {
    #[test]
    fn no_bytes_break_the_decoder(body: Vec<u8>, query: String) {
        let _ = received(Format::Json, &query, &body).decode::<Parameters>();
        let _ = received(Format::Form, &query, &body).decode::<Parameters>();
    }

    #[test]
    fn what_serde_takes_is_taken_alike(name in ".*", weight: i32, tags: Vec<String>, page in 1i64..=256) {
        let parameters = Parameters { page, tags, items: Some(vec![Item { name: format!("x{name}"), weight: weight.into() }]), ..Default::default() };
        let body = serde_json::to_vec(&parameters).unwrap();
        let bound: Parameters = received(Format::Json, "", &body).decode().unwrap();
        prop_assert_eq!(serde_json::to_vec(&bound).unwrap(), body);
    }
}
