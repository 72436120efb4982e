//! The address of a webhook: `/e/<hook id>/<path>?<query>`.

use http::Uri;

/// Largest body of a webhook request, in bytes.
pub(crate) const MAX_BODY: usize = 10 * 1024 * 1024;

/// An address as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hook<'a> {
    pub(crate) id: &'a str,
    /// From the slash after the id on, byte for byte: senders sign it.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

impl<'a> Hook<'a> {
    /// `None` for what cannot be the address of any: ids are letters and digits.
    pub(crate) fn parse(uri: &'a Uri) -> Option<Self> {
        let rest = uri.path().strip_prefix("/e/")?;
        let (id, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
        let known = !id.is_empty() && id.len() <= 127 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        known.then_some(Self { id, path: if path.is_empty() { "/" } else { path }, query: uri.query() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |uri: &str, expected: Option<(&str, &str, Option<&str>)>| {
            let uri: Uri = uri.parse().unwrap();
            let expected = expected.map(|(id, path, query)| Hook { id, path, query });
            assert_eq!(Hook::parse(&uri), expected, "{uri}");
        };
        check("/e/abc1/a%2Fb//c?z=1&a=%zz", Some(("abc1", "/a%2Fb//c", Some("z=1&a=%zz"))));
        check("/e/abc1//a?", Some(("abc1", "//a", Some(""))));
        check("/e/abc1/%2e%2e/a", Some(("abc1", "/%2e%2e/a", None)));
        check("/e/abc1", Some(("abc1", "/", None)));
        for none in ["/e/", "/e//a", "/e/%00/a", "/e/a%20b/", "/e/a-b/", "/x/abc1/"] {
            check(none, None);
        }
    }
}
