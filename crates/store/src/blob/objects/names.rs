//! The vendors, as messages name them, and their variables (lifecycle-and-storage 7.7).

use crate::blob::BlobConfig;
use crate::{Error, Result};

/// A vendor and its variables; blank where it has no such setting.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) vendor: &'static str,
    /// What the vendor calls a bucket.
    pub(super) container: &'static str,
    pub(super) bucket: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) region: &'static str,
    pub(super) access_key: &'static str,
    pub(super) secret_key: &'static str,
    /// Those to look at when the vendor refuses.
    pub(super) variables: &'static [&'static str],
}

const BUCKET: &str = "PLUGIN_STORAGE_OSS_BUCKET";
const AZURE_ACCOUNT: &str = "AZURE_BLOB_STORAGE_ACCOUNT_URL";

const S3: Names = Names {
    vendor: "S3",
    container: "bucket",
    bucket: BUCKET,
    endpoint: "S3_ENDPOINT",
    region: "AWS_REGION",
    access_key: "AWS_ACCESS_KEY",
    secret_key: "AWS_SECRET_KEY",
    variables: &[BUCKET, "S3_ENDPOINT", "AWS_REGION", "AWS_ACCESS_KEY", "AWS_SECRET_KEY"],
};

const AZURE: Names = Names {
    vendor: "Azure Blob Storage",
    container: "container",
    bucket: "AZURE_BLOB_STORAGE_CONTAINER_NAME",
    endpoint: AZURE_ACCOUNT,
    region: "",
    access_key: "",
    secret_key: "",
    variables: &["AZURE_BLOB_STORAGE_CONTAINER_NAME", "AZURE_BLOB_STORAGE_CONNECTION_STRING", AZURE_ACCOUNT],
};

const ALIYUN: Names = Names {
    vendor: "Aliyun OSS",
    container: "bucket",
    bucket: BUCKET,
    endpoint: "ALIYUN_OSS_ENDPOINT",
    region: "ALIYUN_OSS_REGION",
    access_key: "ALIYUN_OSS_ACCESS_KEY_ID",
    secret_key: "ALIYUN_OSS_ACCESS_KEY_SECRET",
    variables: &[BUCKET, "ALIYUN_OSS_ENDPOINT", "ALIYUN_OSS_ACCESS_KEY_ID", "ALIYUN_OSS_ACCESS_KEY_SECRET"],
};

const TENCENT: Names = Names {
    vendor: "Tencent COS",
    container: "bucket",
    bucket: BUCKET,
    endpoint: "TENCENT_COS_ENDPOINT",
    region: "TENCENT_COS_REGION",
    access_key: "TENCENT_COS_SECRET_ID",
    secret_key: "TENCENT_COS_SECRET_KEY",
    variables: &[BUCKET, "TENCENT_COS_REGION", "TENCENT_COS_SECRET_ID", "TENCENT_COS_SECRET_KEY"],
};

const GCS: Names = Names {
    vendor: "Google Cloud Storage",
    container: "bucket",
    bucket: BUCKET,
    endpoint: "",
    region: "",
    access_key: "",
    secret_key: "",
    variables: &[BUCKET, "GCS_CREDENTIALS"],
};

const HUAWEI: Names = Names {
    vendor: "Huawei OBS",
    container: "bucket",
    bucket: BUCKET,
    endpoint: "HUAWEI_OBS_SERVER",
    region: "",
    access_key: "HUAWEI_OBS_ACCESS_KEY",
    secret_key: "HUAWEI_OBS_SECRET_KEY",
    variables: &[BUCKET, "HUAWEI_OBS_SERVER", "HUAWEI_OBS_ACCESS_KEY", "HUAWEI_OBS_SECRET_KEY"],
};

const VOLCENGINE: Names = Names {
    vendor: "Volcengine TOS",
    container: "bucket",
    bucket: BUCKET,
    endpoint: "VOLCENGINE_TOS_ENDPOINT",
    region: "VOLCENGINE_TOS_REGION",
    access_key: "VOLCENGINE_TOS_ACCESS_KEY",
    secret_key: "VOLCENGINE_TOS_SECRET_KEY",
    variables: &[BUCKET, "VOLCENGINE_TOS_ENDPOINT", "VOLCENGINE_TOS_ACCESS_KEY", "VOLCENGINE_TOS_SECRET_KEY"],
};

const BAIDU: Names = Names {
    vendor: "Baidu BOS",
    container: "bucket",
    bucket: BUCKET,
    endpoint: "BAIDU_BOS_ENDPOINT",
    region: "BAIDU_BOS_REGION",
    access_key: "BAIDU_BOS_ACCESS_KEY",
    secret_key: "BAIDU_BOS_SECRET_KEY",
    variables: &[BUCKET, "BAIDU_BOS_ENDPOINT", "BAIDU_BOS_ACCESS_KEY", "BAIDU_BOS_SECRET_KEY"],
};

/// The vendor of a store that is not a folder.
pub(super) fn names(config: &BlobConfig) -> Result<&'static Names> {
    Ok(match config {
        BlobConfig::Local { .. } => return Err(Error::invalid("a folder has no vendor")),
        BlobConfig::S3(_) => &S3,
        BlobConfig::Azure(_) => &AZURE,
        BlobConfig::Aliyun(_) => &ALIYUN,
        BlobConfig::Tencent(_) => &TENCENT,
        BlobConfig::Gcs { .. } => &GCS,
        BlobConfig::Huawei { .. } => &HUAWEI,
        BlobConfig::Volcengine(_) => &VOLCENGINE,
        BlobConfig::Baidu(_) => &BAIDU,
    })
}
