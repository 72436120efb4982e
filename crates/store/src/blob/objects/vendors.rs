//! From settings to a vendor's client.

use http::Uri;
use opendal::Operator;
use opendal::services::{Azblob, Cos, Gcs, Obs, Oss, S3, Tos};

use super::names::{Names, names};
use crate::blob::{AliyunConfig, AzureConfig, BlobConfig, Place, S3Config, VendorConfig};
use crate::{Error, Result};

/// The client of a vendor, and where its objects are.
pub(super) fn operator(config: &BlobConfig) -> Result<(Operator, Place)> {
    let names = names(config)?;
    let built = match config {
        BlobConfig::Local { .. } => return Err(Error::invalid("a folder has no vendor")),
        BlobConfig::S3(s3) => s3_operator(names, s3)?,
        BlobConfig::Azure(azure) => azure_operator(names, azure)?,
        BlobConfig::Aliyun(aliyun) => aliyun_operator(names, aliyun)?,
        BlobConfig::Tencent(tencent) => tencent_operator(names, tencent)?,
        BlobConfig::Gcs { bucket, credentials } => {
            names.require(&[("a bucket", bucket, names.bucket)])?;
            let mut gcs = Gcs::default().bucket(bucket);
            if !credentials.0.is_empty() {
                gcs = gcs.credential(&credentials.0);
            }
            Built { operator: Operator::new(gcs), endpoint: String::new() }
        }
        BlobConfig::Huawei { vendor, path_style } => huawei_operator(names, vendor, *path_style)?,
        BlobConfig::Volcengine(volcengine) => volcengine_operator(names, volcengine)?,
        BlobConfig::Baidu(baidu) => baidu_operator(names, baidu)?,
    };
    let operator = built.operator.map_err(|error| {
        let text = format!("the settings of {} are not usable: {}", names.vendor, super::cause::cause(&error));
        Error::invalid(text).in_variables(names.variables)
    })?;
    let place = place(names, &operator.info().name(), &built.endpoint);
    Ok((operator, place))
}

/// A client, or why there is none, and the URL that it connects to if that is not the library's.
struct Built {
    operator: opendal::Result<Operator>,
    endpoint: String,
}

fn place(names: &'static Names, bucket: &str, endpoint: &str) -> Place {
    let vendor = names.vendor;
    let at = if endpoint.is_empty() { String::new() } else { format!(" at {endpoint}") };
    let uri = endpoint.parse::<Uri>().ok();
    let address = uri.as_ref().and_then(|uri| {
        let port = uri.port_u16().unwrap_or_else(|| if uri.scheme_str() == Some("http") { 80 } else { 443 });
        Some((uri.host()?.to_owned(), port))
    });
    Place {
        name: format!("the {vendor} {} {bucket:?}{at}", names.container),
        variables: names.variables,
        address,
        hint: String::new(),
    }
}

impl Names {
    /// All settings must have a value: what each is, the value, and its variable.
    fn require(&self, settings: &[(&str, &str, &str)]) -> Result<()> {
        let missing: Vec<_> = settings.iter().filter(|(_, value, _)| value.is_empty()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let what = missing.iter().map(|(what, ..)| *what).collect::<Vec<_>>().join(", ");
        let variables: Vec<&str> = missing.iter().map(|(.., variable)| *variable).collect();
        Err(Error::invalid(format!("{} needs {what}", self.vendor)).in_variables(&variables))
    }

    fn require_keys(&self, vendor: &VendorConfig) -> Result<()> {
        self.require(&[
            ("a bucket", &vendor.bucket, self.bucket),
            ("an access key", &vendor.access_key, self.access_key),
            ("a secret key", &vendor.secret_key.0, self.secret_key),
        ])
    }

    /// An endpoint as a URL; without a scheme it is HTTPS.
    fn url(&self, endpoint: &str) -> Result<String> {
        let endpoint = endpoint.trim();
        let url = if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") };
        let refuse = |why: &str| {
            let text = format!("the endpoint of {} {why}; it is of the form https://host:port", self.vendor);
            Err(Error::invalid(text).in_variables(&[self.endpoint]))
        };
        let Ok(uri) = url.parse::<Uri>() else { return refuse("is not a URL") };
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return refuse("is neither an HTTP nor an HTTPS URL");
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return refuse("contains a user name, which has variables of its own");
        }
        if uri.query().is_some() {
            return refuse("contains a query");
        }
        match uri.host() {
            Some(host) if !host.is_empty() => Ok(url.trim_end_matches('/').to_owned()),
            _ => refuse("names no host"),
        }
    }
}

/// Scheme, host, and what follows it, of a URL.
fn split_host(url: &str) -> (String, String, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
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
        s3 = s3.endpoint(&vendor.endpoint);
    }
    if !path_style {
        s3 = s3.enable_virtual_host_style();
    }
    s3
}

