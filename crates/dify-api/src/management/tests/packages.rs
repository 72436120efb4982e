//! Uploads and what is known of a package.

use axum::body::Body;
use serde_json::json;

use super::{UPLOAD, install, upload};
use crate::testing::client;
use plugin_install::testing::{InstallBed, manifest_of, package, package_of_bytes};
use plugin_web::testing::masked;

#[tokio::test]
async fn an_upload_answers_what_was_kept() {
    let bed = InstallBed::new().await;
    let api = client(&bed, &bed.node());
    let uploaded = api.upload(UPLOAD, "dify_pkg", &package("light", "0.0.1", &[])).await.data();
    insta::assert_json_snapshot!(masked(uploaded));
}

#[tokio::test]
async fn uploads_that_are_refused() {
    let bed = InstallBed::with(&[("MAX_PLUGIN_PACKAGE_SIZE", "4000")]).await;
    let api = client(&bed, &bed.node());
    let bad_request = |text: &str| (200, -400, "PluginDaemonBadRequestError".to_owned(), text.to_owned());
    let none = api.upload(UPLOAD, "file", b"x").await;
    assert_eq!(none.error(), bad_request("http: no such file"));
    let no_form = api.post(UPLOAD, &json!({})).await;
    assert_eq!(no_form.error(), bad_request("request Content-Type isn't multipart/form-data"));
    let large = api.upload(UPLOAD, "dify_pkg", &[0; 4001]).await;
    assert_eq!(
        large.error(),
        bad_request("file size exceeds the maximum limit of 4000 bytes (MAX_PLUGIN_PACKAGE_SIZE)")
    );
    let zeros = "0".repeat(4000);
    let unpacks = api.upload(UPLOAD, "dify_pkg", &package("light", "0.0.1", &[("zeros.txt", &zeros)])).await;
    let (status, code, _, text) = unpacks.error();
    assert_eq!((status, code), (200, -400));
    let known = "plugin package size is too large, please ensure the uncompressed size is less than 4000 bytes";
    assert!(text.starts_with(known) && text.contains("(MAX_PLUGIN_PACKAGE_SIZE)"), "{text}");
}

#[tokio::test]
async fn an_upload_that_the_sdk_could_not_read_is_refused_with_the_remedy() {
    let bed = InstallBed::new().await;
    let api = client(&bed, &bed.node());
    let provider =
        "identity: {author: testkit, name: light, label: {en_US: L}, description: {en_US: L}, icon: icon.svg}\n";
    let backslash = format!("{provider}tools: [tools/answer.yaml]\nextra: {{python: {{source: provider\\x.py}}}}\n");
    let manifest = format!("\u{feff}{}", manifest_of("light", "0.0.1"));
    let in_utf16 = |unit: fn(u16) -> [u8; 2]| manifest.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let utf16 = "manifest.yaml: the file is in UTF-16, which the SDK cannot read: save it as UTF-8";
    let tool = "identity: {author: testkit, name: answer, label: {en_US: A}}\n\
        description: {human: {en_US: A}, llm: A}\nextra: {python: {source: main.py}}\nparameters:\n\
        - {name: x, type: nonsense, form: llm, label: {en_US: X}, human_description: {en_US: X}}\n";
    for (path, content, expected) in [
        (
            "tools/answer.yaml",
            tool.as_bytes().to_vec(),
            "tools/answer.yaml:5:13: `parameters[0].type`: `nonsense` is none of string, number, boolean, select, secret-input, file, files, checkbox, app-selector, model-selector, any, dynamic-select, dynamic-tree-select, array, object, system-files, date, date-range: Dify could not read the plugin",
        ),
        ("manifest.yaml", in_utf16(u16::to_le_bytes), utf16),
        ("manifest.yaml", in_utf16(u16::to_be_bytes), utf16),
        (
            "provider/light.yaml",
            backslash.into_bytes(),
            "provider/light.yaml:3:26: `provider\\x.py` names no file outside Windows: use forward slashes, provider/x.py",
        ),
    ] {
        let package = package_of_bytes("light", "0.0.1", &[(path, &content)]);
        let (status, code, kind, text) = api.upload(UPLOAD, "dify_pkg", &package).await.error();
        assert_eq!((status, code, kind.as_str()), (200, -400, "PluginDaemonBadRequestError"), "{text}");
        assert!(text.lines().any(|line| line == expected), "{text}");
    }
}

