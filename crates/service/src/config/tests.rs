use std::collections::BTreeSet;

use super::registry::{Flag, Variable};
use super::*;

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_vars(vars(pairs))
}

fn variables() -> impl Iterator<Item = &'static Variable> {
    GROUPS.iter().flat_map(|group| group.variables)
}

#[test]
fn nothing_set_is_enough() {
    let config = read(&[]).unwrap();
    assert_eq!(config.database.kind, DatabaseType::Sqlite);
    assert_eq!(config.database.name, "./data/daemon.db");
    assert_eq!(config.redis.cache_type, CacheType::Memory);
    assert_eq!(config.storage.local_root, Path::new("./data/storage"));
    assert_eq!(config.plugins.working_path, Path::new("./data/cwd"));
    assert_eq!((config.plugins.platform, config.server.port), (Platform::Local, 5002));
    assert!(!config.debugging.enabled && config.server.key.is_none());
    assert_eq!(config.plugins.install_timeout.as_secs(), 900);
}

#[test]
fn what_is_set_to_nothing_is_not_set() {
    let names: Vec<_> = variables().map(|variable| (variable.name, "")).collect();
    assert_eq!(format!("{:?}", read(&names).unwrap()), format!("{:?}", read(&[]).unwrap()));
}

#[test]
fn zero_stands_for_a_late_default_only() {
    let config = read(&[
        ("SERVER_PORT", " 0\n"),
        ("PLUGIN_MAX_EXECUTION_TIMEOUT", "0"),
        ("PLUGIN_WORKERS_MIN", "0"),
        ("MAX_SERVERLESS_RETRY_TIMES", "0"),
    ]);
    let config = config.unwrap();
    assert_eq!((config.server.port, config.plugins.max_execution_timeout.as_secs()), (5002, 600));
    assert_eq!((config.workers.min, config.serverless.max_retries), (0, 0));
}

#[test]
fn the_data_folder_moves_what_is_not_placed() {
    let config = read(&[("PLUGIN_DATA_PATH", "/srv"), ("PLUGIN_WORKING_PATH", "/tmp/cwd")]).unwrap();
    assert_eq!(config.database.name, "/srv/daemon.db");
    assert_eq!(config.storage.local_root, Path::new("/srv/storage"));
    assert_eq!(config.plugins.working_path, Path::new("/tmp/cwd"));
}

#[test]
fn servers_that_are_configured_are_used() {
    let postgres = [
        ("DB_HOST", "db"),
        ("DB_USERNAME", "u"),
        ("DB_PASSWORD", "p"),
        ("DB_DATABASE", "dify_plugin"),
        ("REDIS_HOST", "redis"),
        ("PLUGIN_REMOTE_INSTALLING_PORT", "5003"),
    ];
    let config = read(&postgres).unwrap();
    assert_eq!((config.database.kind, config.database.port), (DatabaseType::Postgresql, 5432));
    assert_eq!((config.database.initial.as_str(), config.redis.cache_type), ("postgres", CacheType::Redis));
    assert!(config.debugging.enabled);
    let mysql: Vec<_> = postgres.iter().copied().chain([("DB_TYPE", "oceanbase"), ("CACHE_TYPE", "memory")]).collect();
    let config = read(&mysql).unwrap();
    assert_eq!((config.database.kind, config.database.port), (DatabaseType::Mysql, 3306));
    assert_eq!(config.redis.cache_type, CacheType::Memory);
    let sqlite = read(&[("DB_TYPE", "sqlite"), ("DB_DATABASE", "/x.db"), ("DB_MAX_OPEN_CONNS", "3")]).unwrap();
    assert_eq!(sqlite.database.name, "/x.db");
}

#[test]
fn words_of_dify_s_api_are_understood() {
    for (word, level) in [("WARNING", LogLevel::Warn), ("CRITICAL", LogLevel::Error), ("debug", LogLevel::Debug)] {
        assert_eq!(read(&[("LOG_LEVEL", word)]).unwrap().log.level, level);
    }
    assert_eq!(read(&[("LOG_OUTPUT_FORMAT", "JSON")]).unwrap().log.format, LogFormat::Text);
    assert_eq!(read(&[("https_proxy", "p")]).unwrap().proxy.https.as_deref(), Some("p"));
    assert_eq!(read(&[("https_proxy", "p"), ("HTTPS_PROXY", "q")]).unwrap().proxy.https.as_deref(), Some("q"));
}

#[track_caller]
fn refused(pairs: &[(&str, &str)], exit_code: u8, expected: &[&str]) {
    let error = read(pairs).unwrap_err();
    assert_eq!((error.problems().collect::<Vec<_>>(), error.exit_code()), (expected.to_vec(), exit_code));
}

