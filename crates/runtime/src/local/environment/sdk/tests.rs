use std::time::Duration;

use bytes::Bytes;
use plugin_manifest::UniqueIdentifier;

use super::super::tests::{Bench, prepare};
use super::*;
use crate::local::testing::plugin;

/// Leaves the SDK, and what else is named in the requirements.
const INSTALL: &str = r#"
packages="$VIRTUAL_ENV/lib/python3.12/site-packages"
add() { mkdir -p "$packages/$1.dist-info"; echo "$1" > "$packages/${1%%-*}.py"; }
add dify_plugin-0.5.0; add yaml-6.0
grep -q "^six" requirements.txt && add six-1.0
cp constraints.txt $D/constraints 2>/dev/null
true
"#;

fn with(name: &str, requirements: &str) -> (UniqueIdentifier, Bytes) {
    plugin(name, &[("requirements.txt", requirements)])
}

#[tokio::test]
async fn it_holds_the_sdk_in_the_versions_of_the_plugin() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let prepared = prepare(&environments, &with("one", "dify_plugin\nsix\n")).await.unwrap();
    let of_plugin = environments.store.directory(&prepared.environment.unwrap());
    assert_eq!(environments.known_sdk(&of_plugin).await, None);
    let sdk = environments.make_sdk(&of_plugin).await.unwrap();
    assert_ne!(sdk, of_plugin);
    assert!(!sdk.join("lib/python3.12/site-packages/six.py").exists());
    let constraints = std::fs::read_to_string(bench.working_path().parent().unwrap().join("constraints")).unwrap();
    assert_eq!(constraints, "six==1.0\nyaml==6.0\n");

    // from now on, and after a restart, it is known without running anything
    let calls = bench.calls().len();
    assert_eq!(bench.environments().known_sdk(&of_plugin).await, Some(sdk.clone()));
    assert_eq!(environments.make_sdk(&of_plugin).await.unwrap(), sdk);
    assert_eq!(bench.calls().len(), calls);
    bench.assert_clean();
}

#[tokio::test]
async fn a_plugin_that_needs_nothing_else_has_the_same() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let prepared = prepare(&environments, &with("one", "dify_plugin\n")).await.unwrap();
    let of_plugin = environments.store.directory(&prepared.environment.unwrap());
    assert_eq!(environments.make_sdk(&of_plugin).await.unwrap(), of_plugin);
}

#[tokio::test]
async fn one_can_go_with_several() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let one = prepare(&environments, &with("one", "dify_plugin\n")).await.unwrap();
    let two = prepare(&environments, &with("two", "dify_plugin\nsix\n")).await.unwrap();
    let [one, two] = [one, two].map(|prepared| environments.store.directory(&prepared.environment.unwrap()));
    let sdk = environments.make_sdk(&one).await.unwrap();
    assert!(environments.remember_sdk(&two, &sdk).await.unwrap());
    assert_eq!(environments.known_sdk(&two).await, Some(sdk.clone()));
    let gone = sdk.with_file_name("0".repeat(40));
    assert!(!environments.remember_sdk(&two, &gone).await.unwrap());
    assert!(!environments.remember_sdk(&two, Path::new("/somewhere/else")).await.unwrap());
    assert_eq!(environments.known_sdk(&two).await, Some(sdk));
}

#[tokio::test]
async fn without_the_sdk_there_is_none() {
    let bench = Bench::new("mkdir -p $VIRTUAL_ENV/lib/python3.12/site-packages/six-1.0.dist-info");
    let environments = bench.environments();
    let prepared = prepare(&environments, &with("one", "six\n")).await.unwrap();
    let of_plugin = environments.store.directory(&prepared.environment.unwrap());
    let error = environments.make_sdk(&of_plugin).await.unwrap_err();
    assert_eq!(error.message, "dify-plugin is not installed in it");
    let error = environments.make_sdk(Path::new("/somewhere/else")).await.unwrap_err();
    assert_eq!(error.message, "it is no environment that is shared");
}

#[tokio::test]
async fn it_is_deleted_with_the_one_that_it_goes_with() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let plugin = with("one", "dify_plugin\nsix\n");
    let prepared = prepare(&environments, &plugin).await.unwrap();
    let of_plugin = environments.store.directory(&prepared.environment.unwrap());
    let sdk = environments.make_sdk(&of_plugin).await.unwrap();

    let in_use = [plugin.0.clone()].into();
    assert_eq!(environments.unused(&in_use).await.unwrap(), []);
    environments.collect(&in_use, Duration::ZERO).await.unwrap();
    assert_eq!(environments.known_sdk(&of_plugin).await, Some(sdk.clone()));

    environments.collect(&[].into(), Duration::ZERO).await.unwrap();
    assert!(!sdk.exists() && !of_plugin.exists());
    assert_eq!(std::fs::read_dir(bench.working_path().join(".environments/.sdk")).unwrap().count(), 0);
}