/// The protocol of S3 at another vendor, whose `endpoint` is a URL: its keys, nothing from the machine.
fn s3_elsewhere(vendor: &VendorConfig, path_style: bool, path: &str) -> Built {
    let s3 = static_keys(s3_builder(vendor, path_style), vendor).root(path);
    Built { operator: Operator::new(s3), endpoint: vendor.endpoint.clone() }
}

fn static_keys(s3: S3, vendor: &VendorConfig) -> S3 {
    s3.access_key_id(&vendor.access_key)
        .secret_access_key(&vendor.secret_key.0)
        .disable_config_load()
        .disable_ec2_metadata()
}

/// Servers with an endpoint of their own mostly have no regions, but requests are signed with one.
const DEFAULT_REGION: &str = "us-east-1";

fn s3_operator(names: &Names, config: &S3Config) -> Result<Built> {
    let mut vendor = config.vendor.clone();
    if vendor.endpoint.trim().is_empty() {
        vendor.endpoint.clear();
        names.require(&[("a region", &vendor.region, names.region)])?;
    } else {
        vendor.endpoint = names.url(&vendor.endpoint)?;
        vendor.region = first_of(&vendor.region, None, DEFAULT_REGION).to_owned();
    }
    names.require(&[("a bucket", &vendor.bucket, names.bucket)])?;
    let s3 = s3_builder(&vendor, config.path_style);
    if config.managed || (vendor.access_key.is_empty() && vendor.secret_key.0.is_empty()) {
        return Ok(Built { operator: Operator::new(s3), endpoint: vendor.endpoint });
    }
    names.require_keys(&vendor)?;
    Ok(Built { operator: Operator::new(static_keys(s3, &vendor)), endpoint: vendor.endpoint })
}

fn azure_operator(names: &Names, config: &AzureConfig) -> Result<Built> {
    names.require(&[("a container", &config.container, names.bucket)])?;
    let mut endpoint = String::new();
    let builder = if config.connection_string.0.is_empty() {
        names.require(&[("a connection string or an account URL", &config.account_url, names.endpoint)])?;
        endpoint = names.url(&config.account_url)?;
        let (_, host, _) = split_host(&endpoint);
        let account = host.split('.').next().unwrap_or_default();
        Ok(Azblob::default().endpoint(&endpoint).account_name(account))
    } else {
        Azblob::from_connection_string(&config.connection_string.0)
    };
    let operator = builder.and_then(|azure| Operator::new(azure.container(&config.container)));
    // The connection string is a secret, so the library's words about it are, too.
    let operator = operator.map_err(|error| opendal::Error::new(error.kind(), "the connection string is not valid"));
    Ok(Built { operator, endpoint })
}

/// Version 1 signatures with OSS's own protocol; version 4 ones with that of S3, which OSS answers at `s3.<endpoint>`
/// with the bucket in the host name.
fn aliyun_operator(names: &Names, config: &AliyunConfig) -> Result<Built> {
    const SERVICE: &str = "oss-";
    let vendor = &config.vendor;
    names.require_keys(vendor)?;
    names.require(&[("an endpoint", &vendor.endpoint, names.endpoint)])?;
    let url = names.url(&vendor.endpoint)?;
    if config.auth_version == "v1" {
        let oss = Oss::default()
            .bucket(&vendor.bucket)
            .endpoint(&url)
            .access_key_id(&vendor.access_key)
            .access_key_secret(&vendor.secret_key.0)
            .root(&config.path);
        return Ok(Built { operator: Operator::new(oss), endpoint: url });
    }
    let (scheme, host, behind) = split_host(&url);
    let found = region_in(&host, SERVICE);
    let given = vendor.region.strip_prefix(SERVICE).unwrap_or(&vendor.region);
    let region = first_of(given, found.as_deref(), "").to_owned();
    names.require(&[("a region", &region, names.region)])?;
    let s3_host = if host.starts_with(SERVICE) { format!("s3.{host}") } else { host };
    let vendor = VendorConfig { endpoint: format!("{scheme}{s3_host}{behind}"), region, ..vendor.clone() };
    Ok(s3_elsewhere(&vendor, false, &config.path))
}

fn tencent_operator(names: &Names, vendor: &VendorConfig) -> Result<Built> {
    names.require_keys(vendor)?;
    names.require(&[("a region", &vendor.region, names.region)])?;
    let usual = format!("https://cos.{}.myqcloud.com", vendor.region);
    let endpoint = if vendor.endpoint.is_empty() { usual } else { names.url(&vendor.endpoint)? };
    let cos = Cos::default()
        .bucket(&vendor.bucket)
        .endpoint(&endpoint)
        .secret_id(&vendor.access_key)
        .secret_key(&vendor.secret_key.0)
        .disable_config_load();
    Ok(Built { operator: Operator::new(cos), endpoint })
}

