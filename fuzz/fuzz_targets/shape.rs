//! Shapes: whatever JSON comes as a request, a chunk or a call back is checked without panic, and what is mended is JSON
//! again, on one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_protocol::Action;
use plugin_protocol::callback::Kind;
use plugin_protocol::chunk::{self, BlobMerger, polling_result};
use plugin_protocol::request;
use plugin_protocol::shape::{Checker, Shape};
use serde_json::value::RawValue;

fn check(shape: &Shape, json: &str) {
    let mut checker = Checker::default();
    let Ok(mended) = checker.check("", shape, json.as_bytes()) else { return };
    let mut out = Vec::new();
    mended.append_to(&mut out);
    let text = std::str::from_utf8(&out).expect("text");
    assert!(!text.contains(['\n', '\r']), "{text}");
    serde_json::from_str::<&RawValue>(text).expect("JSON");
}

fuzz_target!(|input: (u8, &str)| {
    let (choice, json) = input;
    if serde_json::from_str::<&RawValue>(json).is_err() {
        return;
    }
    let json = json.trim();
    let action = Action::ALL[usize::from(choice) % Action::ALL.len()];
    let kind = Kind::ALL[usize::from(choice) % Kind::ALL.len()];
    check(request::shape(action), json);
    check(kind.request(), json);
    check(kind.result(), json);
    match chunk::shape(action) {
        Some(shape) => check(shape, json),
        None => drop(polling_result(json.as_bytes())),
    }
    let _ = BlobMerger::default().take(json.as_bytes());
});
