//! The marker by which a node knows that a request was passed on by another one and is meant for it.

use aws_lc_rs::hmac;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use plugin_web::ApiError;

/// `<id of the node that is meant>.<proof>` on the way there.
const MARKER: HeaderName = HeaderName::from_static("x-plugin-node-marker");
/// On an answer: the node has not looked at the request, for this reason.
const REFUSED: HeaderName = HeaderName::from_static("x-plugin-node-refused");

const ANOTHER_KEY: &str = "the nodes have different keys (SERVER_KEY)";
const ANOTHER_NODE: &str = "node not found";

/// Makes and reads markers.
pub(super) struct Marker {
    key: hmac::Key,
    node: Uuid,
}

/// Where a request comes from.
pub(super) enum Marked {
    /// From outside.
    No,
    /// From another node, for this one.
    ForThis,
    /// From another node, and not for this one.
    Refused(Response),
}

impl Marker {
    pub(super) fn new(key: &str, node: Uuid) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), node }
    }

    fn proof(&self, node: Uuid) -> String {
        hex::encode(hmac::sign(&self.key, format!("passed on to node {node}").as_bytes()))
    }

    /// Marks a request for a node.
    pub(super) fn put(&self, headers: &mut HeaderMap, node: Uuid) {
        if let Ok(marker) = HeaderValue::try_from(format!("{node}.{}", self.proof(node))) {
            headers.insert(MARKER, marker);
        }
    }

    /// Takes the marker off a request. A process that was started anew at the same address is not the node that is meant.
    pub(super) fn take(&self, headers: &mut HeaderMap) -> Marked {
        let Some(marker) = headers.remove(MARKER) else { return Marked::No };
        let (node, proof) = marker.to_str().ok().and_then(|text| text.split_once('.')).unwrap_or_default();
        let Ok(node) = node.parse::<Uuid>() else { return refused(ANOTHER_KEY, StatusCode::UNAUTHORIZED) };
        if !bool::from(self.proof(node).as_bytes().ct_eq(proof.as_bytes())) {
            return refused(ANOTHER_KEY, StatusCode::UNAUTHORIZED);
        }
        if node != self.node {
            return refused(ANOTHER_NODE, StatusCode::MISDIRECTED_REQUEST);
        }
        Marked::ForThis
    }
}

fn refused(why: &'static str, status: StatusCode) -> Marked {
    let mut response = ApiError::redirect_failed(why).with_status(status).into_response();
    response.headers_mut().insert(REFUSED, HeaderValue::from_static(why));
    Marked::Refused(response)
}

/// Why a node has not looked at a request.
pub(super) fn refusal<B>(answer: &http::Response<B>) -> Option<&str> {
    answer.headers().get(REFUSED)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Uuid = Uuid::from_u128(1);
    const THERE: Uuid = Uuid::from_u128(2);

    fn sent(key: &str, node: Uuid) -> HeaderMap {
        let mut headers = HeaderMap::new();
        Marker::new(key, HERE).put(&mut headers, node);
        headers
    }

    #[track_caller]
    fn check(mut headers: HeaderMap, status: u16, why: &str) {
        let Marked::Refused(answer) = Marker::new("key", THERE).take(&mut headers) else { panic!("not refused") };
        assert_eq!((answer.status().as_u16(), refusal(&answer)), (status, Some(why)));
    }

    #[test]
    fn a_marker_is_for_one_node_and_one_key() {
        let mut headers = sent("key", THERE);
        assert!(matches!(Marker::new("key", THERE).take(&mut headers), Marked::ForThis));
        assert!(headers.is_empty(), "it is taken off");
        assert!(matches!(Marker::new("key", THERE).take(&mut headers), Marked::No));
        check(sent("other", THERE), 401, ANOTHER_KEY);
        check(sent("key", Uuid::from_u128(3)), 421, ANOTHER_NODE);
        for forged in ["", "x", "x.y", &format!("{THERE}."), &format!("{THERE}")] {
            let headers = HeaderMap::from_iter([(MARKER, HeaderValue::from_str(forged).unwrap())]);
            check(headers, 401, ANOTHER_KEY);
        }
    }
}