#[test]
fn everything_wrong_is_reported_together() {
    refused(
        &[
            ("SERVER_PORT", "70000"),
            ("PPROF_ENABLED", "yes"),
            ("DB_CONNECT_TIMEOUT", "5"),
            ("DB_HOST", "db"),
            ("DB_USERNAME", "u"),
            ("DB_PASSWORD", "p"),
            ("DB_DATABASE", "d"),
            ("LOG_LEVEL", "LOUD"),
            ("SERVER_TZ", "Mars/Olympus"),
        ],
        2,
        &[
            "SERVER_PORT: '70000' is too large",
            "PPROF_ENABLED: 'yes' is not a boolean, use true or false",
            "LOG_LEVEL: 'LOUD' is not one of DEBUG INFO WARN WARNING ERROR CRITICAL",
            "DB_CONNECT_TIMEOUT: '5' is not a duration, write for example 5s or 1m30s",
            "SERVER_TZ: 'Mars/Olympus' is not a time zone that this machine knows",
        ],
    );
}

#[test]
fn checks_between_variables() {
    refused(
        &[("ADMIN_API_ENABLED", "true"), ("ADMIN_API_KEY", "short")],
        1,
        &["ADMIN_API_KEY: must have at least 10 bytes when ADMIN_API_ENABLED is true"],
    );
    refused(
        &[("PLATFORM", "serverless"), ("DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL", "")],
        1,
        &[
            "DIFY_PLUGIN_SERVERLESS_CONNECTOR_URL: must be set when PLATFORM is serverless",
            "DIFY_PLUGIN_SERVERLESS_CONNECTOR_API_KEY: must be set when PLATFORM is serverless",
        ],
    );
    refused(&[("PLATFORM", "cloud")], 1, &["PLATFORM: 'cloud' is not one of local serverless"]);
    refused(
        &[("DB_HOST", "db"), ("DB_USERNAME", "u"), ("DB_DATABASE", "d")],
        1,
        &["DB_PASSWORD: must be set for this DB_TYPE; DB_TYPE=sqlite needs no server"],
    );
    refused(&[("CACHE_TYPE", "redis")], 1, &["REDIS_HOST: must be set when CACHE_TYPE is redis"]);
    refused(
        &[("REDIS_USE_CLUSTERS", "true"), ("REDIS_CLUSTERS", " ,")],
        1,
        &["REDIS_CLUSTERS: must be set when REDIS_USE_CLUSTERS is true"],
    );
    refused(
        &[("REDIS_USE_SENTINEL", "true")],
        1,
        &[
            "REDIS_SENTINELS: must be set when REDIS_USE_SENTINEL is true",
            "REDIS_SENTINEL_SERVICE_NAME: must be set when REDIS_USE_SENTINEL is true",
        ],
    );
    refused(
        &[("REDIS_HOST", "r"), ("REDIS_USE_AZURE_MANAGED_IDENTITY", "true"), ("REDIS_DB", "1")],
        1,
        &["REDIS_DB: Azure Managed Redis has database 0 only, this is 1; set it to 0 when \
           REDIS_USE_AZURE_MANAGED_IDENTITY is true"],
    );
    refused(&[("PLUGIN_WORKERS_MIN", "3")], 1, &["PLUGIN_WORKERS_MIN: 3 is more than PLUGIN_WORKERS_MAX, 1"]);
    refused(&[("DIFY_INNER_API_URL", "api:5001")], 1, &["DIFY_INNER_API_URL: 'api:5001' is not an http or https URL"]);
}

#[test]
fn sample_keys_can_be_refused() {
    let key = "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi";
    for given in [&[("SERVER_KEY", key)][..], &[("SERVER_KEY", key), ("PLUGIN_ALLOW_SAMPLE_KEYS", "true")]] {
        assert_eq!(sample_keys(&read(given).unwrap()), ["SERVER_KEY"]);
    }
    let error = read(&[("SERVER_KEY", key), ("PLUGIN_ALLOW_SAMPLE_KEYS", "false")]).unwrap_err().to_string();
    assert!(error.contains("SERVER_KEY: this is the key of a published sample file") && !error.contains(key));
}

#[test]
fn secrets_are_never_printed() {
    let secrets = variables().filter(|variable| variable.is(Flag::Secret));
    let secrets =
        secrets.map(|variable| (variable.name, "s3cr3t-text")).chain([("DB_TYPE", "sqlite")]).collect::<Vec<_>>();
    assert!(secrets.len() > 20);
    let config = format!("{:?}", read(&secrets).unwrap());
    let dump = dump(&vars(&secrets));
    assert!(!config.contains("s3cr3t-text") && !dump.contains("s3cr3t-text"));
    assert!(dump.contains("\nSERVER_KEY=(hidden)  # set by SERVER_KEY\n"));
}

