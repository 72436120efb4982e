//! A plugin process without Python: speaks the stdio protocol and misbehaves on demand.
//!
//! Called as an interpreter is, `stdio_worker -m <start>`, where `<start>` says how it comes up; what it does in a call is
//! the `do` of the request's data. As the SDK does, it goes on for ever after the end of its input.

#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, reason = "a JSON value gives null for what it does not hold")]

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What a flood writes at once, about.
const BLOCK: usize = 32 * 1024;

const HEARTBEAT: Duration = Duration::from_secs(10);

/// Answers to calls back, by the id of the call.
type Answers = Arc<Mutex<HashMap<String, Sender<Value>>>>;

fn main() -> Result<()> {
    let start = std::env::args().skip_while(|arg| arg != "-m").nth(1).context("usage: stdio_worker -m <start>")?;
    let (start, number) = start.split_once(':').unwrap_or((&start, "0"));
    let number: u64 = number.parse()?;
    match start {
        "main" | "cancellable" => {}
        "exit" => {
            writeln!(io::stderr(), "Traceback (most recent call last):\nModuleNotFoundError: No module named 'x'")?;
            std::process::exit(i32::try_from(number)?);
        }
        "exit_saying_why" => {
            say(
                "starting\nTraceback (most recent call last):\n  File \"main.py\", line 1, in <module>\n    import x\n",
            )?;
            say("ModuleNotFoundError: No module named 'x'\n")?;
            std::process::exit(i32::try_from(number)?);
        }
        "slow" => std::thread::sleep(Duration::from_millis(number)),
        "silent" => forever(),
        "stubborn" => SigSet::from(Signal::SIGTERM).thread_block()?,
        other => bail!("no such start: {other}"),
    }
    say("{\"version\":\"0.0.1\",\"type\":\"plugin\"}\n\n")?;
    std::thread::spawn(|| {
        while say("{\"event\":\"heartbeat\",\"session_id\":null,\"data\":{}}\n\n").is_ok() {
            std::thread::sleep(HEARTBEAT);
        }
    });
    if start == "cancellable" {
        say("{\"event\":\"cancellable\"}\n\n")?;
    }
    let answers = Answers::default();
    for line in io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let (session, data) = (text(&line["session_id"]).to_owned(), line["data"].clone());
        match text(&line["event"]) {
            "request" if text(&data["do"]) == "stop_reading" => forever(),
            "request" => {
                let answers = answers.clone();
                std::thread::spawn(move || call(&Session { id: session }, &data, &answers));
            }
            _ if text(&data["event"]) == "cancel" => {
                writeln!(io::stderr(), "asked to stop: {data}")?;
                if start == "cancellable" {
                    Session { id: session }.message("end", &json!({}))?;
                }
            }
            _ => {
                let waiting = answers.lock();
                if let Some(waiting) = waiting.get(text(&data["backwards_request_id"])) {
                    waiting.send(data)?;
                }
            }
        }
    }
    forever()
}

struct Session {
    id: String,
}

impl Session {
    fn message(&self, kind: &str, data: &Value) -> Result<()> {
        say(&self.line(kind, data))
    }

    /// Keys in the order in which the SDK writes them.
    fn line(&self, kind: &str, data: &Value) -> String {
        let id = &self.id;
        format!(
            "{{\"event\":\"session\",\"session_id\":\"{id}\",\"data\":{{\"type\":\"{kind}\",\"data\":{data}}}}}\n\n"
        )
    }

    fn chunk(&self, data: &Value) -> Result<()> {
        self.message("stream", data)
    }
}

/// One call. A call that fails ends the process: the test that made it will notice.
fn call(session: &Session, data: &Value, answers: &Answers) {
    if let Err(error) = obey(session, data, answers) {
        // the process ends, and with it every call
        drop(writeln!(io::stderr(), "{error:#}"));
        std::process::exit(70);
    }
}

