use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_store::blob::{Faulty, LocalBlobs};

use super::*;

#[tokio::test]
async fn the_check_leaves_nothing_and_reports_what_fails() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::default();
    let blobs = Faulty::new(Arc::new(LocalBlobs::open(folder.path()).unwrap()));
    check(&blobs, &layout).await.unwrap();
    assert_eq!(blobs.calls(), 5);
    for step in 0..5 {
        blobs.fail_after(step, 1);
        let error = check(&blobs, &layout).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
    }
    check(&blobs, &layout).await.unwrap();
    // the failed deletion has left one, all other failures none
    assert_eq!(blobs.list(layout.packages()).await.unwrap().len(), 1);
}

/// What a type and variables of a vendor come to; secrets print as `***`.
fn read(kind: &str, variables: &[(&str, &str)]) -> Result<BlobConfig, String> {
    let mut all = BTreeMap::from([
        ("PLUGIN_STORAGE_TYPE".to_owned(), kind.to_owned()),
        ("PLUGIN_STORAGE_OSS_BUCKET".to_owned(), "bucket".to_owned()),
    ]);
    all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    config(&Config::from_vars(all).unwrap()).map_err(|error| error.to_string())
}

#[track_caller]
fn vendor(found: &VendorConfig, endpoint: &str, region: &str) {
    let VendorConfig { bucket, access_key, secret_key, .. } = found;
    assert_eq!((bucket.as_str(), access_key.as_str(), secret_key.0.as_str()), ("bucket", "id", "secret"));
    assert_eq!((found.endpoint.as_str(), found.region.as_str()), (endpoint, region));
}

