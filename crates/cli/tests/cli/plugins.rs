//! Plugins made, checked, packed, run and called.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use plugin_testkit::without_threads;
use serde_json::Value;

use crate::support::{Place, text, tree};

pub(crate) const CATEGORIES: [&str; 11] = [
    "tool",
    "agent-strategy",
    "llm",
    "text-embedding",
    "rerank",
    "tts",
    "speech2text",
    "moderation",
    "extension",
    "datasource",
    "trigger",
];

/// A plugin without the SDK, whose environment needs no network.
pub(crate) fn light(place: &Place) {
    place.init("light", "tool");
    let main = r#"
import json, sys, threading, time

def say(event, session_id, data):
    print(json.dumps({"event": event, "session_id": session_id, "data": data}), flush=True)

say("heartbeat", None, {})
for line in sys.stdin:
    request = json.loads(line)
    data, session = request["data"], request["session_id"]
    if request["event"] == "backwards_response":
        if data["event"] == "response":
            say("session", session, {"type": "stream", "data": {"type": "json", "message": {"json_object": data["data"]}}})
        elif data["event"] == "error":
            say("session", session, {"type": "error", "data": {"error_type": "Denied", "message": data["message"]}})
        else:
            say("session", session, {"type": "end", "data": {}})
        continue
    query = data["tool_parameters"]["query"]
    if query == "die":
        sys.exit(3)
    if query == "call":
        call = {"type": "storage", "backwards_request_id": "1", "request": {"opt": "exist", "key": "k"}}
        say("session", session, {"type": "invoke", "data": call})
        continue
    text = {"type": "text", "message": {"text": "ANSWER " + query}, "meta": None}
    say("session", session, {"type": "stream", "data": text})
    say("session", session, {"type": "end", "data": {}})
"#;
    std::fs::write(place.path("light/main.py"), main).unwrap();
    std::fs::write(place.path("light/requirements.txt"), "").unwrap();
    std::fs::remove_file(place.path("light/pyproject.toml")).unwrap();
}

#[test]
fn a_new_plugin_is_without_fault_and_packs_the_same_each_time() {
    let place = Place::new();
    for category in CATEGORIES {
        place.init(category, category);
        assert_eq!(place.stdout(&["plugin", "check", category]), "nothing is wrong\n");
        place.stdout(&["plugin", "package", category]);
        let packed = std::fs::read(place.path(&format!("{category}.difypkg"))).unwrap();
        place.stdout(&["plugin", "package", category, "-o", "again.difypkg"]);
        assert_eq!(std::fs::read(place.path("again.difypkg")).unwrap(), packed);
        assert_eq!(
            place.stdout(&["plugin", "checksum", category]),
            place.stdout(&["plugin", "checksum", "again.difypkg"])
        );
    }
}

#[test]
fn a_call_of_a_folder_and_of_a_package() {
    let place = Place::new();
    light(&place);
    assert_eq!(place.stdout(&["plugin", "invoke", "light", "-p", "query=one"]), "ANSWER one\n");
    place.stdout(&["plugin", "package", "light"]);
    let line = place.stdout(&["plugin", "invoke", "light.difypkg", "-p", "query=two", "--json"]);
    let chunk: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(chunk["message"]["text"], "ANSWER two");
    let sample: Value = serde_json::from_str(&place.stdout(&["plugin", "invoke", "light", "--sample"])).unwrap();
    assert_eq!((&sample["provider"], &sample["tool"]), (&"light".into(), &"light".into()));
}

