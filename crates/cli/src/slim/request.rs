//! The request: who asks, and what (cli 10.1).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{Code, SlimError};
use crate::sample::NIL_TENANT;

/// A request as it is given; unknown keys are ignored.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    #[serde(default = "nil_tenant")]
    pub(crate) tenant_id: String,
    #[serde(default)]
    pub(crate) user_id: String,
    #[serde(default)]
    pub(crate) data: Option<Box<RawValue>>,
}

fn nil_tenant() -> String {
    NIL_TENANT.to_owned()
}

impl Request {
    pub(super) fn parse(text: &str) -> Result<Self, SlimError> {
        let invalid = |text: String| SlimError::new(Code::InvalidArgsJson, format!("the request is invalid: {text}"));
        if !text.trim_start().starts_with('{') {
            return Err(invalid("it is no JSON object".to_owned()));
        }
        let mut request: Self = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        if request.tenant_id.is_empty() {
            request.tenant_id = nil_tenant();
        }
        Ok(request)
    }

    /// The data, which a plugin wants to be an object.
    pub(super) fn object(&self) -> Result<&str, SlimError> {
        let data = self.data.as_ref().map(|data| data.get()).filter(|data| data.starts_with('{'));
        data.ok_or_else(|| SlimError::new(Code::InvalidArgsJson, "`data` has to be an object"))
    }
}
