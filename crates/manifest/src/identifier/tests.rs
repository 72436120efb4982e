use regex::Regex;

use super::*;

const SUM: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn parts() {
    #[track_caller]
    fn check(text: &str, author: &str, name: &str, version: &str, plugin_id: &str) {
        let text = format!("{text}@{SUM}");
        let id: UniqueIdentifier = text.parse().unwrap();
        assert_eq!((id.author(), id.name(), id.version(), id.checksum()), (author, name, version, SUM));
        assert_eq!(id.plugin_id().as_str(), plugin_id);
        assert_eq!((id.plugin_id().author(), id.plugin_id().name()), (author, name));
        assert_eq!(id.identity(), format!("{plugin_id}:{version}"));
        assert_eq!(id.to_string(), text);
    }
    check("langgenius/openai:0.0.1", "langgenius", "openai", "0.0.1", "langgenius/openai");
    check("openai:1.2", "", "openai", "1.2", "openai");
    check("a_-9/b_-8:1.2.3.4-beta_1", "a_-9", "b_-8", "1.2.3.4-beta_1", "a_-9/b_-8");
}

#[test]
fn agrees_with_the_regular_expression() {
    let rule = Regex::new(
        r"^(?:([a-z0-9_-]{1,64})/)?([a-z0-9_-]{1,255}):([0-9]{1,4})(\.[0-9]{1,4}){1,3}(-[0-9A-Za-z_]{1,16})?@[a-f0-9]{32,64}$",
    )
    .unwrap();
    let long = |length| "x".repeat(length);
    let bodies = [
        "a/b:0.0.1",
        "b:0.1",
        "b:1",
        "b:1.2.3.4",
        "b:1.2.3.4.5",
        "A/b:0.0.1",
        "a/B:0.0.1",
        "/b:0.0.1",
        "a/:0.0.1",
        "a/b/c:0.0.1",
        "a/b:0.0.1-rc.1",
        "a/b:0.0.1-",
        "a/b:0.0.1-abcdefghijklmnop",
        "a/b:0.0.1-abcdefghijklmnopq",
        "a/b:00001.0",
        "a/b:0..1",
        "a/b:.0.1",
        "a/b:0.1.",
        "a/b:0.0.1-a-b",
        "a:b:0.0.1",
        "a b:0.0.1",
        "",
        "a/b",
        "é:0.0.1",
        "a/b:0.0.1-é",
    ];
    let sums = [SUM.to_owned(), SUM.repeat(2), format!("{SUM}0"), "0".repeat(31), "0".repeat(65), "A".repeat(32)];
    let mut texts =
        vec![String::new(), "@".into(), format!("{}:0.0.1@{SUM}", long(255)), format!("{}:0.0.1@{SUM}", long(256))];
    texts.push(format!("{}/b:0.0.1@{SUM}", long(64)));
    texts.push(format!("{}/b:0.0.1@{SUM}", long(65)));
    texts.extend(bodies.iter().flat_map(|body| sums.iter().map(move |sum| format!("{body}@{sum}"))));
    for text in texts {
        assert_eq!(text.parse::<UniqueIdentifier>().is_ok(), rule.is_match(&text), "{text}");
    }
}

#[test]
fn refusal_names_the_text() {
    let error = "a/b".parse::<UniqueIdentifier>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin_unique_identifier is not valid: a/b (it has no version and no checksum; the form is author/name:version@checksum)"
    );
    let error = serde_json::from_str::<UniqueIdentifier>("\"a/b\"").unwrap_err();
    assert!(error.to_string().starts_with("plugin_unique_identifier is not valid: a/b"), "{error}");
}

#[test]
fn serde_is_a_plain_string() {
    let text = format!("\"a/b:0.0.1@{SUM}\"");
    let id: UniqueIdentifier = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&id).unwrap(), text);
}

#[test]
fn remote_like_authors() {
    #[track_caller]
    fn check(author: &str, remote: bool) {
        let id: UniqueIdentifier = format!("{author}/b:0.0.1@{SUM}").parse().unwrap();
        assert_eq!(id.is_remote_like(), remote, "{author}");
    }
    check("0d5e8f0a-0000-4000-8000-0123456789ab", true);
    check("0d5e8f0a0000400080000123456789ab", true);
    check("0d5e8f0a-0000-4000-8000-0123456789ag", false);
    check("0d5e8f0a00004000-8000-0123-456789abc", false);
    check("langgenius", false);
}

proptest::proptest! {
    #[test]
    fn any_text_is_judged_without_panic(text in ".{0,80}") {
        let _ = text.parse::<UniqueIdentifier>();
    }
}

#[test]
fn what_is_wrong_is_named() {
    let sum = "a".repeat(64);
    for (text, expected) in [
        ("", "the name \"\" has to be 1 to 255 of a-z, 0-9, - and _"),
        ("DarkNess/tool:1.0.0@", "the author \"DarkNess\" has to be 1 to 64 of a-z, 0-9, - and _"),
        ("a/My Tool:1.0.0@", "the name \"My Tool\" has to be"),
        ("a/b", "it has no version and no checksum"),
        ("a/b:", "it has no version and no checksum"),
        (&format!("a/b@{sum}"), "it has no version;"),
        ("a/b:1.0.0", "it has no checksum;"),
        (&format!("a/b:v1.0.0@{sum}"), "the version \"v1.0.0\" has to be two to four numbers"),
        ("a/b:1.0.0@abc", "the checksum has to be 32 to 64 of 0-9 and a-f"),
    ] {
        let error = text.parse::<UniqueIdentifier>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("plugin_unique_identifier is not valid: {text} ({expected}")), "{error}");
    }
}
