//! How code gets to Lambda: with the call where it is small, through a bucket where it is not.

use anyhow::Context as _;
use aws_sdk_lambda::primitives::Blob;
use opendal::{Operator, services};

use crate::backend::BackendError;

/// What a call may carry, in bytes.
const MAX_DIRECT: usize = 50 * 1024 * 1024;

/// Code that Lambda can take.
#[derive(Clone, Debug)]
pub(super) enum Code {
    Zip(Blob),
    Stored { bucket: String, key: String },
}

/// Takes code to a bucket.
#[derive(Debug)]
pub(super) struct Uploads {
    bucket: Option<(String, Operator)>,
}

impl Uploads {
    /// With a bucket, if there is one.
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
            .map_err(|error| BackendError(format!("failed to take the function to the bucket {bucket}: {error}")))?;
        Ok(Code::Stored { bucket: bucket.clone(), key })
    }

    /// Lambda has its own copy: what is in the bucket is not needed any more.
    pub(super) async fn clear(&self, function: &str) {
        if let Some((bucket, operator)) = &self.bucket
            && let Err(error) = operator.delete(&key(function)).await
        {
            tracing::warn!(bucket, function, %error, "code that nobody needs is left in the bucket");
        }
    }
}

fn key(function: &str) -> String {
    format!("dify-plugin-connector/{function}.zip")
}
