//! Which headers are a message's own.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

/// What belongs to one connection and not to the message (RFC 9110, 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// All values of everything that belongs to the message, wherever it goes.
///
/// ```
/// use plugin_web::headers::end_to_end;
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("connection", "keep-alive, x-hop".parse()?);
/// headers.insert("x-hop", "1".parse()?);
/// headers.insert("x-user-id", "u-1".parse()?);
/// assert_eq!(end_to_end(&headers).map(|(name, _)| name).collect::<Vec<_>>(), ["x-user-id"]);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn end_to_end(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let listed =
        headers.get_all(header::CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let listed: Vec<&[u8]> = listed.map(<[u8]>::trim_ascii).collect();
    headers.iter().filter(move |(name, _)| {
        let is_listed = listed.iter().any(|one| one.eq_ignore_ascii_case(name.as_str().as_bytes()));
        !is_listed && !OF_THE_CONNECTION.contains(name)
    })
}
