//! What a forked worker is confined with.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::local::isolation::{self, ScratchFolder};
use crate::local::launch::LaunchSpec;
use crate::local::settings::ProcessSettings;

/// What a worker is given beside what every worker has.
pub(super) struct Confined {
    pub(super) variables: BTreeMap<OsString, OsString>,
    pub(super) scratch: Option<ScratchFolder>,
    /// `None` where there is no stage, which puts it on in workers that are spawned.
    pub(super) prepared: Option<plugin_sandbox::Prepared>,
}

impl Confined {
    /// `imported` is the environment from which modules have been imported already.
    pub(super) async fn prepare(
        settings: &ProcessSettings,
        spec: &LaunchSpec,
        bootstrap: &Path,
        imported: &Path,
    ) -> io::Result<Self> {
        let (settings, spec) = (settings.clone(), spec.clone());
        let (bootstrap, imported) = (bootstrap.to_owned(), imported.to_owned());
        let prepare = move || {
            let isolation::Confinement { mut policy, variables, scratch } =
                isolation::confine(spec.process(&settings), &spec, Some(&bootstrap));
            policy.files.read.push(imported);
            let staged = !settings.stage.is_empty();
            let prepared = staged.then(|| policy.prepare()).transpose().map_err(io::Error::other)?;
            Ok(Self { variables, scratch, prepared })
        };
        tokio::task::spawn_blocking(prepare).await.map_err(io::Error::other)?
    }
}
