//! Plugins and callers that misbehave.

use anyhow::Result;
use plugin_testkit::plugins;
use serde_json::json;

use crate::{daemon, tenant};

/// The light plugin with this in place of its answer.
pub(crate) fn misbehaving(answer: &str) -> Result<bytes::Bytes> {
    let main = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/plugins/light/main.py"))?;
    let main =
        main.replace("def answer(request):", &format!("def answer(request):\n    import os, signal\n    {answer}"));
    plugins::light("misbehaving", &[("main.py", &main)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_dies_ends_its_calls_at_once() -> Result<()> {
    let running = daemon()?.start().await?;
    for (death, says) in [
        ("os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        // to this very thread: sent to the process, another one takes it, and this one may answer meanwhile
        ("signal.raise_signal(signal.SIGSEGV)", "SIGSEGV"),
    ] {
        let client = running.client(&tenant())?;
        client.install_package(&misbehaving(death)?).await?;
        let error = client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_exits_at_its_import_fails_its_installation_at_once() -> Result<()> {
    let running = daemon()?.start().await?;
    let client = running.client(&tenant())?;
    let package = plugins::light("broken", &[("main.py", "raise SystemExit('broken on purpose')\n")])?;
    let error = client.install_package(&package).await.unwrap_err().to_string();
    assert!(error.contains("broken on purpose"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_says_the_exception_also_when_it_was_printed_on_standard_output() -> Result<()> {
    let running = daemon()?.start().await?;
    let client = running.client(&tenant())?;
    let main = "import sys, traceback\ntry:\n    import no_such_module_of_ours\nexcept ImportError:\n    \
                print('starting', traceback.format_exc(), sep='\\n')\n    sys.exit(1)\n";
    let error = client.install_package(&plugins::light("says why", &[("main.py", main)])?).await.unwrap_err();
    let message = error.to_string();
    let cause = "ModuleNotFoundError: No module named 'no_such_module_of_ours' (exit code 1)";
    assert!(message.lines().next().is_some_and(|first| first.ends_with(cause)), "{message}");
    // the lines of the traceback are quoted
    assert!(message.contains("import no_such_module_of_ours\n"), "{message}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_a_line_of_64_mib_harm_only_their_own_session() -> Result<()> {
    let running = daemon()?.with("PLUGIN_MAX_LINE_BYTES", "16777216").start().await?;
    let client = running.client(&tenant())?;
    let answer = "print('no JSON')\n    \
                  if request['data'].get('tool_parameters', {}).get('size'): \
                  say('session', request['session_id'], {'type': 'stream', 'data': {'type': 'text', \
                  'message': {'text': 'x' * request['data']['tool_parameters']['size']}}})";
    client.install_package(&misbehaving(answer)?).await?;
    let long = client.invoke_tool("testkit/light", "light", "answer", json!({"size": 64 << 20})).await?;
    let beside = client.invoke_tool("testkit/light", "light", "answer", json!({"seconds": 1})).await?;
    let (long, beside) = tokio::join!(long.collect(), beside.collect());
    let error = long.unwrap_err().to_string();
    assert!(error.contains("PLUGIN_MAX_LINE_BYTES"), "{error}");
    assert_eq!(beside?.len(), 1);
    let within = client.invoke_tool("testkit/light", "light", "answer", json!({"size": 8 << 20})).await?;
    assert_eq!(within.collect().await?.len(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_never_reads_stops_nobody() -> Result<()> {
    let running = daemon()?.start().await?;
    let client = running.client(&tenant())?;
    let answer = "for n in range(request['data'].get('tool_parameters', {}).get('chunks', 0)): \
                  say('session', request['session_id'], {'type': 'stream', 'data': {'type': 'text', \
                  'message': {'text': 'x' * 10000}}})";
    client.install_package(&misbehaving(answer)?).await?;
    let never_read = client.invoke_tool("testkit/light", "light", "answer", json!({"chunks": 3000})).await?;
    for _ in 0..20 {
        let events = client.invoke_tool("testkit/light", "light", "answer", json!({})).await?.collect().await?;
        assert_eq!(events.len(), 1);
    }
    drop(never_read);
    Ok(())
}
