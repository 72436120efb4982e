use serde_json::Value;

use super::*;

#[track_caller]
fn value(text: &str) -> Result<String, String> {
    read::<Option<Value>>(text.as_bytes())
        .map(|value| value.unwrap_or_default().to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn untyped_values() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
    }
    check("", "null");
    check("# nothing", "null");
    check("[~, null, Null, NULL, '', \"null\", nUll]", r#"[null,null,null,null,"","null","nUll"]"#);
    check("[true, True, TRUE, yes, on, n, 'true']", r#"[true,true,true,"yes","on","n","true"]"#);
    check("[1, 0x10, 0o17, 017, 08, 1_000, 1.0, 1e3, .5]", "[1,16,15,15,8,1000,1,1000,0.5]");
    check("[18446744073709551615, 12:30:45, 1.2.3]", r#"[18446744073709551615,"12:30:45","1.2.3"]"#);
    check("[2024-01-02, '2024-01-02']", r#"["2024-01-02T00:00:00Z","2024-01-02"]"#);
    check("[!!str 1, !!int '3', !!float 2, !custom 1, ! 5, !!binary aGk=]", r#"["1",3,2,"1",5,"hi"]"#);
    check("{b: 1, a: {d: 1, c: 2}}", r#"{"a":{"c":2,"d":1},"b":1}"#);
    check("x: &a [1]\ny: *a", r#"{"x":[1],"y":[1]}"#);
    check("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}", r#"{"base":{"x":1,"y":2},"use":{"x":1,"y":3}}"#);
    check("{y: 3, <<: [{x: 1}, {x: 2, z: 4}]}", r#"{"x":1,"y":3,"z":4}"#);
    check("a: |\r\n  x\r\n  y\r\n", r#"{"a":"x\ny\n"}"#);
    check("a: |\n  no newline at the end", r#"{"a":"no newline at the end"}"#);
    check("--- 1\n--- 2", "1");
    check("\u{feff}a: 1", r#"{"a":1}"#);
    check("a:\t1", r#"{"a":1}"#);
}

#[test]
fn refusals() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = value(text).unwrap_err();
        assert!(found.starts_with(expected), "{text}: {found}");
    }
    check("a: 1\nb: *nothing", "yaml: line 2: ");
    check("a: &a [*a]", "yaml: line 1: anchor value contains itself");
    check("a: 1\na: 2", "yaml: unmarshal errors:\n  line 2: mapping key \"a\" already defined at line 1");
    check("[.inf]", "json: unsupported value: inf");
    check("[{1: 2}]", "json: mapping key `1` is no string");
    check("{<<: 1}", "yaml: map merge requires map or sequence of maps as the value");
    check("!!int x", "yaml: cannot decode !!str `x` as a !!int");
    check("!!binary '%'", "yaml: !!binary value contains invalid base64 data");
    check("a: b: c", "yaml: line 1: ");
}

#[derive(Debug, Default, PartialEq)]
struct Typed {
    text: String,
    flag: bool,
    whole: i64,
    size: u64,
    list: Vec<String>,
    maybe: Option<String>,
}

impl Read for Typed {
    fn read<'t>(node: Node<'t>, reader: &mut Reader<'t>) -> Self {
        let Some(mapping) = reader.mapping(node) else { return Self::default() };
        Self {
            text: reader.field(&mapping, "text"),
            flag: reader.field(&mapping, "flag"),
            whole: reader.field(&mapping, "whole"),
            size: reader.field(&mapping, "size"),
            list: reader.field(&mapping, "list"),
            maybe: reader.field(&mapping, "maybe"),
        }
    }
}

#[test]
fn coercions() {
    #[track_caller]
    fn check(text: &str, expected: Typed) {
        assert_eq!(super::read::<Typed>(text.as_bytes()), Ok(expected), "{text}");
    }
    check("", Typed::default());
    check("text: 1.10", Typed { text: "1.10".into(), ..Typed::default() });
    check("text: 2024-01-02", Typed { text: "2024-01-02".into(), ..Typed::default() });
    check("{text: ~, flag: , whole: null, list: ~, maybe: }", Typed::default());
    check("maybe: ''", Typed { maybe: Some(String::new()), ..Typed::default() });
    check("flag: 'yes'", Typed { flag: true, ..Typed::default() });
    check("{flag: Off, whole: -2.9, size: 2.9}", Typed { whole: -2, size: 2, ..Typed::default() });
    check("list: [a, ~, 1, true]", Typed { list: vec!["a".into(), "1".into(), "true".into()], ..Typed::default() });
    check("{Text: x, unknown: {a: 1, a: *b}}".replace("*b", "2").as_str(), Typed::default());
}

#[test]
fn every_typing_error_is_reported() {
    let error =
        super::read::<Typed>(b"text: [1]\nflag: \"true\"\nwhole: '1'\nsize: -1\nlist: some long text\n").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Typing);
    assert_eq!(
        error.to_string(),
        "yaml: unmarshal errors:\
         \n  line 1: cannot unmarshal !!seq into string at text\
         \n  line 2: cannot unmarshal !!str `true` into bool at flag\
         \n  line 3: cannot unmarshal !!str `1` into integer at whole\
         \n  line 4: cannot unmarshal !!int `-1` into unsigned integer at size\
         \n  line 5: cannot unmarshal !!str `some lo...` into list at list"
    );
    assert_eq!(error.mark(), Some(Mark { line: 1, column: 7 }));
}

#[test]
fn json_is_strict_but_knows_nulls_and_cases() {
    #[track_caller]
    fn check(text: &str, expected: Result<Typed, &str>) {
        let found = deserialize::<Typed, _>(&mut serde_json::Deserializer::from_str(text));
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(String::from), "{text}");
    }
    check("null", Ok(Typed::default()));
    check("{}", Ok(Typed::default()));
    check(r#"{"TEXT": "a", "flag": true, "whole": 1.0, "list": null}"#, {
        Ok(Typed { text: "a".into(), flag: true, whole: 1, ..Typed::default() })
    });
    check(r#"{"text": "a", "text": "b"}"#, Ok(Typed { text: "b".into(), ..Typed::default() }));
    check(
        r#"{"text": 1, "flag": "yes"}"#,
        Err("json: unmarshal errors:\
             \n  cannot unmarshal !!int `1` into string at text\
             \n  cannot unmarshal !!str `yes` into bool at flag"),
    );
}

#[test]
fn bombs_are_defused() {
    #[track_caller]
    fn check(text: &str) {
        let error = super::read::<Option<Value>>(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    }
    /// A list whose items each name the one before.
    fn chain(first: &str, length: usize, item: impl Fn(String) -> String) -> String {
        let items = (1..length).map(|level| format!("&a{level} {}", item(format!("*a{}", level - 1))));
        let items: Vec<String> = std::iter::once(format!("&a0 {first}")).chain(items).collect();
        format!("- {}", items.join("\n- "))
    }
    check(&chain("[lol]", 30, |previous| format!("[{}]", format!("{previous}, ").repeat(9))));
    check(&chain("[x]", 5000, |previous| format!("[{previous}]")));
    check(&chain("{x: 1}", 5000, |previous| format!("{{<<: {previous}}}")));
    check(&format!("a: &a {}\nb: [{}]", "x".repeat(100_000), "*a, ".repeat(1000)));
    for deep in ["[".repeat(20_000), "{a: ".repeat(20_000), "- ".repeat(20_000), "? ".repeat(20_000)] {
        check(&deep);
    }
}

#[test]
fn size_is_limited() {
    let limits = Limits { bytes: 1000, depth: 10, nodes: 100, ..Limits::default() };
    let kind = |text: &str| parse_with(text, limits).err().map(|error| error.kind());
    assert_eq!(kind(&"x".repeat(1000)), None);
    assert_eq!(kind(&"x".repeat(1001)), Some(ErrorKind::Limit));
    assert_eq!(kind(&format!("[{}]", "~,".repeat(99))), None);
    assert_eq!(kind(&format!("[{}]", "~,".repeat(100))), Some(ErrorKind::Limit));
    assert_eq!(kind(&format!("{}{}", "[".repeat(10), "]".repeat(10))), None);
    assert_eq!(kind(&format!("{}{}", "[".repeat(11), "]".repeat(11))), Some(ErrorKind::Limit));
    assert_eq!(kind(&format!("{}x", "- ".repeat(11))), Some(ErrorKind::Limit));
}

#[test]
fn a_huge_scalar_is_just_text() {
    let text = "x".repeat(10 << 20);
    assert_eq!(super::read::<String>(text.as_bytes()).unwrap().len(), text.len());
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = super::read::<Option<Value>>(&bytes);
    }

    #[test]
    fn no_yaml_panics(text in r#"([ \n:\-?,\[\]{}#&*!|>'"%@a<~0.]|- |: |\n  |<<: |&a |\*a |!!int |\|\n)*"#) {
        let _ = super::read::<Option<Value>>(text.as_bytes());
        let _ = super::read::<Typed>(text.as_bytes());
        let _ = super::read::<crate::Declaration>(text.as_bytes());
    }
}
