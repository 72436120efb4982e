use std::fmt::Write as _;

use super::*;

const SUM: &str = "0123456789abcdef0123456789abcdef";

fn config(variables: &[(&str, &str)]) -> Config {
    let all = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::from_vars(all).unwrap()
}

fn read(text: &str) -> Result<SettingsFile, Vec<Fault>> {
    SettingsFile::read(Path::new("/etc/plugins.toml"), text, &config(&[]), &["@aws", "@google"])
}

fn plugin(name: &str) -> UniqueIdentifier {
    format!("{name}@{SUM}").parse().unwrap()
}

/// A file with every key.
const WHOLE: &str = r#"
[plugins."acme/*"]
isolation = "required:L1"
memory_limit = "4GiB"
variables = {REGION = "eu", TOKEN = "s3cr3t"}
pass_variables = ["@aws", "OPENAI_*"]

[plugins."acme/search"]
isolation = "off"
isolation_read = ["/srv/models"]
isolation_write = ["/srv/results", "/srv/more"]
prefork = "auto"
memory_soft_limit = 1_073_741_824
max_processes = 0
max_open_files = 0
max_file_size = "10 GiB"
max_scratch_size = "20 GiB"
workers_min = 1
workers_max = 4
target_calls = 8
max_calls = 100
max_queued_calls = 20
idle_seconds = 60
silence_seconds = 30
start_timeout_seconds = 300
call_start_timeout_seconds = 20
call_idle_timeout_seconds = 0
call_timeout_seconds = 3600
trace_content = true
variables.REGION = "us"

[plugins."acme/search:0.3.1"]
memory_limit = 0
"#;

#[test]
fn the_most_specific_table_wins_key_by_key() {
    let file = read(WHOLE).unwrap();
    let config = config(&[("PLUGIN_WORKERS_MAX", "2"), ("PLUGIN_PREFORK_EXCEPT", "acme/search")]);
    let environment = [("PLUGIN_WORKERS_MAX".to_owned(), "2".to_owned())].into();
    let origins = Origins::new(&environment);
    let mut table = String::new();
    for name in ["acme/search:0.3.1", "acme/search:0.3.2", "acme/other:1.0.0", "other/search:0.3.1"] {
        writeln!(table, "## {name}").unwrap();
        for setting in file.settings(&config, &origins, &plugin(name)).0 {
            writeln!(table, "{} = {}  ({})", setting.key, setting.shown(), setting.source).unwrap();
        }
    }
    assert!(!table.contains("s3cr3t"), "{table}");
    insta::assert_snapshot!(table);
    let variables = |name: &str| file.of(&plugin(name)).variables.into_iter().map(|(n, v)| (n, v.value));
    let given: Vec<_> = variables("acme/search:1.0").collect();
    assert_eq!(given, [("REGION".to_owned(), "us".to_owned()), ("TOKEN".to_owned(), "s3cr3t".to_owned())]);
}

#[test]
fn values_take_the_place_of_the_variables() {
    let file = read(WHOLE).unwrap();
    let config = config(&[("PLUGIN_ISOLATION_WRITE", "/tmp")]);
    let own = file.of(&plugin("acme/search:0.3.2")).config_of(&config, &plugin("acme/search:0.3.2"));
    assert_eq!(own.workers.isolation, plugin_sandbox::Mode::Off);
    assert_eq!(own.workers.isolation_write, ["/tmp", "/srv/results", "/srv/more"]);
    assert_eq!((own.workers.memory_limit_bytes, own.workers.max_file_bytes), (4 << 30, 10 << 30));
    assert_eq!(own.plugins.max_execution_timeout.as_secs(), 3600);
    assert_eq!(own.workers.pass_variables, ["@aws", "OPENAI_*"]);
    assert_eq!(own.workers.prefork, crate::config::Prefork::Auto);
    let other = file.of(&plugin("b/c:1.0")).config_of(&config, &plugin("b/c:1.0"));
    assert_eq!(format!("{other:?}"), format!("{config:?}"));
}

#[test]
fn the_exception_of_forks_holds_for_what_no_table_names() {
    let config = config(&[("PLUGIN_PREFORK", "auto"), ("PLUGIN_PREFORK_EXCEPT", "acme/search, acme/other")]);
    let file = read("[plugins.\"acme/search\"]\nprefork = \"auto\"\n").unwrap();
    for (name, expected, source) in [
        ("acme/search:1.0", "auto", "/etc/plugins.toml:2 [plugins.\"acme/search\"]"),
        ("acme/other:1.0", "off", "PLUGIN_PREFORK_EXCEPT"),
        ("acme/third:1.0", "auto", "default"),
    ] {
        let settings = file.settings(&config, &Origins::default(), &plugin(name));
        let prefork = settings.0.iter().find(|setting| setting.key == "prefork").unwrap();
        assert_eq!((prefork.shown(), prefork.source.as_str()), (expected.into(), source), "{name}");
        assert_eq!(file.of(&plugin(name)).config_of(&config, &plugin(name)).workers.prefork.word(), expected);
    }
}

