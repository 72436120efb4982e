//! `GET /debug/pprof/...` (http-api 9): the reference shows profiles of the Go runtime there. This daemon has no such
//! runtime; it shows what it can and says so about the rest.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use plugin_service::base::Base;

/// What there is.
pub(super) async fn index() -> &'static str {
    "/debug/pprof/cmdline    command line\n\
     /debug/pprof/goroutine  tasks of the daemon\n\
     \n\
     This daemon is no Go program: other profiles are taken with the tools of the operating system, such as perf.\n"
}

/// The command line, its parts separated by NUL as the Go handler does.
pub(super) async fn command_line() -> Response {
    let arguments: Vec<_> = std::env::args_os().collect();
    let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    arguments.join(&0).into_response()
}

/// Tasks by name and age.
pub(super) async fn tasks(State(base): State<Arc<Base>>) -> String {
    let mut text = String::new();
    for task in base.lifecycle.tasks() {
        let _ = writeln!(text, "{:>10.3} s  {}", task.age.as_secs_f64(), task.name); // writing to a string cannot fail
    }
    text
}

/// A profile that only a Go program has.
pub(super) async fn no_profile(Path(profile): Path<String>) -> Response {
    let text = format!("there is no profile '{profile}': this daemon is no Go program\n");
    (StatusCode::NOT_IMPLEMENTED, text).into_response()
}