/// Every variable of a text or a list, in each form in which it can carry a secret: neither the dump nor [`fmt::Debug`] nor
/// what is reported as wrong prints it.
#[test]
fn secrets_within_other_values_are_never_printed() {
    let texts = [<kind::Text as kind::Kind>::NAME, <kind::List as kind::Kind>::NAME, <kind::Path as kind::Kind>::NAME];
    let texts: Vec<_> = variables().filter(|variable| texts.contains(&variable.kind)).collect();
    assert!(texts.len() > 60, "{}", texts.len());
    for form in [
        "http://user:s3cr3t-t3xt@host:1/path",
        "http://s3cr3t-t3xt@host",
        "http://user:s3cr3t-/t3xt@host",
        "http://user:s3cr3t-\"t3xt@host",
        "user:s3cr3t-t3xt@host:1",
        "https://host/path?code=s3cr3t-t3xt",
        "a,https://host/path?sig=s3cr3t-t3xt",
        "--a b --c http://user:s3cr3t-t3xt@host",
        "a=b&sslpassword=s3cr3t-t3xt&c=d",
        "AccountKey=s3cr3t-t3xt;a=b",
        "password=s3cr3t-\"t3xt",
        "x-api-key: s3cr3t-t3xt",
    ] {
        for variable in &texts {
            let given = [(variable.name, form), ("DB_TYPE", "sqlite")];
            let printed = match read(&given) {
                Ok(config) => format!("{config:?}"),
                Err(error) => error.to_string(),
            };
            let printed = printed + &dump(&vars(&given));
            assert!(!printed.contains("s3cr3t") && !printed.contains("t3xt"), "{}={form}", variable.name);
        }
    }
}

#[test]
fn a_dump_has_values_and_origins() {
    let dump = dump(&vars(&[("PLUGIN_DATA_PATH", "/srv"), ("no_proxy", "a,b"), ("OTLP_API_KEY", "k")]));
    for line in [
        "PLUGIN_DATA_PATH=/srv  # set by PLUGIN_DATA_PATH",
        "PLUGIN_WORKING_PATH=/srv/cwd  # default",
        "SERVER_KEY=  # will be generated at the start, file /srv/keys/server_key",
        "NO_PROXY=a,b  # set by no_proxy",
        "OTEL_API_KEY=(hidden)  # set by OTLP_API_KEY",
    ] {
        assert!(dump.lines().any(|have| have == line), "{line}\n{dump}");
    }
}

#[test]
fn declarations_are_sound() {
    let mut names = BTreeSet::new();
    for variable in variables() {
        for name in std::iter::once(variable.name).chain(variable.aliases.iter().copied()) {
            assert!(names.insert(name), "{name} is declared twice");
        }
        let text = variable.text();
        assert!(text.ends_with('.') && !text.contains("  "), "{}: {text}", variable.name);
        let hidden = variable.kind == <kind::Hidden as kind::Kind>::NAME;
        assert_eq!(variable.is(Flag::Secret), hidden, "{}", variable.name);
    }
    assert!(names.len() > 180, "{}", names.len());
}

#[test]
fn placeholders_are_never_values() {
    refused(
        &[
            ("REDIS_HOST", "redis"),
            ("REDIS_PORT", "$(REDIS_PORT)"),
            ("SERVER_KEY", "$(SERVER_KEY)"),
            ("DIFY_INNER_API_URL", "http://${API_HOST:-api}:5001"),
            ("SERVER_TZ", "{{ .Values.timezone }}"),
        ],
        1,
        &[
            "SERVER_KEY: the placeholder $(SERVER_KEY) is not resolved: Kubernetes replaces it only if SERVER_KEY is defined \
             above it in the same container; define SERVER_KEY there, or set the value itself",
            "SERVER_TZ: the template {{ .Values.timezone }} is not rendered: render the file before it is used, or set the \
             value itself",
            "DIFY_INNER_API_URL: the placeholder ${API_HOST} is not resolved: env files, Kubernetes manifests and quoted \
             arguments are passed on as they are; set the value itself",
            "REDIS_PORT: the placeholder $(REDIS_PORT) is not resolved: Kubernetes replaces it only if REDIS_PORT is defined \
             above it in the same container; define REDIS_PORT there, or set the value itself",
        ],
    );
}

#[test]
fn what_kubernetes_sets_for_a_service_is_not_set() {
    let config = read(&[("REDIS_HOST", "redis"), ("REDIS_PORT", "tcp://10.0.0.9:6379")]).unwrap();
    assert_eq!(config.redis.port, 6379);
    assert_eq!(
        config.notes,
        [
            "REDIS_PORT: 'tcp://10.0.0.9:6379' is set by Kubernetes for a service of that name and is ignored; set REDIS_PORT \
          yourself if the default is not right, or enableServiceLinks: false in the pod's spec"
        ]
    );
}

