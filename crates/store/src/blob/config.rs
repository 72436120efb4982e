//! Where objects are stored.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::LocalBlobs;
use crate::{BlobStore, Result};

/// Where the objects are (lifecycle-and-storage 5.1, 7.7). Blank text means "not set". All but the folder need the cargo
/// feature `objects`.
#[derive(Clone, Debug)]
pub enum BlobConfig {
    /// Below a folder, created when missing.
    Local { root: PathBuf },
    /// Amazon S3 and what speaks its protocol.
    S3(S3Config),
    /// Azure Blob Storage.
    Azure(AzureConfig),
    /// Aliyun OSS.
    Aliyun(AliyunConfig),
    /// Tencent COS.
    Tencent(VendorConfig),
    /// Google Cloud Storage. `credentials` is base64 JSON; blank = those of the machine.
    Gcs { bucket: String, credentials: Secret },
    /// Huawei OBS.
    Huawei { vendor: VendorConfig, path_style: bool },
    /// Volcengine TOS.
    Volcengine(VendorConfig),
    /// Baidu BOS, through its S3 protocol. Endpoint or region must be set.
    Baidu(VendorConfig),
}

/// Text that never prints.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "***" })
    }
}

/// What most vendors ask for.
#[derive(Clone, Debug, Default)]
pub struct VendorConfig {
    pub bucket: String,
    /// A URL or a host name.
    pub endpoint: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: Secret,
}

/// Amazon S3 and what speaks its protocol.
#[derive(Clone, Debug, Default)]
pub struct S3Config {
    pub vendor: VendorConfig,
    /// The bucket in the path instead of in the host name.
    pub path_style: bool,
    /// Credentials of the machine (`S3_USE_AWS_MANAGED_IAM`); also used if both keys are blank.
    pub managed: bool,
}

/// Azure Blob Storage.
#[derive(Clone, Debug, Default)]
pub struct AzureConfig {
    pub container: String,
    pub connection_string: Secret,
    /// Instead of a connection string: the account, with the machine's identity.
    pub account_url: String,
}

/// Aliyun OSS.
#[derive(Clone, Debug, Default)]
pub struct AliyunConfig {
    pub vendor: VendorConfig,
    /// `v1`; anything else is version 4.
    pub auth_version: String,
    /// Prepended to every key.
    pub path: String,
}

/// Opens the store; a remote one is not asked yet.
pub fn open(config: &BlobConfig) -> Result<Arc<dyn BlobStore>> {
    match config {
        BlobConfig::Local { root } => Ok(Arc::new(LocalBlobs::open(root)?)),
        #[cfg(feature = "objects")]
        remote => Ok(Arc::new(super::objects::open(remote)?)),
        #[cfg(not(feature = "objects"))]
        _ => Err(crate::Error::new(
            crate::ErrorKind::Unsupported,
            "this build has no client for object storage, it needs the cargo feature `objects`",
        )
        .in_variables(&["PLUGIN_STORAGE_TYPE"])),
    }
}
