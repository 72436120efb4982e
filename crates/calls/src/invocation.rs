//! One call of a plugin from its request to its end.
//!
//! [`Invocations::open`] opens a session on the runtime of a plugin and gives an [`Invocation`]: raw chunks come out of
//! it, the plugin's calls back into Dify run beside, and dropping it ends everything at once. Nothing else keeps a call
//! alive; its time is limited from the moment it is opened.

mod batch;
mod budget;
mod chunks;
mod content;
mod error;
mod limits;
mod polling;
mod record;
mod request;
mod running;
mod runtimes;

use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use plugin_manifest::identifier::UniqueIdentifier;
use plugin_protocol::callback::{Invoke, Kind};
use plugin_protocol::{Action, ErrorObject, Origin, SessionId, envelope};
use plugin_runtime::{Call, Event, OpenError, Session};
use plugin_store::RuntimeType;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::admission::{Admission, Admitted, Limit};
use crate::callback::{Callbacks, Caller};
use crate::recent::Recent;
use crate::transactions::{Registered, Transactions};
use budget::Budget;
use plugin_registry::catalog::Declared;
use plugin_service::per_plugin::PerPlugin;
use plugin_service::telemetry::metrics::{self, InvocationGuard, Outcome, RuntimeKind};
use plugin_service::telemetry::{Metrics, TraceContext};
use record::Record;
use running::{CallSpans, Running};

pub use batch::BatchError;
pub use chunks::Chunks;
pub use error::CallError;
pub use limits::Limits;
pub use polling::final_result;
pub use request::{InvalidRequest, check_data, one_line};
pub use runtimes::Runtimes;

/// The plugin version that is called.
#[derive(Clone, Debug)]
pub struct Plugin {
    pub identifier: UniqueIdentifier,
    pub runtime_type: RuntimeType,
    pub declared: Arc<Declared>,
}

/// What is asked of it, and by whom.
#[derive(Clone, Debug)]
pub struct CallRequest {
    pub tenant_id: Uuid,
    /// Empty where nobody is signed in.
    pub user_id: String,
    pub origin: Arc<Origin>,
    pub action: Action,
    /// A JSON object on one line, checked (see [`check_data`]).
    pub data: String,
    pub trace: TraceContext,
}

/// Opens calls.
#[derive(Debug)]
pub struct Invocations {
    runtimes: Runtimes,
    callbacks: Arc<Callbacks>,
    metrics: Metrics,
    limits: Limits,
    admission: Admission,
    recent: Arc<Recent>,
    /// Limits of single plugins.
    per_plugin: PerPlugin,
    /// Knows the sessions of functions, where plugins run as such.
    transactions: Option<Arc<Transactions>>,
}

impl Invocations {
    /// Calls on these runtimes, within these limits.
    pub fn new(runtimes: Runtimes, callbacks: Arc<Callbacks>, metrics: Metrics, limits: Limits) -> Self {
        let recent = Arc::new(Recent::new(limits.slow));
        Self {
            runtimes,
            callbacks,
            metrics,
            limits,
            admission: Admission::new(limits.admission),
            recent,
            per_plugin: PerPlugin::default(),
            transactions: None,
        }
    }

    /// The same with functions that may call back.
    #[must_use]
    pub fn with_transactions(self, transactions: Arc<Transactions>) -> Self {
        Self { transactions: Some(transactions), ..self }
    }

    /// The same with limits of single plugins.
    #[must_use]
    pub fn with_per_plugin(self, per_plugin: PerPlugin) -> Self {
        Self { per_plugin, ..self }
    }

    /// The last slow and the last failed calls.
    pub fn recent(&self) -> Arc<Recent> {
        Arc::clone(&self.recent)
    }

    /// The limits of a plugin.
    fn limits_of(&self, plugin: &UniqueIdentifier) -> Limits {
        self.per_plugin.of_call(plugin).map_or(self.limits, |own| self.limits.with(own))
    }

