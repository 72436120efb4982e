//! Why a plugin ended, out of what it printed: the exception of its last traceback, and the last lines.
//!
//! Tracebacks are read as Python prints them and as `rich` draws them, on either output.

/// Bytes of quoted lines; with the sentence they fit into an install task's message.
const QUOTE: usize = 800;
/// How Python, and `rich` in a box, begin a traceback.
const TRACEBACK: &str = "Traceback (most recent call last)";
/// How a group of lines begins that the end of an interpreter causes, or the end of its greenlets.
const SHUTDOWN: [&str; 3] = [IGNORED, "Exception in thread ", "Error in atexit"];
/// The first of them is never a cause.
const IGNORED: &str = "Exception ignored ";
/// Signs of such a group.
const AT_SHUTDOWN: [&str; 3] = ["is being finalized", "interpreter shutdown", "could not acquire lock"];
/// Code of the daemon and of the interpreter that starts the plugin's module.
const OWN_FRAMES: [&str; 3] = ["/.bootstrap/", "<frozen runpy>", "<frozen importlib"];

/// What the end of a process says about its cause.
///
/// ```
/// use plugin_runtime::FinalOutput;
///
/// let output = FinalOutput::of(["starting", "Traceback (most recent call last):", "ImportError: no such name"]);
/// assert_eq!(output.cause.as_deref(), Some("ImportError: no such name"));
/// assert!(output.describe("exit code 1").starts_with("ImportError: no such name (exit code 1)\n"));
/// assert_eq!(FinalOutput::of([]).describe("exit code 1"), "exit code 1");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinalOutput {
    /// The cause in one sentence, if it is known.
    pub cause: Option<String>,
    /// The last lines, without frames of the daemon's own; at most 800 bytes.
    pub lines: String,
}

impl FinalOutput {
    /// Reads the lines of one process, in the order in which they came.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let plain: Vec<String> = lines.into_iter().flat_map(str::lines).map(without_escapes).collect();
        let kept = without_shutdown(&plain);
        let cause = cause(&kept);
        let kept = without_own_frames(&kept);
        Self { cause, lines: last(&kept) }
    }

    /// The cause, and after it the last lines: the text of an error about a process that ended as `ended` says.
    pub fn describe(&self, ended: &str) -> String {
        let Self { cause, lines } = self;
        let first = cause.as_ref().map_or_else(|| ended.to_owned(), |cause| format!("{cause} ({ended})"));
        if lines.is_empty() || cause.as_deref() == Some(lines) { first } else { format!("{first}\n{lines}") }
    }
}

/// The sentence for the last exception, or for a library that the interpreter does not find.
fn cause(lines: &[&str]) -> Option<String> {
    let exception = exception(lines);
    let missing = exception.iter().map(String::as_str).chain(lines.iter().rev().copied()).find_map(missing_library);
    if let Some(library) = missing {
        return Some(format!(
            "the shared library {library} is missing: install the system's package that has it, or use the image `local`"
        ));
    }
    let exception = exception?;
    if let Some(module) = exception.strip_prefix("ModuleNotFoundError: No module named ") {
        let module = module.trim_matches(['\'', '"']);
        if module == "dify_plugin" {
            return Some(
                "the SDK is missing: requirements.txt or pyproject.toml of the plugin has to name dify_plugin".into(),
            );
        }
    }
    Some(exception)
}

/// `libGL.so.1: cannot open shared object file: ...`, of the dynamic loader.
fn missing_library(line: &str) -> Option<&str> {
    let (before, _) = line.split_once(": cannot open shared object file")?;
    before.rsplit([' ', '/']).next().filter(|library| library.contains(".so"))
}

/// The line of the last traceback that names the exception, with what belongs to it.
fn exception(lines: &[&str]) -> Option<String> {
    let begin = lines.iter().rposition(|line| line.contains(TRACEBACK))?;
    let is_rich = lines.get(begin)?.contains('\u{256d}');
    let after = lines.get(begin + 1..)?;
    let is_frame = |line: &&str| line.starts_with([' ', '\u{2502}', '\u{2570}', '\t']) || line.is_empty();
    let at = after.iter().position(|line| !is_frame(line) && names_exception(line))?;
    let mut text = (*after.get(at)?).trim_end().to_owned();
    // rich breaks lines at its width
    let wrapped =
        after.get(at + 1..)?.iter().take_while(|line| is_rich && !line.is_empty() && !line.starts_with('\u{256d}'));
    for line in wrapped.take(3) {
        if !text.ends_with(' ') {
            text.push(' ');
        }
        text.push_str(line.trim_end());
    }
    if let Some(first) = first_violation(&text, after.get(at + 1..)?) {
        text = format!("{text}: {first}");
    }
    Some(shorten(&text, 300))
}

