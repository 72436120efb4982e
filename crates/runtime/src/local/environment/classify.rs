//! What a tool's last lines mean.

pub(crate) mod sentence;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::error::{Cause, EnvironmentError};
use super::process::{RunError, Tail};

/// Bytes of a tool's output in an error text.
const QUOTE: usize = 4 * 1024;

/// The classes in the order in which they are looked for: a text may hold the signs of several, and the more particular
/// ones come first.
const SIGNS: &[(Cause, &[&str])] = &[
    (Cause::DiskFull, &["No space left on device", "Disk quota exceeded", "os error 28", "os error 122"]),
    (Cause::OutOfMemory, &["signal: 9", "Killed signal terminated program", "Cannot allocate memory", "os error 12)"]),
    (
        Cause::IndexAuth,
        &[
            "401 Unauthorized",
            "403 Forbidden",
            sentence::PROXY_REFUSES[0],
            sentence::PROXY_REFUSES[1],
            sentence::PROXY_REFUSES[2],
            "authentication credentials",
            "Missing credentials",
        ],
    ),
    (Cause::NotFound, &["No interpreter found", "No virtual environment or system Python", "Git executable not found"]),
    (Cause::Build, &["build backend returned an error", "Failed to build", "failed to build", "Build backend failed"]),
    (
        Cause::Network,
        &[
            "Request failed after",
            "error sending request",
            "tcp connect error",
            "dns error",
            "Failed to fetch:",
            "HTTP status server error",
            "Network connectivity is disabled",
            "network was disabled",
            "invalid peer certificate",
            "operation timed out",
            "connection closed before message completed",
            "Git operation failed",
            "Failed to extract archive",
        ],
    ),
    (
        Cause::Resolve,
        &[
            "No solution found",
            "unsatisfiable",
            "Couldn't parse requirement",
            "Failed to parse",
            "Distribution not found",
            "not found in the package registry",
            "Hash mismatch",
            "TOML parse error",
            "File not found",
            "doesn't have a source distribution or wheel",
            "does not have a source distribution or wheel",
            "No `project` table",
            "incompatible with the project's Python requirement",
            "did not contain valid UTF-8",
        ],
    ),
    (Cause::Io, &["(os error 13)", "(os error 30)", "(os error 1)", "(os error 95)", "(os error 38)", "(os error 18)"]),
];

/// The failure of a tool that ended with a bad status; `variables` are those that it had.
pub(crate) fn failed(
    what: &str,
    status: ExitStatus,
    output: &Tail,
    variables: &BTreeMap<OsString, OsString>,
) -> EnvironmentError {
    let quote = quote(output);
    let cause = if status.signal() == Some(9) { Cause::OutOfMemory } else { class_of(&quote) };
    let ended = match status.signal() {
        Some(9) => "killed by signal 9, most likely because memory ran out".into(),
        Some(signal) => format!("killed by signal {signal}"),
        None => sentence::of(&quote, variables)
            .unwrap_or_else(|| format!("exit status {}", status.code().unwrap_or_default())),
    };
    EnvironmentError::new(cause, compose(what, &ended, &quote, cause))
}

/// The failure of a tool that could not be run to its end.
pub(crate) fn not_run(what: &str, error: &RunError) -> EnvironmentError {
    let (cause, quote) = match error {
        RunError::Start(io) if io.kind() == std::io::ErrorKind::NotFound => (Cause::NotFound, String::new()),
        RunError::Start(io) if io.kind() == std::io::ErrorKind::OutOfMemory => (Cause::OutOfMemory, String::new()),
        RunError::Start(_) | RunError::Wait(_) => (Cause::Crashed, String::new()),
        RunError::Idle { output, .. } | RunError::TooLong { output, .. } => (Cause::Timeout, final_output(output)),
        RunError::Cancelled => return EnvironmentError::cancelled(),
    };
    EnvironmentError::new(cause, compose(what, &error.to_string(), &quote, cause))
}

/// What failed and why in the first line, then what the tool said, then what to do.
fn compose(what: &str, ended: &str, quote: &str, cause: Cause) -> String {
    let mut message = format!("{what}: {ended}");
    if !quote.is_empty() {
        message.push('\n');
        message.push_str(quote);
    }
    if let Some(advice) = advice(cause) {
        message.push('\n');
        message.push_str(advice);
    }
    message
}

/// What an operator can do, where there is something that fits every failure of the class.
const fn advice(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Network => Some(
            "check that the package index can be reached: PIP_MIRROR_URL, HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE",
        ),
        Cause::IndexAuth => Some(
            "check the credentials: of an index UV_INDEX_<NAME>_USERNAME and _PASSWORD, NETRC, or user and password in its \
             URL; of a proxy those in the URL of HTTP_PROXY and HTTPS_PROXY",
        ),
        Cause::DiskFull => Some("free space below PLUGIN_WORKING_PATH"),
        Cause::OutOfMemory => Some("give the daemon more memory, or allow fewer installs at a time"),
        Cause::Io => {
            Some("check owner and rights of PLUGIN_WORKING_PATH and UV_CACHE_DIR, and what their file systems allow")
        }
        Cause::Timeout => Some("PYTHON_ENV_INIT_TIMEOUT and PLUGIN_INSTALL_TIMEOUT limit how long it may take"),
        _ => None,
    }
}

