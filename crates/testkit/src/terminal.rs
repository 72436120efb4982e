//! A program in a terminal of its own: what it shows, and keys that are pressed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::pty::{Winsize, openpty};
use parking_lot::{Condvar, Mutex};

/// How long the program may take to show something, or to end.
const PATIENCE: Duration = Duration::from_mins(2);
const SIZE: Winsize = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
/// The request for the position of the cursor.
const WHERE: &str = "\x1b[6n";

/// The key that goes one line down.
pub const DOWN: &str = "\x1b[B";
pub const ENTER: &str = "\r";
pub const CTRL_C: &str = "\x03";

/// A running program; it is killed when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keys: File,
    shown: Arc<Shown>,
}

/// What the program has shown, and whether it can show more.
#[derive(Debug, Default)]
struct Shown {
    state: Mutex<(String, bool)>,
    changed: Condvar,
}

impl Terminal {
    /// Starts the program with a terminal as its input and outputs.
    pub fn start(mut command: Command) -> Result<Self> {
        let pair = openpty(Some(&SIZE), None)?;
        let slave = File::from(pair.slave);
        let child = command
            .stdin(Stdio::from(slave.try_clone()?))
            .stdout(Stdio::from(slave.try_clone()?))
            .stderr(Stdio::from(slave))
            .spawn()?;
        // it holds the program's side of the terminal, whose end is the end of what can be shown
        drop(command);
        let keys = File::from(pair.master);
        let shown = Arc::new(Shown::default());
        thread::spawn({
            let (mut screen, mut keys, shown) = (keys.try_clone()?, keys.try_clone()?, Arc::clone(&shown));
            move || {
                let mut buffer = [0; 4096];
                // the other side has closed where it fails
                while let Some(text) = screen.read(&mut buffer).ok().and_then(|length| buffer.get(..length)) {
                    if text.is_empty() {
                        break;
                    }
                    let text = String::from_utf8_lossy(text);
                    if text.contains(WHERE) && keys.write_all(b"\x1b[1;1R").is_err() {
                        break;
                    }
                    shown.add(&text);
                }
                shown.close();
            }
        });
        Ok(Self { child, keys, shown })
    }

    /// Waits until a text is shown that was not when the last keys were pressed.
    pub fn until(&self, text: &str) -> Result<()> {
        let mut state = self.shown.state.lock();
        let waits = |state: &mut (String, bool)| !state.0.contains(text) && !state.1;
        self.shown.changed.wait_while_for(&mut state, waits, PATIENCE);
        if state.0.contains(text) {
            return Ok(());
        }
        bail!("it does not show {text:?}, but {:?}", state.0)
    }

    /// Presses keys, one after the other.
    pub fn press(&mut self, keys: &[&str]) -> Result<()> {
        self.shown.state.lock().0.clear();
        for key in keys {
            self.keys.write_all(key.as_bytes())?;
        }
        Ok(())
    }

    /// Waits for the end of the program; its exit status.
    pub fn end(mut self) -> Result<Option<i32>> {
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            thread::sleep(Duration::from_millis(10));
        }
        let state = self.shown.state.lock();
        bail!("it does not end, and shows {:?}", state.0)
    }
}

impl Shown {
    fn add(&self, text: &str) {
        self.state.lock().0.push_str(text);
        self.changed.notify_all();
    }

    fn close(&self) {
        self.state.lock().1 = true;
        self.changed.notify_all();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // it may have ended by itself
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