/// The bucket in the path is possible with the protocol of S3 only.
fn huawei_operator(names: &Names, vendor: &VendorConfig, path_style: bool) -> Result<Built> {
    names.require_keys(vendor)?;
    names.require(&[("a server", &vendor.endpoint, names.endpoint)])?;
    let endpoint = names.url(&vendor.endpoint)?;
    if path_style {
        let (_, host, _) = split_host(&endpoint);
        let found = region_in(&host, "obs.");
        let region = first_of(&vendor.region, found.as_deref(), "region").to_owned();
        return Ok(s3_elsewhere(&VendorConfig { endpoint, region, ..vendor.clone() }, true, ""));
    }
    let obs = Obs::default()
        .bucket(&vendor.bucket)
        .endpoint(&endpoint)
        .access_key_id(&vendor.access_key)
        .secret_access_key(&vendor.secret_key.0);
    Ok(Built { operator: Operator::new(obs), endpoint })
}

fn volcengine_operator(names: &Names, vendor: &VendorConfig) -> Result<Built> {
    names.require_keys(vendor)?;
    names.require(&[("an endpoint", &vendor.endpoint, names.endpoint)])?;
    let endpoint = names.url(&vendor.endpoint)?;
    let (_, host, _) = split_host(&endpoint);
    let found = region_in(&host, "tos-");
    let region = first_of(&vendor.region, found.as_deref(), "");
    names.require(&[("a region", region, names.region)])?;
    let tos = Tos::default()
        .bucket(&vendor.bucket)
        .endpoint(&endpoint)
        .region(region)
        .access_key_id(&vendor.access_key)
        .secret_access_key(&vendor.secret_key.0);
    Ok(Built { operator: Operator::new(tos), endpoint })
}

/// BOS answers the protocol of S3 at `s3.<region>.bcebos.com`.
fn baidu_operator(names: &Names, vendor: &VendorConfig) -> Result<Built> {
    const DOMAIN: &str = ".bcebos.com";
    names.require_keys(vendor)?;
    let is_given = !vendor.endpoint.trim().is_empty();
    let url = if is_given { names.url(&vendor.endpoint)? } else { String::from("https://") };
    let (scheme, host, behind) = split_host(&url);
    let found = host.strip_suffix(DOMAIN).map(|name| name.trim_start_matches("s3.").to_owned());
    let region = first_of(vendor.region.trim(), found.as_deref(), "").to_owned();
    let needed = if is_given { names.region } else { names.endpoint };
    names.require(&[("an endpoint or a region", &region, needed)])?;
    let endpoint = if found.is_some() || !is_given {
        format!("{scheme}s3.{region}{DOMAIN}")
    } else {
        format!("{scheme}{host}{behind}")
    };
    Ok(s3_elsewhere(&VendorConfig { endpoint, region, ..vendor.clone() }, false, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_regions() {
        let parts = |endpoint| split_host(endpoint);
        let expected = |scheme: &str, host: &str, behind: &str| (scheme.to_owned(), host.to_owned(), behind.to_owned());
        assert_eq!(parts("https://oss-x.aliyuncs.com"), expected("https://", "oss-x.aliyuncs.com", ""));
        assert_eq!(parts("http://h:80/p"), expected("http://", "h", ":80/p"));
        assert_eq!(region_in("oss-cn-hangzhou-internal.aliyuncs.com", "oss-").as_deref(), Some("cn-hangzhou"));
        assert_eq!(region_in("obs.cn-north-4.myhuaweicloud.com", "obs.").as_deref(), Some("cn-north-4"));
        assert_eq!(region_in("example.com", "tos-"), None);
    }

    #[test]
    fn impossible_endpoints_are_refused() {
        let names = names(&BlobConfig::S3(S3Config::default())).unwrap();
        let check = |endpoint: &str, expected: Result<&str, &str>| match (names.url(endpoint), expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url, expected),
            (Err(error), Err(why)) => {
                let text = error.to_string();
                assert_eq!(
                    text,
                    format!("the endpoint of S3 {why}; it is of the form https://host:port (S3_ENDPOINT)")
                );
                assert!(!error.is_retryable());
            }
            (found, expected) => panic!("{endpoint}: {found:?}, not {expected:?}"),
        };
        check(" minio:9000/ ", Ok("https://minio:9000"));
        check("http://minio:9000", Ok("http://minio:9000"));
        check("not a url", Err("is not a URL"));
        check("ftp://minio", Err("is neither an HTTP nor an HTTPS URL"));
        check("https://user:SECRET@minio", Err("contains a user name, which has variables of its own"));
        check("https://minio/?token=SECRET", Err("contains a query"));
        check("http://", Err("is not a URL"));
    }
}
