use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use plugin_runtime::Event;
use plugin_store::shared::Node;
use plugin_store::{DebugInstall, RawJson, RuntimeType};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::testing::{client_with, routing};
use plugin_calls::invocation::Runtimes;
use plugin_calls::invocation::testing::{Opened, Scripted};
use plugin_install::testing::{InstallBed, Installing};
use plugin_registry::catalog::Declared;
use plugin_registry::cluster::Cluster;
use plugin_service::lifecycle::Lifecycle;
use plugin_service::per_plugin::PerPlugin;
use plugin_web::front::Front;
use plugin_web::server;
use plugin_web::testing::ApiClient;

const PLUGIN_ID: &str = "acme/echo";
const LIMITS: ForwardLimits = ForwardLimits { total: Duration::from_mins(1), body: 1 << 20 };

fn plugin() -> UniqueIdentifier {
    format!("{PLUGIN_ID}:0.0.1@{}", "0".repeat(64)).parse().unwrap()
}

/// A node that listens.
struct NodeUnderTest {
    client: ApiClient,
    services: Installing,
    cluster: Arc<Cluster>,
    opened: mpsc::Receiver<Opened>,
    lifecycle: Lifecycle,
    serving: tokio::task::JoinHandle<()>,
}

impl NodeUnderTest {
    async fn new(bed: &InstallBed, key: &str, has_plugin: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let services = bed.node();
        let catalog = Arc::clone(&services.catalog);
        let cluster = Arc::new(Cluster::new(Arc::clone(&bed.stores.shared), Node::new(address), true));
        let lifecycle = Lifecycle::default();
        let cutoff = lifecycle.hard().clone();
        let routing = routing(&services, Some(Arc::clone(&cluster)));
        let (node, per_plugin) = (cluster.node().clone(), PerPlugin::default());
        let forwarder = Forwarder::new(catalog, routing.clone(), node, key, LIMITS, per_plugin, cutoff);
        let (runtime, opened) = Scripted::new();
        let mut runtimes = Runtimes::none();
        if has_plugin {
            runtimes = runtimes.with(RuntimeType::Remote, Arc::new(runtime));
        }
        let client = client_with(bed, &services, runtimes, routing, Some(forwarder));
        let serving = tokio::spawn(server::serve(listener, client.front(), 100, lifecycle.clone()));
        let (member, catalog) = (Arc::clone(&cluster), Arc::clone(&services.catalog));
        let stop = lifecycle.soft().clone();
        tokio::spawn(async move { member.run(|elsewhere| catalog.show_elsewhere(elsewhere), stop).await });
        Self { client, services, cluster, opened, lifecycle, serving }
    }

    /// As after a plugin has connected and registered.
    async fn connect(&self) {
        let manifest = plugin_manifest::Declaration {
            name: "echo".to_owned(),
            endpoint: Some(plugin_manifest::declaration::EndpointProvider::default()),
            ..Default::default()
        };
        let declared = Arc::new(Declared::new(manifest).unwrap());
        self.services.catalog.show_debugged(&plugin(), &declared);
        self.cluster.connected(&plugin()).await;
    }

    /// `kill -9`, as others see it.
    fn die(&self) {
        self.serving.abort();
        self.lifecycle.soft().cancel();
        self.lifecycle.hard().cancel();
    }
}

impl Drop for NodeUnderTest {
    fn drop(&mut self) {
        self.lifecycle.soft().cancel();
    }
}

/// Two nodes, and a plugin of the tenant's that is connected to the second.
struct Stage {
    bed: InstallBed,
    here: NodeUnderTest,
    there: NodeUnderTest,
}

impl Stage {
    async fn new() -> Self {
        Self::with_keys("the-server-key", "the-server-key").await
    }

