//! The local runtime against real processes that misbehave: `stdio_worker` of the testkit stands in for Python.

mod death;
mod lifecycle;
mod parent;
mod pressure;
mod sessions;
mod support;
