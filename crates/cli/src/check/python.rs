//! The syntax of Python files, checked by a Python of this machine if there is one.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use plugin_manifest::Declaration;
use serde::Deserialize;

use super::contents::is_foreign;
use super::place::Place;
use super::{Checker, Diagnostic};
use crate::export::on_path;

/// Reads the files as Python does - bytes, which may begin with a mark of their order -, and runs nothing of them.
const PARSE: &str = r"
import ast, json, sys, warnings
warnings.simplefilter('ignore')
files, faults = json.load(sys.stdin.buffer), []
for path, text in files.items():
    try:
        ast.parse(text.encode(), path)
    except SyntaxError as error:
        faults.append({'path': path, 'line': error.lineno, 'column': error.offset, 'message': error.msg})
    except (ValueError, RecursionError, MemoryError) as error:
        faults.append({'path': path, 'line': None, 'column': None, 'message': str(error)})
json.dump({'version': sys.version_info[:2], 'faults': faults}, sys.stdout)
";
/// Newer ones understand what older ones do.
const PROGRAMS: [&str; 4] = ["python3.14", "python3.13", "python3.12", "python3"];
/// What plugins are run on.
const FULL: (u8, u8) = (3, 12);
/// Text that is looked at; the rest of a larger plugin is not.
const MOST: usize = 32 << 20;
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// What Python says.
#[derive(Debug, Deserialize)]
struct Answer {
    version: (u8, u8),
    faults: Vec<Fault>,
}

#[derive(Debug, Deserialize)]
struct Fault {
    path: String,
    line: Option<u32>,
    column: Option<u32>,
    message: String,
}

impl Checker<'_> {
    /// Checks the syntax of all Python files; errors are those in files that are loaded.
    pub(super) fn syntax(&mut self, declaration: &Declaration) {
        let Ok(files) = self.source.files().walk() else { return };
        let mut texts = BTreeMap::new();
        let mut size = 0;
        let is_python = |file: &&String| matches!(file.rsplit_once('.'), Some((_, "py"))) && !is_foreign(file);
        for file in files.iter().filter(is_python) {
            let Some(text) = self.text(file) else { continue };
            size += text.len();
            if size > MOST {
                break;
            }
            texts.insert(file, text);
        }
        let Some(answer) = serde_json::to_vec(&texts).ok().and_then(|files| ask(&files)) else { return };
        let mut loaded = self.present_sources(declaration);
        loaded.extend(self.entrypoint_file(&declaration.meta.runner.entrypoint));
        for Fault { path, line, column, message } in answer.faults {
            // what an old Python does not understand may be new
            let is_sure = answer.version >= FULL && loaded.contains(&path);
            let found = if is_sure { Diagnostic::error } else { Diagnostic::warning };
            let place = Place { line, column, ..Place::file(path) };
            self.report.add(found("python_syntax", message).at(place).fix("correct the file: it cannot be loaded"));
        }
    }
}

/// Has the files parsed by a Python, if there is one.
fn ask(files: &[u8]) -> Option<Answer> {
    let path = std::env::var_os("PATH")?;
    PROGRAMS.iter().filter_map(|name| on_path(name, &path)).find_map(|program| ask_this(&program, files))
}

fn ask_this(program: &Path, files: &[u8]) -> Option<Answer> {
    let mut child = start(program).ok()?;
    let files = files.to_vec();
    let (mut input, mut output) = (child.stdin.take()?, child.stdout.take()?);
    let (sender, answer) = mpsc::channel();
    let read = move || {
        let mut text = Vec::new();
        let read = output.read_to_end(&mut text);
        // the receiver is gone after the time limit
        let _late = sender.send(read.map(|_| text));
    };
    // one that ends early does not read it all; where the system starts no threads there is no answer
    let started = thread::Builder::new()
        .spawn(move || input.write_all(&files))
        .and_then(|_writer| thread::Builder::new().spawn(read));
    let text = started.map_err(drop).and_then(|_reader| answer.recv_timeout(TIME_LIMIT).map_err(drop));
    if text.is_err() {
        // it may have ended meanwhile
        let _gone = child.kill();
    }
    let ended = child.wait().ok()?;
    serde_json::from_slice(&text.ok()?.ok()?).ok().filter(|_| ended.success())
}

fn start(program: &Path) -> std::io::Result<Child> {
    Command::new(program)
        .args(["-I", "-S", "-c", PARSE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}
