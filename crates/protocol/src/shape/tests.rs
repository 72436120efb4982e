use super::Shape::{Any, Bool, Decimal, Int, List, Map, Number, Object, OneOf, Text, TextOr, Within};
use super::*;

const LAST: Shape = Object(&[never("x"), null("n", Any)]);

const PRICE: Shape = Object(&[or("p", Decimal, "\"0\"")]);

const CHOICE: Shape = OneOf(&["a", "é"]);

const EITHER: Shape = TextOr(&List(&Map));

fn mended(shape: &Shape, given: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let mut checker = Checker::default();
    let fits = checker.check("", shape, given.as_bytes()).map(|mended| mended.append_to(&mut out));
    fits.map(|()| String::from_utf8(out).unwrap()).map_err(|problems| problems.to_string())
}

#[track_caller]
fn check(shape: &Shape, given: &str, expected: &str) {
    assert_eq!(mended(shape, given).as_deref(), Ok(expected), "{given}");
}

#[track_caller]
fn refuse(shape: &Shape, given: &str, expected: &str) {
    assert_eq!(mended(shape, given).unwrap_err(), expected, "{given}");
}

#[test]
fn what_needs_no_change_is_the_same_bytes() {
    let given = r#"{ "a" : [1, -2.50, 1e-7, 9223372036854775809, true, null, "\u00e9\"\\\ud83d\ude00"], "b": { } }"#;
    check(&Map, given, given);
    let mut checker = Checker::default();
    assert!(checker.check("", &Map, given.as_bytes()).unwrap().is_unchanged());
}

#[test]
fn whole_doubles_are_printed_as_integers() {
    let given = "[1.0,-3.000,0.0,-0.0,1.50,1e5,1E+2,12.5e1,1e-2,1e20,1e21,1e400,100]";
    check(&Any, given, "[1,-3,0,-0,1.50,100000,100,125,1e-2,100000000000000000000,1e21,1e400,100]");
}

