//! The confinement of a tool that works for a plugin: uv, the compiler of bytecode.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use plugin_sandbox::{Level, Policy, except};

use super::Isolation;
use crate::local::orphans::Mark;

/// Whose code a tool runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Its own. It reads a package's files and may use the operator's credentials and caches.
    Tool,
    /// A package's, in the end: builds, interpreters of environments.
    Package,
}

impl Isolation {
    /// The policy of a tool. Blocks: looks at files.
    ///
    /// `programs` are what it consists of; `own` are private folders that it is for, to be written.
    pub(crate) fn tool(
        &self,
        trust: Trust,
        variables: &BTreeMap<OsString, OsString>,
        programs: &[&Path],
        own: &[&Path],
        mark: &Mark,
    ) -> Policy {
        let mark = Some(mark.inherited()).filter(|_| self.level >= Level::Limited);
        if self.level < Level::Confined {
            return Policy { level: self.level, mark, umask: self.umask, ..Policy::default() };
        }
        let mut policy = Policy { mark, ..self.policy() };
        match trust {
            // configuration, certificates, interpreters may be anywhere; only what is private is out of reach
            Trust::Tool => {
                policy.keep_capabilities = true;
                match except(Path::new("/"), &self.private) {
                    Ok(paths) => policy.files.write.extend(paths),
                    Err(error) => tracing::warn!(%error, "tools cannot be given the system"),
                }
            }
            Trust::Package => {
                self.allow_named(variables, &mut policy.files.read);
                for path in &self.read {
                    self.allow(path, &mut policy.files.read);
                }
                for path in &self.write {
                    self.allow_whole(path, &mut policy.files.write);
                }
            }
        }
        for program in programs {
            self.allow_interpreter(program, &mut policy.files.read);
            // an environment's interpreter reads what is beside it
            let environment = program.parent().and_then(Path::parent).map(Path::canonicalize);
            if let Some(Ok(environment)) = environment
                && environment.join("pyvenv.cfg").is_file()
            {
                policy.files.read.push(environment);
            }
        }
        policy.files.write.extend(own.iter().map(|path| PathBuf::from(*path)));
        policy
    }
}