    async fn with_keys(here: &str, there: &str) -> Self {
        let bed = Box::pin(InstallBed::new()).await;
        let here = NodeUnderTest::new(&bed, here, false).await;
        let there = NodeUnderTest::new(&bed, there, true).await;
        let stage = Self { bed, here, there };
        stage.there.connect().await;
        let declaration = RawJson::new(r#"{"name":"echo","endpoint":{"settings":[],"endpoints":[]}}"#).unwrap();
        let identifier = plugin();
        let install = DebugInstall {
            tenant_id: stage.tenant(),
            plugin_id: PLUGIN_ID,
            unique_identifier: identifier.as_str(),
            declaration: &declaration,
            providers: &[],
        };
        stage.bed.stores.database.installations.install_debug(&install).await.unwrap();
        while stage.here.cluster.places(&plugin()).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stage
    }

    fn tenant(&self) -> Uuid {
        self.here.client.tenant
    }

    fn request(&self) -> Request<Body> {
        let body = json!({"user_id": "u", "data": {"provider": "p", "tool": "t", "tool_parameters": {}}});
        let request = self.here.client.request("POST", "dispatch/tool/invoke");
        let request = request.header("content-type", "application/json").header("x-plugin-id", PLUGIN_ID);
        request.body(Body::from(body.to_string())).unwrap()
    }

    /// A call here, and what the plugin there gets.
    async fn call(
        &mut self,
        request: Request<Body>,
    ) -> (
        tokio::task::JoinHandle<Response<impl hyper::body::Body<Data = Bytes, Error = axum::Error> + Unpin + use<>>>,
        Opened,
    ) {
        let front = self.here.client.front();
        let answer = tokio::spawn(answer(front, request));
        let opened = tokio::time::timeout(Duration::from_mins(2), self.there.opened.recv()).await;
        (answer, opened.expect("it is passed on").unwrap())
    }

    /// A call that reaches no plugin: status, and text.
    async fn refused(&self) -> (u16, String) {
        let (status, code, _, text) = self.here.client.send(self.request()).await.error();
        assert_eq!(code, -500);
        (status, text)
    }
}

async fn answer(
    front: Arc<Front>,
    request: Request<Body>,
) -> Response<impl hyper::body::Body<Data = Bytes, Error = axum::Error> + Unpin> {
    front.answer(request, IpAddr::V4(Ipv4Addr::LOCALHOST)).await
}

fn chunk(n: u8) -> String {
    format!(r#"{{"type":"text","message":{{"text":"{n}"}},"meta":null}}"#)
}

async fn piece(body: &mut (impl hyper::body::Body<Data = Bytes, Error = axum::Error> + Unpin)) -> Option<String> {
    let frame = tokio::time::timeout(Duration::from_mins(2), body.frame()).await.expect("nothing came")?;
    Some(String::from_utf8(frame.ok()?.into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn events_pass_one_by_one() {
    let mut stage = Stage::new().await;
    let request = stage.request();
    let (answer, opened) = stage.call(request).await;
    assert_eq!(opened.call.plugin, plugin());
    opened.says(&chunk(1));
    let mut answer = answer.await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let one = |n: u8| format!("data: {{\"code\":0,\"message\":\"success\",\"data\":{}}}\n\n", chunk(n));
    assert_eq!(piece(answer.body_mut()).await, Some(one(1)));
    opened.says(&chunk(2));
    assert_eq!(piece(answer.body_mut()).await, Some(one(2)));
    opened.plugin.push(Event::End);
    assert_eq!(piece(answer.body_mut()).await, None);
    assert!(answer.body().is_end_stream() || piece(answer.body_mut()).await.is_none());
}

#[tokio::test]
async fn a_caller_who_leaves_ends_the_call_there() {
    for with_a_piece in [false, true] {
        let mut stage = Stage::new().await;
        let request = stage.request();
        let (answer, opened) = stage.call(request).await;
        assert!(!opened.is_dropped());
        if with_a_piece {
            opened.says(&chunk(1));
            drop(answer.await.unwrap());
        } else {
            answer.abort();
        }
        for _ in 0..500 {
            if opened.is_dropped() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(opened.is_dropped(), "after a piece: {with_a_piece}");
    }
}

#[tokio::test]
async fn a_version_that_is_named_is_found_too() {
    let mut stage = Stage::new().await;
    let mut request = stage.request();
    *request.uri_mut() = "/v2/invoke/dispatch/tool/invoke".parse().unwrap();
    let body = json!({"tenant_id": stage.tenant(), "user_id": "u", "data": {"provider": "p", "tool": "t", "tool_parameters": {}}});
    *request.body_mut() = Body::from(body.to_string());
    request.headers_mut().insert("x-plugin-unique-identifier", plugin().as_str().parse().unwrap());
    let (answer, opened) = stage.call(request).await;
    opened.plugin.push(Event::End);
    assert_eq!(answer.await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_webhook_passes_byte_for_byte() {
    let mut stage = Stage::new().await;
    let settings = RawJson::empty_object();
    let tenant = stage.tenant();
    let new = plugin_store::NewEndpoint {
        tenant_id: tenant,
        user_id: "u",
        plugin_id: PLUGIN_ID,
        name: "hook",
        id: plugin_store::new_id(),
        settings: &settings,
    };
    let hook = stage.bed.stores.database.endpoints.create(&new).await.unwrap().hook_id;
    let request = Request::post(format!("/e/{hook}/a%2Fb//c?x=%zz"))
        .header("host", "outside.example")
        .header("x-many", "1")
        .header("x-many", "2")
        .header("connection", "x-own")
        .header("x-own", "1")
        .body(Body::from("hello"))
        .unwrap();
    let (answer, opened) = stage.call(request).await;
    let received: serde_json::Value = serde_json::from_slice(&opened.call.request).unwrap();
    let raw = hex::decode(received["data"]["raw_http_request"].as_str().unwrap()).unwrap();
    insta::assert_snapshot!(String::from_utf8(raw).unwrap().replace("\r\n", "\n").replace(&hook, "[hook]"), @r"
    POST /a%2Fb//c?x=%zz HTTP/1.1
    Host: outside.example
    User-Agent: Go-http-client/1.1
    Content-Length: 5
    Dify-Hook-Id: [hook]
    Dify-Hook-Url: http://outside.example/e/[hook]/a%2Fb//c
    X-Many: 1
    X-Many: 2

    hello
    ");
    opened.says(r#"{"status":418,"headers":{"set-cookie":"a","x":"y"},"result":"6869"}"#);
    opened.plugin.push(Event::End);
    let answer = answer.await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["set-cookie"]), (418, &"a".parse().unwrap()));
}

#[tokio::test]
async fn the_second_node_passes_nothing_on() {
    let mut stage = Stage::new().await;
    // it would say that the plugin is connected to the first, which says that it is connected to the second
    stage.there.services.catalog.hide_debugged(&plugin());
    stage.here.cluster.connected(&plugin()).await;
    while stage.there.cluster.places(&plugin()).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let request = stage.request();
    let (answer, opened) = stage.call(request).await;
    opened.plugin.push(Event::End);
    assert_eq!(answer.await.unwrap().status(), 200);
}

#[tokio::test]
async fn nodes_with_another_key_or_another_life_take_nothing() {
    let stage = Stage::with_keys("the-server-key", "another-key").await;
    let (status, text) = stage.refused().await;
    assert_eq!((status, text.as_str()), (500, "redirect request failed: the nodes have different keys (SERVER_KEY)"));

    let stage = Stage::new().await;
    // a node that died and has another name since
    let gone = Cluster::new(
        Arc::clone(&stage.bed.stores.shared),
        Node::new(stage.there.cluster.node().address.clone()),
        false,
    );
    let nodes = plugin_store::shared::Cluster::new(Arc::clone(&stage.bed.stores.shared));
    nodes.announce(gone.node(), Duration::from_mins(1)).await.unwrap();
    gone.connected(&plugin()).await;
    stage.there.cluster.disconnected(&plugin()).await;
    stage.here.cluster.look().await.unwrap();
    let (status, text) = stage.refused().await;
    assert_eq!((status, text.as_str()), (500, "redirect request failed: node not found"));
}

#[tokio::test]
async fn another_node_is_tried_when_one_cannot_be_reached() {
    let mut stage = Stage::new().await;
    let dead = Cluster::new(Arc::clone(&stage.bed.stores.shared), Node::new("http://127.0.0.1:9".to_owned()), false);
    let nodes = plugin_store::shared::Cluster::new(Arc::clone(&stage.bed.stores.shared));
    nodes.announce(dead.node(), Duration::from_mins(1)).await.unwrap();
    dead.connected(&plugin()).await;
    stage.here.cluster.look().await.unwrap();
    assert_eq!(stage.here.cluster.places(&plugin()).len(), 2);
    for _ in 0..4 {
        let request = stage.request();
        let (answer, opened) = stage.call(request).await;
        opened.plugin.push(Event::End);
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    stage.there.cluster.disconnected(&plugin()).await;
    stage.here.cluster.look().await.unwrap();
    let (status, text) = stage.refused().await;
    assert!(status == 500 && text.starts_with("redirect request failed: connect: "), "{text}");
}

#[tokio::test]
async fn a_plugin_that_has_gone_is_reported_at_once() {
    let stage = Stage::new().await;
    stage.there.cluster.disconnected(&plugin()).await;
    stage.here.cluster.look().await.unwrap();
    assert_eq!(stage.refused().await, (404, "no available node, plugin runtime not found".to_owned()));
}

#[tokio::test]
async fn the_death_of_the_node_ends_its_calls_with_an_error_of_their_own() {
    let mut stage = Stage::new().await;
    let request = stage.request();
    let (answer, opened) = stage.call(request).await;
    opened.says(&chunk(1));
    let mut answer = answer.await.unwrap();
    assert!(piece(answer.body_mut()).await.is_some());
    stage.there.die();
    let mut last = String::new();
    while let Some(next) = piece(answer.body_mut()).await {
        last = next;
    }
    assert!(last.contains("data: {\"code\":-500"), "{last}");
}
