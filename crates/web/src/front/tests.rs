use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use axum::extract::State;
use axum::routing::MethodFilter;
use http_body_util::BodyExt as _;

use super::*;
use crate::auth::Key;
use crate::{Bound, Success, Table, Violations};
use plugin_service::config::Config;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn base(pairs: &[(&str, &str)]) -> Arc<Base> {
    let pairs = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Base::new(Config::from_vars(pairs).unwrap())
}

fn request(method: &str, target: &str) -> Request {
    Request::builder().method(method).uri(target).header(header::HOST, "daemon").body(Body::empty()).unwrap()
}

#[derive(Debug, serde::Deserialize)]
struct Item {
    id: String,
}

impl crate::Validate for Item {
    fn validate(&self, _: &mut Violations) {}
}

/// A front with routes like the real ones.
fn front_with_routes(base: &Arc<Base>) -> Arc<Front> {
    let front = Front::new(Arc::clone(base), Routes::none(Arc::clone(base)));
    let table = Table::new(Arc::clone(base), Arc::clone(base))
        .guarded(Key::Server, |table| {
            table
                .get("/plugin/:tenant_id/item/:id", async |Bound(item): Bound<Item>| Success(item.id))
                .post("/plugin/:tenant_id/item/:id", async || Success("made"))
                .post("/plugin/:tenant_id/dispatch/count", async |State(base): State<Arc<Base>>| {
                    Success((base.activity.requests(), base.activity.dispatches()))
                })
        })
        .guarded(Key::Admin, |table| table.post("/admin/x", async || Success(())))
        .get("/panics", async || -> Success<()> { panic!("on purpose") })
        .get("/slash/", async || Success(()))
        .on(MethodFilter::GET.or(MethodFilter::PUT), "/e/:hook_id/*path", async |request: Request| {
            let sent = request.extensions().get::<SentUri>().unwrap().0.to_string();
            Success((request.uri().to_string(), sent))
        });
    front.open(table.done());
    front
}

