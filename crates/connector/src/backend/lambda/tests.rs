//! Against an emulator of AWS: `moto_server` of the package `moto[server]`, which is looked for on PATH and in
//! `.dev/venv/bin`. `./dev lambda-test` gets it and runs these tests.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_lambda::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Architecture, LayerVersionContentInput};
use clap::Parser as _;
use plugin_package::Limits;

use super::*;

const IGNORED: &str = "needs moto_server, uv and a package index";
const REGION: &str = "us-east-1";

/// An emulator; its end is this value's.
struct Aws {
    server: Child,
    url: String,
}

impl Aws {
    async fn start() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.dev/venv/bin");
        let program = std::env::split_paths(&path).chain([own]).map(|folder| folder.join("moto_server"));
        let program = program.into_iter().find(|path| path.is_file()).expect(IGNORED);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let aws = Self { server, url: format!("http://127.0.0.1:{port}") };
        for _ in 0..300 {
            if reqwest::get(format!("{}/moto-api/", aws.url)).await.is_ok() {
                return aws;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("moto_server does not answer");
    }

    fn config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&self.url)
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "secret", None, None, "test")))
            .build()
    }

    fn client(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.config())
    }

    /// The role and the layer that functions need.
    async fn ground(&self) -> (String, String) {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=id/20260101/{REGION}/iam/aws4_request, SignedHeaders=host, Signature=0"
        );
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
        let form = [
            ("Action", "CreateRole"),
            ("Version", "2010-05-08"),
            ("RoleName", "plugins"),
            ("AssumeRolePolicyDocument", policy),
        ];
        let body = form.map(|(name, value)| format!("{name}={}", encode(value))).join("&");
        let made = reqwest::Client::new()
            .post(&self.url)
            .header("authorization", scope)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap();
        // another back end of the same test may have made it
        assert!(matches!(made.status().as_u16(), 200 | 409), "{}", made.text().await.unwrap());
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("bootstrap"), "#!/bin/sh\n").unwrap();
        let content = LayerVersionContentInput::builder().zip_file(Blob::new(zip::pack(scratch.path()).unwrap()));
        let layer = self.client().publish_layer_version().layer_name("adapter").content(content.build()).send().await;
        ("arn:aws:iam::123456789012:role/plugins".to_owned(), layer.unwrap().layer_version_arn.unwrap())
    }

    async fn backend(&self, more: &[&str]) -> LambdaBackend {
        let (role, layer) = self.ground().await;
        let own =
            ["connector", "--api-key", "the-shared-key", "--daemon-url", "https://daemon:5002", "--backend", "lambda"];
        let lambda = ["--lambda-role", &role, "--lambda-adapter-layer", &layer, "--lambda-skip-probe"];
        let options = Options::parse_from(own.iter().chain(&lambda).chain(more));
        assert_eq!(options.problems(), Vec::<String>::new());
        let scratch = std::env::temp_dir().join("plugin-connector-lambda-tests");
        let mut environments = EnvironmentSettings::new(scratch);
        environments.inherited = std::env::vars_os().collect();
        let options = LambdaOptions {
            lambda: options.lambda,
            daemon_url: options.daemon_url,
            key: options.api_key,
            environments,
        };
        LambdaBackend::with(&self.config(), options).unwrap()
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

fn encode(text: &str) -> String {
    let byte =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

fn plugin(answer: &str, requirements: &str) -> Plugin {
    let package = plugin_testkit::plugins::light(answer, &[("requirements.txt", requirements)]).unwrap();
    read(package)
}

fn read(package: bytes::Bytes) -> Plugin {
    let identifier = plugin_package::Package::open(package.clone(), &Limits::default()).unwrap().identifier().unwrap();
    Plugin::read(package, &crate::plugin::filename(&identifier), true, &Limits::default()).unwrap()
}

async fn launch(backend: &LambdaBackend, plugin: &Plugin) -> Result<Function, LaunchError> {
    backend.launch(plugin, std::sync::Arc::new(|_, _| {}), &CancellationToken::new()).await
}

#[tokio::test]
#[ignore = "needs moto_server, uv and a package index"]
async fn a_function_from_launch_to_deletion() {
    let aws = Aws::start().await;
    let backend = aws.backend(&[]).await;
    let plugin = plugin("a", "idna==3.10\n");
    assert_eq!(backend.find(&plugin.filename).await.unwrap(), None);
    let function = launch(&backend, &plugin).await.unwrap();
    assert!(function.url.starts_with("https://") && !function.url.ends_with('/'), "{}", function.url);
    let found = backend.find(&plugin.filename).await.unwrap().unwrap();
    assert_eq!((&found.name, &found.url, &found.filename), (&function.name, &function.url, &plugin.filename));
    assert_eq!(backend.list().await.unwrap().len(), 1);

    let client = aws.client();
    let made = client.get_function().function_name(&function.name).send().await.unwrap();
    let tags = made.tags.unwrap();
    assert_eq!((tags["dify-filename"].as_str(), tags["dify-verified"].as_str()), (plugin.filename.as_str(), "true"));
    let config = made.configuration.unwrap();
    assert_eq!(
        (config.handler.as_deref(), config.memory_size, config.timeout),
        (Some(".dify-start.sh"), Some(512), Some(900))
    );
    assert_eq!(config.architectures.unwrap(), [Architecture::Arm64]);
    let variables = config.environment.unwrap().variables.unwrap();
    assert_eq!(
        (variables["INSTALL_METHOD"].as_str(), variables["AWS_LWA_INVOKE_MODE"].as_str()),
        ("serverless", "response_stream")
    );
    assert!(variables["DIFY_PLUGIN_DAEMON_URL"].starts_with("https://daemon:5002/backwards-invocation/"));
    let url = client.get_function_url_config().function_name(&function.name).qualifier("live").send().await.unwrap();
    assert_eq!(url.auth_type, aws_sdk_lambda::types::FunctionUrlAuthType::None);

    assert!(backend.delete(&plugin.filename).await.unwrap());
    assert!(!backend.delete(&plugin.filename).await.unwrap());
    assert!(backend.list().await.unwrap().is_empty());
}

#[tokio::test]
#[ignore = "needs moto_server, uv and a package index"]
async fn further_launches_are_versions_of_the_same_function() {
    let aws = Aws::start().await;
    let backend = aws.backend(&[]).await;
    let (client, plugin) = (aws.client(), plugin("a", ""));
    let function = launch(&backend, &plugin).await.unwrap();
    for _ in 0..3 {
        assert_eq!(launch(&backend, &plugin).await.unwrap().url, function.url);
    }
    let versions = client.list_versions_by_function().function_name(&function.name).send().await.unwrap();
    let numbers: Vec<_> = versions.versions.unwrap().into_iter().filter_map(|version| version.version).collect();
    assert!(numbers.len() <= 3, "{numbers:?}");
    assert!(numbers.contains(&live(&client, &function).await));
}

#[tokio::test]
#[ignore = "needs moto_server, uv and a package index"]
async fn launches_that_fail_say_why() {
    let aws = Aws::start().await;
    let backend = aws.backend(&[]).await;
    let error = launch(&backend, &plugin("a", "no-such-package-at-all==1\n")).await.unwrap_err();
    assert_eq!(error.stage, Stage::Build);
    assert!(
        error.message.contains("failed to install dependencies") && error.message.contains("no-such-package-at-all")
    );
    let other = aws.backend(&["--lambda-architecture", "arm64"]).await;
    let manifest = include_str!("../../../../testkit/plugins/light/manifest.yaml").replace("amd64, arm64", "amd64");
    let narrow = read(plugin_testkit::plugins::light("a", &[("manifest.yaml", &manifest)]).unwrap());
    let error = launch(&other, &narrow).await.unwrap_err();
    assert_eq!(error.stage, Stage::Start);
    assert!(error.message.starts_with("the plugin runs on amd64 only"), "{}", error.message);
    drop(aws);
    let error = launch(&backend, &plugin("a", "")).await.unwrap_err();
    assert_eq!(error.stage, Stage::Start);
    assert!(error.message.starts_with("AWS Lambda: look for a function failed: "), "{}", error.message);
}

/// The version that serves.
async fn live(client: &aws_sdk_lambda::Client, function: &Function) -> String {
    let alias = client.get_alias().function_name(&function.name).name("live").send().await.unwrap();
    alias.function_version.unwrap()
}

#[tokio::test]
#[ignore = "needs moto_server, uv and a package index"]
async fn a_function_that_does_not_answer_is_none_and_one_that_did_goes_on() {
    let aws = Aws::start().await;
    let (careless, mut careful) = (aws.backend(&[]).await, aws.backend(&[]).await);
    // what the emulator makes cannot be called
    careful.probe = Some(Probe { client: reqwest::Client::new(), patience: Duration::ZERO });
    let (client, plugin) = (aws.client(), plugin("a", ""));
    let error = launch(&careful, &plugin).await.unwrap_err();
    assert_eq!(error.stage, Stage::Run);
    assert!(error.message.starts_with("the function does not answer: "), "{}", error.message);
    let there = client.list_functions().send().await.unwrap().functions.unwrap();
    assert!(there.is_empty() && careful.find(&plugin.filename).await.unwrap().is_none(), "{there:?}");

    let function = launch(&careless, &plugin).await.unwrap();
    let before = live(&client, &function).await;
    launch(&careful, &plugin).await.unwrap_err();
    assert_eq!(live(&client, &function).await, before);
    assert_eq!(careful.find(&plugin.filename).await.unwrap().unwrap().url, function.url);
}

#[tokio::test]
#[ignore = "needs moto_server, uv and a package index"]
async fn a_launch_that_is_cancelled_leaves_nothing() {
    let aws = Aws::start().await;
    let backend = aws.backend(&[]).await;
    let (client, plugin, cancel) = (aws.client(), plugin("a", ""), CancellationToken::new());
    let at_the_function = cancel.clone();
    let progress: Progress = std::sync::Arc::new(move |stage, _| {
        if stage == Stage::Run {
            at_the_function.cancel();
        }
    });
    let error = backend.launch(&plugin, progress, &cancel).await.unwrap_err();
    assert_eq!(error.message, "cancelled");
    assert!(client.list_functions().send().await.unwrap().functions.unwrap().is_empty());
}

#[tokio::test]
#[ignore = "needs moto_server, uv and a package index"]
async fn what_a_killed_connector_has_left_is_no_function_and_is_launched_anew() {
    let aws = Aws::start().await;
    let backend = aws.backend(&[]).await;
    let (client, plugin) = (aws.client(), plugin("a", ""));
    let function = launch(&backend, &plugin).await.unwrap();
    let arn = client.get_function().function_name(&function.name).send().await.unwrap();
    let arn = arn.configuration.unwrap().function_arn.unwrap();
    client.untag_resource().resource(arn).tag_keys(spec::WHOLE_TAG).send().await.unwrap();
    assert_eq!((backend.find(&plugin.filename).await.unwrap(), backend.list().await.unwrap()), (None, vec![]));
    assert_eq!(launch(&backend, &plugin).await.unwrap().url, function.url);
    assert_eq!(backend.list().await.unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "needs moto_server, uv and a package index"]
async fn dependencies_are_those_of_lambdas_platform() {
    let aws = Aws::start().await;
    let backend = aws.backend(&[]).await;
    let plugin = read(plugin_testkit::plugins::package("hello").unwrap());
    let spec = backend.specs.of(&plugin).unwrap();
    let zip = backend.builder.build(&plugin, &spec).await.unwrap();
    let archive = rawzip::ZipArchive::from_slice(&zip).unwrap();
    let names: Vec<_> = archive
        .entries()
        .map(|entry| String::from_utf8(entry.unwrap().file_path().as_bytes().to_vec()).unwrap())
        .collect();
    assert!(names.iter().any(|name| name == ".dependencies/dify_plugin/__init__.py"));
    let machine = if spec.architecture == Architecture::Arm64 { "aarch64" } else { "x86_64" };
    let native: Vec<_> = names.iter().filter(|name| name.contains(".cpython-")).collect();
    assert!(!native.is_empty() && native.iter().all(|name| name.contains(machine) && name.contains("cpython-312")));
    assert!(!names.iter().any(|name| name.contains("__pycache__")));
}
