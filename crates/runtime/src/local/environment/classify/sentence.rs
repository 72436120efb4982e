//! One sentence for what uv reports: what is wrong, where, and with which value.
//!
//! The texts looked for are those of uv 0.5 to 0.13; recorded outputs are in the tests beside this file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::super::process::redact;

/// Signs that a download is not what the index or a hash promised, which no other source may hide.
pub(crate) const WRONG_BYTES: [&str; 2] = ["Hash mismatch for", "Failed to extract archive"];
/// How a proxy that wants other credentials shows: in its own answer, and in place of a tunnel.
pub(super) const PROXY_REFUSES: [&str; 3] =
    ["407 Proxy Authentication Required", "proxy authorization required", "proxy authentication required"];

/// What the output says is wrong, if it is something known.
pub(super) fn of(output: &str, variables: &BTreeMap<OsString, OsString>) -> Option<String> {
    let says = |sign: &str| output.contains(sign);
    let url = || between(output, "Failed to fetch: ", "\n").map(|url| url.trim_matches('`'));
    if says("No space left on device") || says("Disk quota exceeded") {
        return Some("no space is left on the disk".into());
    }
    if PROXY_REFUSES.into_iter().any(says) {
        return Some(proxy(url().unwrap_or_default(), variables));
    }
    if let Some(package) = quoted(output, "Hash mismatch for ") {
        return Some(format!("what was downloaded for {package} does not have the hash that the plugin's files name"));
    }
    if let Some(file) = between(output, "Failed to extract archive: ", "\n") {
        return Some(format!("the file {file} of the package index is damaged"));
    }
    index(output, url())
        .or_else(|| git(output))
        .or_else(|| refused_operation(output))
        .or_else(|| says("did not contain valid UTF-8").then(|| undecodable(output)))
        .or_else(|| versions(output))
        .or_else(|| {
            quoted(output, "Failed to build ")
                .map(|what| format!("{what} has no wheel for this machine and could not be built"))
        })
}

/// What an index, or the way there, does not do.
fn index(output: &str, url: Option<&str>) -> Option<String> {
    let says = |sign: &str| output.contains(sign);
    for (sign, status) in [("(401 Unauthorized)", "401 Unauthorized"), ("403 Forbidden", "403 Forbidden")] {
        if says(sign) {
            let index = between(output, "An index URL (", ")").or_else(|| between(output, "An index (", ")"));
            let index = index.or(url).unwrap_or("the package index");
            return Some(format!("{index} refuses the credentials ({status})"));
        }
    }
    if says("network was disabled") || says("Network connectivity is disabled") {
        return Some("the network is switched off (UV_OFFLINE), and not everything needed is in the cache".into());
    }
    let url = url?;
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or(url);
    if says("dns error") {
        return Some(format!("the host name {host} cannot be resolved"));
    }
    if let Some(reason) = between(output, "invalid peer certificate: ", "\n") {
        return Some(format!("the certificate of {host} is not trusted ({reason})"));
    }
    if let Some(status) = between(output, "HTTP status server error (", ")")
        .or_else(|| between(output, "HTTP status client error (", ")"))
    {
        return Some(format!("{url} answers {status}"));
    }
    let reason = output
        .lines()
        .skip_while(|line| !line.contains(url))
        .filter_map(|line| line.trim_start().strip_prefix("cause: "))
        .last();
    Some(match reason.filter(|reason| !reason.contains(url)) {
        Some(reason) => format!("{host} cannot be reached: {reason}"),
        None => format!("{host} cannot be reached"),
    })
}

/// Which proxy it is: the one that uv takes for the URL.
fn proxy(url: &str, variables: &BTreeMap<OsString, OsString>) -> String {
    let own = if url.starts_with("https:") { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let given = |name: &&str| {
        variables.get(OsStr::new(name)).and_then(|value| value.to_str()).filter(|value| !value.is_empty())
    };
    let names = own.into_iter().chain(["ALL_PROXY", "all_proxy"]);
    match names.map(|name| (name, given(&name))).find_map(|(name, proxy)| Some((name, proxy?))) {
        Some((name, proxy)) => format!("the proxy refuses the credentials (407): {name} is {}", redact(proxy)),
        None => format!(
            "a proxy on the way to {} refuses the credentials (407)",
            if url.is_empty() { "the index" } else { url }
        ),
    }
}

fn git(output: &str) -> Option<String> {
    if output.contains("Git executable not found") {
        return Some("Git is not installed, and a dependency comes from a Git repository".into());
    }
    if !output.contains("Git operation failed") {
        return None;
    }
    let what = quoted(output, "Failed to download and build ")
        .or_else(|| quoted(output, "Failed to download "))
        .unwrap_or("a dependency");
    let stderr = output.split_once("--- stderr").map_or("", |(_, stderr)| stderr);
    let reason = stderr.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("warning:"));
    Some(match reason {
        Some(reason) => {
            format!("the Git repository of {what} cannot be fetched: {}", reason.trim_start_matches("fatal: "))
        }
        None => format!("the Git repository of {what} cannot be fetched"),
    })
}

/// An operation that the file system, or rights on it, do not allow.
fn refused_operation(output: &str) -> Option<String> {
    const REFUSALS: [&str; 6] = [
        "Permission denied (os error 13)",
        "Read-only file system (os error 30)",
        "Operation not permitted (os error 1)",
        "Operation not supported (os error 95)",
        "Function not implemented (os error 38)",
        "Invalid cross-device link (os error 18)",
    ];
    let line = output.lines().find(|line| REFUSALS.iter().any(|refusal| line.contains(refusal)))?;
    let line = line.trim_start();
    Some(line.strip_prefix("cause: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(line).to_owned())
}

fn undecodable(output: &str) -> String {
    let file = quoted(output, "failed to decode file ").unwrap_or("a dependency file");
    format!("{file} of the plugin is not UTF-8 text; its author has to save it as UTF-8")
}

/// What the index does not have.
fn versions(output: &str) -> Option<String> {
    let on = "the package index";
    if let Some(package) = between(output, "Because there is no version of ", " and ") {
        return Some(format!("there is no version {package} on {on}"));
    }
    if let Some(package) = between(output, "Because ", " was not found in the package registry") {
        return Some(format!("there is no package {package} on {on}"));
    }
    let package = between(output, "Because only the following versions of ", " are available")?;
    let wanted = between(output, "you require ", ", we can conclude")
        .or_else(|| between(output, "depends on ", ", we can conclude"));
    Some(format!("no version of {package} on {on} satisfies {}", wanted.unwrap_or("the requirements")))
}

/// A requirement of which the index has no version: its name, and the version, if it is one alone.
pub(crate) fn missing_version(output: &str) -> Option<(&str, Option<&str>)> {
    if let Some(package) = between(output, "Because there is no version of ", " and ") {
        let (name, version) = package.split_once("==")?;
        return Some((name, Some(version)));
    }
    between(output, "Because only the following versions of ", " are available").map(|name| (name, None))
}

/// The text between two others, with whatever stands between words in one line.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    let found = rest.split_once(after).map_or(rest, |(found, _)| found).trim();
    (!found.is_empty() && !found.contains('\n')).then_some(found)
}

/// What stands in backticks after a text.
fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.strip_prefix('`')?.split_once('`').map(|(quoted, _)| quoted)
}
