//! Where a panic was, as Sentry shows it.
//!
//! The standard library resolves addresses already; a crate for backtraces would bring the same code a second time.

use std::backtrace::Backtrace;

use sentry_core::protocol::{Frame, Stacktrace};

/// That of the caller.
pub(super) fn current() -> Option<Stacktrace> {
    Stacktrace::from_frames_reversed(frames(&Backtrace::force_capture().to_string()))
}

/// The frames of a printed backtrace, the innermost first: a line with the function, and where it is known one with the place.
fn frames(text: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in text.lines().map(str::trim_start) {
        match (line.strip_prefix("at "), frames.last_mut()) {
            (Some(place), Some(frame)) => set_place(frame, place),
            _ => frames.push(Frame { function: Some(function(line).to_owned()), ..Frame::default() }),
        }
    }
    frames
}

/// The function of `12: function`; the number is left out where it is inlined into the one before.
fn function(line: &str) -> &str {
    match line.split_once(": ") {
        Some((number, function)) if number.bytes().all(|byte| byte.is_ascii_digit()) => function,
        _ => line,
    }
}

/// Of `path:line:column`.
fn set_place(frame: &mut Frame, place: &str) {
    let mut parts = place.rsplitn(3, ':');
    let (column, line, path) = (parts.next(), parts.next(), parts.next());
    frame.colno = column.and_then(|column| column.parse().ok());
    frame.lineno = line.and_then(|line| line.parse().ok());
    frame.filename = path.and_then(|path| path.rsplit('/').next()).map(str::to_owned);
    frame.abs_path = path.map(str::to_owned);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_functions_and_places() {
        let text = "   0: <a::B as c::D>::e\n             at /src/a.rs:7:12\n      inlined::into\n  11: <unknown>\n";
        let shown = |frame: &Frame| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            (text(&frame.function), text(&frame.abs_path), text(&frame.filename), frame.lineno, frame.colno)
        };
        let frames: Vec<_> = frames(text).iter().map(shown).collect();
        let none = || (String::new(), String::new(), None, None);
        let bare = |function: &str| {
            let (path, file, line, column) = none();
            (function.to_owned(), path, file, line, column)
        };
        let first = ("<a::B as c::D>::e".to_owned(), "/src/a.rs".to_owned(), "a.rs".to_owned(), Some(7), Some(12));
        assert_eq!(frames, [first, bare("inlined::into"), bare("<unknown>")]);
    }

    #[test]
    fn the_callers_are_in_it() {
        let trace = current().unwrap();
        assert!(
            trace.frames.iter().any(|frame| frame.function.as_deref().is_some_and(|name| name.contains("stacktrace")))
        );
    }
}
