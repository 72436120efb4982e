//! How failures of the services become answers: the only place that decides on statuses and error types (http-api 3).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use plugin_calls::endpoints::EndpointError;
use plugin_calls::invocation::{BatchError, CallError, InvalidRequest};
use plugin_calls::routing::RoutingError;
use plugin_calls::webhook::HookError;
use plugin_install::InstallError;
use plugin_registry::assets::AssetError;
use plugin_registry::catalog::CatalogError;
use plugin_registry::readme::ReadmeError;
use plugin_runtime::OpenError;
use plugin_web::error::{ApiError, ErrorType};
use plugin_web::{Success, envelope};

/// A failure as it is answered, with an HTTP status of its own.
///
/// ```
/// use plugin_dify_api::Rejection;
/// use plugin_runtime::OpenError;
/// use plugin_web::ApiError;
///
/// let busy = ApiError::from(Rejection::from(OpenError::Busy { cause: "plugin is busy".to_owned() }));
/// assert_eq!(busy.status().as_u16(), 404);
/// assert_eq!(busy.message(), "no available node, plugin runtime not found: plugin is busy");
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Rejection(ApiError);

/// What a handler returns whose errors have an HTTP status of their own.
pub type Answer<T> = Result<Success<T>, Rejection>;

/// What a management handler returns: errors are answered with HTTP 200 (http-api 1.3).
pub type Managed<T> = Result<Success<T>, InBand>;

impl From<ApiError> for Rejection {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        rejection.0
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// A failure that is answered with HTTP 200, as management routes do (http-api 1.3).
///
/// `?` converts into it, so a management handler returns [`Managed`] and is otherwise written like any other.
///
/// ```
/// use axum::response::IntoResponse as _;
/// use plugin_dify_api::Managed;
/// use plugin_web::ApiError;
///
/// fn remove(id: &str) -> Managed<bool> {
///     Err(ApiError::not_found(format!("there is no {id}")))?
/// }
/// let refused = remove("acme/search").unwrap_err();
/// assert_eq!(refused.to_string(), "PluginDaemonNotFoundError: there is no acme/search");
/// assert_eq!(refused.into_response().status().as_u16(), 200);
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct InBand(ApiError);

impl<E: Into<Rejection>> From<E> for InBand {
    fn from(error: E) -> Self {
        Self(error.into().0)
    }
}

impl IntoResponse for InBand {
    fn into_response(self) -> Response {
        if self.0.kind() == ErrorType::Internal {
            tracing::error!(error_type = self.0.kind().name(), error = self.0.message(), "request failed");
        }
        envelope::respond(StatusCode::OK, self.0.to_envelope())
    }
}

impl From<CatalogError> for Rejection {
    fn from(error: CatalogError) -> Self {
        Self(match error {
            CatalogError::Identifier(error) => ApiError::unique_identifier(error.to_string()),
            other => ApiError::internal(other.to_string()),
        })
    }
}

impl From<InstallError> for Rejection {
    fn from(error: InstallError) -> Self {
        let text = error.to_string();
        Self(match error {
            InstallError::Package(_)
            | InstallError::Decode(_)
            | InstallError::AuthorIsUuid
            | InstallError::Signature(_)
            | InstallError::Save(_)
            | InstallError::Bundle(_)
            | InstallError::BundleAsset(_)
            | InstallError::BundlePackage { .. }
            | InstallError::SameVersion
            | InstallError::OtherPlugin
            | InstallError::NewVersionNotFound
            | InstallError::Identifier(_) => ApiError::bad_request(text),
            InstallError::NothingToUpgrade => ApiError::not_found(text),
            InstallError::BundleSave(_)
            | InstallError::NoDeclaration { .. }
            | InstallError::TaskNotFound
            | InstallError::Catalog(_)
            | InstallError::Store(_)
            | InstallError::Packages(_)
            | InstallError::Task(_) => ApiError::internal(text),
        })
    }
}

impl From<AssetError> for Rejection {
    fn from(error: AssetError) -> Self {
        Self(match error {
            AssetError::NotFound | AssetError::NoPackage => ApiError::not_found(error.to_string()),
            AssetError::Failed(_) => ApiError::internal(error.to_string()),
        })
    }
}

impl From<ReadmeError> for Rejection {
    fn from(error: ReadmeError) -> Self {
        Self(match error {
            ReadmeError::NotFound => ApiError::not_found(error.to_string()),
            ReadmeError::NoPackage | ReadmeError::Failed(_) => ApiError::internal(error.to_string()),
        })
    }
}

impl From<InvalidRequest> for Rejection {
    fn from(error: InvalidRequest) -> Self {
        Self(ApiError::bad_request(error.to_string()))
    }
}

impl From<CallError> for Rejection {
    fn from(error: CallError) -> Self {
        Self(match error.document() {
            Some(document) => ApiError::invoke(document.to_json()),
            None if error == CallError::TimedOut => ApiError::timed_out(),
            None => ApiError::internal(error.to_string()),
        })
    }
}

impl From<RoutingError> for Rejection {
    fn from(error: RoutingError) -> Self {
        match error {
            RoutingError::Catalog(error) => error.into(),
            RoutingError::Nodes(error) => ApiError::node_lookup_failed("plugin runtime not found", error).into(),
        }
    }
}

/// A call did not reach its plugin. Dify may try again whenever no worker can be reached: the text says so
/// (http-api 3.4).
impl From<OpenError> for Rejection {
    fn from(error: OpenError) -> Self {
        let unreachable = |cause: &dyn std::fmt::Display| {
            ApiError::internal(format!("no available node, plugin runtime not found: {cause}"))
                .with_status(StatusCode::NOT_FOUND)
        };
        Self(match &error {
            OpenError::NotFound => ApiError::no_available_node(),
            OpenError::NotReady { next_try: Some(wait), .. } => {
                unreachable(&format_args!("{error}, it is tried again in {} s", wait.as_secs()))
            }
            OpenError::TooLarge(_) => ApiError::write_failed(error),
            _ => unreachable(&error),
        })
    }
}

impl From<BatchError> for Rejection {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Malformed(_) => ApiError::bad_request(error.to_string()).into(),
            BatchError::TooLarge(_) => ApiError::internal(error.to_string()).into(),
            BatchError::Open(error) => error.into(),
            BatchError::Call(error) => error.into(),
        }
    }
}