#[test]
fn blanks_count_in_passwords_only() {
    let config = read(&[
        ("SERVER_PORT", "5002 "),
        ("SERVER_KEY", "key\n"),
        ("DB_TYPE", " postgresql"),
        ("DB_HOST", "\tdb"),
        ("DB_USERNAME", "u"),
        ("DB_DATABASE", "d"),
        ("DB_PASSWORD", " p "),
        ("PPROF_ENABLED", "true\r"),
    ]);
    let config = config.unwrap();
    assert_eq!((config.server.port, config.server.pprof_enabled), (5002, true));
    assert_eq!(config.server.key.unwrap().expose(), "key");
    assert_eq!(config.database.password.unwrap().expose(), " p ");
    assert_eq!(config.database.host.as_deref(), Some("db"));
}

#[test]
fn what_is_not_chosen_stops_nothing() {
    for (given, note) in [
        (
            [("PLUGIN_STORAGE_TYPE", "local"), ("S3_USE_AWS", "x")],
            "S3_USE_AWS: 'x' is not a boolean, use true or false; ignored, since PLUGIN_STORAGE_TYPE is local",
        ),
        ([("DB_TYPE", "sqlite"), ("DB_PORT", "x")], "DB_PORT: 'x' is not an integer; ignored, since DB_TYPE is sqlite"),
        (
            [("CACHE_TYPE", "memory"), ("REDIS_DB", "x")],
            "REDIS_DB: 'x' is not an integer; ignored, since CACHE_TYPE is memory",
        ),
        (
            [("PLUGIN_REMOTE_INSTALLING_ENABLED", "false"), ("PLUGIN_REMOTE_INSTALLING_MAX_CONN", "x")],
            "PLUGIN_REMOTE_INSTALLING_MAX_CONN: 'x' is not an integer; ignored, since PLUGIN_REMOTE_INSTALLING_ENABLED is false",
        ),
        (
            [("ENABLE_OTEL", "f"), ("OTEL_SAMPLING_RATE", "x")],
            "OTEL_SAMPLING_RATE: 'x' is not a number; ignored, since ENABLE_OTEL is false",
        ),
        (
            [("PLATFORM", "local"), ("MAX_SERVERLESS_RETRY_TIMES", "x")],
            "MAX_SERVERLESS_RETRY_TIMES: 'x' is not an integer; ignored, since PLATFORM is local",
        ),
        (
            [("PLATFORM", "local"), ("DB_MAX_IDLE_CONNS", "x")],
            "DB_MAX_IDLE_CONNS: 'x' is not an integer; ignored, since this variable has no effect",
        ),
        (
            [("REDIS_HOST", "r"), ("REDIS_SENTINEL_SOCKET_TIMEOUT", "$(X)")],
            "REDIS_SENTINEL_SOCKET_TIMEOUT: the placeholder $(X) is not resolved: Kubernetes replaces it only if X is defined \
             above it in the same container; define X there, or set the value itself; ignored, since REDIS_USE_SENTINEL is false",
        ),
    ] {
        assert_eq!(read(&given).unwrap().notes, [note]);
    }
    assert!(read(&[("PLUGIN_STORAGE_TYPE", "s3"), ("S3_USE_AWS", "x")]).is_err());
    let error = read(&[("PLUGIN_STORAGE_TYPE", "floppy")]).unwrap_err();
    assert_eq!(
        error.problems().collect::<Vec<_>>(),
        ["PLUGIN_STORAGE_TYPE: 'floppy' is not one of local aws_s3 tencent_cos azure_blob aliyun_oss gcs huawei_obs \
          volcengine_tos baidu_bos"]
    );
}

/// What Dify's compose files and Helm charts give to their plugin daemon starts ours, without a word.
#[test]
fn environments_of_dify_s_deployments_are_taken_as_they_are() {
    for name in ["compose-1.10.1", "compose-1.13.3", "compose-1.16.0", "helm-douban", "helm-boris-polonsky"] {
        let file = format!("{}/../testkit/environments/{name}.env", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let environment: BTreeMap<_, _> = lines
            .map(|line| line.split_once('=').unwrap())
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect();
        assert_eq!(unknown(&environment), [], "{name}");
        let config = Config::from_vars(environment).unwrap();
        assert_eq!(config.notes, [""; 0], "{name}");
        assert_eq!(
            (config.database.kind, config.redis.cache_type),
            (DatabaseType::Postgresql, CacheType::Redis),
            "{name}"
        );
    }
}

/// The files that are generated from the registry.
#[test]
fn generated_files_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, text) in [("docs/configuration.md", reference()), (".env.example", example())] {
        let have = std::fs::read_to_string(root.join(file)).unwrap();
        assert!(have == text, "{file} is not current: run ./dev generate");
    }
}