#[test]
fn all_faults_are_reported_with_their_lines() {
    let text = r#"
memory_limit = 1
[defaults]
workers_max = 2
["acme/tool"]
[plugins]
x = 1
[plugins.acme.search]
workers_max = 3
[plugins."Acme/search"]
workers_max = 0
[plugins."acme/search"]
worker_max = 1
memory_limt = 1
memory_limit_bytes = 1
PLUGIN_WORKERS_MAX = 1
frobnicate = true
isolation = "L1"
isolation_read = ["models", 3, "/"]
isolation_write = "/tmp"
prefork = true
memory_limit = 512
memory_soft_limit = "4 GB"
max_file_size = 1.5
max_processes = -1
max_open_files = 10
workers_max = 100000000000
idle_seconds = "60"
call_timeout_seconds = 0
trace_content = "true"
pass_variables = ["DB_PASSWORD", "@amazon", "A-B", "SERVER_*", "@aws", ""]
variables = {SERVER_KEY = "s3cr3t", "A B" = "s3cr3t", PORT = 5432, INSTALL_METHOD = "x"}
[plugins."acme/two"]
variables = 5
[plugins."acme/three"]
workers_min = 3
memory_limit = "1GiB"
memory_soft_limit = "2GiB"
[plugins."acme/three:1.0.0"]
workers_max = 2
idle_seconds = 5
"#;
    let faults = read(text).unwrap_err();
    let shown: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(!shown.concat().contains("s3cr3t"), "{shown:?}");
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn what_is_not_toml_is_reported_with_its_lines() {
    let faults = read("[plugins.\"acme/search\"\nworkers_max = 2\n\nworkers_min = = 1\n").unwrap_err();
    insta::assert_snapshot!(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    let twice = read("[plugins.a]\nworkers_max = 2\nworkers_max = 3\n[plugins.a]\n").unwrap_err();
    insta::assert_snapshot!(twice.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_message_shows_the_first_faults_and_counts_the_rest() {
    let text = (0..30).map(|n| format!("a{n} = 1")).collect::<Vec<_>>().join("\n");
    let faults = Faults { path: "/etc/plugins.toml".into(), faults: read(&text).unwrap_err() };
    let shown = faults.to_string();
    assert!(shown.starts_with("PLUGIN_SETTINGS_FILE: /etc/plugins.toml cannot be used\n  line 1: a0: "), "{shown}");
    assert!(shown.ends_with("\n  and 10 more"), "{shown}");
}

#[test]
fn what_changes_is_named_and_secrets_are_not() {
    let config = config(&[]);
    let settings = |text: &str| read(text).unwrap().settings(&config, &Origins::default(), &plugin("acme/search:1.0"));
    let old = settings("[plugins.\"acme/search\"]\nworkers_max = 2\nvariables = {A = \"s3cr3t\", B = \"1\"}\n");
    let new = settings("[plugins.\"acme/*\"]\nworkers_max = 2\nmemory_limit = \"3GiB\"\nvariables = {A = \"other\"}\n");
    assert_eq!(
        changes(&old, &new),
        "memory_limit 2147483648 -> 3221225472, variables.A \"(hidden)\" -> \"(hidden)\", variables.B \"(hidden)\" -> (none)"
    );
    assert_eq!(changes(&new, &new), "");
}

#[test]
fn a_dump_hides_fixed_variables() {
    let dump = read(WHOLE).unwrap().dump();
    assert!(!dump.contains("s3cr3t"), "{dump}");
    insta::assert_snapshot!(dump);
}

#[test]
fn every_key_overrides_a_known_variable_and_is_documented() {
    let known: Vec<_> = crate::config::GROUPS.iter().flat_map(|group| group.variables).map(|it| it.name).collect();
    for key in KEYS {
        assert!(known.contains(&key.variable), "{}", key.variable);
        assert_ne!(keys::value_in(&config(&[]), key.name), serde_json::Value::Null, "{}", key.name);
        assert!(WHOLE.contains(&format!("\n{} = ", key.name)), "{} is tested above", key.name);
    }
    let reference = reference();
    assert!(KEYS.iter().all(|key| reference.contains(&format!("| `{}` |", key.name))), "{reference}");
}

proptest::proptest! {
    #[test]
    fn any_text_is_judged_without_panic(text in "(\\[plugins\\.[a-z\"/:*.\\[\\]]{0,12}\\]|[a-z_]{1,8} = [0-9a-z\"\\[\\]{}=., ]{0,12}|[ -~é\\n]{0,10}|\\n){0,12}") {
        drop(read(&text));
    }
}
