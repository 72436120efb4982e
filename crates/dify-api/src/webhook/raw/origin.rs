//! The address at which a caller knows a webhook, through whatever proxies the request has come.

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, header};
use percent_encoding::utf8_percent_encode;

use super::{NOT_ASCII, ORIGINAL_HOST};
use crate::hook::Hook;

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
/// What stands for a host that is none.
const NO_HOST: &str = "localhost";

/// Where a request was sent to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// As plugins see it in `Host`: the proxy's `X-Original-Host`, else the request's own.
    pub(super) host: String,
    scheme: &'static str,
    /// Of the URL: the host that the outermost proxy was asked for.
    outer_host: String,
    /// A path that a proxy has taken away, without a slash at its end.
    prefix: String,
}

impl Origin {
    pub(super) fn of(parts: &Parts) -> Self {
        let headers = &parts.headers;
        let authority = || parts.uri.authority().map(|authority| authority.as_str().to_owned());
        let own = text(headers, &header::HOST).map(str::to_owned).or_else(authority).filter(|host| is_host(host));
        let original = text(headers, &ORIGINAL_HOST).filter(|host| is_host(host)).map(str::to_owned);
        let forwarded = first(headers, &FORWARDED_HOST).map(str::to_owned).or_else(|| parameter(headers, "host"));
        let host = original.clone().or(own).unwrap_or_else(|| NO_HOST.to_owned());
        let outer_host = original.or_else(|| forwarded.filter(|host| is_host(host))).unwrap_or_else(|| host.clone());
        let proto = first(headers, &PROTO).map(str::to_owned).or_else(|| parameter(headers, "proto"));
        let scheme = if proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https")) { "https" } else { "http" };
        let prefix = first(headers, &PREFIX).filter(|prefix| is_path(prefix)).unwrap_or_default();
        Self { host, scheme, outer_host, prefix: prefix.trim_end_matches('/').to_owned() }
    }

    /// The webhook's address without its query.
    pub(super) fn url(&self, hook: Hook<'_>) -> String {
        let Self { scheme, outer_host, prefix, .. } = self;
        format!("{scheme}://{outer_host}{prefix}/e/{}{}", hook.id, utf8_percent_encode(hook.path, NOT_ASCII))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|value| !value.is_empty())
}

/// The first of a list: what the outermost proxy has seen.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    text(headers, name)?.split(',').next().map(str::trim).filter(|value| !value.is_empty())
}

/// A parameter of the first element of `Forwarded` (RFC 7239).
fn parameter(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = first(headers, &header::FORWARDED)?.split(';').filter_map(|pair| pair.split_once('='));
    let value = pairs.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?.1.trim().trim_matches('"');
    (!value.is_empty()).then(|| value.to_owned())
}

/// A host with or without a port, and nothing else that a URL could be made to hold.
fn is_host(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    text.chars().all(is_plain) && text.parse::<Authority>().is_ok_and(|authority| !authority.host().is_empty())
}

fn is_path(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '~' | '%');
    text.starts_with('/') && !text.starts_with("//") && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &[(&str, &str)], url: &str) {
        let mut request = http::Request::get("/e/h1/x");
        for (name, value) in given {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let hook = Hook::parse(&parts.uri).unwrap();
        assert_eq!(Origin::of(&parts).url(hook), url, "{given:?}");
    }

    #[test]
    fn usual_proxies() {
        let host = ("host", "inner:5002");
        check(&[host], "http://inner:5002/e/h1/x");
        check(&[host, ("x-forwarded-proto", "https")], "https://inner:5002/e/h1/x");
        check(&[host, ("x-forwarded-proto", "https,http")], "https://inner:5002/e/h1/x");
        check(&[host, ("x-forwarded-proto", "HTTPS , http")], "https://inner:5002/e/h1/x");
        let outer = ("x-forwarded-host", "hooks.example, inner");
        check(&[host, outer, ("x-forwarded-proto", "https")], "https://hooks.example/e/h1/x");
        check(&[host, outer, ("x-forwarded-prefix", "/dify/")], "http://hooks.example/dify/e/h1/x");
        let rfc = "for=1.2.3.4;host=\"hooks.example:8443\";proto=https, for=10.0.0.1;proto=http";
        check(&[host, ("forwarded", rfc)], "https://hooks.example:8443/e/h1/x");
        check(&[host, outer, ("forwarded", rfc)], "https://hooks.example/e/h1/x");
        check(&[host, outer, ("x-original-host", "outer")], "http://outer/e/h1/x");
    }

    #[test]
    fn junk_does_not_become_part_of_a_url() {
        for junk in ["a/b", "a b", "u@h", "<script>", "h?x", "h#x", "", "\"", "h\\x"] {
            check(&[("host", junk)], "http://localhost/e/h1/x");
            check(&[("host", "h"), ("x-forwarded-host", junk)], "http://h/e/h1/x");
            check(&[("host", "h"), ("x-original-host", junk)], "http://h/e/h1/x");
        }
        for junk in ["no-slash", "//evil", "/a b", "/a?b", "/<"] {
            check(&[("host", "h"), ("x-forwarded-prefix", junk)], "http://h/e/h1/x");
        }
        check(&[("host", "h"), ("x-forwarded-proto", "javascript")], "http://h/e/h1/x");
        check(&[], "http://localhost/e/h1/x");
    }
}
