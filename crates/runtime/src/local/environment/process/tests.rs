use std::os::unix::process::ExitStatusExt as _;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::*;
use crate::local::environment::settings::EnvironmentSettings;

fn jail(settings: &EnvironmentSettings) -> Jail<'_> {
    Jail { settings, trust: Trust::Tool, python: None, own: Vec::new() }
}

const GENEROUS: Limits = Limits { idle: Duration::from_mins(1), total: Duration::from_mins(1), deadline: None };

/// For tools that hang: even on a busy machine they start within this time.
const IDLE: Limits = Limits { idle: Duration::from_secs(2), ..GENEROUS };

/// Runs a shell script. Gives the outcome and the lines that were reported.
async fn sh(script: &str, limits: Limits, cancel: &CancellationToken) -> (Result<Finished, RunError>, Vec<String>) {
    let lines = Mutex::new(Vec::new());
    let result = sh_with(script, limits, cancel, &|line| lines.lock().unwrap().push(line.to_owned())).await;
    (result, lines.into_inner().unwrap())
}

/// The same with `on_line` called for each line.
async fn sh_with(
    script: &str,
    limits: Limits,
    cancel: &CancellationToken,
    on_line: &(dyn Fn(&str) + Sync),
) -> Result<Finished, RunError> {
    let dir = tempfile::tempdir().unwrap();
    let mut log = ToolLog::open(&dir.path().join("log"), true).await;
    let settings = EnvironmentSettings::new(dir.path());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    run(command, &jail(&settings), limits, cancel, &mut log, on_line).await
}

/// Whether a process is there and not a zombie.
fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn is_gone(pid: &str) -> bool {
    for _ in 0..3000 {
        if !is_alive(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn output_and_status_are_kept() {
    let (result, lines) =
        sh("echo out; echo DEBUG hidden; sleep 0.1; echo err >&2; exit 3", GENEROUS, &CancellationToken::new()).await;
    let finished = result.unwrap();
    assert_eq!(finished.status.code(), Some(3));
    assert_eq!(finished.output.lines().collect::<Vec<_>>(), ["out", "err"]);
    assert_eq!(lines, ["out", "DEBUG hidden", "err"]);
}

#[tokio::test]
async fn the_signal_of_a_killed_tool_is_known() {
    let (result, _) = sh("kill -9 $$", GENEROUS, &CancellationToken::new()).await;
    assert_eq!(result.unwrap().status.signal(), Some(9));
}

#[tokio::test]
async fn a_silent_tool_is_killed_with_its_children() {
    let (result, lines) =
        sh("sleep 60 & echo $!; echo DEBUG waiting for Godot; wait", IDLE, &CancellationToken::new()).await;
    let Err(RunError::Idle { output, .. }) = result else { panic!("{result:?}") };
    assert_eq!(output.last(), "DEBUG waiting for Godot");
    assert!(is_gone(&lines[0]).await);
}

#[tokio::test]
async fn work_in_silence_is_a_sign_of_life() {
    let limits = Limits { idle: Duration::from_millis(800), ..GENEROUS };
    let started = Instant::now();
    let script = "timeout --foreground 2 dd if=/dev/zero of=/dev/null bs=64k status=none; echo done";
    let (result, lines) = sh(script, limits, &CancellationToken::new()).await;
    assert!(result.unwrap().status.success() && started.elapsed() > Duration::from_millis(1900));
    assert_eq!(lines, ["done"]);
}

#[tokio::test]
async fn a_talkative_tool_has_a_limit_too() {
    let limits = Limits { total: Duration::from_millis(300), ..GENEROUS };
    let (result, _) = sh("while :; do echo line; done", limits, &CancellationToken::new()).await;
    let Err(error @ RunError::TooLong { .. }) = result else { panic!("{result:?}") };
    assert_eq!(error.to_string(), "still running after 0 s");
    let limits = Limits { deadline: Some(Instant::now()), ..GENEROUS };
    assert!(matches!(sh("sleep 60", limits, &CancellationToken::new()).await.0, Err(RunError::TooLong { .. })));
}

#[tokio::test]
async fn cancelling_kills_the_group() {
    let (cancel, lines) = (CancellationToken::new(), Mutex::new(Vec::new()));
    let on_line = |line: &str| {
        lines.lock().unwrap().push(line.to_owned());
        cancel.cancel();
    };
    let started = Instant::now();
    let result = sh_with("trap '' TERM; sleep 60 & echo $!; wait", GENEROUS, &cancel, &on_line).await;
    assert!(matches!(result, Err(RunError::Cancelled)) && started.elapsed() < Duration::from_secs(30));
    let lines = lines.into_inner().unwrap();
    assert!(is_gone(&lines[0]).await);
}

#[tokio::test]
async fn who_has_left_the_group_is_found_too() {
    let (result, lines) = sh("setsid sh -c 'echo $$; exec sleep 60' & wait", IDLE, &CancellationToken::new()).await;
    assert!(matches!(result, Err(RunError::Idle { .. })));
    assert!(is_gone(&lines[0]).await);
}

#[tokio::test]
async fn dropping_the_run_kills_the_group() {
    let (pid, started) = (Mutex::new(String::new()), Notify::new());
    let on_line = |line: &str| {
        line.clone_into(&mut pid.lock().unwrap());
        started.notify_one();
    };
    let cancel = CancellationToken::new();
    tokio::select! {
        result = sh_with("sleep 60 & echo $!; wait", GENEROUS, &cancel, &on_line) => panic!("{result:?}"),
        () = started.notified() => {}
    }
    let pid = pid.into_inner().unwrap();
    assert!(is_gone(&pid).await);
}

#[tokio::test]
async fn who_is_left_behind_is_not_waited_for() {
    let started = Instant::now();
    let (result, lines) = sh("sleep 60 & echo $!; exit 0", GENEROUS, &CancellationToken::new()).await;
    assert!(result.unwrap().status.success() && started.elapsed() < Duration::from_secs(30));
    assert!(is_gone(&lines[0]).await);
}

#[tokio::test]
async fn huge_output_stays_bounded() {
    let script = "head -c 20000000 /dev/zero | tr '\\0' x; echo; yes line | head -100000; head -c 1000 /dev/urandom; echo; echo end >&2";
    let (result, lines) = sh(script, GENEROUS, &CancellationToken::new()).await;
    let finished = result.unwrap();
    let kept: usize = finished.output.lines().map(str::len).sum();
    assert!(lines.len() >= 100_002 && kept < 100_000);
    assert!(lines.iter().any(|line| line == "end"));
}

#[tokio::test]
async fn a_tool_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = ToolLog::open(&dir.path().join("log"), true).await;
    let cancel = CancellationToken::new();
    let settings = EnvironmentSettings::new(dir.path());
    let result = run(Command::new("/nonexistent"), &jail(&settings), GENEROUS, &cancel, &mut log, &|_| {}).await;
    assert!(matches!(result, Err(RunError::Start(error)) if error.kind() == io::ErrorKind::NotFound));
}

#[test]
fn secrets_in_urls_are_taken_out() {
    for (text, clean) in [
        ("nothing here", "nothing here"),
        ("from https://user:p@ss@host/simple now", "from https://****@host/simple now"),
        ("`http://a@h` and ftp://b:c@d?x=e@f", "`http://****@h` and ftp://****@d?x=e@f"),
        ("https://host/a@b", "https://host/a@b"),
        ("://", "://"),
    ] {
        assert_eq!(redact(text), clean);
    }
}

proptest::proptest! {
    #[test]
    fn redacting_never_fails(text: String) {
        let _clean = redact(&text);
    }
}