async fn send(front: &Front, request: Request) -> (u16, http::HeaderMap, String) {
    let response = front.answer(request, PEER).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

const SERVER_KEY: &[(&str, &str)] = &[("SERVER_KEY", "the-key")];

fn with_key(mut request: Request, header: &'static str, key: &'static str) -> Request {
    request.headers_mut().insert(header, HeaderValue::from_static(key));
    request
}

#[tokio::test]
async fn a_request_for_two_hosts_or_none_ends_its_connection() {
    let front = front_with_routes(&base(SERVER_KEY));
    let mut of_none = request("GET", "/slash/");
    of_none.headers_mut().remove(header::HOST);
    let mut of_two = request("GET", "/slash/");
    of_two.headers_mut().append(header::HOST, HeaderValue::from_static("other"));
    for (request, fault) in [(of_none, "missing required Host header"), (of_two, "too many Host headers")] {
        let (status, headers, body) = send(&front, request).await;
        assert_eq!((status, body), (400, format!("400 Bad Request: {fault}")));
        assert_eq!(headers[header::CONNECTION], "close");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_404_without_a_key() {
    let front = front_with_routes(&base(SERVER_KEY));
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/unknown"),
        ("POST", "/slash/"),
        ("PATCH", "/plugin/t/item/1"),
        ("GET", "/plugin/t/item/1/2"),
        ("PATCH", "/e/hook/x"),
        ("OPTIONS", "/panics"),
    ] {
        let (status, headers, body) = send(&front, request(method, target)).await;
        assert_eq!((status, body.as_str()), (404, r#"{"code":"not_found","message":"route not found"}"#), "{target}");
        assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    }
}

#[tokio::test]
async fn the_other_slash_is_a_redirect_that_keeps_the_query() {
    let front = front_with_routes(&base(SERVER_KEY));
    for (method, target, status, location) in [
        ("GET", "/slash", 301, "/slash/"),
        ("GET", "/plugin/t/item/1/?a=b%20c", 301, "/plugin/t/item/1?a=b%20c"),
        ("POST", "/plugin/t/item/1/", 307, "/plugin/t/item/1"),
        ("PUT", "/e/hook", 307, "/e/hook/"),
    ] {
        let (got, headers, body) = send(&front, request(method, target)).await;
        assert_eq!((got, headers["location"].to_str().unwrap(), body.as_str()), (status, location, ""));
    }
}

#[tokio::test]
async fn a_key_opens_its_group_only() {
    let front = front_with_routes(&base(&[("SERVER_KEY", "the-key"), ("ADMIN_API_KEY", "the-admin-key")]));
    let item = || request("GET", "/plugin/t/item/1");
    let unauthorized = r#"{"code":-401,"message":"{\"message\":\"unauthorized\",\"error_type\":\"PluginDaemonUnauthorizedError\",\"args\":null}","data":null}"#;
    for bad in [
        item(),
        with_key(item(), "x-api-key", ""),
        with_key(item(), "x-api-key", "the-admin-key"),
        with_key(item(), "x-admin-api-key", "the-key"),
        with_key(request("POST", "/admin/x"), "x-api-key", "the-key"),
    ] {
        let (status, _, body) = send(&front, bad).await;
        assert_eq!((status, body.as_str()), (401, unauthorized));
    }
    assert_eq!(send(&front, with_key(item(), "x-api-key", "the-key")).await.0, 200);
    assert_eq!(send(&front, with_key(request("POST", "/admin/x"), "x-admin-api-key", "the-admin-key")).await.0, 200);
}

#[tokio::test]
async fn a_path_is_decoded_once_and_an_encoded_slash_separates() {
    let front = front_with_routes(&base(SERVER_KEY));
    let item = async |id: &str| {
        let request = request("GET", &format!("/plugin/t/item/{id}"));
        send(&front, with_key(request, "x-api-key", "the-key")).await
    };
    assert_eq!(item("a%2Fb").await.0, 404);
    for (sent, text) in [("a%2541", "a%41"), ("%E6%BC%A2", "漢"), ("a%3Fb%23c%20d", "a?b#c d"), ("a@b:1", "a@b:1")] {
        assert_eq!(item(sent).await.2, format!(r#"{{"code":0,"message":"success","data":"{text}"}}"#));
    }
    assert_eq!(item("%FF").await.0, 400);
    let (_, _, body) = send(&front, request("GET", "/e/hook/a%2Fb?x=%2f&&")).await;
    assert_eq!(body, r#"{"code":0,"message":"success","data":["/e/hook/a/b?x=%2f&&","/e/hook/a%2Fb?x=%2f&&"]}"#);
}

#[tokio::test]
async fn a_panic_is_an_empty_500_and_the_next_request_is_served() {
    let front = front_with_routes(&base(SERVER_KEY));
    let (status, _, body) = send(&front, request("GET", "/panics")).await;
    assert_eq!((status, body.as_str()), (500, ""));
    assert_eq!(send(&front, request("GET", "/slash/")).await.0, 200);
}

#[tokio::test]
async fn requests_are_counted_until_their_body_has_left() {
    let base = base(SERVER_KEY);
    let front = front_with_routes(&base);
    let count = with_key(request("POST", "/plugin/t/dispatch/count"), "x-api-key", "the-key");
    let response = front.answer(count, PEER).await;
    assert_eq!((base.activity.requests(), base.activity.dispatches()), (1, 1));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        r#"{"code":0,"message":"success","data":[1,1]}"#
    );
    assert_eq!((base.activity.requests(), base.activity.dispatches()), (0, 0));
    send(&front, request("GET", "/unknown")).await;
    drop(front.answer(request("GET", "/slash/"), PEER)); // a client that leaves at once
    let text = base.metrics.expose(plugin_service::telemetry::metrics::Format::Plain).text;
    for line in [
        r#"plugin_http_requests_total{method="POST",endpoint="/plugin/:tenant_id/dispatch/count",status="200"} 1"#,
        r#"plugin_http_requests_total{method="GET",endpoint="",status="404"} 1"#,
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_services_are_up_early_routes_answer_and_the_rest_waits() {
    let base = base(SERVER_KEY);
    base.readiness.not_ready("database", "connecting");
    let early = Table::new(Arc::clone(&base), ()).get("/alive", async || Success(())).done();
    let front = Front::new(Arc::clone(&base), early);
    assert_eq!(send(&front, request("GET", "/alive")).await.0, 200);

    let started = tokio::time::Instant::now();
    let (status, _, body) = send(&front, request("GET", "/unknown")).await;
    assert_eq!((status, started.elapsed()), (503, START_WAIT));
    assert!(body.contains("the plugin daemon is starting (database: connecting)"), "{body}");

    let waiting = tokio::spawn({
        let front = Arc::clone(&front);
        async move { send(&front, request("GET", "/unknown")).await.0 }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    front.open(Table::new(Arc::clone(&base), ()).get("/alive", async || Success(())).done());
    assert_eq!(waiting.await.unwrap(), 404);
    assert_eq!(send(&front, request("GET", "/alive/")).await.0, 301);
}

#[tokio::test]
async fn headers_of_proxies_are_believed_from_trusted_ones() {
    for (trusted, is_seen) in [("", true), ("10.0.0.0/8", false), ("10.0.0.0/8,127.0.0.1", true), ("127.0.0.0/8", true)]
    {
        let base = base(&[("SERVER_TRUSTED_PROXIES", trusted)]);
        let front = Front::new(Arc::clone(&base), Routes::none(Arc::clone(&base)));
        let seen = async |request: Request| Success(request.headers().len());
        front.open(Table::new(Arc::clone(&base), Arc::clone(&base)).get("/count", seen).done());
        let mut request = request("GET", "/count");
        for name in OF_PROXIES {
            request.headers_mut().append(&name, HeaderValue::from_static("1"));
            request.headers_mut().append(name, HeaderValue::from_static("2"));
        }
        request.headers_mut().insert("x-own", HeaderValue::from_static("1"));
        let (_, _, body) = send(&front, request).await;
        let of_the_caller = 2; // with its host
        let count = of_the_caller + if is_seen { 2 * OF_PROXIES.len() } else { 0 };
        assert!(body.contains(&format!("\"data\":{count}")), "{trusted}: {body}");
    }
}
