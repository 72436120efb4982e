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
        ApiError::permission_denied("permission denied, you need to enable endpoint access in plugin manifest"),
        ApiError::not_found("no readme content available for this plugin"),
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
async fn a_success_is_an_envelope() {
    let raw = serde_json::value::RawValue::from_string("{\"n\": 1.0}".to_owned()).unwrap();
    assert_eq!(
        wire(crate::Success(raw)).await,
        "200 application/json; charset=utf-8\n{\"code\":0,\"message\":\"success\",\"data\":{\"n\": 1.0}}"
    );
}
