//! A request as HTTP/1.1 text, as plugins read it (http-api 8.1): UTF-8 throughout, and ASCII in its first line, which
//! every version of the SDK reads.

mod origin;

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, utf8_percent_encode};

use self::origin::Origin;
use crate::hook::Hook;
use plugin_web::headers::end_to_end;

const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-original-host");
const HOOK_ID: HeaderName = HeaderName::from_static("dify-hook-id");
const HOOK_URL: HeaderName = HeaderName::from_static("dify-hook-url");

/// Nothing that is ASCII: senders sign what they have written.
const NOT_ASCII: &AsciiSet = &AsciiSet::EMPTY;

/// Headers that describe the route of the request, or are written separately.
const NOT_PASSED: [HeaderName; 10] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::USER_AGENT,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-forwarded"),
    HeaderName::from_static("x-original-forwarded-for"),
    HeaderName::from_static("x-original-url"),
    ORIGINAL_HOST,
    HOOK_ID,
];

/// The text: the line, `Host`, `User-Agent`, the length, the other headers by name, the body.
pub(crate) fn raw_request(parts: &Parts, hook: Hook<'_>, body: &[u8]) -> Vec<u8> {
    let headers = &parts.headers;
    let origin = Origin::of(parts);
    let mut out = Vec::with_capacity(1024 + body.len());
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    out.extend(utf8_percent_encode(hook.path, NOT_ASCII).flat_map(str::bytes));
    if let Some(query) = hook.query {
        out.push(b'?');
        out.extend(utf8_percent_encode(query, NOT_ASCII).flat_map(str::bytes));
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    put(&mut out, "Host", origin.host.as_bytes());
    let agent = headers.get(header::USER_AGENT).map_or(b"Go-http-client/1.1".as_slice(), |agent| agent.as_bytes());
    if !agent.is_empty() {
        put(&mut out, "User-Agent", &utf8(agent));
    }
    if !body.is_empty() || [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) {
        put(&mut out, "Content-Length", body.len().to_string().as_bytes());
    }
    let mut others = passed(headers);
    others.insert(canonical(&HOOK_ID), vec![Cow::Borrowed(hook.id.as_bytes())]);
    if headers.get(HOOK_URL).is_none_or(HeaderValue::is_empty) {
        others.insert(canonical(&HOOK_URL), vec![Cow::Owned(origin.url(hook).into_bytes())]);
    }
    for (name, values) in &others {
        for value in values {
            put(&mut out, name, value);
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

fn put(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A value as UTF-8; one that is not counts as Latin-1, as HTTP once had it.
fn utf8(value: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(value) {
        Ok(_) => Cow::Borrowed(value),
        Err(_) => Cow::Owned(value.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()),
    }
}

/// The headers that are the plugin's, by name. The SDK refuses a request with a `_` in a name.
fn passed(headers: &HeaderMap) -> BTreeMap<String, Vec<Cow<'_, [u8]>>> {
    let mut passed = BTreeMap::<String, Vec<Cow<'_, [u8]>>>::new();
    for (name, value) in end_to_end(headers) {
        if !NOT_PASSED.contains(name) && !name.as_str().contains('_') {
            passed.entry(canonical(name)).or_default().push(utf8(value.as_bytes()));
        }
    }
    passed
}

/// The name with a capital after each dash.
fn canonical(name: &HeaderName) -> String {
    let mut capital = true;
    let letters = name.as_str().chars().map(|letter| {
        let letter_as_written = if capital { letter.to_ascii_uppercase() } else { letter };
        capital = letter == '-';
        letter_as_written
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn raw(request: http::request::Builder, body: &[u8]) -> String {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let uri = parts.uri.clone();
        String::from_utf8(raw_request(&parts, Hook::parse(&uri).unwrap(), body)).unwrap()
    }

    #[test]
    fn a_request_as_text() {
        let request = Request::post("/e/h1/a%2Fb?z=1&a=%zz")
            .header("host", "hooks.example")
            .header("user-agent", "ua")
            .header("x-many", "one")
            .header("accept", "*/*")
            .header("x-many", "two, three")
            .header("x-many", "")
            .header("content-length", "2")
            .header("x-forwarded-for", "10.0.0.1")
            .header("dify-hook-id", "forged")
            .header("x_under_score", "1");
        insta::assert_snapshot!(raw(request, b"hi").replace("\r\n", "\\r\\n\n"), @r"
        POST /a%2Fb?z=1&a=%zz HTTP/1.1\r\n
        Host: hooks.example\r\n
        User-Agent: ua\r\n
        Content-Length: 2\r\n
        Accept: */*\r\n
        Dify-Hook-Id: h1\r\n
        Dify-Hook-Url: http://hooks.example/e/h1/a%2Fb\r\n
        X-Many: one\r\n
        X-Many: two, three\r\n
        X-Many: \r\n
        \r\n
        hi
        ");
    }

    #[test]
    fn what_is_of_the_connection_or_of_the_way() {
        let request = Request::get("/e/h1")
            .header("host", "inner:1")
            .header("x-original-host", "outer")
            .header("x-forwarded-proto", "https")
            .header("connection", "keep-alive, x-drop")
            .header("x-drop", "1")
            .header("te", "trailers")
            .header("upgrade", "x")
            .header("user-agent", "");
        insta::assert_snapshot!(raw(request, b"").replace("\r\n", "\n"), @r"
        GET / HTTP/1.1
        Host: outer
        Dify-Hook-Id: h1
        Dify-Hook-Url: https://outer/e/h1/
        X-Forwarded-Proto: https
        ");
        let known = Request::put("/e/h1/x").header("dify-hook-url", "http://known");
        let text = raw(known, b"");
        assert!(text.contains("Dify-Hook-Url: http://known\r\n") && text.contains("Content-Length: 0\r\n"), "{text}");
        assert!(text.contains("User-Agent: Go-http-client/1.1\r\n"), "{text}");
    }

    #[test]
    fn bytes_that_not_every_sdk_reads() {
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
        let request = Request::get("/e/h1/naïve/%C3%A9?q=é&s=a%zz")
            .header("host", "h")
            .header("user-agent", value(b"\xe9"))
            .header("x-latin", value(b"caf\xe9"))
            .header("x-utf8", value("café".as_bytes()));
        insta::assert_snapshot!(raw(request, b"").replace("\r\n", "\n"), @r"
        GET /na%C3%AFve/%C3%A9?q=%C3%A9&s=a%zz HTTP/1.1
        Host: h
        User-Agent: é
        Dify-Hook-Id: h1
        Dify-Hook-Url: http://h/e/h1/na%C3%AFve/%C3%A9
        X-Latin: café
        X-Utf8: café
        ");
    }
}