fn obey(session: &Session, data: &Value, answers: &Answers) -> Result<()> {
    let number = |key: &str| data[key].as_u64().unwrap_or_default();
    match text(&data["do"]) {
        "echo" => session.chunk(&data["value"])?,
        "stream" => {
            let payload = "x".repeat(usize::try_from(number("size"))?);
            for index in 0..number("count") {
                session.chunk(&json!({"index": index, "payload": payload}))?;
                if number("every_us") > 0 {
                    std::thread::sleep(Duration::from_micros(number("every_us")));
                }
            }
        }
        // and keeps it
        "take" => std::mem::forget(vec![1_u8; usize::try_from(number("bytes"))?]),
        "flood" => flood(session, usize::try_from(number("size"))?, number("count"))?,
        "hang" => return Ok(()),
        "die" => {
            session.chunk(&json!("last words"))?;
            writeln!(io::stderr(), "about to die")?;
            if let Some(signal) = data["signal"].as_i64() {
                kill(Pid::this(), Signal::try_from(i32::try_from(signal)?)?)?;
                // another thread may have got it
                forever();
            }
            std::process::exit(i32::try_from(number("code"))?);
        }
        "error" => session.message("error", &json!({"error_type": "ValueError", "message": "boom", "args": {}}))?,
        "garbage" => {
            let event = session.line("stream", &json!(1));
            let event = event.trim_end();
            say("print debugging\n[1,2]\n\u{0}\n{\"event\":\"session\"}\n{\"event\":\n")?;
            say(&format!("{event}{event}\n"))?;
            say("{\"event\":\"log\",\"data\":{\"level\":\"WARN\",\"message\":\"careful\",\"timestamp\":1.0}}\n")?;
            say("{\"event\":\"error\",\"session_id\":null,\"data\":{\"error\":\"bad input\"}}\n\n")?;
        }
        "nonsense" => {
            let event = session.line("stream", &json!("VALUE")).replace("\"VALUE\"", "NaN");
            session.chunk(&json!(1))?;
            say(&event)?;
        }
        "shapeless" => say(&format!("{}\n", json!({"event": "session", "session_id": session.id, "data": {}})))?,
        "long_line" => session.chunk(&Value::String("x".repeat(usize::try_from(number("bytes"))?)))?,
        "fork" => {
            // one in the process group, one in a session of its own
            for command in [&["sleep", "1000"][..], &["setsid", "sleep", "1000"]] {
                let (program, args) = command.split_first().context("no command")?;
                let child = Command::new(program).args(args).stdout(Stdio::inherit()).spawn()?;
                session.chunk(&json!(child.id()))?;
            }
        }
        "freeze" => {
            kill(Pid::this(), Signal::SIGSTOP)?;
            forever();
        }
        "invoke" => invoke(session, data, answers)?,
        "variables" => {
            let names: Vec<String> = std::env::vars_os().map(|(name, _)| name.display().to_string()).collect();
            session.chunk(&json!(names))?;
        }
        "limits" => session.chunk(&json!(std::fs::read_to_string("/proc/self/limits")?))?,
        "close_output" => {
            nix::unistd::dup2_stdout(std::fs::File::options().write(true).open("/dev/null")?)?;
            return Ok(());
        }
        other => bail!("no such thing to do: {other}"),
    }
    session.message("end", &json!({}))
}

/// As many chunks as a plugin can write, in large blocks; 0 for without end.
fn flood(session: &Session, size: usize, count: u64) -> Result<()> {
    let line = session.line("stream", &Value::String("x".repeat(size)));
    let per_block = (BLOCK / line.len()).max(1);
    let block = line.repeat(per_block);
    let mut left = count;
    while count == 0 || left > 0 {
        let lines = if count == 0 { per_block } else { per_block.min(usize::try_from(left)?) };
        say(block.get(..lines * line.len()).context("a block is as long as its lines")?)?;
        left = left.saturating_sub(u64::try_from(lines)?);
        // other threads, too, want to write
        std::thread::sleep(Duration::from_micros(10));
    }
    Ok(())
}

/// Calls back, and streams what comes until the end.
fn invoke(session: &Session, data: &Value, answers: &Answers) -> Result<()> {
    std::thread::sleep(Duration::from_millis(data["after_ms"].as_u64().unwrap_or_default()));
    let id = format!("{}-invoke", session.id);
    let (sender, receiver): (_, Receiver<Value>) = channel();
    answers.lock().insert(id.clone(), sender);
    session.message("invoke", &json!({"type": "storage", "backwards_request_id": id, "request": {}}))?;
    loop {
        let answer = receiver.recv()?;
        writeln!(io::stderr(), "answer: {answer}")?;
        if text(&answer["event"]) == "end" {
            return Ok(());
        }
        session.chunk(&answer)?;
    }
}

fn say(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn forever() -> ! {
    loop {
        std::thread::park();
    }
}
