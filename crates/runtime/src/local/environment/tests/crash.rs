//! Whatever moment the daemon is killed at, the next one gets the plugin ready.

use std::process::{Command, Stdio};

use super::*;

/// Names the bench's folder to the process that is to be killed.
const VICTIM: &str = "CRASH_TEST_BENCH";

fn bench_in(dir: &Path) -> (EnvironmentSettings, (UniqueIdentifier, Bytes)) {
    let mut settings = EnvironmentSettings::new(dir.join("cwd"));
    settings.uv = Some(dir.join("uv"));
    settings.python_interpreter = dir.join("python");
    settings.inherited = [("PATH".into(), std::env::var_os("PATH").unwrap_or_default())].into();
    let big = "x = 1\n".repeat(100_000);
    (settings, plugin("small", &[REQUIREMENTS, ("big.py", &big)]))
}

/// Not a test of its own: what the process does that is killed.
#[tokio::test]
#[ignore = "started by the test that kills it"]
async fn victim() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let (settings, plugin) = bench_in(Path::new(&dir));
    prepare(&Environments::new(settings), &plugin).await.unwrap();
}

#[tokio::test]
async fn a_killed_daemon_leaves_nothing_that_the_next_one_cannot_mend() {
    let slow = format!("sleep 0.1; mkdir -p $VIRTUAL_ENV/lib/python3.12/site-packages/half; sleep 0.1; {INSTALL}");
    let mut interrupted = 0;
    for round in 0..20 {
        let bench = Bench::new(&slow);
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "local::environment::tests::crash::victim"])
            .env(VICTIM, bench.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(30 * round)).await;
        interrupted += usize::from(victim.try_wait().unwrap().is_none());
        victim.kill().unwrap();
        victim.wait().unwrap();

        let (settings, plugin) = bench_in(bench.dir.path());
        let environments = Environments::new(settings);
        tokio::task::spawn_blocking(crate::local::kill_orphans).await.unwrap();
        environments.warm_up().await;
        let prepared = prepare(&environments, &plugin).await.unwrap();
        let site_packages = prepared.working_dir.join(".venv/lib/python3.12/site-packages");
        assert!(site_packages.join("six-1.0.dist-info/RECORD").exists(), "round {round}");
        assert_eq!(std::fs::metadata(prepared.working_dir.join("big.py")).unwrap().len(), 600_000, "round {round}");
        assert!(is_swept(&bench).await, "round {round}");
    }
    assert!(interrupted >= 5, "the victim was too fast: {interrupted}");
}

/// Whether nothing is left in the staging area but, for a minute, the lock of a folder that was never made. What a process
/// has left that was being forked at the moment of the kill is for the start after the next one.
async fn is_swept(bench: &Bench) -> bool {
    let is_folder = |entry: std::io::Result<std::fs::DirEntry>| entry.is_ok_and(|entry| entry.path().is_dir());
    for _ in 0..100 {
        let staged = std::fs::read_dir(bench.working_path().join(".staging"));
        if !staged.is_ok_and(|mut staged| staged.any(is_folder)) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        Environments::new(bench_in(bench.dir.path()).0).warm_up().await;
    }
    false
}
