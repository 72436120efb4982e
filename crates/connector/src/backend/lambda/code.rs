//! Delivers code to Lambda: in the request where it is small, through a bucket where it is not.

use anyhow::Context as _;
use aws_sdk_lambda::primitives::Blob;
use opendal::{Operator, services};

use crate::backend::BackendError;

/// Largest code in a request, in bytes.
const MAX_DIRECT: usize = 50 * 1024 * 1024;

/// Code, ready for Lambda.
#[derive(Clone, Debug)]
pub(super) enum Code {
    Zip(Blob),
    Stored { bucket: String, key: String },
}

/// Uploads code to a bucket.
#[derive(Debug)]
pub(super) struct Uploads {
    bucket: Option<(String, Operator)>,
}

impl Uploads {
    /// With a bucket, if one is configured.
    pub(super) fn new(bucket: Option<&str>, region: &str) -> anyhow::Result<Self> {
        let Some(bucket) = bucket else { return Ok(Self { bucket: None }) };
        let mut service = services::S3::default().bucket(bucket).region(region);
        if let Ok(endpoint) = std::env::var("AWS_ENDPOINT_URL") {
            service = service.endpoint(&endpoint);
        }
        let operator = Operator::new(service).context("CONNECTOR_LAMBDA_BUCKET")?;
        Ok(Self { bucket: Some((bucket.to_owned(), operator)) })
    }

    /// The code of a function as Lambda takes it.
    pub(super) async fn code(&self, function: &str, zip: Vec<u8>) -> Result<Code, BackendError> {
        if zip.len() <= MAX_DIRECT {
            return Ok(Code::Zip(Blob::new(zip)));
        }
        let Some((bucket, operator)) = &self.bucket else {
            let megabytes = zip.len() / (1024 * 1024);
            return Err(BackendError(format!(
                "the function has {megabytes} MB, more than Lambda takes directly: set CONNECTOR_LAMBDA_BUCKET"
            )));
        };
        let key = key(function);
        operator
            .write(&key, zip)
            .await
            .map_err(|error| BackendError(format!("failed to upload the function to the bucket {bucket}: {error}")))?;
        Ok(Code::Stored { bucket: bucket.clone(), key })
    }

    /// Deletes uploaded code, of which Lambda has its own copy.
    pub(super) async fn clear(&self, function: &str) {
        if let Some((bucket, operator)) = &self.bucket
            && let Err(error) = operator.delete(&key(function)).await
        {
            tracing::warn!(bucket, function, %error, "uploaded code is left in the bucket");
        }
    }
}

fn key(function: &str) -> String {
    format!("dify-plugin-connector/{function}.zip")
}
