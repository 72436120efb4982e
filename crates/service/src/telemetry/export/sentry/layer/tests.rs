use parking_lot::Mutex;
use sentry_core::{ClientOptions, Envelope, Transport};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::telemetry::logs::panicked;

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Event<'static>>>);

impl Transport for Kept {
    fn send_envelope(&self, envelope: Envelope) {
        self.0.lock().extend(envelope.event().cloned());
    }
}

/// What is sent of the lines that are logged meanwhile.
fn sent(log: impl FnOnce()) -> Vec<Event<'static>> {
    let kept = Arc::<Kept>::default();
    let transport = Arc::clone(&kept);
    let mut options = ClientOptions::new().default_integrations(false);
    options.dsn = Some("http://public@localhost/1".parse().unwrap());
    options.transport = Some(Arc::new(move |_: &ClientOptions| Arc::clone(&transport) as Arc<dyn Transport>));
    let layer = SentryLayer::new(Arc::new(Client::with_options(options)), true, true);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer.filtered()), log);
    let mut events = kept.0.lock();
    std::mem::take(&mut *events)
}

#[test]
fn a_panic_is_an_event_with_its_place_and_without_secrets() {
    let events = sent(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(panicked));
        let ended = std::panic::catch_unwind(|| panic!("refused: Authorization: Bearer s3cr3t"));
        std::panic::set_hook(previous);
        ended.unwrap_err();
    });
    let [event] = &events[..] else { panic!("{events:?}") };
    let exception = &event.exception.values[0];
    assert_eq!((exception.ty.as_str(), exception.value.as_deref()), ("panic", Some("refused: Authorization:(hidden)")));
    let frames = &exception.stacktrace.as_ref().unwrap().frames;
    assert!(
        frames.iter().any(|frame| frame.function.as_deref().is_some_and(|name| name.contains("a_panic_is_an_event")))
    );
    assert!(event.extra["place"].as_str().unwrap().contains("layer/tests.rs:"), "{event:?}");
    assert!(!format!("{event:?}").contains("s3cr3t"), "{event:?}");
}

#[test]
fn secrets_are_hidden_by_their_names_and_in_texts() {
    let events = sent(|| {
        tracing::error!(
            server_key = "s3cr3t",
            credentials = ?["s3cr3t"],
            authorization = "Bearer s3cr3t",
            error = "https://user:s3cr3t@host/path?sig=s3cr3t",
            plugin = "acme/echo",
            attempts = 3,
            "no answer: DB_PASSWORD=s3cr3t",
        );
    });
    let [event] = &events[..] else { panic!("{events:?}") };
    assert!(!format!("{event:?}").contains("s3cr3t"), "{event:?}");
    assert_eq!(event.message.as_deref(), Some("no answer: DB_PASSWORD=(hidden)"));
    assert_eq!(event.extra["error"], "https://(hidden)@host/path?(hidden)");
    assert_eq!((event.tags["plugin"].as_str(), &event.extra["attempts"]), ("acme/echo", &3.into()));
}

#[test]
fn an_error_names_the_workspace_and_the_trace_of_its_request() {
    let (trace_id, span_id) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let events = sent(|| {
        tracing::info_span!("request", trace_id, span_id, tenant_id = "t-1").in_scope(|| {
            tracing::warn!("no error");
            tracing::error!("failed");
        });
    });
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.message.as_deref(), event.tags["tenant_id"].as_str()), (Some("failed"), "t-1"));
    let Facts::Trace(ids) = &event.contexts["trace"] else { panic!("{event:?}") };
    assert_eq!((ids.trace_id.to_string(), ids.span_id.to_string()), (trace_id.to_owned(), span_id.to_owned()));
}
