//! Endpoint groups (package-format 9).

use super::shared::{ProviderConfig, inline};

record! {
    /// A group of HTTP endpoints a plugin serves, and the settings one needs to be set up.
    pub struct EndpointProvider {
        /// Never null, unlike the reference's: Dify refuses null here (package-format 23).
        settings: Vec<ProviderConfig>,
        endpoints: Vec<Endpoint> = inline,
    }
}

record! {
    /// One HTTP endpoint.
    pub struct Endpoint {
        /// A rule matched by the plugin itself.
        path: String,
        method: String,
        hidden: bool,
    }
}
