//! Functions of a serverless platform; a local one has none (http-api 9).

use std::time::Duration;

use futures_util::{Stream, stream};
use plugin_install::ServerlessPlatform;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_runtime::serverless::Function;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Fleet, FleetError};

/// The longest time of a reinstallation.
const LONGEST: Duration = Duration::from_mins(30);
/// Events that may wait for a reader; further progress is left out.
const WAITING: usize = 16;

/// What happens while a function is made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reinstalling {
    /// Work goes on.
    Progress,
    /// The function is there. The last event.
    Done,
    /// It could not be made. The last event.
    Failed(String),
}

impl Fleet {
    /// Makes the function of a version anew, as long as the events are read.
    pub fn reinstall(
        &self,
        identifier: UniqueIdentifier,
    ) -> Result<impl Stream<Item = Reinstalling> + Send + use<>, FleetError> {
        let platform = self.0.serverless.clone().ok_or(FleetError::NotServerless("reinstall"))?;
        Ok(events(platform, identifier))
    }

    /// Points a version to another function.
    pub async fn switch_function(
        &self,
        identifier: &UniqueIdentifier,
        name: &str,
        url: &str,
    ) -> Result<(), FleetError> {
        let platform = self.0.serverless.as_ref().ok_or(FleetError::NotServerless("switch serverless runtime"))?;
        let function = Function::parse(name, url).map_err(FleetError::Invalid)?;
        let switched = platform.switch(identifier, &function).await;
        if switched.map_err(|error| FleetError::Failed(error.to_string()))? {
            return Ok(());
        }
        Err(FleetError::NoFunction(identifier.to_string()))
    }
}

fn events(
    platform: ServerlessPlatform,
    identifier: UniqueIdentifier,
) -> impl Stream<Item = Reinstalling> + Send + 'static {
    let (sender, receiver) = mpsc::channel(WAITING);
    let work = async move {
        let progress = |_: &str| {
            // a reader that is behind knows already that work goes on
            let _sent = sender.try_send(Reinstalling::Progress);
        };
        let last = match timeout(LONGEST, platform.reinstall(&identifier, &progress)).await {
            Ok(Ok(())) => Reinstalling::Done,
            Ok(Err(error)) => {
                tracing::warn!(plugin = %identifier, %error, "failed to reinstall a function");
                Reinstalling::Failed(error.to_string())
            }
            Err(_) => Reinstalling::Failed("failed to reinstall plugin to serverless: it took too long".to_owned()),
        };
        // a reader that has left needs no result
        let _sent = sender.send(last).await;
    };
    let state = (Some(Box::pin(work)), receiver);
    stream::unfold(state, |(mut work, mut receiver)| async move {
        loop {
            let Some(working) = &mut work else {
                return receiver.recv().await.map(|event| (event, (work, receiver)));
            };
            tokio::select! {
                biased;
                Some(event) = receiver.recv() => return Some((event, (work, receiver))),
                () = working => work = None,
            }
        }
    })
}
