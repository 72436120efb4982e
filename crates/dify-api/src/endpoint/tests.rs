use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::testing::{CallBed, PLUGIN_ID, crypted, request_of};
use plugin_calls::callback::testing::{FakeDify, Script, everything};
use plugin_web::testing::Sent;

struct Fixture {
    bed: CallBed,
    dify: FakeDify,
}

async fn fixture() -> Fixture {
    let dify = FakeDify::start().await;
    Fixture { bed: CallBed::new(&dify.url).await, dify }
}

impl Fixture {
    async fn post(&self, verb: &str, body: Value) -> Sent {
        self.bed.client.post(&format!("endpoint/{verb}"), &body).await
    }

    async fn set_up(&self, settings: Value) -> Sent {
        let plugin = &self.bed.identifier;
        let body = json!({"plugin_unique_identifier": plugin, "user_id": "u", "name": "n", "settings": settings});
        self.post("setup", body).await
    }

    fn dify_answers(&self, settings: &Value) {
        self.dify.script(Script::Body(200, crypted(settings)));
    }

    async fn list(&self) -> Vec<Value> {
        let sent = self.bed.client.get("endpoint/list?page=1&page_size=10").await;
        sent.data().as_array().unwrap().clone()
    }

    /// The settings that a plugin gets with a request to its hook, decrypted as they are stored.
    async fn settings_of_a_call(&mut self, hook: &str) -> Value {
        self.dify.script(Script::SameSettings);
        let request = Request::get(format!("/e/{hook}/x")).header("host", "hooks.example").body(Body::empty()).unwrap();
        let (sent, opened) = self.bed.play(request, |plugin| plugin.says(r#"{"status":200,"result":""}"#)).await;
        assert_eq!(sent.status, 200);
        request_of(&opened)["data"]["settings"].take()
    }

    fn asked(&self) -> Vec<String> {
        self.dify.requests().iter().map(|got| got.body["opt"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn an_endpoint_from_its_setup_to_its_end() {
    let fixture = fixture().await;
    fixture.dify_answers(&json!({"token": "sealed"}));
    assert_eq!(fixture.set_up(json!({"token": "secret-value"})).await.data(), true);
    let [got] = fixture.dify.requests().try_into().unwrap();
    let body = &got.body;
    assert_eq!(
        (got.path.as_str(), &body["opt"], &body["namespace"], &body["user_id"], &body["type"]),
        ("invoke/encrypt", &json!("encrypt"), &json!("endpoint"), &json!("u"), &json!("encrypt"))
    );
    assert_eq!(body["data"], json!({"token": "secret-value"}));
    assert_eq!(body["config"][0]["type"], "secret-input");

    fixture.dify_answers(&json!({"token": "secret-value"}));
    let [row] = fixture.list().await.try_into().unwrap();
    let id = row["id"].clone();
    assert_eq!(body["identity"], id);
    assert_eq!(
        (&row["settings"], &row["enabled"], &row["plugin_id"], &row["tenant_id"]),
        (&json!({"token": "se********ue"}), &json!(true), &json!(PLUGIN_ID), &json!(fixture.bed.client.tenant))
    );
    assert_eq!(row["declaration"]["settings"][0]["name"], "token");
    assert_eq!(row["expired_at"], "2050-01-01T00:00:00Z");

    fixture.dify_answers(&json!({"token": "secret-value"}));
    fixture.dify_answers(&json!({"token": "sealed again"}));
    fixture.dify_answers(&json!({}));
    let changed = json!({"token": "se********ue", "greeting": "hi"});
    let body = json!({"endpoint_id": id, "user_id": "u", "name": "other", "settings": changed});
    assert_eq!(fixture.post("update", body).await.data(), true);
    assert_eq!(fixture.asked()[2..], ["decrypt", "encrypt", "clear"]);
    assert_eq!(fixture.dify.requests()[3].body["data"], json!({"token": "secret-value", "greeting": "hi"}));

    for verb in ["disable", "disable", "enable"] {
        assert_eq!(fixture.post(verb, json!({"endpoint_id": id})).await.data(), true);
    }
    fixture.dify_answers(&json!({}));
    assert_eq!(fixture.post("remove", json!({"endpoint_id": id})).await.data(), true);
    assert_eq!(fixture.asked().last().unwrap(), "clear");
    assert!(fixture.list().await.is_empty());
}

#[tokio::test]
async fn nothing_is_left_of_a_setup_that_failed() {
    let fixture = fixture().await;
    fixture.dify.script(Script::Body(200, br#"{"error":"no key for you"}"#.to_vec()));
    let (status, code, kind, text) = fixture.set_up(json!({"token": "t"})).await.error();
    assert_eq!((status, code, kind.as_str()), (200, -500, "PluginDaemonInternalServerError"));
    assert_eq!(text, "failed to encrypt settings: request failed: no key for you");
    let (_, code, _, text) = fixture.set_up(json!({"greeting": 5})).await.error();
    assert_eq!((code, text.as_str()), (-400, "failed to validate settings: missing required setting: token"));
    assert!(fixture.list().await.is_empty());
}

#[tokio::test]
async fn forms_of_a_setting_that_difys_page_sends_are_taken() {
    let fixture = fixture().await;
    for (loud, taken) in [(json!(1), true), (json!(0), false), (json!(true), true)] {
        fixture.dify_answers(&json!({}));
        let settings = json!({"token": "t", "loud": loud, "greeting": null});
        assert_eq!(fixture.set_up(settings).await.data(), true, "{loud}");
        let sent = fixture.dify.requests().last().unwrap().body["data"].clone();
        assert_eq!(sent, json!({"token": "t", "loud": taken}), "{loud}");
    }
    fixture.dify_answers(&json!({}));
    let settings = json!({"token": "t", "loud": null, "greeting": ""});
    assert_eq!(fixture.set_up(settings).await.data(), true);
    assert_eq!(fixture.dify.requests().last().unwrap().body["data"], json!({"token": "t"}));
}

#[tokio::test]
async fn a_plugin_gets_what_difys_page_sends_as_booleans_and_without_what_has_no_value() {
    let mut fixture = fixture().await;
    fixture.dify.script(Script::SameSettings);
    let settings = json!({"token": "secret-value", "loud": 1, "greeting": null});
    assert_eq!(fixture.set_up(settings).await.data(), true);
    fixture.dify.script(Script::SameSettings);
    let [row] = fixture.list().await.try_into().unwrap();
    assert_eq!(row["settings"], json!({"token": "se********ue", "loud": true}), "as it is stored, and shown");
    let hook = row["hook_id"].as_str().unwrap();
    assert_eq!(fixture.settings_of_a_call(hook).await, json!({"token": "secret-value", "loud": true}));

    for (sent, got) in [
        (json!({"loud": 0, "greeting": "hi"}), json!({"loud": false, "greeting": "hi"})),
        (json!({"loud": true, "greeting": ""}), json!({"loud": true})),
        (json!({"loud": null, "greeting": null}), json!({})),
        (json!({"loud": 1}), json!({"loud": true})),
    ] {
        let with_token = |settings: &Value, token: &str| {
            let mut settings = settings.clone();
            settings["token"] = json!(token);
            settings
        };
        // decrypts the old settings, encrypts the new ones, forgets
        fixture.dify.script(Script::SameSettings);
        fixture.dify.script(Script::SameSettings);
        fixture.dify_answers(&json!({}));
        let settings = with_token(&sent, "se********ue");
        let body = json!({"endpoint_id": row["id"], "user_id": "u", "name": "n", "settings": settings});
        assert_eq!(fixture.post("update", body).await.data(), true, "{sent}");
        assert_eq!(fixture.settings_of_a_call(hook).await, with_token(&got, "secret-value"), "{sent}");
    }
    let body = json!({"endpoint_id": row["id"], "user_id": "u", "name": "n", "settings": {"token": "t", "loud": 2}});
    fixture.dify.script(Script::SameSettings);
    let (_, code, _, text) = fixture.post("update", body).await.error();
    assert_eq!((code, text.as_str()), (-400, "failed to validate settings: setting loud is not a boolean"));
}

#[tokio::test]
async fn endpoints_that_are_not_there() {
    let fixture = fixture().await;
    for id in ["00000000-0000-4000-8000-000000000000", "not-a-uuid"] {
        for (verb, text) in [
            ("enable", "endpoint not found"),
            ("disable", "endpoint not found"),
            ("remove", "failed to remove endpoint: record not found"),
            ("update", "failed to find endpoint: record not found"),
        ] {
            let body = json!({"endpoint_id": id, "user_id": "u", "name": "n", "settings": {}});
            let (status, code, kind, got) = fixture.post(verb, body).await.error();
            assert_eq!((status, code, kind.as_str(), got.as_str()), (200, -404, "PluginDaemonNotFoundError", text));
        }
    }
    assert!(fixture.dify.requests().is_empty());
}

#[tokio::test]
async fn plugins_that_may_not_have_endpoints() {
    let dify = FakeDify::start().await;
    let mut permission = everything();
    permission.endpoint = None;
    let fixture = Fixture { bed: CallBed::with(&dify.url, permission).await, dify };
    let (_, code, kind, _) = fixture.set_up(json!({"token": "t"})).await.error();
    assert_eq!((code, kind.as_str()), (-403, "PluginPermissionDeniedError"));
    fixture.bed.uninstall().await;
    let (_, code, kind, _) = fixture.set_up(json!({"token": "t"})).await.error();
    assert_eq!((code, kind.as_str()), (-404, "PluginNotFoundError"));
}

#[tokio::test]
async fn endpoints_outlive_their_plugin() {
    let fixture = fixture().await;
    fixture.dify_answers(&json!({"token": "sealed"}));
    assert_eq!(fixture.set_up(json!({"token": "t"})).await.data(), true);
    fixture.bed.uninstall().await;
    let [row] = fixture.list().await.try_into().unwrap();
    assert_eq!((&row["settings"], &row["declaration"]), (&json!({}), &json!({"settings": [], "endpoints": []})));
    let path = format!("endpoint/list/plugin?page=1&page_size=10&plugin_id={PLUGIN_ID}");
    let (_, code, _, text) = fixture.bed.client.get(&path).await.error();
    assert_eq!((code, text.as_str()), (-404, "failed to find plugin installation: record not found"));
    assert_eq!(fixture.post("remove", json!({"endpoint_id": row["id"]})).await.data(), true);
}

#[tokio::test]
async fn parameters_that_are_none() {
    let fixture = fixture().await;
    let long = json!({"plugin_unique_identifier": fixture.bed.identifier, "user_id": "u", "name": "x".repeat(128)});
    for (verb, body) in [("setup", json!({})), ("setup", long), ("update", json!({})), ("remove", json!({}))] {
        assert_eq!(fixture.post(verb, body).await.error().0, 400);
    }
    for query in ["", "page=1", "page=0&page_size=5", "page=1&page_size=101"] {
        let sent = fixture.bed.client.get(&format!("endpoint/list?{query}")).await;
        assert_eq!(sent.error().0, 400, "{query}");
    }
}
