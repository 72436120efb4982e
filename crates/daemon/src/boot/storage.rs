//! Where packages, icons and plugins' own data are kept (lifecycle-and-storage 5.1).

mod measured;

use std::time::Duration;

use plugin_store::blob::{AliyunConfig, AzureConfig, BlobConfig, Limitation, S3Config, Secret, VendorConfig};
use plugin_store::{BlobStore, Layout};

pub(super) use self::measured::Measured;
use super::BootError;
use plugin_service::config::{self, Config, StorageType};

/// What `PLUGIN_STORAGE_TYPE` and the variables of the vendor say.
pub(super) fn config(config: &Config) -> Result<BlobConfig, BootError> {
    let bucket = text(config.storage.bucket.as_ref());
    let vendor =
        |endpoint: Option<&String>, region: Option<&String>, keys: [Option<&config::Secret>; 2]| VendorConfig {
            bucket: bucket.clone(),
            endpoint: text(endpoint),
            region: text(region),
            access_key: secret(keys[0]).0,
            secret_key: secret(keys[1]),
        };
    let Config { s3, azure_blob, gcs, tencent_cos, aliyun_oss, huawei_obs, volcengine_tos, baidu_bos, .. } = config;
    Ok(match config.storage.kind.kind {
        StorageType::Local => BlobConfig::Local { root: config.storage.local_root.clone() },
        StorageType::S3 => BlobConfig::S3(S3Config {
            vendor: vendor(s3.endpoint.as_ref(), s3.region.as_ref(), [s3.access_key.as_ref(), s3.secret_key.as_ref()]),
            path_style: s3.use_path_style,
            managed: s3.use_aws && s3.use_managed_iam,
        }),
        StorageType::Azure => BlobConfig::Azure(AzureConfig {
            container: text(azure_blob.container.as_ref()),
            connection_string: secret(azure_blob.connection_string.as_ref()),
            account_url: text(azure_blob.account_url.as_ref().filter(|_| azure_blob.use_managed_identity)),
        }),
        StorageType::Aliyun if aliyun_oss.cloudbox_id.is_some() => {
            let text = "ALIYUN_OSS_CLOUDBOX_ID: cloud boxes are not supported by this build: unset it, or reach the box by \
                        the S3 protocol (PLUGIN_STORAGE_TYPE=s3)";
            return Err(BootError::Unsupported(text.to_owned()));
        }
        StorageType::Aliyun => BlobConfig::Aliyun(AliyunConfig {
            vendor: vendor(
                aliyun_oss.endpoint.as_ref(),
                aliyun_oss.region.as_ref(),
                [aliyun_oss.access_key_id.as_ref(), aliyun_oss.access_key_secret.as_ref()],
            ),
            auth_version: aliyun_oss.auth_version.clone(),
            path: text(aliyun_oss.path.as_ref()),
        }),
        StorageType::Tencent => BlobConfig::Tencent(vendor(
            tencent_cos.endpoint.as_ref(),
            tencent_cos.region.as_ref(),
            [tencent_cos.secret_id.as_ref(), tencent_cos.secret_key.as_ref()],
        )),
        StorageType::Gcs => BlobConfig::Gcs { bucket, credentials: secret(gcs.credentials.as_ref()) },
        StorageType::Huawei => BlobConfig::Huawei {
            vendor: vendor(
                huawei_obs.server.as_ref(),
                None,
                [huawei_obs.access_key.as_ref(), huawei_obs.secret_key.as_ref()],
            ),
            path_style: huawei_obs.path_style,
        },
        StorageType::Volcengine => BlobConfig::Volcengine(vendor(
            volcengine_tos.endpoint.as_ref(),
            volcengine_tos.region.as_ref(),
            [volcengine_tos.access_key.as_ref(), volcengine_tos.secret_key.as_ref()],
        )),
        StorageType::Baidu => BlobConfig::Baidu(vendor(
            baidu_bos.endpoint.as_ref(),
            baidu_bos.region.as_ref(),
            [baidu_bos.access_key.as_ref(), baidu_bos.secret_key.as_ref()],
        )),
    })
}

/// For each step of the check.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// Uses the storage once, so that a wrong bucket or key is found before the first upload.
pub(super) async fn check(blobs: &dyn BlobStore, layout: &Layout) -> plugin_store::Result<Vec<Limitation>> {
    plugin_store::blob::check(blobs, layout.packages(), STEP_TIMEOUT).await
}

fn text(given: Option<&String>) -> String {
    given.cloned().unwrap_or_default()
}

fn secret(given: Option<&config::Secret>) -> Secret {
    Secret(given.map(|secret| secret.expose().to_owned()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
