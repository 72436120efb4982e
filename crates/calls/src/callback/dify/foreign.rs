//! Answers that something else than Dify gives: a proxy, a login page, another service at the address.

use http::{StatusCode, header};
use reqwest::Response;
use reqwest::redirect::{Action, Attempt};

/// Bytes of a body that show what it is.
const WORDS: usize = 200;
/// Redirects that are followed in a row.
const REDIRECTS: usize = 5;
/// Bytes of a key from which on the beginning of it, at the end of a text that was cut, is masked too.
const PART: usize = 4;

/// What stands before the body of an answer.
#[derive(Clone, Debug, Default)]
pub(in crate::callback) struct Head {
    pub(in crate::callback) status: StatusCode,
    pub(in crate::callback) url: String,
    pub(in crate::callback) path: String,
    pub(in crate::callback) content_type: String,
    pub(in crate::callback) location: Option<String>,
}

impl Head {
    pub(in crate::callback) fn of(response: &Response) -> Self {
        let text = |name: header::HeaderName| {
            response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let url = response.url();
        Self {
            status: response.status(),
            url: url.to_string(),
            path: url.path().to_owned(),
            content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
            location: text(header::LOCATION).filter(|_| response.status().is_redirection()),
        }
    }

    /// A page for people, which Dify's inner API never answers.
    pub(in crate::callback) fn is_page(&self) -> bool {
        self.content_type.trim_start().to_ascii_lowercase().starts_with("text/html")
    }

    /// What shows that an error is not Dify's own; empty if nothing does.
    pub(super) fn origin(&self) -> String {
        match &self.location {
            Some(location) => format!(
                " (a redirect from {} to {location}; only 307 and 308 to the same host are followed: see DIFY_INNER_API_URL)",
                self.path
            ),
            None if self.is_page() => {
                format!(" (content type {}, at {}: not Dify's own answer)", self.content_type, self.path)
            }
            None => String::new(),
        }
    }

    /// Status, content type, path and first words.
    pub(super) fn describe(&self, body: &[u8]) -> String {
        let Self { status, content_type, path, .. } = self;
        let content_type = if content_type.is_empty() { "none" } else { content_type };
        let words = String::from_utf8_lossy(body.get(..WORDS).unwrap_or(body));
        format!("status {}, content type {content_type}, at {path}, beginning with {words:?}", status.as_u16())
    }
}

/// Follows a redirect that asks for the same request at the same host; everything else is an answer.
pub(super) fn redirect(attempt: Attempt<'_>) -> Action {
    let repeats = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT].contains(&attempt.status());
    let to = attempt.url();
    let same = attempt.previous().last().is_some_and(|from| {
        let is_open = from.scheme() == "https" && to.scheme() != "https";
        from.host_str() == to.host_str() && !is_open
    });
    if repeats && same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// The text without the key, as it is, as it stands in a URL, or begun at the end of the text.
pub(super) fn mask(text: &str, key: &str) -> String {
    const HIDDEN: &str = "****";
    if key.is_empty() {
        return text.to_owned();
    }
    let mut masked = text.replace(key, HIDDEN).replace(&key.replace('/', "\\/"), HIDDEN);
    let url = reqwest::Url::parse_with_params("http://host", [("", key)]);
    if let Some(in_url) = url.ok().as_ref().and_then(|url| url.query()?.strip_prefix('=')) {
        masked = masked.replace(in_url, HIDDEN);
    }
    let begun = (PART..key.len()).rev().filter_map(|length| key.get(..length)).find(|part| masked.ends_with(part));
    if let Some(part) = begun {
        masked.truncate(masked.len() - part.len());
        masked.push_str(HIDDEN);
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_masked_in_every_form() {
        assert_eq!(mask("a se/cret+key b", "se/cret+key"), "a **** b");
        assert_eq!(mask("x=se%2Fcret%2Bkey&", "se/cret+key"), "x=****&");
        assert_eq!(mask(r#""se\/cret+key""#, "se/cret+key"), r#""****""#);
        assert_eq!(mask("cut: se/cre", "se/cret+key"), "cut: ****");
        assert_eq!(mask("nothing", ""), "nothing");
    }
}
