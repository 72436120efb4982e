//! The list of permissions, one row each, to be switched on and off (cli 3.3, screen 4).

use std::fmt::Write as _;

use crossterm::Command;
use crossterm::cursor::{Hide, MoveToColumn, MoveUp, Show};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{Clear, ClearType, disable_raw_mode, enable_raw_mode};

use super::{Answer, cancelled};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::scaffold::{DEFAULT_STORAGE, Permissions, STORAGE};

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Tool,
    Model,
    Llm,
    TextEmbedding,
    Rerank,
    Tts,
    Speech2Text,
    Moderation,
    App,
    Storage,
    StorageSize,
    Endpoint,
}

/// The rows with what they permit, top to bottom.
const ROWS: [(Row, &str, &str); 12] = [
    (Row::Tool, "tool.enabled", "call tools of Dify's and of other plugins"),
    (Row::Model, "model.enabled", "call models, of the kinds below"),
    (Row::Llm, "  model.llm", "language models"),
    (Row::TextEmbedding, "  model.text_embedding", "text embedding"),
    (Row::Rerank, "  model.rerank", "reranking"),
    (Row::Tts, "  model.tts", "text to speech"),
    (Row::Speech2Text, "  model.speech2text", "speech to text"),
    (Row::Moderation, "  model.moderation", "moderation"),
    (Row::App, "app.enabled", "call apps of the workspace"),
    (Row::Storage, "storage.enabled", "keep data between calls"),
    (Row::StorageSize, "  storage.size", "bytes, from 1024 to 1073741824"),
    (Row::Endpoint, "endpoint.enabled", "register endpoints"),
];
const HELP: &str =
    "enter: next row, and done on the last   tab, space: on or off   up, down: move   Esc: back   ctrl+c: cancel";

/// Shows the permissions and lets the user change them.
///
/// # Errors
///
/// When the user cancels, or the terminal cannot be used.
pub(crate) fn edit_permissions(printer: Printer, permissions: &mut Permissions) -> Result<Answer<()>, Failure> {
    let failed = |error| Failure::new("failed to use the terminal").because(error);
    enable_raw_mode().map_err(failed)?;
    let outcome = run(printer, permissions);
    // the terminal is what the user goes on with, whatever happened
    let restored = disable_raw_mode().map_err(failed);
    restored.and(outcome)
}

fn run(printer: Printer, permissions: &mut Permissions) -> Result<Answer<()>, Failure> {
    let mut form = Form::new(permissions.clone());
    let mut drawn = 0;
    let outcome = loop {
        drawn = draw(printer, &form, drawn)?;
        let event = read().map_err(|error| Failure::new("failed to read the keyboard").because(error))?;
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => match form.press(key) {
                Step::Stay => {}
                Step::Done => {
                    *permissions = form.permissions;
                    break Ok(Answer::Given(()));
                }
                Step::Back => break Ok(Answer::Back),
                Step::Cancel => break Err(cancelled()),
            },
            _ => {}
        }
    };
    print(printer, &[&Show])?;
    outcome
}

/// What a key led to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Stay,
    Done,
    Back,
    Cancel,
}

struct Form {
    permissions: Permissions,
    cursor: usize,
    /// What is typed as the storage's size, while it is being typed.
    typed: Option<String>,
    warning: Option<String>,
}

impl Form {
    fn new(permissions: Permissions) -> Self {
        Self { permissions, cursor: 0, typed: None, warning: None }
    }

    fn row(&self) -> Row {
        ROWS.get(self.cursor).map_or(Row::Tool, |(row, ..)| *row)
    }

    fn press(&mut self, key: KeyEvent) -> Step {
        self.warning = None;
        match key.code {
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return Step::Cancel,
            KeyCode::Esc => return Step::Back,
            KeyCode::Enter if self.cursor + 1 == ROWS.len() => return Step::Done,
            KeyCode::Enter | KeyCode::Down => self.go((self.cursor + 1) % ROWS.len()),
            KeyCode::Up => self.go((self.cursor + ROWS.len() - 1) % ROWS.len()),
            KeyCode::Tab | KeyCode::Char(' ') => self.toggle(),
            code if self.row() == Row::StorageSize => self.type_size(code),
            _ => {}
        }
        Step::Stay
    }

    /// Edits the storage's size, where there is one.
    fn type_size(&mut self, code: KeyCode) {
        let Some(size) = self.permissions.storage else { return };
        match code {
            KeyCode::Char(digit) if digit.is_ascii_digit() => {
                let typed = self.typed.get_or_insert_default();
                typed.push(digit);
                typed.truncate(12);
            }
            KeyCode::Backspace => drop(self.typed.get_or_insert_with(|| size.to_string()).pop()),
            _ => {}
        }
    }

    /// Moves the cursor; a size that has been typed has to be good first.
    fn go(&mut self, to: usize) {
        if let Some(typed) = self.typed.take() {
            let Some(size) = typed.parse().ok().filter(|size| STORAGE.contains(size)) else {
                self.warning = Some(format!("{} to {} bytes can be asked for", STORAGE.start(), STORAGE.end()));
                return;
            };
            self.permissions.storage = Some(size);
        }
        self.cursor = to;
    }

