use http_body_util::BodyExt as _;

use super::*;

/// Status, content type and bytes of an answer.
async fn wire(answer: impl IntoResponse) -> String {
    let response = answer.into_response();
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    format!("{status} {kind}\n{}", String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_row_of_the_contract_has_its_bytes() {
    let rows = [
        ApiError::unauthorized(),
        ApiError::plugin_id_required(),
        ApiError::plugin_not_found(),
        ApiError::internal("database is locked"),
        ApiError::unique_identifier("plugin_unique_identifier is not valid: x"),
        ApiError::no_available_node(),
        ApiError::node_lookup_failed("failed to get", "timeout"),
        ApiError::redirect_failed("node not found"),
        ApiError::runtime_lost(),
        ApiError::permission_denied("permission denied, you need to enable endpoint access in plugin manifest"),
        ApiError::not_found("no readme content available for this plugin"),
        ApiError::plugin_not_found_because("plugin does not have an endpoint"),
        ApiError::write_failed("no proper instance"),
        ApiError::timed_out(),
        ApiError::unknown_hook(),
        ApiError::endpoint_disabled(),
        ApiError::hook_without_installation(),
        ApiError::body_too_large(10),
        ApiError::unavailable("the plugin daemon is starting"),
    ];
    let mut page = String::new();
    for row in rows {
        page.push_str(&wire(row).await);
        page.push('\n');
    }
    insta::assert_snapshot!("catalogue", page);
}

#[tokio::test]
async fn a_plugin_s_error_is_three_documents_deep() {
    let mut args = serde_json::Map::new();
    args.insert("description".into(), "Rate Limit Error".into());
    let inner = InnerError::new("InvokeRateLimitError", "slow \"down\"\u{2028}<b>").with_args(InnerArgs::Object(args));
    insta::assert_snapshot!("plugin_error", wire(ApiError::invoke(&inner)).await);
}

#[test]
fn inner_documents_have_their_keys() {
    let rows = [
        InnerError::unmarshal("missing field `model`"),
        InnerError::invoke_dify("connection refused"),
        InnerError::serverless_event_not_supported(),
        InnerError::unknown_stream_message("x"),
        InnerError::connection_closed(),
        InnerError::serverless_runtime("Runtime.ExitError", Some("exited"), 502, Some("r-1")),
        InnerError::serverless_runtime("http", None, 429, None),
        InnerError::daemon("Error sending request to serverless: refused"),
    ];
    let page: Vec<_> = rows.iter().map(InnerError::to_document).collect();
    insta::assert_snapshot!("inner_documents", page.join("\n"));
}

#[tokio::test]
async fn management_errors_are_http_200() {
    fn handler() -> crate::http::Managed<()> {
        Err(ApiError::plugin_not_found())?;
        Ok(crate::http::Success(()))
    }
    let wire = wire(handler()).await;
    assert!(wire.starts_with("200 application/json; charset=utf-8\n{\"code\":-404,"), "{wire}");
}

#[tokio::test]
async fn a_success_is_an_envelope() {
    let raw = serde_json::value::RawValue::from_string("{\"n\": 1.0}".to_owned()).unwrap();
    assert_eq!(
        wire(crate::http::Success(raw)).await,
        "200 application/json; charset=utf-8\n{\"code\":0,\"message\":\"success\",\"data\":{\"n\": 1.0}}"
    );
}
