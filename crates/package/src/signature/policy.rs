//! Which signatures an installation asks for (package-format 16, lifecycle-and-storage 2.2).

use super::Verification;

/// What has to be signed.
///
/// ```
/// use plugin_package::signature::{Policy, PolicyError};
///
/// let policy = Policy { require: false, protect_langgenius: true };
/// assert_eq!(policy.check("acme", None), Ok(()));
/// assert_eq!(policy.check("langgenius", None), Err(PolicyError::ClaimsLanggenius));
/// let strict = Policy { require: true, ..policy };
/// assert_eq!(strict.check("acme", None), Err(PolicyError::BadSignature));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Refuse whatever is not verified.
    pub require: bool,
    /// Refuse packages that name `langgenius` as their author and are not verified as such.
    pub protect_langgenius: bool,
}

/// Why a package may not be installed. The texts are those clients know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not signed, or not by a trusted key.
    #[error("plugin verification has been enabled, and the plugin you want to install has a bad signature")]
    BadSignature,
    /// Claims to be by the makers of Dify.
    #[error(
        "\n\t\tplugin installation blocked: this plugin claims to be from Langgenius but lacks official signature verification. \n\t\tSet ENFORCE_LANGGENIUS_PLUGIN_SIGNATURES=false to allow installation (not recommended)"
    )]
    ClaimsLanggenius,
}

impl Policy {
    /// Whether a package by `author` with this verification may be installed.
    pub fn check(self, author: &str, verification: Option<&Verification>) -> Result<(), PolicyError> {
        if self.require && verification.is_none() {
            return Err(PolicyError::BadSignature);
        }
        let is_official = verification.is_some_and(|verification| verification.authorized_category == "langgenius");
        if self.protect_langgenius && author.to_lowercase() == "langgenius" && !is_official {
            return Err(PolicyError::ClaimsLanggenius);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Names, Signer};
    use super::*;

    #[test]
    fn policies() {
        let verified = |category: &str| Verification {
            authorized_category: category.to_owned(),
            signer: Signer::Official,
            signed_at: 0,
            names: Names::Signed,
        };
        let (nothing, force) = (Policy { require: false, protect_langgenius: false }, true);
        let (require, protect) = (Policy { require: force, ..nothing }, Policy { protect_langgenius: true, ..nothing });
        let (bad, claims) = (Err(PolicyError::BadSignature), Err(PolicyError::ClaimsLanggenius));
        for (policy, author, category, expected) in [
            (nothing, "langgenius", None, Ok(())),
            (require, "acme", None, bad),
            (require, "acme", Some("community"), Ok(())),
            (protect, "acme", None, Ok(())),
            (protect, "langgenius", None, claims.clone()),
            (protect, "LangGenius", None, claims.clone()),
            (protect, " langgenius", None, Ok(())),
            (protect, "langgenius", Some("community"), claims),
            (protect, "langgenius", Some("langgenius"), Ok(())),
        ] {
            let found = policy.check(author, category.map(verified).as_ref());
            assert_eq!(found, expected, "{policy:?} {author} {category:?}");
        }
    }
}
