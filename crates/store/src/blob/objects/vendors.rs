//! From settings to a vendor's client.

use opendal::Operator;
use opendal::services::{Azblob, Cos, Gcs, Obs, Oss, S3, Tos};

use crate::blob::{AliyunConfig, AzureConfig, BlobConfig, S3Config, VendorConfig};
use crate::{Error, Result};

pub(super) fn operator(config: &BlobConfig) -> Result<Operator> {
    let operator = match config {
        BlobConfig::Local { .. } => return Err(Error::invalid("a folder is no vendor")),
        BlobConfig::S3(s3) => s3_operator(s3)?,
        BlobConfig::Azure(azure) => azure_operator(azure)?,
        BlobConfig::Aliyun(aliyun) => aliyun_operator(aliyun)?,
        BlobConfig::Tencent(tencent) => tencent_operator(tencent)?,
        BlobConfig::Gcs { bucket, credentials } => {
            require("Google Cloud Storage", &[("bucket", bucket)])?;
            let mut gcs = Gcs::default().bucket(bucket);
            if !credentials.0.is_empty() {
                gcs = gcs.credential(&credentials.0);
            }
            Operator::new(gcs)
        }
        BlobConfig::Huawei { vendor, path_style } => huawei_operator(vendor, *path_style)?,
        BlobConfig::Volcengine(volcengine) => volcengine_operator(volcengine)?,
        BlobConfig::Baidu(baidu) => baidu_operator(baidu)?,
    };
    operator.map_err(|error| Error::invalid(format!("the settings of {config:?} do not work")).with_source(error))
}

/// All settings must have a value.
fn require(vendor: &str, settings: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = settings.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!("{vendor} needs {}", missing.join(", "))))
}

fn require_keys(name: &str, vendor: &VendorConfig) -> Result<()> {
    require(
        name,
        &[("bucket", &vendor.bucket), ("access key", &vendor.access_key), ("secret key", &vendor.secret_key.0)],
    )
}

/// An endpoint as a URL.
fn url(endpoint: &str) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") }
}

/// The host of an endpoint, without scheme and port, and what is around it.
fn split_host(endpoint: &str) -> (String, String, String) {
    let url = url(endpoint);
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", &url));
    let (host, behind) = match rest.find([':', '/']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    (format!("{scheme}://"), host.to_owned(), behind.to_owned())
}

/// The region in a host of the form `<service><region>.<rest>`.
fn region_in(host: &str, service: &str) -> Option<String> {
    let label = host.strip_prefix(service)?.split('.').next()?;
    let region = label.strip_suffix("-internal").unwrap_or(label);
    (!region.is_empty()).then(|| region.to_owned())
}

fn first_of<'a>(setting: &'a str, otherwise: Option<&'a str>, last: &'a str) -> &'a str {
    if setting.is_empty() { otherwise.unwrap_or(last) } else { setting }
}

fn s3_builder(vendor: &VendorConfig, path_style: bool) -> S3 {
    let mut s3 = S3::default().bucket(&vendor.bucket).region(&vendor.region);
    if !vendor.endpoint.is_empty() {
        s3 = s3.endpoint(&url(&vendor.endpoint));
    }
    if !path_style {
        s3 = s3.enable_virtual_host_style();
    }
    s3
}

/// The protocol of S3 at another vendor: its keys, nothing from the machine.
fn s3_elsewhere(vendor: &VendorConfig, path_style: bool) -> opendal::Result<Operator> {
    Operator::new(static_keys(s3_builder(vendor, path_style), vendor))
}

fn static_keys(s3: S3, vendor: &VendorConfig) -> S3 {
    s3.access_key_id(&vendor.access_key)
        .secret_access_key(&vendor.secret_key.0)
        .disable_config_load()
        .disable_ec2_metadata()
}

fn s3_operator(config: &S3Config) -> Result<opendal::Result<Operator>> {
    let vendor = &config.vendor;
    require("S3", &[("bucket", &vendor.bucket), ("region", &vendor.region)])?;
    let s3 = s3_builder(vendor, config.path_style);
    if config.managed || (vendor.access_key.is_empty() && vendor.secret_key.0.is_empty()) {
        return Ok(Operator::new(s3));
    }
    require_keys("S3", vendor)?;
    Ok(Operator::new(static_keys(s3, vendor)))
}

fn azure_operator(config: &AzureConfig) -> Result<opendal::Result<Operator>> {
    require("Azure Blob Storage", &[("container", &config.container)])?;
    let builder = if config.connection_string.0.is_empty() {
        require("Azure Blob Storage", &[("connection string or account URL", &config.account_url)])?;
        let (_, host, _) = split_host(&config.account_url);
        let account = host.split('.').next().unwrap_or_default();
        Ok(Azblob::default().endpoint(&url(&config.account_url)).account_name(account))
    } else {
        Azblob::from_connection_string(&config.connection_string.0)
    };
    Ok(builder.and_then(|azure| Operator::new(azure.container(&config.container))))
}

