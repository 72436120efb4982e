use super::*;

/// One line a value: what became of it.
fn check(line: &str, expected: &[&str]) {
    let mut seen = Vec::new();
    read_line(line.as_bytes(), |event| {
        seen.push(match event {
            Ok(PluginEvent::Session { session_id, message }) => {
                format!("{session_id} {:?} {}", message.kind, message.data.get())
            }
            Ok(PluginEvent::Malformed { session_id }) => format!("malformed {session_id}"),
            Ok(PluginEvent::Log(log)) => format!("log {} {} {}", log.level, log.message, log.timestamp),
            Ok(PluginEvent::Error(data)) => format!("error {}", data.get()),
            Ok(other) => format!("{other:?}"),
            Err(bad) => format!("bad {}", bad.excerpt),
        });
    });
    assert_eq!(seen, expected, "{line}");
}

#[test]
fn events() {
    check(r#"{"event":"heartbeat","session_id":null,"data":{}}"#, &["Heartbeat"]);
    check(
        r#"{"event":"session","session_id":"s","data":{"type":"stream","data":{"a":1.0}}}"#,
        &[r#"s Stream {"a":1.0}"#],
    );
    check(r#"{"Data":{"TYPE":"end","data":null},"SESSION_ID":"s","Event":"session"}"#, &["s End null"]);
    check(r#"{"event":"session","session_id":"s","data":{"type":"odd","data":1}}"#, &[r#"s Unknown("odd") 1"#]);
    check(r#"{"event":"session","session_id":"s","data":{"type":"stream"}}"#, &["malformed s"]);
    check(r#"{"event":"session","session_id":"s","data":null}"#, &["malformed s"]);
    check(r#"{"event":"session","session_id":"s","data":[{"type":"stream"}]}"#, &["malformed s"]);
    check(r#"{"event": "log", "data": {"level": "INFO", "message": "m", "timestamp": 1.5}}"#, &["log INFO m 1.5"]);
    check(r#"{"event":"error","data":{"error":"e"}}"#, &[r#"error {"error":"e"}"#]);
    check(r#"{"version":"0.0.1","type":"plugin"}"#, &["Other"]);
    check(r#"{"event":7}"#, &["Other"]);
}

#[test]
fn the_last_of_equal_keys_wins() {
    check(
        r#"{"event":"log","event":"session","session_id":"a","session_id":"b","data":{"type":"end","data":1,"data":2}}"#,
        &["b End 2"],
    );
}

#[test]
fn values_glued_on_one_line_are_all_kept() {
    check(
        r#"{"event":"heartbeat"}{"event":"session","session_id":"s","data":{"type":"end","data":{}}} oops"#,
        &["Heartbeat", "s End {}", "bad  oops"],
    );
    check("plain words", &["bad plain words"]);
    check("[1]", &["bad [1]"]);
}

#[test]
fn broken_text_is_mended() {
    let mut seen = 0;
    read_line(
        b"{\"event\":\"session\",\"session_id\":\"s\",\"data\":{\"type\":\"stream\",\"data\":\"\xff\"}}",
        |event| {
            let Ok(PluginEvent::Session { message, .. }) = event else { panic!("{event:?}") };
            assert_eq!(message.data.get(), "\"\u{fffd}\"");
            seen += 1;
        },
    );
    assert_eq!(seen, 1);
}

#[test]
fn long_lines_are_quoted_in_part() {
    read_line(&[b'x'; 5000], |event| assert_eq!(event.unwrap_err().excerpt.len(), QUOTED + 3));
}

#[test]
fn a_session_is_known_from_the_beginning_of_a_line() {
    let check = |head: &str, expected: Option<&str>| assert_eq!(peek_session_id(head.as_bytes()), expected);
    check(r#"{"event":"session","session_id": "s-1","data":{"type""#, Some("s-1"));
    check(r#"{"event":"session","session_id":null,"data""#, None);
    check(r#"{"event":"session","session_id":"s-"#, None);
    check("", None);
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        read_line(&bytes, |_| {});
        peek_session_id(&bytes);
    }
}
