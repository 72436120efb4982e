//! This test program, started again to play a part of its own: the daemon, or the stage of a worker.

use std::ffi::OsString;

use plugin_runtime::local::stage;

/// The command that runs one test function of this program alone, named with its modules.
pub(crate) fn this_program(function: &str) -> Vec<OsString> {
    let this = std::env::current_exe().unwrap();
    [this.into(), function.into(), "--exact".into(), "--nocapture".into(), "--".into()].into()
}

/// The command of the step between the daemon and a worker.
pub(crate) fn stage_of_a_worker() -> Vec<OsString> {
    this_program("program::plays_the_stage_of_a_worker")
}

/// Not a test: the step between the daemon and a worker.
#[test]
fn plays_the_stage_of_a_worker() {
    let mut args = std::env::args_os().skip_while(|arg| arg != "--");
    if args.next().is_some() {
        let error = stage::run(args);
        eprintln!("{error}");
        std::process::exit(127);
    }
}