    fn toggle(&mut self) {
        let on = &mut self.permissions;
        let row = ROWS.get(self.cursor).map(|(row, ..)| *row);
        let kind = match row {
            Some(Row::Tool) => return on.tool = !on.tool,
            Some(Row::App) => return on.app = !on.app,
            Some(Row::Endpoint) => return on.endpoint = !on.endpoint,
            Some(Row::Storage) => {
                on.storage = if on.storage.is_some() { None } else { Some(DEFAULT_STORAGE) };
                return;
            }
            Some(Row::Model) if on.model => {
                (on.llm, on.text_embedding, on.rerank) = (false, false, false);
                (on.tts, on.speech2text, on.moderation) = (false, false, false);
                return on.model = false;
            }
            Some(Row::Model) => return on.model = true,
            Some(Row::Llm) => &mut on.llm,
            Some(Row::TextEmbedding) => &mut on.text_embedding,
            Some(Row::Rerank) => &mut on.rerank,
            Some(Row::Tts) => &mut on.tts,
            Some(Row::Speech2Text) => &mut on.speech2text,
            Some(Row::Moderation) => &mut on.moderation,
            Some(Row::StorageSize) | None => return,
        };
        *kind = !*kind;
        on.model = true;
    }

    /// What stands behind a row's name.
    fn value(&self, row: Row) -> Value {
        let on = &self.permissions;
        Value::Switch(match row {
            Row::Tool => on.tool,
            Row::Model => on.model,
            Row::Llm => on.llm,
            Row::TextEmbedding => on.text_embedding,
            Row::Rerank => on.rerank,
            Row::Tts => on.tts,
            Row::Speech2Text => on.speech2text,
            Row::Moderation => on.moderation,
            Row::App => on.app,
            Row::Storage => on.storage.is_some(),
            Row::Endpoint => on.endpoint,
            Row::StorageSize => {
                let size = on.storage.map(|size| size.to_string()).unwrap_or_default();
                return Value::Number(self.typed.clone().unwrap_or(size));
            }
        })
    }
}

enum Value {
    Switch(bool),
    Number(String),
}

/// Draws the form over the `before` lines drawn last; returns the number of lines.
fn draw(printer: Printer, form: &Form, before: u16) -> Result<u16, Failure> {
    let mut lines = vec!["What may the plugin ask of Dify?".to_owned(), HELP.to_owned(), String::new()];
    for (at, (row, name, meaning)) in ROWS.iter().enumerate() {
        let cursor = if at == form.cursor { printer.painted("36", ">") } else { " ".to_owned() };
        let value = match form.value(*row) {
            Value::Switch(true) => printer.painted("32", "[x]"),
            Value::Switch(false) => "[ ]".to_owned(),
            Value::Number(text) => format!("[{text}]"),
        };
        lines.push(format!("{cursor} {value} {name}  - {meaning}"));
    }
    lines.push(form.warning.as_ref().map(|warning| printer.painted("31", warning)).unwrap_or_default());
    let mut commands: Vec<&dyn Ansi> = vec![&Hide];
    let up = MoveUp(before);
    if before > 0 {
        commands.push(&up);
    }
    commands.extend([&MoveToColumn(0) as &dyn Ansi, &Clear(ClearType::FromCursorDown)]);
    print(printer, &commands)?;
    let count = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    printer.bytes((lines.join("\r\n") + "\r\n").as_bytes()).map_err(closed)?;
    Ok(count)
}

fn print(printer: Printer, commands: &[&dyn Ansi]) -> Result<(), Failure> {
    let mut text = String::new();
    for command in commands {
        command.write(&mut text);
    }
    printer.bytes(text.as_bytes()).map_err(closed)
}

fn closed(error: crate::failure::OutputClosed) -> Failure {
    Failure::new("failed to use the terminal").because(error)
}

/// A command to the terminal, as text.
trait Ansi {
    fn write(&self, text: &mut String);
}

impl<C: Command> Ansi for C {
    fn write(&self, text: &mut String) {
        let mut sequence = String::new();
        if self.write_ansi(&mut sequence).is_ok() {
            let _infallible = text.write_str(&sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(form: &mut Form, codes: &[KeyCode]) -> Step {
        let mut last = Step::Stay;
        for code in codes {
            last = form.press(KeyEvent::new(*code, KeyModifiers::NONE));
        }
        last
    }

    #[test]
    fn rows_are_switched() {
        let mut form = Form::new(Permissions::default());
        press(&mut form, &[KeyCode::Tab, KeyCode::Enter, KeyCode::Down, KeyCode::Char(' ')]);
        assert!(form.permissions.tool && form.permissions.model && form.permissions.llm);
        press(&mut form, &[KeyCode::Up, KeyCode::Tab]);
        assert!(!form.permissions.model && !form.permissions.llm);
        press(&mut form, &[KeyCode::Up, KeyCode::Up]);
        assert_eq!(form.row(), Row::Endpoint);
        assert_eq!(press(&mut form, &[KeyCode::Tab, KeyCode::Enter]), Step::Done);
        assert!(form.permissions.endpoint);
    }

    #[test]
    fn a_size_is_kept_until_a_good_one_is_typed() {
        let mut form = Form::new(Permissions { storage: Some(4096), ..Permissions::default() });
        form.cursor = ROWS.iter().position(|(row, ..)| *row == Row::StorageSize).unwrap();
        press(&mut form, &[KeyCode::Down, KeyCode::Up]);
        assert_eq!(form.permissions.storage, Some(4096));
        press(&mut form, &[KeyCode::Char('9'), KeyCode::Down]);
        assert_eq!((form.row(), form.permissions.storage), (Row::StorageSize, Some(4096)));
        assert!(form.warning.is_some());
        press(
            &mut form,
            &[KeyCode::Char('2'), KeyCode::Char('0'), KeyCode::Char('4'), KeyCode::Char('8'), KeyCode::Down],
        );
        assert_eq!((form.row(), form.permissions.storage), (Row::Endpoint, Some(2048)));
    }

    #[test]
    fn ctrl_c_cancels() {
        let mut form = Form::new(Permissions::default());
        let key = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(form.press(key), Step::Cancel);
    }
}
