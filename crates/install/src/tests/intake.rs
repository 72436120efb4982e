//! Uploads: what is kept, and what is left of those that fail.

use std::sync::Arc;

use plugin_store::blob::Faulty;
use uuid::Uuid;

use crate::InstallError;
use crate::testing::{InstallBed, file, package};

#[tokio::test]
async fn a_failure_at_any_step_leaves_what_was_there() {
    let mut world = InstallBed::new().await;
    let package = package("light", "0.0.1", &[]);
    let faulty = Faulty::new(Arc::clone(&world.stores.blobs));
    world.stores.blobs = Arc::new(faulty.clone());
    let services = world.node();
    let mut failures = 0;
    for step in 0.. {
        faulty.fail_after(step, 1);
        let before = faulty.calls();
        match services.installer.intake.upload(file(&package), false).await {
            Ok(_) if faulty.calls() - before <= step => break,
            Ok(_) => {}
            Err(error) => {
                failures += 1;
                assert!(error.to_string().ends_with("\nfailed to save package"), "{error}");
                assert!(matches!(error, InstallError::Save(_)));
            }
        }
        faulty.fail_after(0, 0);
        let identifier = services.packages.open(package.clone()).await.unwrap().identifier;
        let declared = world.stores.database.declarations.get(identifier.as_str()).await.unwrap().is_some();
        let uploaded = services.packages.is_uploaded(&identifier).await.unwrap();
        assert!(uploaded || !declared, "a declaration without its package, step {step}");
    }
    assert!(failures >= 3, "icons, look-up and package can fail, {failures} did");
}

#[tokio::test]
async fn many_at_once_are_one() {
    let world = InstallBed::new().await;
    let services = world.node();
    let package = package("light", "0.0.1", &[]);
    let uploads = (0..8).map(|_| services.installer.intake.upload(file(&package), false));
    let found = futures_util::future::join_all(uploads).await;
    let identifiers: Vec<_> = found.into_iter().map(|found| found.unwrap().unique_identifier).collect();
    assert!(identifiers.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn refusals() {
    let world = InstallBed::with(&[("ENFORCE_LANGGENIUS_SIGNATURES_OF_UPLOADS", "true")]).await;
    let services = world.node();
    let by = |author: &str| {
        let manifest = String::from_utf8(manifest_of(&package("light", "0.0.1", &[]))).unwrap();
        package("light", "0.0.1", &[("manifest.yaml", &manifest.replace("author: testkit", author))])
    };
    let uuid = format!("author: {}", Uuid::new_v4());
    for (package, verify, expected) in [
        (by("author: testkit"), true, "bad signature"),
        (by("author: langgenius"), false, "plugin installation blocked"),
        (by(&uuid), false, "cannot set author to an UUID"),
        ("no zip".into(), false, "not a valid difypkg file"),
    ] {
        let error = services.installer.intake.upload(file(&package), verify).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    services.upload(&by("author: testkit")).await;
}

#[tokio::test]
async fn what_dify_or_the_sdk_cannot_read_is_refused_with_place_and_remedy() {
    let world = InstallBed::new().await;
    let services = world.node();
    let tool =
        "identity: {author: testkit, name: answer, label: {en_US: Answer}}\ndescription: {human: {en_US: A}, llm: a}\n";
    let parameter =
        "parameters:\n- {name: q, label: {en_US: Q}, human_description: {en_US: Q}, form: llm, type: txt}\n";
    let source = "extra: {python: {source: 'tools\\answer.py'}}\n";
    for (rest, expected) in [
        (parameter, ["tools/answer.yaml:4", "txt", "string"]),
        (source, ["tools/answer.yaml", "tools\\answer.py", "forward slashes"]),
    ] {
        let package = package("light", "0.0.1", &[("tools/answer.yaml", &format!("{tool}{rest}"))]);
        let error = services.installer.intake.upload(file(&package), false).await.unwrap_err().to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    }
}

fn manifest_of(package: &bytes::Bytes) -> Vec<u8> {
    use plugin_manifest::Files as _;
    let package = plugin_package::Package::open(package.clone(), &plugin_package::Limits::default()).unwrap();
    package.read("manifest.yaml").unwrap().into_owned()
}
