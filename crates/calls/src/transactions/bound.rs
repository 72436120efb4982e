//! Binds transactions to their plugin.
//!
//! The SDK sends no proof of who calls, but it keeps the path of `DIFY_PLUGIN_DAEMON_URL`. A connector that shares its key
//! with the daemon gives each function a URL with a token in it that is made of the key and the plugin's identifier: then
//! a function can use sessions of its own plugin only, whatever session ids it knows.

use plugin_runtime::serverless::callback_token;
use subtle::ConstantTimeEq as _;

use plugin_service::config::Secret;

/// How transactions are bound.
///
/// ```
/// use plugin_calls::transactions::Binding;
/// use plugin_runtime::serverless::callback_token;
/// use plugin_service::config::Secret;
///
/// let binding = Binding { key: Secret::new("the-key"), required: true };
/// let token = callback_token("the-key", "acme/search:1.0.0@9f");
/// assert!(binding.allows(Some(&token), "acme/search:1.0.0@9f"));
/// assert!(!binding.allows(Some(&token), "acme/mail:1.0.0@e0") && !binding.allows(None, "acme/search:1.0.0@9f"));
/// ```
#[derive(Debug, Clone)]
pub struct Binding {
    /// The connector's key.
    pub key: Secret,
    /// Refuses functions without a token (`PLUGIN_SERVERLESS_REQUIRE_CALLBACK_TOKEN`).
    pub required: bool,
}

impl Binding {
    /// Whether who calls with this token may use sessions of a plugin.
    pub fn allows(&self, token: Option<&str>, plugin: &str) -> bool {
        match token {
            None => !self.required,
            Some(token) => callback_token(self.key.expose(), plugin).as_bytes().ct_eq(token.as_bytes()).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_plugin_and_one_key() {
        let binding = |required| Binding { key: Secret::new("key"), required };
        let token = callback_token("key", "a/b:1.0.0@0");
        for required in [false, true] {
            assert!(binding(required).allows(Some(&token), "a/b:1.0.0@0"));
            assert!(!binding(required).allows(Some(&token), "a/b:1.0.1@0"));
            assert!(!binding(required).allows(Some(&callback_token("other", "a/b:1.0.0@0")), "a/b:1.0.0@0"));
            assert!(!binding(required).allows(Some(""), "a/b:1.0.0@0"));
            assert_eq!(binding(required).allows(None, "a/b:1.0.0@0"), !required);
        }
    }
}
