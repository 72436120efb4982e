//! Files that arrive as `multipart/form-data`: streamed to a temporary file, never held in memory (http-api 6.1). It has no
//! name, so that the end of the daemon, however it comes, leaves nothing of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest as _, Request};

use crate::error::ApiError;

/// Most bytes of the other fields together.
const FIELD_BYTES: usize = 1024 * 1024;

/// Most parts of a request.
const PARTS: usize = 64;

/// What was uploaded.
#[derive(Debug)]
pub struct Upload {
    /// The file; it goes away with this value.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
    /// The other fields.
    pub fields: BTreeMap<String, String>,
}

/// The largest file that is received.
#[derive(Clone, Copy, Debug)]
pub struct UploadLimit {
    pub bytes: u64,
    /// Sets it.
    pub variable: &'static str,
}

impl Upload {
    /// Receives the file in the part `name`, within `limit`. Errors, with the texts that clients know:
    /// the request is no multipart form, has no such file, the file is too large.
    ///
    /// The route has to be [`of_any_size`](crate::Table::of_any_size); the limit of the file and those of the fields take its place.
    pub async fn receive(request: Request, name: &str, limit: UploadLimit) -> Result<Self, ApiError> {
        let mut form = Multipart::from_request(request, &())
            .await
            .map_err(|_| ApiError::bad_request("request Content-Type isn't multipart/form-data"))?;
        let mut file = None;
        let mut fields = BTreeMap::new();
        let mut left = FIELD_BYTES;
        let mut parts = 0;
        while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
            parts += 1;
            if parts > PARTS {
                return Err(ApiError::bad_request(format!("the form has more than {PARTS} parts")));
            }
            if field.name() == Some(name) && field.file_name().is_some() && file.is_none() {
                file = Some(receive_file(field, limit).await?);
                continue;
            }
            let key = field.name().unwrap_or_default().to_owned();
            let text = receive_text(field, &mut left).await?;
            fields.entry(key).or_insert(text);
        }
        let (file, size) = file.ok_or_else(|| ApiError::bad_request("http: no such file"))?;
        Ok(Self { file, size, fields })
    }
}

async fn receive_file(mut field: Field<'_>, limit: UploadLimit) -> Result<(File, u64), ApiError> {
    let failed =
        |error: &dyn std::fmt::Display| ApiError::internal(format!("failed to keep the uploaded file: {error}"));
    let mut file = blocking(tempfile::tempfile).await?.map_err(|error| failed(&error))?;
    let mut size = 0;
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        size += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        if size > limit.bytes {
            let UploadLimit { bytes, variable } = limit;
            return Err(ApiError::bad_request(format!(
                "file size exceeds the maximum limit of {bytes} bytes ({variable})"
            )));
        }
        let (returned, written) = blocking(move || {
            let written = file.write_all(&chunk);
            (file, written)
        })
        .await?;
        written.map_err(|error| failed(&error))?;
        file = returned;
    }
    Ok((file, size))
}

async fn receive_text(mut field: Field<'_>, left: &mut usize) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error))? {
        *left = left.checked_sub(chunk.len()).ok_or_else(|| {
            ApiError::bad_request(format!("the fields of the form have more than {FIELD_BYTES} bytes"))
        })?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn broken(error: &MultipartError) -> ApiError {
    ApiError::bad_request(format!("failed to read the form: {}", error.body_text()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let failed = |error| ApiError::internal(format!("failed to keep the uploaded file: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

#[cfg(test)]
mod tests;