/// The first field that pydantic refuses, and why: the two lines after its exception.
fn first_violation(exception: &str, after: &[&str]) -> Option<String> {
    let [field, reason, ..] = after else { return None };
    let is_pydantic = ["1 validation error for ", "validation errors for "].iter().any(|text| exception.contains(text));
    let reason = reason.split(" [type=").next().unwrap_or_default().trim();
    (is_pydantic && !field.starts_with(' ') && !reason.is_empty()).then(|| format!("{}: {reason}", field.trim()))
}

/// `SomeError`, `package.SomeError: text`.
fn names_exception(line: &str) -> bool {
    let name = line.split_once(':').map_or(line, |(name, _)| name).trim_end();
    !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
        && name.rsplit('.').next().is_some_and(|class| class.starts_with(|c: char| c.is_uppercase() || c == '_'))
}

/// The lines without what an interpreter prints because it ends.
fn without_shutdown(lines: &[String]) -> Vec<&str> {
    let mut kept: Vec<&str> = Vec::new();
    // where a group begins whose last line, that of the exception, has not come yet
    let mut open: Option<usize> = None;
    for line in lines {
        let is_traceback = line.starts_with(TRACEBACK);
        let begins = is_traceback || SHUTDOWN.iter().any(|begin| line.starts_with(begin));
        if let Some(begin) = open {
            let continues = line.starts_with([' ', '\t']) || (is_traceback && kept.len() == begin + 1);
            if !begins || continues {
                kept.push(line);
            }
            if continues {
                continue;
            }
            drop_if_of_shutdown(&mut kept, begin);
            open = None;
            if !begins {
                continue;
            }
        }
        open = begins.then_some(kept.len());
        if begins || !is_of_shutdown(line) {
            kept.push(line);
        }
    }
    if let Some(begin) = open {
        drop_if_of_shutdown(&mut kept, begin);
    }
    kept
}

fn drop_if_of_shutdown(lines: &mut Vec<&str>, begin: usize) {
    let is_ignored = lines.get(begin).is_some_and(|first| first.starts_with(IGNORED));
    if is_ignored || lines.last().is_some_and(|last| is_of_shutdown(last)) {
        lines.truncate(begin);
    }
}

fn is_of_shutdown(line: &str) -> bool {
    AT_SHUTDOWN.iter().any(|sign| line.contains(sign))
}

/// The lines without frames of the daemon's program and of the interpreter's start, and their code.
fn without_own_frames<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut in_own = false;
    for line in lines {
        let is_frame = line.starts_with("  File \"");
        in_own =
            if is_frame { OWN_FRAMES.iter().any(|own| line.contains(own)) } else { in_own && line.starts_with("    ") };
        if !in_own && !line.trim().is_empty() {
            kept.push(*line);
        }
    }
    kept
}

/// The last lines that fit.
fn last(lines: &[&str]) -> String {
    let mut room = QUOTE;
    let mut from = lines.len();
    while let Some(line) = from.checked_sub(1).and_then(|before| lines.get(before))
        && line.len() < room
    {
        room -= line.len() + 1;
        from -= 1;
    }
    match (lines.get(from..), lines.last()) {
        (Some([]), Some(line)) => shorten(line, QUOTE),
        (kept, _) => kept.unwrap_or_default().join("\n"),
    }
}

/// The end of a text says more than its beginning.
fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let (head, tail) = (text.floor_char_boundary(limit / 3), text.ceil_char_boundary(text.len() - limit * 2 / 3));
    [text.get(..head), text.get(tail..)].map(Option::unwrap_or_default).join("...")
}

/// A line as it looks without colours.
fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
        } else if chars.clone().next() == Some('[') {
            // to the letter that ends the sequence
            let _letter = chars.by_ref().skip(1).find(|c| ('@'..='~').contains(c));
        }
    }
    plain
}

#[cfg(test)]
mod tests;