#[test]
fn every_name_and_variable_of_the_reference_is_known() {
    for kind in ["local", "local_file"] {
        let found = read(kind, &[("PLUGIN_STORAGE_LOCAL_ROOT", "/srv/plugins")]).unwrap();
        assert!(matches!(found, BlobConfig::Local { root } if root == std::path::Path::new("/srv/plugins")));
    }
    for kind in ["s3", "aws_s3", "aws-s3"] {
        let keys = [("AWS_ACCESS_KEY", "id"), ("AWS_SECRET_KEY", "secret"), ("AWS_REGION", "eu-west-1")];
        let Ok(BlobConfig::S3(s3)) = read(kind, &keys) else { panic!("{kind}") };
        vendor(&s3.vendor, "", "eu-west-1");
        assert!(s3.path_style && !s3.managed);
        let more = [("S3_ENDPOINT", "http://minio:9000"), ("S3_USE_PATH_STYLE", "false"), ("S3_USE_AWS", "false")];
        let Ok(BlobConfig::S3(s3)) = read(kind, &[&keys[..], &more].concat()) else { panic!("{kind}") };
        vendor(&s3.vendor, "http://minio:9000", "eu-west-1");
        assert!(!s3.path_style && !s3.managed);
        let managed = [("AWS_REGION", "eu-west-1"), ("S3_USE_AWS_MANAGED_IAM", "true")];
        assert!(matches!(read(kind, &managed), Ok(BlobConfig::S3(s3)) if s3.managed));
    }
    for kind in ["azure", "azure_blob", "azure-blob"] {
        let account = [
            ("AZURE_BLOB_STORAGE_CONTAINER_NAME", "container"),
            ("AZURE_BLOB_STORAGE_CONNECTION_STRING", "connection"),
            ("AZURE_BLOB_STORAGE_ACCOUNT_URL", "https://a.blob.core.windows.net"),
        ];
        let Ok(BlobConfig::Azure(azure)) = read(kind, &account) else { panic!("{kind}") };
        assert_eq!((azure.container.as_str(), azure.connection_string.0.as_str()), ("container", "connection"));
        assert_eq!(azure.account_url, "", "only with a managed identity");
        let managed = [&account[..], &[("AZURE_BLOB_STORAGE_USE_MANAGED_IDENTITY", "true")]].concat();
        let Ok(BlobConfig::Azure(azure)) = read(kind, &managed) else { panic!("{kind}") };
        assert_eq!(azure.account_url, "https://a.blob.core.windows.net");
    }
    for kind in ["aliyun", "aliyun-oss", "aliyun_oss"] {
        let account = [
            ("ALIYUN_OSS_REGION", "cn-hangzhou"),
            ("ALIYUN_OSS_ENDPOINT", "oss-cn-hangzhou.aliyuncs.com"),
            ("ALIYUN_OSS_ACCESS_KEY_ID", "id"),
            ("ALIYUN_OSS_ACCESS_KEY_SECRET", "secret"),
            ("ALIYUN_OSS_PATH", "below"),
        ];
        let Ok(BlobConfig::Aliyun(aliyun)) = read(kind, &account) else { panic!("{kind}") };
        vendor(&aliyun.vendor, "oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou");
        assert_eq!((aliyun.auth_version.as_str(), aliyun.path.as_str()), ("v4", "below"));
        let old = [&account[..], &[("ALIYUN_OSS_AUTH_VERSION", "v1")]].concat();
        assert!(matches!(read(kind, &old), Ok(BlobConfig::Aliyun(aliyun)) if aliyun.auth_version == "v1"));
        let box_of_ones_own = [&account[..], &[("ALIYUN_OSS_CLOUDBOX_ID", "cb-1")]].concat();
        assert!(read(kind, &box_of_ones_own).unwrap_err().contains("ALIYUN_OSS_CLOUDBOX_ID"));
    }
    for kind in ["tencent", "tencent_cos", "tencent-cos"] {
        let account = [
            ("TENCENT_COS_SECRET_ID", "id"),
            ("TENCENT_COS_SECRET_KEY", "secret"),
            ("TENCENT_COS_REGION", "ap-shanghai"),
            ("TENCENT_COS_ENDPOINT", "https://cos.example.com"),
        ];
        let Ok(BlobConfig::Tencent(tencent)) = read(kind, &account) else { panic!("{kind}") };
        vendor(&tencent, "https://cos.example.com", "ap-shanghai");
    }
    for kind in ["gcs", "google-storage", "google_storage"] {
        let Ok(BlobConfig::Gcs { bucket, credentials }) = read(kind, &[("GCS_CREDENTIALS", "e30=")]) else {
            panic!("{kind}")
        };
        assert_eq!((bucket.as_str(), credentials.0.as_str()), ("bucket", "e30="));
    }
    for kind in ["huawei", "huawei-obs", "huawei_obs"] {
        let account = [
            ("HUAWEI_OBS_ACCESS_KEY", "id"),
            ("HUAWEI_OBS_SECRET_KEY", "secret"),
            ("HUAWEI_OBS_SERVER", "https://obs.cn-north-4.myhuaweicloud.com"),
            ("HUAWEI_OBS_PATH_STYLE", "true"),
        ];
        let Ok(BlobConfig::Huawei { vendor: found, path_style: true }) = read(kind, &account) else { panic!("{kind}") };
        vendor(&found, "https://obs.cn-north-4.myhuaweicloud.com", "");
    }
    for kind in ["volcengine", "volcengine_tos", "volcengine-tos"] {
        let account = [
            ("VOLCENGINE_TOS_ENDPOINT", "tos-cn-beijing.volces.com"),
            ("VOLCENGINE_TOS_ACCESS_KEY", "id"),
            ("VOLCENGINE_TOS_SECRET_KEY", "secret"),
            ("VOLCENGINE_TOS_REGION", "cn-beijing"),
        ];
        let Ok(BlobConfig::Volcengine(volcengine)) = read(kind, &account) else { panic!("{kind}") };
        vendor(&volcengine, "tos-cn-beijing.volces.com", "cn-beijing");
    }
    let account = [
        ("BAIDU_BOS_ENDPOINT", "https://bj.bcebos.com"),
        ("BAIDU_BOS_ACCESS_KEY", "id"),
        ("BAIDU_BOS_SECRET_KEY", "secret"),
        ("BAIDU_BOS_REGION", "bj"),
    ];
    let Ok(BlobConfig::Baidu(baidu)) = read("baidu_bos", &account) else { panic!("baidu_bos") };
    vendor(&baidu, "https://bj.bcebos.com", "bj");
}
