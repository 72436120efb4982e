//! The one list of keys: it reads the file, it puts values in the place of a variable's, it writes the documentation.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::forms::{self, Form, Known, Report, Shown};
use super::{Given, Place};
use crate::config::Config;

/// The table of fixed variables, which has names of its own and no variable of the daemon's that it overrides.
pub(super) const VARIABLES: &str = "variables";

/// The declaration of a key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// The form of its values.
    pub form: &'static str,
    /// The variable that holds for plugins without this key.
    pub variable: &'static str,
    /// Its values are added to those of the variable, rather than taking their place.
    pub adds: bool,
    /// Whether it has an effect on plugins that run as functions, too.
    pub of_calls: bool,
    /// What it means, a few sentences; one element per line of the source.
    pub doc: &'static [&'static str],
}

/// `name: Form how group.field = "VARIABLE";` - `takes` the place of the variable's value, or `adds` to it.
macro_rules! keys {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $form:ident $how:ident $group:ident.$field:ident = $variable:literal $([$calls:ident])?;
    )+) => {
        /// What the file says of a plugin.
        #[derive(Clone, Debug, Default)]
        pub struct Overrides {
            $($(#[doc = $doc])+ pub $name: Option<Given<<forms::$form as Form>::Value>>,)+
            /// Variables that the plugin gets with these values.
            pub variables: BTreeMap<String, Given<String>>,
        }

        /// Every key, in the order of the documentation.
        pub const KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            form: <forms::$form as Form>::NAME,
            variable: $variable,
            adds: keys!(@adds $how),
            of_calls: keys!(@calls $($calls)?),
            doc: &[$($doc),+],
        }),+];

        impl Overrides {
            /// Reads the value of a key; false if there is none of this name.
            pub(super) fn read(
                &mut self,
                name: &str,
                value: &Spanned<DeValue<'_>>,
                place: Place,
                known: Known<'_>,
                report: Report<'_>,
            ) -> bool {
                match name {
                    $(stringify!($name) => {
                        self.$name = forms::$form::read(value, known, report).map(|value| Given { value, place });
                    })+
                    _ => return false,
                }
                true
            }

            /// Takes over what `other` says; the rest stays.
            pub(super) fn override_with(&mut self, other: &Self) {
                $(if other.$name.is_some() {
                    self.$name.clone_from(&other.$name);
                })+
                self.variables.extend(other.variables.iter().map(|(name, given)| (name.clone(), given.clone())));
            }

            /// Puts everything in its place of a daemon's configuration, but for the fixed variables.
            pub fn apply(&self, config: &mut Config) {
                $(if let Some(given) = &self.$name {
                    keys!(@apply $how config.$group.$field, given);
                })+
            }

            /// Where the key is set, if it is.
            pub(super) fn place(&self, name: &str) -> Option<&Place> {
                match name {
                    $(stringify!($name) => self.$name.as_ref().map(|given| &given.place),)+
                    _ => None,
                }
            }

            /// A value of the file itself, and where it stands.
            pub(super) fn shown(&self, name: &str) -> Option<(Value, &Place)> {
                match name {
                    $(stringify!($name) => self.$name.as_ref().map(|given| (given.value.shown(), &given.place)),)+
                    _ => None,
                }
            }

            /// Names of the keys that are set.
            pub fn names(&self) -> impl Iterator<Item = &'static str> {
                let fixed = (!self.variables.is_empty()).then_some(VARIABLES);
                KEYS.iter().map(|key| key.name).filter(|name| self.place(name).is_some()).chain(fixed)
            }
        }

        /// The value that a configuration has for a key; null for an unknown name.
        pub(super) fn value_in(config: &Config, name: &str) -> Value {
            match name {
                $(stringify!($name) => config.$group.$field.shown(),)+
                _ => Value::Null,
            }
        }
    };
    (@adds takes) => { false };
    (@adds adds) => { true };
    (@calls) => { false };
    (@calls Calls) => { true };
    (@apply takes $field:expr, $given:ident) => { $field = $given.value.clone() };
    (@apply adds $field:expr, $given:ident) => { $field.extend($given.value.iter().cloned()) };
}

