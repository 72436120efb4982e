//! A request as HTTP/1.1 text, as plugins read it (http-api 8.1).

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::hook::Hook;
use plugin_web::headers::end_to_end;

const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-original-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOOK_ID: HeaderName = HeaderName::from_static("dify-hook-id");
const HOOK_URL: HeaderName = HeaderName::from_static("dify-hook-url");

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
    let host = host(parts);
    let mut out = Vec::with_capacity(1024 + body.len());
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(hook.path.as_bytes());
    if let Some(query) = hook.query {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    put(&mut out, "Host", &host);
    let agent = headers.get(header::USER_AGENT).map_or(b"Go-http-client/1.1".as_slice(), |agent| agent.as_bytes());
    if !agent.is_empty() {
        put(&mut out, "User-Agent", agent);
    }
    if !body.is_empty() || [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method) {
        put(&mut out, "Content-Length", body.len().to_string().as_bytes());
    }
    let mut others = passed(headers);
    others.insert(canonical(&HOOK_ID), vec![Cow::Borrowed(hook.id.as_bytes())]);
    if headers.get(HOOK_URL).is_none_or(HeaderValue::is_empty) {
        others.insert(canonical(&HOOK_URL), vec![Cow::Owned(url(headers, &host, hook))]);
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

fn host(parts: &Parts) -> Cow<'_, [u8]> {
    let given = parts.headers.get(ORIGINAL_HOST).filter(|host| !host.is_empty());
    match given.or_else(|| parts.headers.get(header::HOST)) {
        Some(host) => Cow::Borrowed(host.as_bytes()),
        None => parts.uri.authority().map_or(Cow::Borrowed(b""), |host| Cow::Borrowed(host.as_str().as_bytes())),
    }
}

/// The address without its query, as the caller knows it.
fn url(headers: &HeaderMap, host: &[u8], hook: Hook<'_>) -> Vec<u8> {
    let https = headers.get(FORWARDED_PROTO).is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    let scheme: &[u8] = if https { b"https://" } else { b"http://" };
    [scheme, host, b"/e/", hook.id.as_bytes(), hook.path.as_bytes()].concat()
}

/// The headers that are the plugin's, by name. The SDK refuses a request with a `_` in a name.
fn passed(headers: &HeaderMap) -> BTreeMap<String, Vec<Cow<'_, [u8]>>> {
    let mut passed = BTreeMap::<String, Vec<Cow<'_, [u8]>>>::new();
    for (name, value) in end_to_end(headers) {
        if !NOT_PASSED.contains(name) && !name.as_str().contains('_') {
            passed.entry(canonical(name)).or_default().push(Cow::Borrowed(value.as_bytes()));
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
}
