//! Which headers go through a node.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-original-host");

/// All values of everything that belongs to the message.
pub(super) fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    plugin_web::headers::end_to_end(headers).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The headers of a request that is passed on. A webhook's host is kept for the plugin (http-api 8.1).
pub(super) fn of_request(headers: &HeaderMap, is_hook: bool) -> HeaderMap {
    let mut passed = end_to_end(headers);
    passed.remove(header::CONTENT_LENGTH); // the body is sent as a whole
    let host = passed.remove(header::HOST);
    if is_hook
        && passed.get(ORIGINAL_HOST).is_none_or(HeaderValue::is_empty)
        && let Some(host) = host
    {
        passed.insert(ORIGINAL_HOST, host);
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let given = given.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        headers.extend(given.map(|(name, value)| (Some(name), value)));
        headers
    }

    #[test]
    fn what_belongs_to_the_message_passes_with_all_its_values() {
        let given = headers(&[
            ("host", "outside"),
            ("connection", "keep-alive, X-Own"),
            ("x-own", "1"),
            ("te", "trailers"),
            ("content-length", "3"),
            ("x-api-key", "key"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
        ]);
        let kept = headers(&[("x-api-key", "key"), ("set-cookie", "a"), ("set-cookie", "b")]);
        assert_eq!(of_request(&given, false), kept);
        let mut with_host = kept;
        with_host.insert("x-original-host", HeaderValue::from_static("outside"));
        assert_eq!(of_request(&given, true), with_host);
        let known = headers(&[("host", "inner"), ("x-original-host", "outside")]);
        assert_eq!(of_request(&known, true), headers(&[("x-original-host", "outside")]));
    }
}