/// Version 1 signatures with OSS's own protocol; version 4 ones with that of S3, which OSS answers at `s3.<endpoint>`
/// with the bucket in the host name.
fn aliyun_operator(config: &AliyunConfig) -> Result<opendal::Result<Operator>> {
    const SERVICE: &str = "oss-";
    let vendor = &config.vendor;
    require_keys("Aliyun OSS", vendor)?;
    require("Aliyun OSS", &[("endpoint", &vendor.endpoint)])?;
    if config.auth_version == "v1" {
        let oss = Oss::default()
            .bucket(&vendor.bucket)
            .endpoint(&url(&vendor.endpoint))
            .access_key_id(&vendor.access_key)
            .access_key_secret(&vendor.secret_key.0)
            .root(&config.path);
        return Ok(Operator::new(oss));
    }
    let (scheme, host, behind) = split_host(&vendor.endpoint);
    let found = region_in(&host, SERVICE);
    let given = vendor.region.strip_prefix(SERVICE).unwrap_or(&vendor.region);
    let region = first_of(given, found.as_deref(), "").to_owned();
    require("Aliyun OSS", &[("region", &region)])?;
    let s3_host = if host.starts_with(SERVICE) { format!("s3.{host}") } else { host };
    let vendor = VendorConfig { endpoint: format!("{scheme}{s3_host}{behind}"), region, ..vendor.clone() };
    Ok(Operator::new(static_keys(s3_builder(&vendor, false), &vendor).root(&config.path)))
}

fn tencent_operator(vendor: &VendorConfig) -> Result<opendal::Result<Operator>> {
    require_keys("Tencent COS", vendor)?;
    require("Tencent COS", &[("region", &vendor.region)])?;
    let usual = format!("https://cos.{}.myqcloud.com", vendor.region);
    let endpoint = if vendor.endpoint.is_empty() { usual } else { url(&vendor.endpoint) };
    let cos = Cos::default()
        .bucket(&vendor.bucket)
        .endpoint(&endpoint)
        .secret_id(&vendor.access_key)
        .secret_key(&vendor.secret_key.0)
        .disable_config_load();
    Ok(Operator::new(cos))
}

/// The bucket in the path is possible with the protocol of S3 only.
fn huawei_operator(vendor: &VendorConfig, path_style: bool) -> Result<opendal::Result<Operator>> {
    require_keys("Huawei OBS", vendor)?;
    require("Huawei OBS", &[("server", &vendor.endpoint)])?;
    if path_style {
        let (_, host, _) = split_host(&vendor.endpoint);
        let found = region_in(&host, "obs.");
        let region = first_of(&vendor.region, found.as_deref(), "region").to_owned();
        return Ok(s3_elsewhere(&VendorConfig { region, ..vendor.clone() }, true));
    }
    let obs = Obs::default()
        .bucket(&vendor.bucket)
        .endpoint(&url(&vendor.endpoint))
        .access_key_id(&vendor.access_key)
        .secret_access_key(&vendor.secret_key.0);
    Ok(Operator::new(obs))
}

fn volcengine_operator(vendor: &VendorConfig) -> Result<opendal::Result<Operator>> {
    require_keys("Volcengine TOS", vendor)?;
    require("Volcengine TOS", &[("endpoint", &vendor.endpoint)])?;
    let (_, host, _) = split_host(&vendor.endpoint);
    let found = region_in(&host, "tos-");
    let region = first_of(&vendor.region, found.as_deref(), "");
    require("Volcengine TOS", &[("region", region)])?;
    let tos = Tos::default()
        .bucket(&vendor.bucket)
        .endpoint(&url(&vendor.endpoint))
        .region(region)
        .access_key_id(&vendor.access_key)
        .secret_access_key(&vendor.secret_key.0);
    Ok(Operator::new(tos))
}

/// BOS answers the protocol of S3 at `s3.<region>.bcebos.com`.
fn baidu_operator(vendor: &VendorConfig) -> Result<opendal::Result<Operator>> {
    const DOMAIN: &str = ".bcebos.com";
    require_keys("Baidu BOS", vendor)?;
    let (scheme, host, behind) = split_host(vendor.endpoint.trim());
    let found = host.strip_suffix(DOMAIN).map(|name| name.trim_start_matches("s3.").to_owned());
    let region = first_of(vendor.region.trim(), found.as_deref(), "").to_owned();
    require("Baidu BOS", &[("endpoint or region", &region)])?;
    let endpoint = if found.is_some() || vendor.endpoint.trim().is_empty() {
        format!("{scheme}s3.{region}{DOMAIN}")
    } else {
        format!("{scheme}{host}{behind}")
    };
    Ok(s3_elsewhere(&VendorConfig { endpoint, region, ..vendor.clone() }, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_regions() {
        let parts = |endpoint| split_host(endpoint);
        let expected = |scheme: &str, host: &str, behind: &str| (scheme.to_owned(), host.to_owned(), behind.to_owned());
        assert_eq!(parts("oss-x.aliyuncs.com/"), expected("https://", "oss-x.aliyuncs.com", ""));
        assert_eq!(parts("http://h:80/p"), expected("http://", "h", ":80/p"));
        assert_eq!(region_in("oss-cn-hangzhou-internal.aliyuncs.com", "oss-").as_deref(), Some("cn-hangzhou"));
        assert_eq!(region_in("obs.cn-north-4.myhuaweicloud.com", "obs.").as_deref(), Some("cn-north-4"));
        assert_eq!(region_in("example.com", "tos-"), None);
    }
}
