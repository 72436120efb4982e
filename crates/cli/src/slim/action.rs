//! Actions by their names, and their routes (cli 10.4).

use plugin_protocol::Action;

use super::error::{Code, SlimError};

pub(super) fn parse(name: &str) -> Result<Action, SlimError> {
    let found = Action::ALL.iter().find(|action| action.as_str() == name);
    found.copied().ok_or_else(|| SlimError::new(Code::UnknownAction, format!("unknown action: {name}")))
}

/// The route below `/v2/invoke/dispatch/`.
pub(super) fn route(action: Action) -> &'static str {
    match action {
        // no daemon has this route, and it says so
        Action::InvokeEndpoint => "endpoint/invoke",
        action => action.path(),
    }
}