    /// Dify, and the storage of plugins.
    pub fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }

    /// How long a call may take, if its plugin has no limits of its own.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Hands a request to a worker of the plugin, in a session of this id; returns when the worker has it. The time of the call
    /// runs since `began`.
    pub async fn open(
        &self,
        session_id: SessionId,
        plugin: &Plugin,
        ask: &CallRequest,
        began: Instant,
    ) -> Result<Invocation, OpenError> {
        let limits = self.limits_of(&plugin.identifier);
        let deadline = began + limits.total;
        let runtime_type = plugin.runtime_type;
        let counted = counted(plugin, ask);
        let plugin_id = Arc::clone(&counted.labels.plugin_id);
        let mut guard = self.metrics.invocation_started(counted);
        if ask.trace.is_sampled() {
            guard.traced(&ask.trace.trace_id);
        }
        let span = record::span(plugin, ask);
        let request = envelope::request(&session_id, &ask.origin, ask.action, &ask.user_id, &ask.data);
        let caller = Arc::new(Caller {
            tenant_id: ask.tenant_id,
            user_id: ask.user_id.clone(),
            session_id,
            origin: Arc::clone(&ask.origin),
            access: ask.action.access_type(),
            plugin_id,
            declared: Arc::clone(&plugin.declared),
            trace: ask.trace.within(&span),
        });
        let call = Call {
            plugin: plugin.identifier.clone(),
            session_id: caller.session_id.clone(),
            action: ask.action,
            origin: Arc::clone(&ask.origin),
            request,
            start_by: deadline.min(Instant::now() + limits.start),
            deadline,
            traceparent: caller.trace.traceparent(),
        };
        let mut record = Record::new(Arc::clone(&self.recent), span, plugin, Arc::clone(&caller), ask.action);
        if limits.trace_content {
            record.keep_content(&ask.data);
        }
        let registered = match &self.transactions {
            Some(transactions) if runtime_type == RuntimeType::Serverless => {
                Some(transactions.register(Arc::clone(&caller), &plugin.identifier))
            }
            _ => None,
        };
        let opened = async {
            let admitted = self.admit(ask.tenant_id, plugin, limits.admission.plugin).await?;
            let session = self.runtimes.of(runtime_type).open(call).await?;
            Ok((admitted, session))
        };
        let (admitted, session) = opened.instrument(record.waiting()).await.inspect_err(|error| {
            record.refused(error);
            guard.set_outcome(Outcome::Error);
        })?;
        guard.waited(record.opened());
        let spans = CallSpans { logged: Span::current(), exported: record.span().clone() };
        let calls = Running::new(Arc::clone(&self.callbacks), caller, session.replies(), spans, record.calls_back());
        Ok(Invocation {
            session: Some(session),
            admitted: Some(admitted),
            calls,
            registered,
            budget: Budget::new(deadline, limits.idle),
            guard: Some(guard),
            record,
        })
    }

    /// Waits until as little is going on that one more call may run.
    async fn admit(&self, tenant: Uuid, plugin: &Plugin, limit: Limit) -> Result<Admitted, OpenError> {
        self.admission.admit(tenant, &plugin.identifier, limit).await.map_err(|refused| {
            self.metrics.invocation_refused(kind(plugin.runtime_type), refused.whose().as_str());
            OpenError::Busy { cause: refused.to_string() }
        })
    }
}

/// The id of a new session.
pub fn new_session() -> SessionId {
    SessionId::from(Uuid::new_v4().to_string().as_str())
}

/// What a call is counted as.
fn counted(plugin: &Plugin, ask: &CallRequest) -> metrics::Call {
    let labels = metrics::Invocation {
        plugin_id: plugin.identifier.plugin_id().as_str().into(),
        plugin_type: ask.action.access_type().as_str(),
        runtime_type: kind(plugin.runtime_type),
        operation: ask.action.as_str(),
    };
    metrics::Call { labels, version: plugin.identifier.version().into() }
}

fn kind(runtime_type: RuntimeType) -> RuntimeKind {
    match runtime_type {
        RuntimeType::Local => RuntimeKind::Local,
        RuntimeType::Remote => RuntimeKind::Remote,
        RuntimeType::Serverless => RuntimeKind::Serverless,
    }
}

