//! What a vendor answered, fit for a message: no request headers, no secrets of URLs.

use std::error::Error as _;

use crate::ErrorKind;

pub(super) fn kind(error: &opendal::Error) -> ErrorKind {
    // by the kind alone: the retry layer marks every error as persistent
    match error.kind() {
        opendal::ErrorKind::Unexpected | opendal::ErrorKind::RateLimited => ErrorKind::Unavailable,
        opendal::ErrorKind::ConfigInvalid | opendal::ErrorKind::IsADirectory | opendal::ErrorKind::NotADirectory => {
            ErrorKind::Invalid
        }
        opendal::ErrorKind::Unsupported => ErrorKind::Unsupported,
        opendal::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Other,
    }
}

/// The vendor's code and message, or the chain of causes.
pub(super) fn cause(error: &opendal::Error) -> String {
    let message = error.message();
    let field = |name: &str| {
        let (_, rest) = message.split_once(&format!("{name}: \""))?;
        rest.split_once('"').map(|(value, _)| value).filter(|value| !value.is_empty())
    };
    let mut text = match (field("code"), field("message")) {
        (Some(code), Some(said)) => format!("{code}: {said}"),
        (Some(code), None) => code.to_owned(),
        _ if message == "send http request" => String::new(),
        _ => message.to_owned(),
    };
    let mut next = error.source();
    while let Some(source) = next {
        let said = source.to_string();
        // the client's phrase without a cause of its own; the cause comes next
        let is_frame = said.starts_with("error sending request") || said == "client error (Connect)";
        if !(is_frame && source.source().is_some()) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&said);
        }
        next = source.source();
    }
    without_secrets(&text)
}

/// Cuts user and password, and the query, out of every URL.
pub(super) fn without_secrets(text: &str) -> String {
    let mut rest = text;
    let mut clean = String::with_capacity(text.len());
    while let Some((before, url)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let end =
            url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '>' | ',')).unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        let url = url.split_once('?').map_or(url, |(url, _)| url);
        let (authority, path) = url.split_at(url.find('/').unwrap_or(url.len()));
        clean.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        clean.push_str(path);
        rest = after;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_secrets() {
        let check = |text: &str, expected: &str| assert_eq!(without_secrets(text), expected);
        check("no URL? none", "no URL? none");
        check("error for url (https://a/b?sig=SECRET&x=1): refused", "error for url (https://a/b): refused");
        check("at http://user:SECRET@host:9/p, https://h?SECRET", "at http://host:9/p, https://h");
        check("https://h/a@b", "https://h/a@b");
    }

    #[test]
    fn the_vendors_words_are_enough() {
        let text = r#"S3Error { code: "NoSuchBucket", message: "It does not exist", resource: "", request_id: "7" }"#;
        let error = opendal::Error::new(opendal::ErrorKind::NotFound, text);
        assert_eq!(cause(&error), "NoSuchBucket: It does not exist");
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = opendal::Error::new(opendal::ErrorKind::Unexpected, "send http request").set_source(refused);
        assert_eq!(cause(&error), "connection refused");
    }
}
