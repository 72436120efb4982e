//! What an operator decides about installations.

use std::time::Duration;

use plugin_package::signature::Policy;
use plugin_service::config::Config;

/// How long a successful install task is shown (lifecycle-and-storage 2.6).
const SUCCESS_SHOWN: Duration = Duration::from_mins(2);
/// How long an install job stays with a node that gives no sign of life.
const LEASE: Duration = Duration::from_secs(8);
/// Pause before an install job is begun again that something was out of reach for.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// A bundle may unpack to this many times its largest size. Its packages are compressed already.
const BUNDLE_RATIO: u64 = 2;

/// What an operator decides about installations.
#[derive(Debug, Clone)]
pub struct InstallSettings {
    /// `PLUGIN_INSTALL_TIMEOUT`: time for one attempt at one plugin, from the moment work on it begins.
    pub timeout: Duration,
    /// What single packages have to be signed for.
    pub package_policy: Policy,
    /// What packages in bundles have to be signed for.
    pub bundle_policy: Policy,
    /// Limits of a bundle; packages in it have those of `Packages`.
    pub bundle_limits: plugin_package::Limits,
    /// How long a successful task is shown (lifecycle-and-storage 2.6: 120 s).
    pub success_shown: Duration,
    /// How long a job stays with a node that gives no sign of life.
    pub lease: Duration,
    /// Pause before a job is begun again that something was out of reach for.
    pub retry_delay: Duration,
}

impl InstallSettings {
    /// As configured.
    ///
    /// ```
    /// use plugin_install::InstallSettings;
    /// use plugin_service::config::Config;
    /// use std::time::Duration;
    ///
    /// let variables = [("PLUGIN_INSTALL_TIMEOUT", "30"), ("FORCE_VERIFYING_SIGNATURE", "true")];
    /// let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
    /// let settings = InstallSettings::new(&Config::from_vars(variables.into())?);
    /// assert_eq!(settings.timeout, Duration::from_mins(30));
    /// assert!(settings.package_policy.require && settings.bundle_policy.require);
    /// # Ok::<(), plugin_service::config::ConfigError>(())
    /// ```
    pub fn new(config: &Config) -> Self {
        let signatures = &config.signatures;
        let package_policy =
            Policy { require: signatures.force, protect_langgenius: signatures.enforce_langgenius_uploads };
        Self {
            timeout: config.plugins.install_timeout,
            package_policy,
            bundle_policy: Policy { protect_langgenius: signatures.enforce_langgenius, ..package_policy },
            bundle_limits: plugin_package::Limits {
                uncompressed: config.plugins.max_bundle_bytes.saturating_mul(BUNDLE_RATIO),
                ..Default::default()
            },
            success_shown: SUCCESS_SHOWN,
            lease: LEASE,
            retry_delay: RETRY_DELAY,
        }
    }
}