#[test]
fn halves_of_surrogate_pairs_are_replaced() {
    check(&Any, r#""\ud83d\ude00""#, r#""\ud83d\ude00""#);
    check(&Any, r#""a\ud83d""#, r#""a\ufffd""#);
    check(&Any, r#""\ude00\ud83d\u0041\uD83D\uD83D\uDE00""#, r#""\ufffd\ufffd\u0041\ufffd\uD83D\uDE00""#);
    check(&Any, r#""\\ud83d""#, r#""\\ud83d""#);
}

#[test]
fn line_ends_between_tokens_become_spaces() {
    check(&Map, "{\n\"a\":\r\n\"\\n\"\n}", "{ \"a\":  \"\\n\" }");
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
    check(&Any, &deep, &deep);
}

#[test]
fn fields() {
    const SHAPE: Shape = Object(&[
        given("given", Text),
        or("or", List(&Int), "[]"),
        null("null", Bool),
        omit("omit", Text),
        never("never"),
        always("always", "[]"),
    ]);
    check(&SHAPE, r#"{"given":"x"}"#, r#"{"given":"x","or":[],"null":null,"always":[]}"#);
    check(
        &SHAPE,
        r#"{"omit":"","or":null,"never":[1.0],"given":"x","null":true,"always":[ {"a":1.0} ],"novel":1.0}"#,
        r#"{"or":[],"given":"x","null":true,"always":[],"novel":1}"#,
    );
    check(
        &SHAPE,
        r#"{"given":"x","or":[1],"null":null,"omit":"y","always":[]}"#,
        r#"{"given":"x","or":[1],"null":null,"omit":"y","always":[]}"#,
    );
    check(
        &SHAPE,
        r#"{"giv\u0065n":"x","or":[],"null":null,"always":[]}"#,
        r#"{"giv\u0065n":"x","or":[],"null":null,"always":[]}"#,
    );
    for missing in ["{}", r#"{"given":null}"#, r#"{"given":""}"#, r#"{"given":"x","given":""}"#] {
        refuse(&SHAPE, missing, "Key: 'given' Error:Field validation for 'given' failed on the 'required' tag");
    }
    refuse(
        &SHAPE,
        r#"{"or":[1,"2",1.5,null],"null":0}"#,
        "or[1]: expected an integer, found a string\nor[2]: expected an integer, found a fraction\n\
         or[3]: expected an integer, found null\nnull: expected a boolean, found a number\n\
         Key: 'given' Error:Field validation for 'given' failed on the 'required' tag",
    );
    refuse(&SHAPE, "[]", "expected an object, found a list");
    refuse(&SHAPE, "null", "expected a value, found null");
}

#[test]
fn members_are_left_out_wherever_they_are() {
    const SHAPE: Shape = Object(&[never("x"), never("y")]);
    check(&SHAPE, r#"{"x":1}"#, "{}");
    check(&SHAPE, r#"{"x":1,"y":2}"#, "{}");
    check(&SHAPE, r#"{"x":1,"a":2}"#, r#"{"a":2}"#);
    check(&SHAPE, r#"{"a":1.0,"x":{"b":1.0},"y":2.0}"#, r#"{"a":1}"#);
    check(&SHAPE, r#"{"a":1,"x":2 , "b":3,"y":4, "x":5}"#, r#"{"a":1, "b":3}"#);
    check(&LAST, r#"{"x":1}"#, r#"{"n":null}"#);
    check(&LAST, r#"{"a":1,"x":1}"#, r#"{"a":1,"n":null}"#);
}

#[test]
fn values() {
    check(&const { Object(&[given("n", Int)]) }, r#"{"n":3.0}"#, r#"{"n":3}"#);
    refuse(
        &const { Object(&[given("n", Int)]) },
        r#"{"n":0}"#,
        "Key: 'n' Error:Field validation for 'n' failed on the 'required' tag",
    );
    check(&const { Object(&[present("n", Int)]) }, r#"{"n":0}"#, r#"{"n":0}"#);
    for (given, expected) in [
        ("0.50", "\"0.5\""),
        ("3", "\"3\""),
        ("1E-7", "\"0.0000001\""),
        ("\"0.10\"", "\"0.1\""),
        ("\"7\"", "\"7\""),
        ("null", "\"0\""),
    ] {
        check(&PRICE, &format!(r#"{{"p":{given}}}"#), &format!(r#"{{"p":{expected}}}"#));
    }
    refuse(&PRICE, r#"{"p":"much"}"#, "p: expected a decimal, found something else");
    refuse(&PRICE, r#"{"p":true}"#, "p: expected a decimal, found a boolean");
    check(&CHOICE, r#""\u00e9""#, r#""\u00e9""#);
    refuse(
        &const { Object(&[free("c", CHOICE)]) },
        r#"{"c":"b"}"#,
        "Key: 'c' Error:Field validation for 'c' failed on the 'oneof' tag",
    );
    refuse(
        &const { Object(&[free("c", CHOICE)]) },
        r#"{"c":""}"#,
        "Key: 'c' Error:Field validation for 'c' failed on the 'oneof' tag",
    );
    check(&Within(3), r#""ab""#, r#""ab""#);
    assert!(mended(&Within(3), r#""abc""#).is_err());
    check(&EITHER, r#""x""#, r#""x""#);
    check(&EITHER, r#"[{"a":1.0}]"#, r#"[{"a":1}]"#);
    refuse(&EITHER, "5", "expected a list, found a number");
    refuse(&List(&List(&Number)), r#"[[1,"x"]]"#, "[0][1]: expected a number, found a string");
}

#[test]
fn problems_are_counted_no_further_than_anyone_reads() {
    let many = format!("[{}\"x\"]", "\"x\",".repeat(1000));
    assert_eq!(mended(&List(&Int), &many).unwrap_err().lines().count(), 32);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text: String) {
        const NESTED: Shape = Object(&[given("a", List(&Map)), omit("b", Text), or("c", Decimal, "0")]);
        mended(&NESTED, &text).ok();
        mended(&NESTED, &format!("{{\"a\":{text}")).ok();
    }

    #[test]
    fn what_is_json_stays_json(text in "\\{(\"[ab]\":(null|\"\"|1\\.0|\\[1\\.0,\\{\\}\\]|\"\\\\\\\\ud800\"),){0,5}\"z\":0\\}") {
        const SHAPE: Shape = Object(&[omit("a", Any), or("b", Any, "[]"), never("z"), null("y", Any)]);
        let out = mended(&SHAPE, &text).unwrap();
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        proptest::prop_assert!(value.get("z").is_none() && value.get("y").is_some() && !value["b"].is_null());
    }
}
