//! Tests of bucket clients and of the settings that make them.

use std::time::Duration;

use opendal::Operator;
use opendal::services::Memory;
use plugin_testkit::servers::{Running, free_port, is_installed, skip};

use super::{ObjectBlobs, open, vendors};
use crate::blob::tests::behaves;
use crate::blob::{AliyunConfig, AzureConfig, BlobConfig, Place, S3Config, Secret, VendorConfig};
use crate::{BlobKey, BlobStore};

#[tokio::test]
async fn memory_behaves() {
    behaves(&ObjectBlobs::new(Operator::new(Memory::default()).unwrap(), Place::default())).await;
}

pub(super) fn vendor(endpoint: &str, region: &str) -> VendorConfig {
    VendorConfig {
        bucket: "bucket".to_owned(),
        endpoint: endpoint.to_owned(),
        region: region.to_owned(),
        access_key: "key".to_owned(),
        secret_key: Secret("secret".to_owned()),
    }
}

#[tokio::test]
async fn s3_behaves() {
    const START: &str = r#"
        moto_server -H 127.0.0.1 -p "$2" & server=$!
        until curl -sf -X PUT "http://127.0.0.1:$2/bucket"; do sleep 0.1; done
        cat >/dev/null; kill $server"#;
    if !is_installed("moto_server") || !is_installed("curl") {
        return skip("no moto_server is installed");
    }
    let port = free_port().unwrap();
    let _server = Running::start(START, &[port.to_string()]).unwrap();
    let vendor = vendor(&format!("http://127.0.0.1:{port}"), "us-east-1");
    let store = open(&BlobConfig::S3(S3Config { vendor: vendor.clone(), path_style: true, managed: false })).unwrap();
    let probe = BlobKey::new("probe").unwrap();
    for _ in 0..100 {
        if matches!(store.list(&probe).await, Ok(found) if found.is_empty()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    behaves(&store).await;

    let vendor = VendorConfig { bucket: "none".to_owned(), ..vendor };
    let store = open(&BlobConfig::S3(S3Config { vendor, path_style: true, managed: false })).unwrap();
    for error in [store.list(&probe).await.unwrap_err(), store.put(&probe, bytes::Bytes::new()).await.unwrap_err()] {
        assert!(!error.is_retryable(), "{error}");
        assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    }
}

#[tokio::test]
#[ignore = "needs an empty container: its name in TEST_AZURE_CONTAINER, a connection string in TEST_AZURE_CONNECTION"]
async fn azure_behaves() {
    let container = std::env::var("TEST_AZURE_CONTAINER").unwrap();
    let connection = std::env::var("TEST_AZURE_CONNECTION").unwrap();
    let config = AzureConfig { container, connection_string: Secret(connection), account_url: String::new() };
    behaves(&open(&BlobConfig::Azure(config)).unwrap()).await;
}

#[tokio::test]
async fn an_unreachable_vendor_is_an_error() {
    let config = S3Config {
        vendor: vendor(&format!("http://127.0.0.1:{}", free_port().unwrap()), "us-east-1"),
        path_style: true,
        managed: false,
    };
    let error = open(&BlobConfig::S3(config)).unwrap().exists(&BlobKey::new("k").unwrap()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_server_of_ones_own_needs_no_region() {
    let config = S3Config { vendor: vendor("http://minio:9000", ""), path_style: true, managed: false };
    let (operator, _) = vendors::operator(&BlobConfig::S3(config)).unwrap();
    let request = operator.presign_read("x", Duration::from_mins(1)).await.unwrap();
    assert!(request.uri().to_string().contains("%2Fus-east-1%2Fs3%2F"), "{}", request.uri());
}

#[track_caller]
fn check(config: &BlobConfig, expected: Result<&str, &str>) {
    match (vendors::operator(config), expected) {
        (Ok((operator, _)), Ok(scheme)) => assert_eq!(operator.info().scheme().to_string(), scheme),
        (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
        (found, expected) => panic!("{config:?} gives {found:?}, not {expected:?}"),
    }
}

#[test]
fn settings_become_clients() {
    opendal::install_default();
    let s3 = |vendor, managed| BlobConfig::S3(S3Config { vendor, path_style: false, managed });
    check(&s3(vendor("", "eu-west-1"), false), Ok("s3"));
    check(&s3(vendor("", ""), false), Err("S3 needs a region (AWS_REGION)"));
    check(&s3(vendor("http://minio:9000", ""), false), Ok("s3"));
    check(
        &s3(VendorConfig { secret_key: Secret::default(), ..vendor("", "r") }, false),
        Err("S3 needs a secret key (AWS_SECRET_KEY)"),
    );
    check(&s3(VendorConfig { secret_key: Secret::default(), ..vendor("", "r") }, true), Ok("s3"));

    let azure = |connection_string: &str, account_url: &str| {
        BlobConfig::Azure(AzureConfig {
            container: "c".to_owned(),
            connection_string: Secret(connection_string.to_owned()),
            account_url: account_url.to_owned(),
        })
    };
    let connection = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net";
    check(&azure(connection, ""), Ok("azblob"));
    check(&azure("", "https://account.blob.core.windows.net/"), Ok("azblob"));
    check(&azure("", ""), Err("connection string or an account URL (AZURE_BLOB_STORAGE_ACCOUNT_URL)"));

    let aliyun = |endpoint: &str, auth_version: &str| {
        BlobConfig::Aliyun(AliyunConfig {
            vendor: vendor(endpoint, ""),
            auth_version: auth_version.to_owned(),
            path: "below".to_owned(),
        })
    };
    check(&aliyun("oss-cn-hangzhou.aliyuncs.com", "v4"), Ok("s3"));
    check(&aliyun("https://oss-cn-hangzhou-internal.aliyuncs.com", ""), Ok("s3"));
    check(&aliyun("oss-cn-hangzhou.aliyuncs.com", "v1"), Ok("oss"));
    check(&aliyun("objects.example.com", "v4"), Err("Aliyun OSS needs a region (ALIYUN_OSS_REGION)"));
    check(&aliyun("", "v4"), Err("Aliyun OSS needs an endpoint (ALIYUN_OSS_ENDPOINT)"));

    check(&BlobConfig::Tencent(vendor("", "ap-shanghai")), Ok("cos"));
    check(&BlobConfig::Tencent(vendor("https://bucket.cos.ap-shanghai.myqcloud.com", "ap-shanghai")), Ok("cos"));
    check(&BlobConfig::Tencent(vendor("", "")), Err("Tencent COS needs a region (TENCENT_COS_REGION)"));

    check(&BlobConfig::Gcs { bucket: "b".to_owned(), credentials: Secret::default() }, Ok("gcs"));
    check(
        &BlobConfig::Gcs { bucket: String::new(), credentials: Secret::default() },
        Err("Google Cloud Storage needs a bucket (PLUGIN_STORAGE_OSS_BUCKET)"),
    );

    let huawei = |endpoint, path_style| BlobConfig::Huawei { vendor: vendor(endpoint, ""), path_style };
    check(&huawei("https://obs.cn-north-4.myhuaweicloud.com", false), Ok("obs"));
    check(&huawei("https://obs.cn-north-4.myhuaweicloud.com", true), Ok("s3"));
    check(&huawei("", true), Err("Huawei OBS needs a server (HUAWEI_OBS_SERVER)"));

    check(&BlobConfig::Volcengine(vendor("tos-cn-beijing.volces.com", "")), Ok("tos"));
    check(
        &BlobConfig::Volcengine(vendor("example.com", "")),
        Err("Volcengine TOS needs a region (VOLCENGINE_TOS_REGION)"),
    );

    check(&BlobConfig::Baidu(vendor("", "bj")), Ok("s3"));
    check(&BlobConfig::Baidu(vendor(" https://bj.bcebos.com ", "")), Ok("s3"));
    check(&BlobConfig::Baidu(vendor("", "")), Err("Baidu BOS needs an endpoint or a region (BAIDU_BOS_ENDPOINT)"));
}

#[test]
fn secrets_do_not_print() {
    let config = BlobConfig::Tencent(vendor("", ""));
    let printed = format!("{config:?} {}", vendors::operator(&config).unwrap_err());
    assert!(!printed.contains("secret\""), "{printed}");
    assert!(printed.contains("***"));
}