#[tokio::test]
async fn a_package_is_known_by_its_identifier() {
    let bed = InstallBed::new().await;
    let services = bed.node();
    let api = client(&bed, &services);
    let _running = services.run();
    let identifier = upload(&api, "light", "0.0.1").await;
    let query = format!("plugin_unique_identifier={identifier}");
    let at = |route: &str| format!("management/{route}?{query}");

    let manifest = api.get(&at("fetch/manifest")).await.data();
    assert!(manifest["icon"].as_str().unwrap().len() > 64, "a media id: {}", manifest["icon"]);
    let decoded = api.get(&at("decode/from_identifier")).await.data();
    assert_eq!((&decoded["unique_identifier"], &decoded["manifest"]["icon"]), (&json!(identifier), &json!("icon.svg")));
    let old_name = format!("management/decode/from_identifier?PluginUniqueIdentifier={identifier}");
    assert_eq!(api.get(&old_name).await.data(), decoded);
    let extract = |header: &str| api.request("GET", "/v2/invoke/extract").header("x-plugin-unique-identifier", header);
    let extracted = api.send(extract(&identifier).body(Body::empty()).unwrap()).await;
    assert_eq!(extracted.data(), decoded);
    for (header, kind) in [("", "PluginDaemonBadRequestError"), ("x", "PluginUniqueIdentifierError")] {
        let refused = api.send(extract(header).body(Body::empty()).unwrap()).await.error();
        assert_eq!((refused.0, refused.1, refused.2.as_str()), (400, -400, kind));
    }
    assert_eq!(api.get(&at("fetch/identifier")).await.data(), json!(false));
    install(&api, &services, "light", "0.0.1").await;
    assert_eq!(api.for_another().get(&at("fetch/identifier")).await.data(), json!(true));
}

#[tokio::test]
async fn readmes() {
    let bed = InstallBed::new().await;
    let api = client(&bed, &bed.node());
    let files = [("README.md", "English"), ("readme/README_zh_Hans.md", "中文")];
    let uploaded = api.upload(UPLOAD, "dify_pkg", &package("light", "0.0.1", &files)).await.data();
    let identifier = uploaded["unique_identifier"].as_str().unwrap();
    let at = |language: &str| {
        format!("management/fetch/readme?tenant_id=x&plugin_unique_identifier={identifier}&language={language}")
    };
    assert_eq!(api.get(&at("zh_Hans")).await.data(), json!({"content": "中文", "language": "zh_Hans"}));
    assert_eq!(api.get(&at("ja_JP")).await.data(), json!({"content": "English", "language": "en_US"}));
    let without = upload(&api, "other", "0.0.1").await;
    let none = api.get(&format!("management/fetch/readme?plugin_unique_identifier={without}")).await;
    let (_, code, kind, text) = none.error();
    assert_eq!((code, kind.as_str()), (-404, "PluginDaemonNotFoundError"));
    assert_eq!(text, "no readme content available for this plugin");
}

#[tokio::test]
async fn what_was_never_uploaded() {
    let bed = InstallBed::new().await;
    let api = client(&bed, &bed.node());
    let query = format!("plugin_unique_identifier=testkit/none:0.0.1@{}", "0".repeat(64));
    for (route, code, expected) in [
        ("fetch/manifest", -400, "plugin not found"),
        ("decode/from_identifier", -400, "plugin package not found, please upload it firstly"),
        (
            "fetch/readme",
            -500,
            "failed to get readme from database: plugin package not found, please upload it firstly",
        ),
    ] {
        let (status, found, _, text) = api.get(&format!("management/{route}?{query}")).await.error();
        assert_eq!((status, found, text.as_str()), (200, code, expected), "{route}");
        let malformed = api.get(&format!("management/{route}?plugin_unique_identifier=x")).await;
        assert_eq!((malformed.status, malformed.error().1), (400, -400), "{route}");
    }
}

#[tokio::test]
async fn bundles() {
    let bed = InstallBed::new().await;
    let api = client(&bed, &bed.node());
    let route = "management/install/upload/bundle";
    let refused = api.upload(route, "dify_bundle", b"no zip").await.error();
    assert_eq!((refused.0, refused.1), (200, -400));
    assert!(refused.3.ends_with("\nfailed to decode bundle"), "{}", refused.3);
    let plugin = api.upload(route, "dify_bundle", &package("light", "0.0.1", &[])).await.error();
    assert_eq!(plugin.1, -400, "a plugin is no bundle");
}
