//! The ids that tell what belongs to a request.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;

const USER_ID: HeaderName = HeaderName::from_static("x-user-id");
const USER_TYPE: HeaderName = HeaderName::from_static("x-user-type");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// More baggage is not passed on (W3C Baggage, 4.2).
const MOST_BAGGAGE: usize = 8192;

/// The ids of a trace, from the caller's `traceparent` or made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits: the span that what is sent for the request belongs to; the caller's, unless a span of this
    /// process is exported.
    pub span_id: String,
    /// Whether the trace is exported; `None` where nobody has decided.
    pub sampled: Option<bool>,
    /// The caller's `baggage`, passed on as it came.
    pub baggage: Option<Arc<str>>,
}

impl TraceContext {
    /// Reads `00-<32 hex>-<16 hex>-<flags>`.
    ///
    /// ```
    /// use plugin_service::telemetry::TraceContext;
    ///
    /// let trace = TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").unwrap();
    /// assert_eq!(trace.span_id, "b7ad6b7169203331");
    /// assert_eq!(trace.sampled, Some(false));
    /// assert_eq!(TraceContext::parse("0af7651916cd43dd8448eb211c80319c"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_id = |id: &str, length| id.len() == length && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let valid = version == "00" && parts.next().is_none() && is_id(trace_id, 32) && is_id(span_id, 16);
        let sampled = u8::from_str_radix(flags, 16).ok().map(|flags| flags & 1 == 1);
        valid.then(|| Self { sampled, ..Self::of_ids(trace_id.to_owned(), span_id.to_owned()) })
    }

    /// Of a trace of which no more is known.
    pub fn of_ids(trace_id: String, span_id: String) -> Self {
        Self { trace_id, span_id, sampled: None, baggage: None }
    }

    /// The trace of a `traceparent`; a new one without, or if it cannot be read.
    pub fn continued(traceparent: Option<&str>) -> Self {
        traceparent.and_then(Self::parse).unwrap_or_else(Self::random)
    }

    /// New ids for a request that came without.
    pub fn random() -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let span_id = uuid::Uuid::new_v4().simple().to_string().chars().take(16).collect();
        Self::of_ids(id, span_id)
    }

    /// Whether its spans are exported.
    pub fn is_sampled(&self) -> bool {
        self.sampled == Some(true)
    }

    /// The header for calls that belong to the request. It asks for the trace to be recorded, as the reference does, unless
    /// traces are exported here and this one is not.
    ///
    /// ```
    /// use plugin_service::telemetry::TraceContext;
    ///
    /// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// assert_eq!(TraceContext::continued(Some(text)).traceparent(), text);
    /// ```
    pub fn traceparent(&self) -> String {
        let is_left_out = self.sampled == Some(false) && super::spans::is_exporting();
        format!("00-{}-{}-0{}", self.trace_id, self.span_id, u8::from(!is_left_out))
    }

    /// All headers for calls that belong to the request.
    pub fn headers(&self) -> HeaderMap {
        let values = [(TRACEPARENT, Some(self.traceparent())), (BAGGAGE, self.baggage.as_deref().map(str::to_owned))];
        // ids are hexadecimal, and baggage was a header before
        values.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value?).ok()?))).collect()
    }
}

/// Who asked for what: attached to every request as an extension, and to its log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// Trace ids.
    pub trace: TraceContext,
    /// Tenant of the path.
    pub tenant_id: Option<String>,
    /// Header `X-User-ID`.
    pub user_id: Option<String>,
    /// Header `X-User-Type`.
    pub user_type: Option<String>,
}

impl RequestContext {
    /// Reads headers and path.
    pub fn of(headers: &HeaderMap, path: &str) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
        let tenant_id = path.strip_prefix("/plugin/").and_then(|rest| rest.split('/').next());
        let mut trace = TraceContext::continued(text(TRACEPARENT));
        trace.baggage = text(BAGGAGE).filter(|baggage| baggage.len() <= MOST_BAGGAGE).map(Arc::from);
        Self {
            trace,
            tenant_id: tenant_id.filter(|id| !id.is_empty()).map(str::to_owned),
            user_id: text(USER_ID).map(str::to_owned),
            user_type: text(USER_TYPE).map(str::to_owned),
        }
    }

    /// The span that carries the ids to every log line within.
    pub fn span(&self) -> Span {
        tracing::info_span!(
            "request",
            trace_id = self.trace.trace_id,
            span_id = self.trace.span_id,
            tenant_id = self.tenant_id,
            user_id = self.user_id,
            user_type = self.user_type,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_is_taken() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("00-{trace}-b7ad6b7169203331-00");
        let context = TraceContext::parse(&good).unwrap();
        assert_eq!(context.traceparent(), format!("00-{trace}-b7ad6b7169203331-01"), "where nothing is exported");
        for bad in [
            "",
            "00",
            &format!("01-{trace}-b7ad6b7169203331-00"),
            &format!("00-{trace}-b7ad6b7169203331"),
            &format!("00-{trace}-b7ad6b7169203331-00-x"),
            &format!("00-{trace}x-b7ad6b7169203331-00"),
            &format!("00-{trace}-b7ad6b716920333g-00"),
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
        let random = TraceContext::random();
        let again = TraceContext::parse(&random.traceparent()).unwrap();
        assert_eq!((again.trace_id, again.span_id), (random.trace_id, random.span_id));
    }

    #[test]
    fn a_request_knows_its_tenant_and_user() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_ID, "u".parse().unwrap());
        headers.insert(USER_TYPE, "".parse().unwrap());
        let context = RequestContext::of(&headers, "/plugin/t-1/management/list");
        assert_eq!((context.tenant_id.as_deref(), context.user_id.as_deref()), (Some("t-1"), Some("u")));
        assert_eq!(context.user_type, None);
        headers.insert(BAGGAGE, "a=1,b=2".parse().unwrap());
        let sent = RequestContext::of(&headers, "/").trace.headers();
        assert!(sent.contains_key(TRACEPARENT) && sent[BAGGAGE] == "a=1,b=2", "{sent:?}");
        headers.insert(BAGGAGE, "a".repeat(MOST_BAGGAGE + 1).parse().unwrap());
        assert_eq!(RequestContext::of(&headers, "/").trace.headers().len(), 1);
        assert_eq!(RequestContext::of(&headers, "/health/check").tenant_id, None);
    }
}
