//! What holds for a plugin in the end, and where each value comes from.

use std::collections::BTreeMap;

use plugin_manifest::UniqueIdentifier;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Value, json};

use super::keys::{KEYS, Overrides, VARIABLES, value_in};
use super::{Place, SettingsFile};
use crate::config::registry::Reader;
use crate::config::{Config, GROUPS, Prefork};

const HIDDEN: &str = "(hidden)";

/// Which variables are set in the environment of the daemon.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<&'static str, &'static str>);

impl Origins {
    /// Of these variables.
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        let reader = Reader::new(environment.clone());
        let variables = GROUPS.iter().flat_map(|group| group.variables);
        let given = variables.filter_map(|variable| Some((variable.name, reader.given(variable)?.0)));
        Self(given.collect())
    }

    fn of(&self, variable: &str) -> &'static str {
        self.0.get(variable).copied().unwrap_or("default")
    }
}

/// A value that holds for a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key in the file; of a fixed variable `variables.NAME`.
    pub key: String,
    /// Sizes in bytes, times in seconds; 0 as the key documents it. That of a fixed variable is only for comparison: it may
    /// be secret.
    value: Value,
    /// `default`, a variable, or file, line and table.
    pub source: String,
}

impl Setting {
    /// The value as it may be shown.
    pub fn shown(&self) -> Value {
        if self.key.starts_with(VARIABLES) { json!(HIDDEN) } else { self.value.clone() }
    }
}

/// The settings of one plugin, as an object of keys in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(pub Vec<Setting>);

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for setting in &self.0 {
            map.serialize_entry(&setting.key, &json!({"value": setting.shown(), "source": setting.source}))?;
        }
        map.end()
    }
}

impl SettingsFile {
    /// Everything that holds for a plugin of a daemon with this configuration.
    pub fn settings(&self, config: &Config, origins: &Origins, plugin: &UniqueIdentifier) -> Settings {
        let overrides = self.of(plugin);
        let own = overrides.config_of(config, plugin);
        let is_excepted = config.workers.prefork == Prefork::Auto && is_prefork_excepted(config, plugin);
        let keys = KEYS.iter().map(|key| {
            let place = overrides.place(key.name).map(|place| self.source(place));
            let variable = match key.name {
                "prefork" if is_excepted => "PLUGIN_PREFORK_EXCEPT",
                _ => origins.of(key.variable),
            };
            let source = match place {
                None => variable.to_owned(),
                Some(place) if key.adds && !is_empty(&value_in(config, key.name)) => format!("{variable} and {place}"),
                Some(place) => place,
            };
            Setting { key: key.name.to_owned(), value: value_in(&own, key.name), source }
        });
        let variables = overrides.variables.iter().map(|(name, given)| Setting {
            key: format!("{VARIABLES}.{name}"),
            value: json!(given.value),
            source: self.source(&given.place),
        });
        Settings(keys.chain(variables).collect())
    }

    fn source(&self, place: &Place) -> String {
        format!("{}:{} {}", self.path.display(), place.line, place.table)
    }
}

/// Whether `PLUGIN_PREFORK_EXCEPT` names the plugin.
pub(super) fn is_prefork_excepted(config: &Config, plugin: &UniqueIdentifier) -> bool {
    let id = plugin.plugin_id();
    config.workers.prefork_except.iter().any(|name| name.trim() == id.as_str())
}

impl Overrides {
    /// The configuration of a daemon on which this plugin were the only one, but for its fixed variables.
    pub fn config_of(&self, config: &Config, plugin: &UniqueIdentifier) -> Config {
        let mut own = config.clone();
        if is_prefork_excepted(config, plugin) {
            own.workers.prefork = Prefork::Off;
        }
        self.apply(&mut own);
        own
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// What has changed between two states of a plugin, for the log: `memory_limit 1073741824 -> 2147483648`.
pub fn changes(old: &Settings, new: &Settings) -> String {
    let find = |settings: &Settings, key: &str| settings.0.iter().find(|setting| setting.key == key).cloned();
    let shown =
        |setting: &Option<Setting>| setting.as_ref().map_or_else(|| "(none)".to_owned(), |it| it.shown().to_string());
    let gone = old.0.iter().filter(|setting| find(new, &setting.key).is_none());
    let mut changes = Vec::new();
    for key in new.0.iter().chain(gone).map(|setting| &setting.key) {
        let (before, after) = (find(old, key), find(new, key));
        if before.as_ref().map(|it| &it.value) != after.as_ref().map(|it| &it.value) {
            changes.push(format!("{key} {} -> {}", shown(&before), shown(&after)));
        }
    }
    changes.join(", ")
}
