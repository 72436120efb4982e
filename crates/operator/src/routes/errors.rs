//! Failures of the fleet as answers.

use plugin_registry::catalog::CatalogError;
use plugin_web::ApiError;

use crate::fleet::FleetError;

impl From<FleetError> for ApiError {
    fn from(error: FleetError) -> Self {
        let text = error.to_string();
        match error {
            FleetError::NotLocal | FleetError::NotRequested | FleetError::NoBuildLog | FleetError::NoSuchInstall => {
                Self::not_found(text)
            }
            FleetError::NotInstalled => Self::plugin_not_found(),
            FleetError::Invalid(_) => Self::bad_request(text),
            FleetError::Catalog(CatalogError::Identifier(_)) => Self::unique_identifier(text),
            FleetError::NotServerless(_)
            | FleetError::NoFunction(_)
            | FleetError::Catalog(_)
            | FleetError::Install(_)
            | FleetError::Failed(_) => Self::internal(text),
        }
    }
}
