//! The form of a launch: the package, whether it is verified, and what it is called.

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use plugin_package::Limits;
use serde::Deserialize;

use crate::plugin::{Plugin, PluginError};

/// Bytes of a part that is not the package.
const MAX_FIELD: usize = 64 * 1024;

/// Why the form is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("the form cannot be read: {0}")]
    Form(#[from] MultipartError),
    #[error("the form has no part 'context' with a package")]
    NoPackage,
    #[error("the part '{name}' has more than {limit} bytes")]
    TooLarge { name: String, limit: u64 },
    #[error("the part 'metadata' is no JSON object: {0}")]
    Metadata(serde_json::Error),
    #[error("the package is {found}, but its metadata says {said}")]
    OtherPlugin { said: String, found: String },
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("reading the package broke off: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl UploadError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Form(error) => error.status(),
            Self::Task(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    plugin_unique_identifier: String,
}

/// Reads the form and the package in it. `max` bounds the package.
pub(super) async fn read(mut form: Multipart, max: u64, limits: Limits) -> Result<Plugin, UploadError> {
    let mut package = None;
    let (mut verified, mut metadata) = (false, Metadata::default());
    while let Some(field) = form.next_field().await? {
        match field.name().unwrap_or_default() {
            "context" => {
                let filename = field.file_name().unwrap_or_default().to_owned();
                package = Some((filename, bounded(field, max).await?));
            }
            "verified" => verified = bounded(field, MAX_FIELD as u64).await? == "true",
            "metadata" => {
                let text = bounded(field, MAX_FIELD as u64).await?;
                metadata = serde_json::from_slice(&text).map_err(UploadError::Metadata)?;
            }
            _ => {
                bounded(field, MAX_FIELD as u64).await?;
            }
        }
    }
    let (filename, bytes) = package.ok_or(UploadError::NoPackage)?;
    let plugin = tokio::task::spawn_blocking(move || Plugin::read(bytes, &filename, verified, &limits)).await??;
    let said = metadata.plugin_unique_identifier;
    if !said.is_empty() && said != plugin.identifier.as_str() {
        return Err(UploadError::OtherPlugin { said, found: plugin.identifier.to_string() });
    }
    Ok(plugin)
}

async fn bounded(mut field: Field<'_>, limit: u64) -> Result<Bytes, UploadError> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = field.chunk().await? {
        if u64::try_from(bytes.len() + piece.len()).unwrap_or(u64::MAX) > limit {
            return Err(UploadError::TooLarge { name: field.name().unwrap_or_default().to_owned(), limit });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