impl From<EndpointError> for Rejection {
    fn from(error: EndpointError) -> Self {
        Self(match error {
            EndpointError::PluginNotFound => ApiError::plugin_not_found(),
            EndpointError::NotPermitted => ApiError::permission_denied(error.to_string()),
            EndpointError::NotFound(_) => ApiError::not_found(error.to_string()),
            EndpointError::NoEndpoint | EndpointError::Settings(_) => ApiError::bad_request(error.to_string()),
            EndpointError::Catalog(error) => return error.into(),
            EndpointError::Failed(_) => ApiError::internal(error.to_string()),
        })
    }
}

/// The caller of a webhook that did not reach its plugin does not learn why; the log has the cause.
impl From<HookError> for Rejection {
    fn from(error: HookError) -> Self {
        Self(match error {
            HookError::Unknown => ApiError::unknown_hook(),
            HookError::Disabled => ApiError::endpoint_disabled(),
            HookError::NotInstalled => ApiError::hook_without_installation(),
            HookError::NoEndpoint => ApiError::plugin_not_found(),
            HookError::Lookup(error) => {
                tracing::error!(%error, "an endpoint could not be looked up");
                ApiError::internal("internal server error")
            }
            HookError::Routing(error) => return error.into(),
            HookError::Request(error) => return error.into(),
            HookError::Failed(text) => ApiError::internal(text),
            HookError::Open(error) => {
                tracing::warn!(%error, "a webhook did not reach its plugin");
                match error {
                    OpenError::TooLarge(_) => return error.into(),
                    _ => ApiError::no_available_node(),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
