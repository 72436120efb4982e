//! The confinement of a worker.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use plugin_sandbox::{Level, Limits, Policy};

use super::{Isolation, ScratchFolder};
use crate::local::environment::Prepared;
use crate::local::launch::LaunchSpec;
use crate::local::orphans::Mark;
use crate::local::settings::ProcessSettings;

/// Shared caches that a plugin may also fill, as an operator who names them wants.
const CACHES: [&str; 3] = ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", "HF_HOME"];
/// Variables that name places in the daemon's home, where a plugin has its own.
const OF_HOME: [&str; 2] = ["XDG_CACHE_HOME", "MPLCONFIGDIR"];
/// Browsers in the daemon's home are still found, below it and in this variable.
const BROWSERS: (&str, &str) = (".cache/ms-playwright", "PLAYWRIGHT_BROWSERS_PATH");

/// What a worker is to put on before it runs anything of the plugin, however it comes to be.
#[derive(Debug)]
pub struct Confinement {
    pub policy: Policy,
    /// The whole environment of the process.
    pub variables: BTreeMap<OsString, OsString>,
    /// Kept as long as the process lives; deletes its temporary folder then.
    pub scratch: Option<ScratchFolder>,
}

/// The confinement of a worker. Blocks: looks at files and makes folders.
pub fn confine(settings: &ProcessSettings, spec: &LaunchSpec, program: Option<&Path>) -> Confinement {
    let isolation = &settings.isolation;
    let mut variables = spec.variables.clone();
    let limits = Limits {
        open_files: settings.max_open_files,
        file_size: settings.max_file_bytes,
        address_space: settings.max_address_space,
    };
    let mark = Mark::in_variables(&variables).map(|mark| mark.inherited());
    if isolation.level < Level::Confined {
        let mark = mark.filter(|_| isolation.level >= Level::Limited);
        let policy = Policy { level: isolation.level, limits, mark, umask: isolation.umask, ..Policy::default() };
        return Confinement { policy, variables, scratch: None };
    }

    let mut policy = Policy { limits, mark, ..isolation.policy() };
    let home = variables.get(OsStr::new("HOME")).map(PathBuf::from);
    isolation.allow_named(&variables, &mut policy.files.read);
    for path in &isolation.read {
        isolation.allow(path, &mut policy.files.read);
    }
    for path in &isolation.write {
        isolation.allow_whole(path, &mut policy.files.write);
    }
    let caches = CACHES.iter().filter_map(|name| variables.get(OsStr::new(name)));
    for path in caches {
        isolation.allow_whole(Path::new(path), &mut policy.files.write);
    }
    // by name, although they lie in what is private
    policy.files.read.extend(program.map(Path::to_owned));
    policy.files.write.push(spec.prepared.working_dir.clone());
    allow_environment(isolation, &spec.prepared, &mut policy.files.read);

    let scratch = isolation.scratch.as_ref().and_then(|scratch| {
        let made = scratch.folder(spec.plugin.as_str());
        made.inspect_err(|error| tracing::warn!(%error, "a plugin gets no folders of its own to write to")).ok()
    });
    if let Some(scratch) = &scratch {
        policy.files.write.extend([scratch.home().to_owned(), scratch.temporary().to_owned()]);
        if let Some(browsers) = home.map(|home| home.join(BROWSERS.0)).filter(|path| path.is_dir()) {
            isolation.allow(&browsers, &mut policy.files.read);
            variables.entry(BROWSERS.1.into()).or_insert_with(|| browsers.into());
        }
        for name in OF_HOME {
            variables.remove(OsStr::new(name));
        }
        variables.insert("HOME".into(), scratch.home().into());
        variables.insert("TMPDIR".into(), scratch.temporary().into());
    }
    Confinement { policy, variables, scratch }
}

impl Isolation {
    /// The policy of an interpreter that workers are forked from. Theirs are put on inside of it, and cannot take anything
    /// back: it has no ruleset, since each worker may write other folders, and no filter, which would refuse their marks.
    pub(crate) fn of_zygote(&self) -> Policy {
        Policy { level: self.level.min(Level::Limited), umask: self.umask, ..Policy::default() }
    }
}

/// The plugin's environment and what it stands on. Of a shared one, which no plugin can write, everything in it is taken
/// at its word; one in the plugin's own folder could name any place as its interpreter.
fn allow_environment(isolation: &Isolation, prepared: &Prepared, list: &mut Vec<PathBuf>) {
    let environment = prepared.python.parent().and_then(Path::parent).map(Path::canonicalize);
    if let (Some(id), Some(Ok(real))) = (&prepared.environment, environment)
        && real.file_name() == Some(OsStr::new(id))
    {
        list.push(real);
    }
    isolation.allow_interpreter(&prepared.python, list);
}