keys! {
    /// How the plugin's processes are kept apart. A level that is required and that the system does not reach keeps the plugin
    /// from starting, and nothing else. What works for its install is kept apart as the variable says.
    isolation: Isolation takes workers.isolation = "PLUGIN_ISOLATION";
    /// Files and folders that it may read besides what all plugins may.
    isolation_read: Paths adds workers.isolation_read = "PLUGIN_ISOLATION_READ";
    /// Files and folders that it may write besides its own and those that all plugins may.
    isolation_write: Paths adds workers.isolation_write = "PLUGIN_ISOLATION_WRITE";
    /// Names of the daemon's variables that it sees besides those that all plugins see, presets and `*` at the end included.
    pass_variables: Names adds workers.pass_variables = "PLUGIN_PASS_VARIABLES";
    /// Whether it is forked from an interpreter that has imported the SDK; wins over `PLUGIN_PREFORK_EXCEPT`, too.
    prefork: Fork takes workers.prefork = "PLUGIN_PREFORK";
    /// Memory of a process and all that it has started above which it is replaced once its calls are done; 0 for no limit.
    memory_soft_limit: Size takes workers.memory_soft_limit_bytes = "PLUGIN_WORKER_MEMORY_SOFT_LIMIT_BYTES";
    /// The same, above which all of them are killed at once; 0 for no limit.
    memory_limit: Size takes workers.memory_limit_bytes = "PLUGIN_WORKER_MEMORY_LIMIT_BYTES";
    /// Processes of a process, itself included, above which all of them are killed at once; 0 for no limit.
    max_processes: Count takes workers.max_processes = "PLUGIN_WORKER_MAX_PROCESSES";
    /// Files that a process may have open; 0 for the daemon's own limit, above which none goes.
    max_open_files: Files takes workers.max_open_files = "PLUGIN_WORKER_MAX_OPEN_FILES";
    /// Largest file that a process may write; 0 for no limit.
    max_file_size: Size takes workers.max_file_bytes = "PLUGIN_WORKER_MAX_FILE_BYTES";
    /// Files in its home, temporary and working folder above which its process and all that it has started are killed at once,
    /// and the home is emptied; 0 for no limit.
    max_scratch_size: Size takes workers.max_scratch_bytes = "PLUGIN_WORKER_MAX_SCRATCH_BYTES";
    /// Processes that are kept while the plugin is not called.
    workers_min: Count takes workers.min = "PLUGIN_WORKERS_MIN";
    /// Most processes; calls are spread over them.
    workers_max: AtLeastOne takes workers.max = "PLUGIN_WORKERS_MAX";
    /// Calls in one process above which a further process is started, up to the maximum.
    target_calls: AtLeastOne takes workers.target_calls = "PLUGIN_WORKER_TARGET_CALLS";
    /// Calls at a time; further ones wait for their turn.
    max_calls: AtLeastOne takes workers.max_calls = "PLUGIN_MAX_CALLS" [Calls];
    /// Calls that wait for their turn; further ones are refused at once.
    max_queued_calls: Count takes workers.max_queued_calls = "PLUGIN_MAX_QUEUED_CALLS" [Calls];
    /// A process without calls ends after this time.
    idle_seconds: Seconds takes workers.idle_timeout = "PLUGIN_WORKER_IDLE_SECONDS";
    /// A process that gives no sign of life for this time is replaced.
    silence_seconds: Seconds takes workers.silence_limit = "PLUGIN_WORKER_SILENCE_SECONDS";
    /// Longest wait for the first sign of life of a process. The installation of dependencies has the variable's time.
    start_timeout_seconds: Seconds takes python.init_timeout = "PYTHON_ENV_INIT_TIMEOUT";
    /// How long a call waits for the plugin while it is being installed or started.
    call_start_timeout_seconds: Seconds takes workers.start_wait = "PLUGIN_CALL_START_TIMEOUT_SECONDS" [Calls];
    /// A call to which the plugin sends nothing for this time fails; 0 for no such limit.
    call_idle_timeout_seconds: SecondsOrNone takes workers.call_idle_timeout = "PLUGIN_CALL_IDLE_TIMEOUT_SECONDS" [Calls];
    /// Longest time of one call.
    call_timeout_seconds: Seconds takes plugins.max_execution_timeout = "PLUGIN_MAX_EXECUTION_TIMEOUT" [Calls];
    /// Whether what is asked of it and what it answers is in traces, where they are exported.
    trace_content: Switch takes otel.trace_content = "PLUGIN_TRACE_CONTENT" [Calls];
}