/// A call that runs. Dropping it ends it, with everything that it has going.
#[derive(Debug)]
pub struct Invocation {
    /// Gone when the call has ended.
    session: Option<Session>,
    /// Its place among the calls that may run.
    admitted: Option<Admitted>,
    calls: Running,
    /// Lets a function call back.
    registered: Option<Registered>,
    budget: Budget,
    guard: Option<InvocationGuard>,
    record: Record,
}

impl Invocation {
    /// The next chunk of the plugin's answer, as it came; `None` at the end. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Bytes, CallError>> {
        loop {
            let event = match self.event().await? {
                Ok(event) => event,
                Err(error) => return Some(Err(self.fail(error))),
            };
            match self.handle(event) {
                Handled::Chunk(chunk) => return Some(Ok(chunk)),
                Handled::Nothing => {}
                Handled::End => return None,
                Handled::Error(error) => return Some(Err(self.fail(error))),
            }
        }
    }

    /// The same as far as it is there already.
    pub fn try_next(&mut self) -> Poll<Option<Result<Bytes, CallError>>> {
        loop {
            let Some(session) = &mut self.session else { return Poll::Ready(None) };
            let Some(event) = session.try_recv() else { return Poll::Pending };
            match self.handle(event) {
                Handled::Chunk(chunk) => return Poll::Ready(Some(Ok(chunk))),
                Handled::Nothing => {}
                Handled::End => return Poll::Ready(None),
                Handled::Error(error) => return Poll::Ready(Some(Err(self.fail(error)))),
            }
        }
    }

    /// Ends the call because of what the plugin answered.
    pub fn fail(&mut self, error: CallError) -> CallError {
        self.over(if error.is_timeout() { Outcome::Timeout } else { Outcome::Error }, Some(&error));
        error
    }

    /// Ends the call because of an answer that breaks a rule of its action.
    pub fn malformed(&mut self, reason: impl std::fmt::Display) -> CallError {
        let plugin = &self.calls.caller().plugin_id;
        self.fail(CallError::Answer(ErrorObject::unmarshal(format_args!("{reason} (an answer of {plugin})"))))
    }

    async fn event(&mut self) -> Option<Result<Event, CallError>> {
        let session = self.session.as_mut()?;
        if let Err(error) = self.budget.spend() {
            return Some(Err(error));
        }
        if let Some(event) = session.try_recv() {
            return Some(Ok(event));
        }
        self.budget.wait_begins();
        loop {
            tokio::select! {
                biased;
                event = session.recv() => return event.map(Ok),
                () = self.budget.expired() => {
                    let waits = self.calls.are_running() || self.registered.as_ref().is_some_and(Registered::is_calling);
                    if let Err(error) = self.budget.on_timer(waits) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    fn handle(&mut self, event: Event) -> Handled {
        match event {
            Event::Chunk(chunk) => {
                self.record.chunk(&chunk);
                Handled::Chunk(chunk)
            }
            Event::Invoke(data) => match Invoke::parse(&data) {
                Ok(invoke) => {
                    let kind = Kind::parse(&invoke.kind).map_or("unknown", Kind::as_str);
                    self.calls.begin(data, kind);
                    Handled::Nothing
                }
                Err(error) => Handled::Error(CallError::Answer(ErrorObject::invoke_dify(error))),
            },
            Event::End => {
                self.over(Outcome::Success, None);
                Handled::End
            }
            Event::Error(error) => Handled::Error(CallError::Plugin(error)),
            Event::Unknown(kind) => Handled::Error(CallError::Answer(ErrorObject::unknown_stream_message(kind))),
            Event::Failed(failure) => Handled::Error(CallError::Failed(failure)),
        }
    }

    fn over(&mut self, outcome: Outcome, cause: Option<&CallError>) {
        self.session = None;
        self.admitted = None;
        self.registered = None;
        self.calls.cancel();
        if let Some(guard) = self.guard.take() {
            self.record.end(outcome, cause.map(|cause| cause as &dyn std::error::Error));
            guard.end(outcome);
        }
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        // unless it has ended, its client has gone
        self.over(Outcome::ClientDisconnect, None);
    }
}

enum Handled {
    Chunk(Bytes),
    Nothing,
    End,
    Error(CallError),
}

#[cfg(any(test, feature = "test-util"))]
pub mod testing;
#[cfg(test)]
mod tests;
