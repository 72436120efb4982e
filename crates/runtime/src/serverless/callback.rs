//! The address at which a function reaches its daemon.
//!
//! Daemon and connector share a key. With it they agree, without telling each other, on a token for each plugin; the
//! function carries it in the path of `DIFY_PLUGIN_DAEMON_URL`, which the SDK keeps.

use aws_lc_rs::hmac;

/// Bytes of a token: enough that nobody finds one, short enough for a URL.
const BYTES: usize = 16;

/// What binds a function to its plugin version, as hexadecimal digits.
pub fn callback_token(key: &str, plugin: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let tag = hmac::sign(&key, format!("calls back of {plugin}").as_bytes());
    hex::encode(tag.as_ref().get(..BYTES).unwrap_or_default())
}

/// `DIFY_PLUGIN_DAEMON_URL` for a function of a plugin version.
///
/// ```
/// use plugin_runtime::serverless::{callback_token, callback_url};
///
/// let plugin = "acme/search:1.0.0@9f";
/// let token = callback_token("the-key", plugin);
/// let url = callback_url("https://daemon:5002/", "the-key", plugin);
/// assert_eq!(url, format!("https://daemon:5002/backwards-invocation/{token}"));
/// assert_ne!(callback_token("the-key", "acme/search:1.0.1@9e"), token);
/// ```
pub fn callback_url(daemon: &str, key: &str, plugin: &str) -> String {
    format!("{}/backwards-invocation/{}", daemon.trim_end_matches('/'), callback_token(key, plugin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_do_not_change() {
        // functions that are deployed carry them
        insta::assert_snapshot!(
            callback_url("https://daemon:5002/", "key", "a/b:1.0.0@00"),
            @"https://daemon:5002/backwards-invocation/527870fa8fe8e95e3e7e8267bb01d91c"
        );
        assert_ne!(callback_token("key", "a"), callback_token("key", "b"));
        assert_ne!(callback_token("key", "a"), callback_token("other", "a"));
    }
}
