use serde_json::json;

use super::*;

fn field(kind: &str, extra: &Value) -> ProviderConfig {
    let mut json = json!({"name": "k", "type": kind});
    json.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    serde_json::from_value(json).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

#[test]
fn values() {
    #[track_caller]
    fn check(kind: &str, extra: &Value, value: &Value, expected: Option<&str>) {
        let found = super::check(&[field(kind, extra)], &object(json!({"k": value, "unknown": 1})));
        assert_eq!(found.err().map(|error| error.to_string()).as_deref(), expected);
    }
    let model = json!({"provider": "p", "model": "m", "model_type": "llm"});
    let with = |key: &str, value: &str| {
        let mut model = model.clone();
        model[key] = value.into();
        model
    };
    check("text-input", &json!({}), &json!("x"), None);
    check("text-input", &json!({}), &json!(1), Some("setting k is not a string"));
    check("secret-input", &json!({}), &json!({}), Some("setting k is not a string"));
    check("secret-input", &json!({"required": true}), &json!(null), Some("missing required setting: k"));
    check("text-input", &json!({"required": false}), &json!(null), None);
    let options = json!({"options": [{"value": "a", "label": {"en_US": "A"}}]});
    check("select", &options, &json!("a"), None);
    check("select", &options, &json!("b"), Some("setting k is not a valid option"));
    check("select", &options, &json!(1), Some("setting k is not a string"));
    check("boolean", &json!({}), &json!(false), None);
    check("boolean", &json!({}), &json!("false"), Some("setting k is not a boolean"));
    check("app-selector", &json!({}), &json!({"app_id": "x"}), None);
    check("app-selector", &json!({}), &json!({}), Some("setting k is missing app_id"));
    check("app-selector", &json!({}), &json!("x"), Some("setting k is not a map"));
    check("model-selector", &json!({}), &model, None);
    check("model-selector", &json!({}), &json!([]), Some("setting k is not a map"));
    check("model-selector", &json!({}), &json!({"provider": "p"}), Some("setting k is missing model"));
    check("model-selector", &json!({"scope": "all"}), &model, None);
    check("model-selector", &json!({"scope": "rerank"}), &model, Some("setting k is missing score_threshold"));
    check("model-selector", &json!({"scope": "tts"}), &model, Some("setting k is missing voice"));
    check("model-selector", &json!({"scope": "tts"}), &with("voice", "v"), None);
    check("model-selector", &json!({"scope": "vision"}), &model, Some("setting k is missing completion_params"));
    check("model-selector", &json!({"scope": "llm & tts"}), &model, None);
    check(
        "model-selector",
        &json!({"scope": "llm&tts"}),
        &with("model_type", "tts"),
        Some("setting k is missing voice"),
    );
    check("model-selector", &json!({"scope": "tool-call&document"}), &model, None);
    check("model-selector", &json!({"scope": "text2img"}), &model, Some("setting k is not a valid model config scope"));
    check("array[tools]", &json!({}), &json!([]), None);
    check("array[tools]", &json!({}), &json!({}), Some("setting k is not a list"));
}

#[test]
fn absent_and_too_many() {
    assert_eq!(
        check(&[field("boolean", &json!({"required": true}))], &Map::new()).unwrap_err().to_string(),
        "missing required setting: k"
    );
    let many = |count: usize| (0..count).map(|at| (at.to_string(), Value::Null)).collect::<Map<_, _>>();
    assert_eq!(check(&[], &many(64)), Ok(()));
    assert_eq!(check(&[], &many(65)).unwrap_err().to_string(), "too many setting fields");
}

#[test]
fn masking() {
    #[track_caller]
    fn check(secret: &str, expected: &str) {
        assert_eq!(mask(secret), expected);
    }
    check("", "");
    check("abcdef", "******");
    check("abcdefg", "ab***fg");
    check("sk-0123456789", "sk*********89");
    check("пароль-7", "па****-7");
}

#[test]
fn a_masked_secret_is_the_old_one() {
    let fields = [field("secret-input", &json!({}))];
    let old = object(json!({"k": "0123456789", "other": "0123456789"}));
    let mut shown = old.clone();
    mask_secrets(&fields, &mut shown);
    assert_eq!(Value::from(shown.clone()), json!({"k": "01******89", "other": "0123456789"}));
    restore_masked(&fields, &old, &mut shown);
    assert_eq!(shown, old);
    let mut changed = object(json!({"k": "new"}));
    restore_masked(&fields, &old, &mut changed);
    assert_eq!(Value::from(changed), json!({"k": "new"}));
}

#[test]
fn forms_of_dify_s_page() {
    let normalized = |kind: &str, extra: Value, value: Value| {
        let mut settings = object(json!({"k": value, "unknown": null}));
        normalize(&[field(kind, &extra)], &mut settings);
        assert_eq!(settings.remove("unknown"), Some(Value::Null), "an undeclared setting is left alone");
        settings.remove("k")
    };
    for (sent, got) in [(json!(1), true), (json!(0), false), (json!(1.0), true), (json!(true), true)] {
        assert_eq!(normalized("boolean", json!({}), sent), Some(json!(got)));
    }
    for (sent, got) in [("true", true), ("False", false), ("1", true), ("0", false)] {
        assert_eq!(normalized("boolean", json!({"default": "true"}), json!(sent)), Some(json!(got)));
        assert_eq!(
            normalized("boolean", json!({"default": true}), json!(sent)),
            Some(json!(sent)),
            "no text was declared"
        );
    }
    for left_alone in [json!(2), json!("yes"), json!([])] {
        assert_eq!(normalized("boolean", json!({"default": "true"}), left_alone.clone()), Some(left_alone));
    }
    for kind in ["boolean", "text-input", "select", "app-selector", "array[tools]"] {
        assert_eq!(normalized(kind, json!({}), json!(null)), None);
        assert_eq!(normalized(kind, json!({}), json!("")), None);
    }
    assert_eq!(normalized("secret-input", json!({"required": true}), json!("")), Some(json!("")));
    assert_eq!(normalized("text-input", json!({}), json!("1")), Some(json!("1")));
}
