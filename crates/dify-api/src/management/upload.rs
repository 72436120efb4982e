//! Uploads (http-api 6.1).

use axum::extract::{Request, State};

use super::detached;
use crate::errors::Managed;
use crate::state::Services;
use plugin_install::{BundleItem, Uploaded};
use plugin_web::Success;
use plugin_web::upload::Upload;

/// The form's field that asks for a good signature.
fn is_verification_asked(upload: &Upload) -> bool {
    upload.fields.get("verify_signature").is_some_and(|value| value == "true")
}

/// Takes a package in.
pub(super) async fn package(State(services): State<Services>, request: Request) -> Managed<Uploaded> {
    let upload = Upload::receive(request, "dify_pkg", services.limits.package).await?;
    let verify = is_verification_asked(&upload);
    Ok(Success(detached(async move { services.installer.intake.upload(upload.file, verify).await }).await??))
}

/// Takes a bundle in.
pub(super) async fn bundle(State(services): State<Services>, request: Request) -> Managed<Vec<BundleItem>> {
    let upload = Upload::receive(request, "dify_bundle", services.limits.bundle).await?;
    let verify = is_verification_asked(&upload);
    Ok(Success(detached(async move { services.installer.intake.upload_bundle(upload.file, verify).await }).await??))
}
