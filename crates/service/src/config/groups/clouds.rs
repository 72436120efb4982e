//! Accounts of the object storages.

use crate::config::registry::group;

group! {
    /// Amazon S3 and what speaks its protocol.
    S3, "Amazon S3";
    /// The bucket is at Amazon's.
    use_aws: Bool = "S3_USE_AWS" => "true";
    /// The bucket is the first part of the path, not of the host.
    use_path_style: Bool = "S3_USE_PATH_STYLE" => "true";
    /// Signs in with the role of the machine.
    use_managed_iam: Bool = "S3_USE_AWS_MANAGED_IAM" => "false";
    /// URL of the service.
    endpoint: Text = "S3_ENDPOINT";
    /// Access key.
    access_key: Hidden = "AWS_ACCESS_KEY" [Secret];
    /// Secret key.
    secret_key: Hidden = "AWS_SECRET_KEY" [Secret];
    /// Region.
    region: Text = "AWS_REGION";
}

group! {
    /// Tencent COS.
    TencentCos, "Tencent COS";
    /// Secret id.
    secret_id: Hidden = "TENCENT_COS_SECRET_ID" [Secret];
    /// Secret key.
    secret_key: Hidden = "TENCENT_COS_SECRET_KEY" [Secret];
    /// Region.
    region: Text = "TENCENT_COS_REGION";
    /// URL of the service, instead of the region's.
    endpoint: Text = "TENCENT_COS_ENDPOINT";
}

group! {
    /// Azure Blob Storage.
    AzureBlob, "Azure Blob Storage";
    /// Container.
    container: Text = "AZURE_BLOB_STORAGE_CONTAINER_NAME";
    /// Connection string.
    connection_string: Hidden = "AZURE_BLOB_STORAGE_CONNECTION_STRING" [Secret];
    /// URL of the account, with a managed identity.
    account_url: Text = "AZURE_BLOB_STORAGE_ACCOUNT_URL";
    /// Signs in with the identity of the machine.
    use_managed_identity: Bool = "AZURE_BLOB_STORAGE_USE_MANAGED_IDENTITY" => "false";
}

group! {
    /// Aliyun OSS.
    AliyunOss, "Aliyun OSS";
    /// Region.
    region: Text = "ALIYUN_OSS_REGION";
    /// URL of the service.
    endpoint: Text = "ALIYUN_OSS_ENDPOINT";
    /// Access key id.
    access_key_id: Hidden = "ALIYUN_OSS_ACCESS_KEY_ID" [Secret];
    /// Access key secret.
    access_key_secret: Hidden = "ALIYUN_OSS_ACCESS_KEY_SECRET" [Secret];
    /// Version of the signature: `v1` or `v4`.
    auth_version: Text = "ALIYUN_OSS_AUTH_VERSION" => "v4";
    /// Prefix within the bucket.
    path: Text = "ALIYUN_OSS_PATH";
    /// Id of a cloud box: not supported, a daemon that is given one does not start.
    cloudbox_id: Text = "ALIYUN_OSS_CLOUDBOX_ID";
}

group! {
    /// Google Cloud Storage.
    GoogleStorage, "Google Cloud Storage";
    /// The JSON of a service account, in base64.
    credentials: Hidden = "GCS_CREDENTIALS" [Secret];
}

group! {
    /// Huawei OBS.
    HuaweiObs, "Huawei OBS";
    /// Access key.
    access_key: Hidden = "HUAWEI_OBS_ACCESS_KEY" [Secret];
    /// Secret key.
    secret_key: Hidden = "HUAWEI_OBS_SECRET_KEY" [Secret];
    /// URL of the service.
    server: Text = "HUAWEI_OBS_SERVER";
    /// The bucket is the first part of the path, not of the host.
    path_style: Bool = "HUAWEI_OBS_PATH_STYLE" => "false";
}

group! {
    /// Volcengine TOS.
    VolcengineTos, "Volcengine TOS";
    /// URL of the service.
    endpoint: Text = "VOLCENGINE_TOS_ENDPOINT";
    /// Access key.
    access_key: Hidden = "VOLCENGINE_TOS_ACCESS_KEY" [Secret];
    /// Secret key.
    secret_key: Hidden = "VOLCENGINE_TOS_SECRET_KEY" [Secret];
    /// Region.
    region: Text = "VOLCENGINE_TOS_REGION";
}

group! {
    /// Baidu BOS.
    BaiduBos, "Baidu BOS";
    /// URL of the service.
    endpoint: Text = "BAIDU_BOS_ENDPOINT";
    /// Access key.
    access_key: Hidden = "BAIDU_BOS_ACCESS_KEY" [Secret];
    /// Secret key.
    secret_key: Hidden = "BAIDU_BOS_SECRET_KEY" [Secret];
    /// Region.
    region: Text = "BAIDU_BOS_REGION";
}
