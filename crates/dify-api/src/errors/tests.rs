use std::time::Duration;

use http_body_util::BodyExt as _;
use plugin_package::bundle::BundleError;

use super::*;

fn rejection(error: impl Into<Rejection>) -> ApiError {
    ApiError::from(error.into())
}

#[test]
fn a_call_that_does_not_reach_its_plugin_may_be_tried_again() {
    let absent = rejection(OpenError::NotFound);
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
    assert_eq!(absent.message(), "no available node, plugin runtime not found");
    let starting = OpenError::StillStarting { waited: Duration::from_secs(3), state: "preparing".to_owned() };
    assert_eq!(
        rejection(starting).message(),
        "no available node, plugin runtime not found: plugin is still starting after 3 s: preparing"
    );
    let cause = "no such index".to_owned();
    assert_eq!(
        rejection(OpenError::NotReady { cause, next_try: Some(Duration::from_secs(9)) }).message(),
        "no available node, plugin runtime not found: no such index, it is tried again in 9 s"
    );
    let large = OpenError::TooLarge("ServerlessPayloadTooLarge: x".to_owned());
    assert_eq!(rejection(large).message(), "ServerlessPayloadTooLarge: x\nfailed to write request");
}

#[test]
fn a_malformed_identifier_in_the_database_has_a_type_of_its_own() {
    let malformed = "malformed".parse::<plugin_manifest::identifier::UniqueIdentifier>().unwrap_err();
    assert_eq!(rejection(CatalogError::from(malformed)).kind(), ErrorType::UniqueIdentifier);
}

#[test]
fn a_bundle_without_one_of_its_packages_is_the_callers_fault() {
    let lacking = InstallError::BundleAsset(BundleError::AssetNotFound("a.difypkg".to_owned()));
    let error = rejection(lacking);
    assert_eq!(error.kind(), ErrorType::BadRequest);
    assert!(error.message().contains("a.difypkg"), "{}", error.message());
}

#[tokio::test]
async fn management_errors_are_http_200() {
    fn handler() -> Managed<()> {
        Err(ApiError::plugin_not_found())?;
        Ok(Success(()))
    }
    let response = handler().into_response();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{\"code\":-404,"), "{body:?}");
}