/// The class that the text gives away; a tool that says nothing known has crashed.
fn class_of(output: &str) -> Cause {
    let speaks = |signs: &[&str]| signs.iter().any(|sign| output.contains(sign));
    SIGNS.iter().find(|(_, signs)| speaks(signs)).map_or(Cause::Crashed, |(cause, _)| *cause)
}

/// The part of the output that describes the failure: from the first line that names an error, else all of it.
fn quote(output: &Tail) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let names_error = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("error") || line.starts_with('\u{d7}') || line.starts_with("Traceback")
    };
    let from = lines.iter().position(names_error).unwrap_or_default();
    shorten(&lines.get(from..).unwrap_or_default().join("\n"), QUOTE)
}

/// What a tool that was stopped was busy with.
fn final_output(output: &Tail) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let mut last = lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().to_vec();
    if last.last() != Some(&output.last()) && !output.last().is_empty() {
        last.push(output.last());
    }
    shorten(&last.join("\n"), QUOTE / 4)
}

/// At most about `limit` bytes: the beginning and the end.
fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(limit / 2);
    let tail = text.ceil_char_boundary(text.len() - limit / 2);
    [text.get(..head), text.get(tail..)].map(Option::unwrap_or_default).join("\n...\n")
}

#[cfg(test)]
mod matrix;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, cause: Cause) {
        assert_eq!(class_of(output), cause, "{output}");
    }

    #[test]
    fn what_uv_says() {
        check(
            "error: No solution found when resolving dependencies\n  cause: Because there is no version of \
             dify-plugin==0.0.0.0.1 and you require dify-plugin==0.0.0.0.1, we can conclude that your requirements are \
             unsatisfiable.",
            Cause::Resolve,
        );
        check(
            "  \u{d7} No solution found when resolving dependencies:\n  \u{2570}\u{2500}\u{25b6} Because six was not \
             found in the package registry and you require six, we can conclude that your requirements are \
             unsatisfiable.",
            Cause::Resolve,
        );
        check(
            "error: Request failed after 3 retries in 7.1s\n  cause: Failed to fetch: http://127.0.0.1:9/simple/six/\n  \
             cause: tcp connect error\n  cause: Connection refused (os error 111)",
            Cause::Network,
        );
        check(
            "error: No solution found when resolving dependencies\n  cause: Because dify-plugin was not found in the \
             cache and you require dify-plugin, we can conclude that your requirements are unsatisfiable.\n\nhint: \
             Packages were unavailable because the network was disabled.",
            Cause::Network,
        );
        check(
            "error: No solution found when resolving dependencies\n  cause: Because six was not found in the package \
             registry\n\nhint: An index URL (http://127.0.0.1/simple) could not be queried due to a lack of valid \
             authentication credentials (401 Unauthorized)",
            Cause::IndexAuth,
        );
        check("hint: An index (http://127.0.0.1/simple) returned a 403 Forbidden error.", Cause::IndexAuth);
        check("error: HTTP status server error (500 Internal Server Error) for url (http://h/)", Cause::Network);
        check("error: Couldn't parse requirement in `requirements.txt` at position 0", Cause::Resolve);
        check("error: Failed to download `six==1.16.0`\n  cause: Hash mismatch for `six==1.16.0`", Cause::Resolve);
        check(
            "error: The build backend returned an error\n  cause: Call to `setuptools.build_meta:__legacy__` failed \
             (exit status: 1)\n\n         [stderr]\n         boom in setup",
            Cause::Build,
        );
        check(
            "error: The build backend returned an error\n  cause: gcc: fatal error: Killed signal terminated program cc1",
            Cause::OutOfMemory,
        );
        check("error: failed to write to file `x`: No space left on device (os error 28)", Cause::DiskFull);
        check("error: No interpreter found for Python 3.19 in managed installations or search path", Cause::NotFound);
        check("Segmentation fault", Cause::Crashed);
        check("", Cause::Crashed);
    }

    #[test]
    fn long_texts_keep_both_ends() {
        assert_eq!(shorten("short", 10), "short");
        assert_eq!(shorten(&format!("start{}end\u{fc}", "x".repeat(100)), 20), "startxxxxx\n...\nxxxxxendü");
    }

    #[test]
    fn signals_tell_of_memory_or_of_a_crash() {
        let by_signal = |signal| {
            failed("failed to install dependencies", ExitStatus::from_raw(signal), &Tail::default(), &BTreeMap::new())
        };
        let killed = by_signal(9);
        assert_eq!(killed.cause, Cause::OutOfMemory);
        let crashed = by_signal(11);
        assert_eq!(crashed.cause, Cause::Crashed);
        assert_eq!(crashed.message, "failed to install dependencies: killed by signal 11");
    }
}
