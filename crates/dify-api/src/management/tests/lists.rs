//! What is installed, in every form.

use plugin_registry::management::Management;
use plugin_store::RawJson;
use serde_json::{Value, json};

use super::{install, texts};
use crate::testing::client;
use plugin_install::testing::InstallBed;
use plugin_web::testing::masked;

#[tokio::test]
async fn shapes() {
    let bed = InstallBed::new().await;
    let services = bed.node();
    let api = client(&bed, &services);
    let _running = services.run();
    install(&api, &services, "light", "0.0.1").await;
    let mut list = api.get("management/list?page=1&page_size=10&response_type=paged").await;
    let text = String::from_utf8(list.body.to_vec()).unwrap();
    assert!(text.contains(r#""meta":{"n":1.5}"#), "{text}");
    let mut data = list.data();
    let declaration = data["list"][0]["declaration"].take();
    insta::assert_json_snapshot!("list", masked(data));

    let ids = json!({"plugin_ids": ["testkit/light", "testkit/none", "testkit/light"]});
    let mut batch = api.post("management/installation/fetch/batch", &ids).await.data();
    assert_eq!(batch[0]["declaration"].take(), declaration);
    insta::assert_json_snapshot!("batch", masked(batch));

    let mut tools = api.get("management/tools?page=1&page_size=10").await.data();
    assert_eq!(tools[0]["declaration"].take(), declaration["tool"]);
    insta::assert_json_snapshot!("tools", masked(tools));
    list = api.get("management/tool?plugin_id=testkit/light&provider=light").await;
    assert_eq!(list.data()["declaration"], declaration["tool"]);
    for query in ["plugin_id=testkit/light&provider=x", "plugin_id=testkit/none&provider=light"] {
        for kind in ["tool", "agent_strategy", "datasource", "trigger"] {
            let none = api.get(&format!("management/{kind}?{query}")).await.error();
            assert_eq!((none.1, none.2.as_str(), none.3.as_str()), (-404, "PluginNotFoundError", "plugin not found"));
        }
    }
    for kind in ["agent_strategies", "datasources", "triggers", "models"] {
        assert_eq!(api.get(&format!("management/{kind}?page=1&page_size=10")).await.data(), json!([]), "{kind}");
    }
    assert_eq!(api.get("management/models/bindings").await.data(), json!([]));
    let asked = json!({"provider_ids": [
        {"plugin_id": "testkit/light", "provider_name": "x"}, {"plugin_id": "testkit/light", "provider_name": "light"},
    ]});
    let exist = api.post("management/tools/check_existence", &asked).await.data();
    assert_eq!(exist, json!([false, true]));
}

#[tokio::test]
async fn pages_and_searches() {
    let bed = InstallBed::new().await;
    let services = bed.node();
    let api = client(&bed, &services);
    let _running = services.run();
    for name in ["first", "second", "third"] {
        install(&api, &services, name, "0.0.1").await;
    }
    let list = api.get("management/list?page=2&page_size=2").await.data();
    assert_eq!((texts(&list["list"], "name"), &list["total"]), (vec!["first".to_owned()], &json!(3)), "newest first");
    let category = |query: &str| format!("management/tool/list?page=1&page_size=2&{query}");
    let page = api.get(&category("")).await.data();
    assert_eq!(
        (texts(&page["list"], "name"), &page["has_more"]),
        (vec!["third".into(), "second".into()], &json!(true))
    );
    for (query, expected) in [
        ("query=SECOND", &["second"][..]),
        ("query=testkit/fi", &["first"]),
        ("query=%E6%8F%92%E4%BB%B6&language=zh_Hans", &["third", "second"]),
        ("query=%E6%8F%92%E4%BB%B6&language=ja_JP", &[]),
        ("query=%25", &[]),
        ("tags=weather&tags=utilities", &["third", "second"]),
        ("tags=weather", &[]),
    ] {
        let found = api.get(&category(query)).await.data();
        assert_eq!(texts(&found["list"], "name"), expected, "{query}");
    }
    let long = format!("query={}", "x".repeat(257));
    for query in ["tags=nonsense", "language=de_DE", long.as_str()] {
        assert_eq!(api.get(&category(query)).await.status, 400, "{query}");
    }
    let ids = api.get("management/installation/ids?category=tool").await.data();
    assert_eq!(ids, json!({"plugin_ids": ["testkit/third", "testkit/second", "testkit/first"]}));
    for path in ["management/nonsense/list?page=1&page_size=1", "management/installation/ids?category=nonsense"] {
        let (status, code, _, text) = api.get(path).await.error();
        assert_eq!((status, code, text.as_str()), (200, -400, "invalid plugin category"));
    }
    for path in ["management/list", "management/list?page=0&page_size=1", "management/list?page=1&page_size=257"] {
        assert_eq!(api.get(path).await.status, 400, "{path}");
    }
    assert_eq!(api.for_another().get("management/list?page=1&page_size=2").await.data()["total"], 0);
}

#[tokio::test]
async fn one_broken_declaration_hides_one_plugin() {
    let bed = InstallBed::new().await;
    let services = bed.node();
    let api = client(&bed, &services);
    let _running = services.run();
    let broken = install(&api, &services, "broken", "0.0.1").await;
    install(&api, &services, "whole", "0.0.1").await;
    let read_by_nobody = r#"{"tool": 5}"#;
    let not_read_by_dify = r#"{"version": "0.0.1", "author": "testkit", "name": "broken", "tool": {"tools": [
        {"identity": {"name": "search"}, "parameters": [{"name": "query", "type": "txt", "form": "llm"}]}]}}"#;
    let management = Management::new(bed.stores.database.clone(), services.catalog.clone());
    assert_eq!(management.unlisted().await.unwrap(), []);
    for (text, because) in
        [(read_by_nobody, "cannot unmarshal !!int `5` into mapping at tool"), (not_read_by_dify, "Dify cannot read")]
    {
        let json = RawJson::new(text).unwrap();
        bed.stores.database.declarations.replace(&broken, &json).await.unwrap();
        services.catalog.version_changed(&broken.parse().unwrap()).await;
        let list = api.get("management/list?page=1&page_size=10").await.data();
        assert_eq!((texts(&list["list"], "name"), &list["total"]), (vec!["whole".to_owned()], &json!(2)), "{text}");
        let tools: Value = api.get("management/tools?page=1&page_size=10").await.data();
        assert_eq!(texts(&tools, "plugin_id"), ["testkit/whole"], "{text}");
        let unlisted = management.unlisted().await.unwrap();
        let [one] = &unlisted[..] else { panic!("{unlisted:?}") };
        assert_eq!((&one.plugin_unique_identifier, one.workspaces), (&broken, 1));
        assert!(one.reason.contains(because), "{}", one.reason);
    }
}

#[tokio::test]
async fn long_lists_are_compressed_for_those_who_take_it() {
    let bed = InstallBed::new().await;
    let services = bed.node();
    let api = client(&bed, &services);
    let _running = services.run();
    for index in 0..8 {
        install(&api, &services, &format!("plugin_{index}"), "0.0.1").await;
    }
    let path = "management/list?page=1&page_size=10";
    let plain = api.get(path).await;
    assert_eq!(plain.headers.get("content-encoding"), None);
    let request = api.request("GET", path).header("accept-encoding", "gzip, deflate, br");
    let packed = api.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(packed.headers.get("content-encoding").unwrap(), "gzip");
    assert!(packed.body.len() * 4 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
    let empty = api.for_another();
    let request = empty.request("GET", path).header("accept-encoding", "gzip");
    let small = empty.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(small.headers.get("content-encoding"), None);
}
