use super::*;

/// A daemon's start of a plugin, as it shows in a traceback.
const START: &str = r#"Traceback (most recent call last):
  File "/data/cwd/.bootstrap/0123456789abcdef.py", line 184, in <module>
    run()
  File "/data/cwd/.bootstrap/0123456789abcdef.py", line 180, in run
    runpy.run_module(module, run_name="__main__", alter_sys=True)
  File "<frozen runpy>", line 226, in run_module
  File "<frozen runpy>", line 98, in _run_module_code
  File "/data/cwd/a/b-1/main.py", line 3, in <module>
    from lib import thing
"#;

#[track_caller]
fn check(output: &str, cause: Option<&str>, lines: &str) {
    let words = FinalOutput::of([output]);
    assert_eq!((words.cause.as_deref(), words.lines.as_str()), (cause, lines));
}

#[test]
fn the_exception_of_a_traceback_without_the_daemons_frames() {
    let lines = "Traceback (most recent call last):\n  File \"/data/cwd/a/b-1/main.py\", line 3, in <module>\n    from lib import thing\n\
                 ModuleNotFoundError: No module named 'lib'";
    check(
        &format!("{START}ModuleNotFoundError: No module named 'lib'\n"),
        Some("ModuleNotFoundError: No module named 'lib'"),
        lines,
    );
}

#[test]
fn the_end_of_the_interpreter_is_no_cause() {
    let end = "Exception ignored in: <function _ForkHooks.x at 0x7f>\nTraceback (most recent call last):\n  File \"/x.py\", line 1, in f\n\
               gevent.exceptions.LoopExit: x\nSystemError: greenlet is being finalized\n";
    let words = FinalOutput::of([&*format!("{START}ValueError: wrong\n{end}")]);
    assert_eq!(words.cause.as_deref(), Some("ValueError: wrong"));
    assert!(words.lines.ends_with("ValueError: wrong"), "{}", words.lines);
}

#[test]
fn a_traceback_that_rich_has_drawn() {
    let output = "\u{1b}[31m╭──── \u{1b}[0mTraceback (most recent call last) ────╮\n│ /a/main.py:3 in <module>  │\n│ ❱ 3 import foo            │\n\
                  ╰───────────────────────────╯\n\u{1b}[1;91mImportError: \u{1b}[0mcannot import name 'a' from \nfoo\n";
    let words = FinalOutput::of(output.lines());
    assert_eq!(words.cause.as_deref(), Some("ImportError: cannot import name 'a' from foo"));
    assert!(words.lines.starts_with("╭──── Traceback"), "{}", words.lines);
}

#[test]
fn a_missing_sdk_and_a_missing_library_have_sentences() {
    let cause = |last: &str| FinalOutput::of([&*format!("{START}{last}\n")]).cause.unwrap();
    assert_eq!(
        cause("ModuleNotFoundError: No module named 'dify_plugin'"),
        "the SDK is missing: requirements.txt or pyproject.toml of the plugin has to name dify_plugin"
    );
    let library =
        "the shared library libGL.so.1 is missing: install the system's package that has it, or use the image `local`";
    assert_eq!(cause("ImportError: libGL.so.1: cannot open shared object file: No such file or directory"), library);
    let loader = "python: error while loading shared libraries: /usr/lib/libGL.so.1: cannot open shared object file: No such file";
    assert_eq!(FinalOutput::of([loader]).cause.as_deref(), Some(library));
}

#[test]
fn without_a_traceback_the_last_lines_are_left() {
    check("one\n\ntwo\n", None, "one\ntwo");
    check("", None, "");
    let long = (0..1000).map(|number| format!("line {number}")).collect::<Vec<_>>().join("\n");
    let words = FinalOutput::of([&*long]);
    assert!(words.lines.ends_with("line 998\nline 999") && words.lines.len() <= QUOTE);
    assert!(FinalOutput::of([&*"ü".repeat(2000)]).lines.len() <= QUOTE + 3);
}

#[test]
fn the_text_of_an_error() {
    let words = FinalOutput { cause: Some("ValueError: x".into()), lines: "a\nValueError: x".into() };
    assert_eq!(words.describe("exit code 1"), "ValueError: x (exit code 1)\na\nValueError: x");
    assert_eq!(FinalOutput::default().describe("exit code 3"), "exit code 3");
}
