//! `POST /backwards-invocation/transaction`: functions call back into Dify (http-api 9).

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use plugin_protocol::PluginEvent;
use plugin_protocol::callback::Invoke;
use plugin_protocol::event::read_line;

use crate::state::App;
use plugin_calls::transactions::{Refusal, Transactions};
use plugin_web::table::Table;

const SESSION: HeaderName = HeaderName::from_static("dify-plugin-session-id");

/// Bytes of a request whose session is not known before it is read (the limit of the reference).
const MAX_BODY: usize = 6 * 1024 * 1024;
/// What a request has around a value to be stored.
const AROUND: usize = 64 * 1024;

/// Adds the routes: the one of the contract, and the one by which a function is bound to its plugin.
pub(super) fn routes(table: Table<App>) -> Table<App> {
    // what comes is compressed as it comes
    table.compressed(0, |table| {
        table
            .post("/backwards-invocation/transaction", open)
            .post("/backwards-invocation/:token/backwards-invocation/transaction", bound)
    })
}

async fn open(State(app): State<App>, request: Request) -> Response {
    transact(&app, None, request).await
}

async fn bound(State(app): State<App>, Path(token): Path<String>, request: Request) -> Response {
    transact(&app, Some(&token), request).await
}

async fn transact(app: &App, token: Option<&str>, request: Request) -> Response {
    let Some(transactions) = &app.calls.transactions else { return StatusCode::NOT_FOUND.into_response() };
    let (parts, body) = request.into_parts();
    let refuse = |refusal: Refusal, session: &str, id: &str| {
        tracing::warn!(session, error = %refusal, "refused a call back of a function");
        respond(status(&refusal), "application/json; charset=utf-8", Body::from(refusal.line(session, id)))
    };
    let limit = limit(app, transactions, token, &parts.headers).await;
    let body = match read(body, limit).await {
        Ok(body) => body,
        Err(refusal) => return refuse(refusal, "", ""),
    };
    let (session_id, data) = match message(&body) {
        Ok(message) => message,
        Err(reason) => return refuse(Refusal::Malformed(reason), "", ""),
    };
    let id = match Invoke::parse(&data) {
        Ok(invoke) => invoke.id.into_owned(),
        Err(error) => return refuse(Refusal::Malformed(error.to_string()), &session_id, ""),
    };
    let session = match transactions.session(&session_id, token).await {
        Ok(session) => session,
        Err(error) => return refuse(Refusal::NoSession(error), &session_id, &id),
    };
    let answers = transactions.begin(session, data, app.base.lifecycle.hard().clone());
    respond(StatusCode::OK, "text/event-stream", Body::from_stream(answers.map(Ok::<_, Infallible>)))
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Unreadable(_) | Refusal::Malformed(_) | Refusal::NoSession(_) => StatusCode::BAD_REQUEST,
    }
}

/// How long the request may be. More than the reference's limit is for sessions that are known: a value to be stored
/// takes two bytes for each of its own.
async fn limit(app: &App, transactions: &Transactions, token: Option<&str>, headers: &HeaderMap) -> usize {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok()).unwrap_or_default();
    if length <= MAX_BODY {
        return MAX_BODY;
    }
    match transactions.session(text(SESSION).unwrap_or_default(), token).await {
        Ok(_) => {
            let config = &app.base.config;
            let bytes = |number| usize::try_from(number).unwrap_or(usize::MAX);
            let stored = bytes(config.persistence.max_bytes).saturating_mul(2).saturating_add(AROUND);
            stored.min(bytes(config.server.max_request_bytes)).max(MAX_BODY)
        }
        Err(_) => MAX_BODY,
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge(limit)),
        Err(error) => Err(Refusal::Unreadable(error.to_string())),
    }
}

/// Session and data of the one message that the body is.
fn message(body: &Bytes) -> Result<(String, Bytes), String> {
    let mut first = None;
    read_line(body, |event| {
        first.get_or_insert_with(|| match event {
            Ok(PluginEvent::Session { session_id, message }) => {
                Ok((session_id.into_owned(), Bytes::copy_from_slice(message.data.get().as_bytes())))
            }
            Ok(PluginEvent::Malformed { .. }) => Err("the session message lacks its type or its data".to_owned()),
            Ok(_) => Err("it is not a session event".to_owned()),
            Err(bad) => Err(bad.reason),
        });
    });
    first.unwrap_or_else(|| Err("it is empty".to_owned()))
}

fn respond(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
