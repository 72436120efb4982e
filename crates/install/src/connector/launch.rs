//! One launch: the package goes out, stages come back.

use bytes::Bytes;
use http::{Method, StatusCode, header};
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::{Line, LineSplitter};
use reqwest::Response;
use reqwest::multipart::{Form, Part};
use serde::Serialize;
use tokio::time::timeout;

use super::stage::{Stages, Step};
use super::{Connector, ConnectorError, Function, MAX_ANSWER, failed, filename, span, whole};
use plugin_service::json::to_json;
use plugin_service::telemetry::trace::TARGET;
use tracing::{Instrument as _, Span};

const PATH: &str = "/v1/launch";
/// Longest line of the stream (cluster-serverless-observability 4.1).
const MAX_LINE: usize = 30 * 1024 * 1024;

/// What is launched.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    pub identifier: &'a UniqueIdentifier,
    /// The package as it was uploaded.
    pub package: Bytes,
    /// Whether it has a good signature.
    pub verified: bool,
}

impl Connector {
    /// Has a function made; `progress` gets each stage. A stage that fails ends the launch, whatever follows.
    pub async fn launch(
        &self,
        launch: &Launch<'_>,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Function, ConnectorError> {
        let limit = self.launch_timeout;
        let span = span(&Method::POST, PATH);
        let all = async {
            let response = self.request_launch(launch).await?;
            Span::current().record("http.response.status_code", response.status().as_u16());
            follow(response, progress).await
        };
        let launched = timeout(limit, all.instrument(span.clone())).await;
        launched.unwrap_or(Err(ConnectorError::LaunchTimedOut(limit))).inspect_err(|_| failed(&span))
    }

    async fn request_launch(&self, launch: &Launch<'_>) -> Result<Response, ConnectorError> {
        #[derive(Serialize)]
        struct Metadata<'a> {
            plugin_unique_identifier: &'a str,
        }
        let metadata = to_json(&Metadata { plugin_unique_identifier: launch.identifier.as_str() });
        let length = u64::try_from(launch.package.len()).unwrap_or(u64::MAX);
        let package = Part::stream_with_length(launch.package.clone(), length)
            .file_name(filename(launch.identifier))
            .mime_str("application/octet-stream")?;
        let form = Form::new()
            .part("context", package)
            .text("verified", if launch.verified { "true" } else { "false" })
            .text("metadata", String::from_utf8_lossy(&metadata).into_owned());
        let request = self.request(Method::POST, PATH).header(header::ACCEPT, "text/event-stream");
        let response = request.multipart(form).send().await?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(ConnectorError::status(status, &whole(response, MAX_ANSWER).await?)),
        }
    }
}

/// Reads the stream to the launch's end.
async fn follow(mut response: Response, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<Function, ConnectorError> {
    let mut lines = LineSplitter::new(MAX_LINE);
    let mut stages = Stages::default();
    // of the stage that the connector is in
    let (mut stage, mut _working) = (String::new(), Span::none());
    let mut take = |line: Line| -> Result<Option<Function>, ConnectorError> {
        let Line::Whole(line) = line else {
            return Err(ConnectorError::answer(format_args!("a line is longer than {MAX_LINE} bytes")));
        };
        match stages.line(&line)? {
            Step::Done(function) => return Ok(Some(function)),
            Step::Working(latest) => {
                progress(&latest);
                let name = latest.split(' ').next().unwrap_or_default();
                if name != stage {
                    name.clone_into(&mut stage);
                    _working = tracing::trace_span!(target: TARGET, "stage", otel.name = format!("connector.{name}"));
                }
            }
            Step::Running | Step::Nothing => {}
        }
        Ok(None)
    };
    while let Some(piece) = response.chunk().await? {
        lines.buffer().extend_from_slice(&piece);
        while let Some(line) = lines.next_line() {
            if let Some(function) = take(line)? {
                return Ok(function);
            }
        }
    }
    if let Some(line) = lines.finish()
        && let Some(function) = take(line)?
    {
        return Ok(function);
    }
    Err(ConnectorError::BrokenOff(stages.latest()))
}