#[test]
fn a_call_that_fails() {
    let place = Place::new();
    light(&place);
    let output = place.run(&["plugin", "invoke", "light", "-p", "query=die"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("exit code 3"), "{}", text(&output.stderr));
    let output = place.run(&["plugin", "invoke", "light", "--name", "nothing"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("it has light"), "{}", text(&output.stderr));
}

#[test]
fn calls_back_are_answered_as_far_as_the_manifest_permits() {
    let place = Place::new();
    light(&place);
    let output = place.run(&["plugin", "invoke", "light", "-p", "query=call"]);
    assert!(text(&output.stderr).contains("you need to enable storage access"), "{}", text(&output.stderr));
    let manifest = std::fs::read_to_string(place.path("light/manifest.yaml")).unwrap();
    let permitted = "permission: {storage: {enabled: true, size: 1024}}";
    std::fs::write(place.path("light/manifest.yaml"), manifest.replace("permission: {}", permitted)).unwrap();
    let answer = place.stdout(&["plugin", "invoke", "light", "-p", "query=call", "--json"]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["message"]["json_object"]["data"], false);
}

/// A program that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Running {
    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    fn end(&mut self) -> Option<i32> {
        let limit = Instant::now() + Duration::from_secs(20);
        while Instant::now() < limit {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end")
    }
}

#[test]
fn run_ends_with_its_input_and_leaves_nothing() {
    let place = Place::new();
    light(&place);
    std::fs::create_dir(place.path("tmp")).unwrap();
    let mut command = place.command(&["plugin", "run", "light", "-r", "json"]);
    let child = command.env("TMPDIR", place.path("tmp")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut running = Running(child.unwrap());
    let request = r#"{"invoke_id":"a","type":"tool","action":"invoke_tool","request":{"provider":"light","tool":"light","tool_parameters":{"query":"x"},"credentials":{}}}"#;
    let mut input = running.0.stdin.take().unwrap();
    input.write_all(format!("{request}\n").as_bytes()).unwrap();
    drop(input);
    let mut output = String::new();
    running.0.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert_eq!(running.end(), Some(0));
    let kinds: Vec<String> = output
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["info", "plugin_ready", "info", "plugin_response", "plugin_invoke_end"]);
    assert_eq!(tree(&place.path("tmp")), Vec::<std::path::PathBuf>::new());
}

#[test]
fn dev_starts_anew_when_a_file_changes() {
    let place = Place::new();
    light(&place);
    let mut command = place.command(&["plugin", "dev", "light", "--local"]);
    let mut running = Running(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut said = BufReader::new(running.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = said.find(|line| line.contains("plugin started") || line.contains("waiting for a change")).unwrap();
    assert!(line.contains("plugin started"), "it does not start");
    let address = line.rsplit('=').next().unwrap().to_owned();
    let call = |query: &str| place.stdout(&["plugin", "invoke", "light", "--connect", &address, "-p", query]);
    assert_eq!(call("query=one"), "ANSWER one\n");

    let main = std::fs::read_to_string(place.path("light/main.py")).unwrap();
    std::fs::write(place.path("light/main.py"), main.replace("ANSWER", "ANOTHER")).unwrap();
    assert!(said.any(|line| line.contains("started anew")));
    assert_eq!(call("query=two"), "ANOTHER two\n");

    std::fs::write(place.path("light/tools/light.yaml"), "- [unclosed").unwrap();
    assert!(said.any(|line| line.contains("light/tools/light.yaml") || line.contains("tools/light.yaml:1:")));
    let output = place.run(&["plugin", "invoke", "light", "--connect", &address]);
    assert!(text(&output.stderr).contains("tools/light.yaml"), "{}", text(&output.stderr));
    let data = r#"{"provider":"light","tool":"light","tool_parameters":{"query":"three"}}"#;
    let whole = ["plugin", "invoke", "--connect", &address, "-a", "invoke_tool", "--data", data];
    assert_eq!(place.stdout(&whole), "ANOTHER three\n", "what ran before goes on");
    running.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(running.end(), Some(0));
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn dev_reports_a_debugging_server_that_is_not_there() {
    let place = Place::new();
    light(&place);
    let output = place.run(&["plugin", "dev", "light", "--url", "127.0.0.1:1", "--key", "k", "--no-reload"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("the debugging server 127.0.0.1:1 cannot be reached") && said.contains("hint: "), "{said}");
}

/// A server that answers the first connection with a text, and gives what it was sent.
fn server(answer: &'static [u8]) -> (String, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(&stream).lines();
        let received = [lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()].join("\n");
        (&stream).write_all(answer).unwrap();
        received
    });
    (address, thread)
}

#[test]
fn dev_says_what_is_wrong_with_the_debugging_server() {
    let place = Place::new();
    light(&place);
    for (answer, expected) in [
        (&b"handshake failed, invalid key\n"[..], "refuses the key\nhint: copy the key that Dify shows now"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "is not a debugging server: it speaks HTTP\nhint: Dify shows the address",
        ),
        (b"", "is not a debugging server: it closes the connection\nhint: Dify shows the address"),
    ] {
        let (address, received) = server(answer);
        let output = place.run(&["plugin", "dev", "light", "--url", &address, "--key", " secret\n", "--no-reload"]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(expected), "{said}");
        let lines = said.lines().skip_while(|line| !line.starts_with("error: ")).count();
        assert_eq!(lines, 2, "the plugin is not started: {said}");
        let handshake = r#"{"data":{"key":"secret"},"type":"handshake"}"#;
        assert_eq!(received.join().unwrap(), [handshake, handshake].join("\n"), "the key is trimmed");
    }
    let output = place.run(&["plugin", "dev", "light", "--url", "http://localhost:5002", "--key", "k", "--no-reload"]);
    assert!(text(&output.stderr).contains("is not the address of a debugging server, HOST:PORT"));
}

/// Packs, installs and answers: the proof for every category, with the SDK.
#[test]
#[ignore = "needs uv, Python 3.12 and the package index"]
fn real_every_new_plugin_answers() {
    let place = Place::with_shared_cache();
    for category in CATEGORIES {
        place.init(category, category);
        place.stdout(&["plugin", "package", category]);
        let package = format!("{category}.difypkg");
        let answer = place.stdout(&["plugin", "invoke", &package, "--json"]);
        let chunks: Vec<Value> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!chunks.is_empty(), "{category} says nothing");
        let credentials = match category {
            "tool" => Some("validate_tool_credentials"),
            "datasource" => Some("validate_datasource_credentials"),
            "trigger" => Some("validate_trigger_credentials"),
            "extension" | "agent-strategy" => None,
            _ => Some("validate_provider_credentials"),
        };
        if let Some(action) = credentials {
            let name = if category == "datasource" { "token=x" } else { "api_key=x" };
            let answer = place.stdout(&["plugin", "invoke", &package, "--json", "-a", action, "--credential", name]);
            assert!(answer.contains("\"result\":true"), "{category}: {answer}");
        }
    }
}

#[test]
fn no_command_panics_where_the_system_starts_no_threads() {
    let place = Place::new();
    place.init("small", "tool");
    let commands: [&[&str]; 7] = [
        &["plugin", "check", "small"],
        &["plugin", "package", "small"],
        &["plugin", "run", "small"],
        &["plugin", "dev", "small"],
        &[
            "plugin",
            "init",
            "--quick",
            "--name",
            "other",
            "--author",
            "acme",
            "--description",
            "d",
            "--category",
            "tool",
        ],
        &["signature", "generate", "-f", "keys"],
        &["version"],
    ];
    let mut named = 0;
    for arguments in commands {
        let output = without_threads(&mut place.command(arguments)).unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        let is_named = said.contains("the container's seccomp profile does not know clone3");
        assert!(is_named || output.status.success(), "{arguments:?}: {said}");
        named += usize::from(is_named);
    }
    assert!(named > 0, "what needs threads says why there are none");
}
