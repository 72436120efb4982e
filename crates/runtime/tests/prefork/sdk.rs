//! The same on the real SDK: needs Python 3.12, uv and the package index.

use std::process::Command;

use nix::sys::signal::Signal;
use plugin_runtime::Event;
use plugin_testkit::process::{eventually, kill, runs};
use serde_json::{Value, json};

use crate::support::{Host, Place, STATE, assert_same, plugin};

const MAIN: &str = "from dify_plugin import DifyPluginEnv, Plugin\n\nimport state\n\nstate.write()\n\
                    plugin = Plugin(DifyPluginEnv(MAX_REQUEST_TIMEOUT=120))\n\n\
                    if __name__ == \"__main__\":\n    plugin.run()\n";

fn uv(args: &[&str], environment: &std::path::Path) {
    let status = Command::new("uv").args(args).env("VIRTUAL_ENV", environment).arg("--quiet").status().unwrap();
    assert!(status.success(), "uv {args:?}");
}

fn install(environment: &std::path::Path, requirements: &[&str]) {
    uv(&["venv", "--relocatable", "--python", "3.12", &environment.display().to_string()], environment);
    uv(&[&["pip", "install", "--compile-bytecode"], requirements].concat(), environment);
}

/// The example plugin, with a main module that also writes down what it sees, in an environment with these packages more.
pub(crate) fn place(version: &str, more: &[&str], names: &[&str]) -> Place {
    let mut place = Place::new();
    let requirement = format!("dify_plugin{version}");
    install(&place.environment('a'), &[&[&*requirement], more].concat());
    if !more.is_empty() {
        install(&place.environment('b'), &[&requirement]);
        place.set_sdk('a', 'b');
    }
    for name in names {
        let example = plugin_testkit::plugins::folder("hello");
        let mut files = vec![("main.py".to_owned(), MAIN.to_owned()), ("state.py".to_owned(), STATE.to_owned())];
        for file in ["manifest.yaml", "provider/hello.yaml", "provider/hello.py", "tools/greet.yaml", "tools/greet.py"]
        {
            files.push((file.to_owned(), std::fs::read_to_string(example.join(file)).unwrap()));
        }
        let files: Vec<_> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
        place.make_plugin(name, 'a', &files);
        std::fs::create_dir_all(place.path().join(name).join("_assets")).unwrap();
        for asset in std::fs::read_dir(example.join("_assets")).unwrap().flatten() {
            std::fs::copy(asset.path(), place.path().join(name).join("_assets").join(asset.file_name())).unwrap();
        }
    }
    place
}

pub(crate) fn greeting() -> Value {
    json!({
        "user_id": "u", "type": "tool", "action": "invoke_tool", "provider": "hello", "tool": "greet",
        "credentials": {}, "credential_type": "api-key", "tool_parameters": {"name": "Ada"},
    })
}

fn state(place: &Place, name: &str) -> Value {
    let text = std::fs::read_to_string(place.path().join(name).join("state.json")).unwrap();
    serde_json::from_str(&text.replace(&format!("/{name}"), "/NAME")).unwrap()
}

async fn compare(version: &str, more: &[&str]) {
    let place = place(version, more, &["forked", "spawned", "other"]);
    let host = Host::spawning(&place, &["spawned"]);
    for name in ["forked", "spawned"] {
        let events = host.call(name, greeting()).await;
        assert!(matches!(events.last(), Some(Event::End)) && events.len() > 2, "{events:?}\n{}", host.log(name));
    }
    assert!(host.log("forked").contains("by a fork"), "{}", host.log("forked"));
    assert!(host.log("spawned").contains("PLUGIN_PREFORK_EXCEPT"), "{}", host.log("spawned"));
    assert_same(&state(&place, "forked"), &state(&place, "spawned"));
    let errors = |name: &str| {
        let log = host.log(name).replace(name, "NAME");
        log.lines().filter(|line| line.starts_with("Stderr")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(errors("forked"), errors("spawned"));

    // a call whose caller has left ends alone
    let mut session = host.open("forked", greeting()).await;
    assert!(matches!(session.recv().await, Some(Event::Chunk(_))));
    drop(session);
    eventually("it is cancelled", || host.runtime.status(&plugin("forked")).unwrap().workers[0].in_flight == 0).await;
    assert!(matches!(host.call("forked", greeting()).await.last(), Some(Event::End)));

    let (zygote, worker) = (host.zygote(), host.pid("forked").unwrap());
    kill(worker, Signal::SIGKILL);
    eventually("it is replaced", || host.pid("forked").is_some_and(|pid| pid != worker)).await;
    let events = host.call("forked", greeting()).await;
    assert!(matches!(events.last(), Some(Event::End)), "{events:?}");
    assert_eq!(host.zygote(), zygote);
    kill(zygote, Signal::SIGKILL);
    eventually("it is gone", || !runs(zygote)).await;
    assert!(matches!(host.call("forked", greeting()).await.last(), Some(Event::End)));
    assert!(matches!(host.call("other", greeting()).await.last(), Some(Event::End)));
    assert!(host.log("other").contains("by a fork"), "{}", host.log("other"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real SDK"]
async fn real_sdk_0_0_1b60_is_forked_as_it_is_spawned() {
    compare("==0.0.1b60", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real SDK"]
async fn real_sdk_0_5_is_forked_as_it_is_spawned() {
    compare("~=0.5.0", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real SDK"]
async fn real_sdk_0_7_is_forked_as_it_is_spawned() {
    compare("~=0.7.0", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real SDK"]
async fn real_newest_sdk_is_forked_as_it_is_spawned() {
    compare("", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real SDK"]
async fn real_newest_sdk_beside_other_packages_is_forked_as_it_is_spawned() {
    compare("", &["pandas", "beautifulsoup4"]).await;
}
