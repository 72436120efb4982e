//! Changes single values of a YAML file as text, so that comments, order and unknown keys stay.

use plugin_manifest::yaml::{self, Kind, Node, Read, Reader, scalar};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Sets the value at a path of keys, adding what is missing.
///
/// The result is read back and compared with what was meant: where a file is written in a way that a change of its text
/// does not understand, it is written anew, in the same order, without comments.
pub(crate) fn set(text: &str, path: &[&str], value: &Value) -> Result<String, Failure> {
    let before = read(text)?;
    let mut expected = before;
    put(&mut expected, path, value);
    for candidate in [edited(text, path, value)?, emit_document(text, path, value)?] {
        if read(&candidate).is_ok_and(|read| read == expected) {
            return Ok(candidate);
        }
    }
    Err(Failure::new(format!("cannot change `{}` in this file", path.join(".")))
        .hint(format!("write this into it by hand:\n{}", block(path, value, 0))))
}

/// The document as JSON.
pub(crate) fn read(text: &str) -> Result<Value, Failure> {
    let tree = yaml::parse(text).map_err(bad_yaml)?;
    let mut reader = Reader::new(&tree);
    let value = tree.root().map_or(Value::Null, |root| Value::read(root, &mut reader));
    reader.finish().map_err(bad_yaml)?;
    Ok(value)
}

fn bad_yaml(error: yaml::Error) -> Failure {
    Failure::new("the file is no YAML that can be changed").because(error).hint("correct the file first")
}

fn put(document: &mut Value, path: &[&str], value: &Value) {
    let Some((key, rest)) = path.split_first() else {
        document.clone_from(value);
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    if let Some(object) = document.as_object_mut() {
        put(object.entry((*key).to_owned()).or_insert(Value::Null), rest, value);
    }
}

/// The text with the innermost block that is there replaced.
fn edited(text: &str, path: &[&str], value: &Value) -> Result<String, Failure> {
    let tree = yaml::parse(text).map_err(bad_yaml)?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let Some(root) = tree.root().filter(|root| is_block(&lines, *root)) else { return Ok(text.to_owned()) };
    let (mut mapping, mut end, mut depth) = (root, lines.len(), 0);
    loop {
        let (Some(key), rest) = (path.get(depth), path.get(depth + 1..).unwrap_or_default()) else {
            return Ok(text.to_owned());
        };
        let column = mapping.mark().column.saturating_sub(1) as usize;
        let pairs: Vec<_> = mapping.pairs().collect();
        let found = pairs.iter().position(|(node, _)| node.scalar().is_some_and(|scalar| scalar.text == *key));
        let Some(at) = found else {
            let last = content_end(&lines, start_of(mapping), end);
            return Ok(splice(&lines, last, last, &block(path.get(depth..).unwrap_or_default(), value, column)));
        };
        let Some((key_node, value_node)) = pairs.get(at) else { return Ok(text.to_owned()) };
        let start = start_of(*key_node);
        let next = pairs.get(at + 1).map_or(end, |(node, _)| start_of(*node));
        let entry_end = content_end(&lines, start, next);
        if !rest.is_empty() && matches!(value_node.kind(), Kind::Mapping) && is_block(&lines, *value_node) {
            (mapping, end, depth) = (*value_node, entry_end, depth + 1);
            continue;
        }
        // what else is in the value stays
        let mut reader = Reader::new(&tree);
        let mut whole = reader.value::<Value>(*value_node).unwrap_or_default();
        put(&mut whole, rest, value);
        return Ok(splice(&lines, start, entry_end, &block(&[key], &whole, column)));
    }
}

/// The whole document in block style, the keys of the top level in their order.
fn emit_document(text: &str, path: &[&str], value: &Value) -> Result<String, Failure> {
    let mut document = read(text)?;
    put(&mut document, path, value);
    let Value::Object(object) = &document else { return Ok(String::new()) };
    let tree = yaml::parse(text).map_err(bad_yaml)?;
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in tree.root().into_iter().flat_map(Node::pairs) {
        keys.extend(key.scalar().map(|scalar| &*scalar.text));
    }
    keys.extend(path.first().filter(|key| !keys.contains(*key)));
    let entries = keys.iter().filter_map(|key| Some(block(&[key], object.get(*key)?, 0)));
    Ok(entries.collect())
}

/// Whether a mapping is written with a key a line. In a flow mapping the mark is that of its brace.
fn is_block(lines: &[&str], node: Node<'_>) -> bool {
    let mark = node.mark();
    let line = (mark.line as usize).checked_sub(1).and_then(|at| lines.get(at));
    let character = line.and_then(|line| line.chars().nth((mark.column as usize).saturating_sub(1)));
    matches!(node.kind(), Kind::Mapping) && character.is_some_and(|character| character != '{')
}

fn start_of(node: Node<'_>) -> usize {
    (node.mark().line as usize).saturating_sub(1)
}

/// The end of what stands between two lines, without the blank lines and comments at its end.
fn content_end(lines: &[&str], start: usize, end: usize) -> usize {
    let is_content = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    };
    let content = lines.get(start..end).unwrap_or_default();
    content.iter().rposition(is_content).map_or(end, |last| start + last + 1)
}

fn splice(lines: &[&str], from: usize, to: usize, block: &str) -> String {
    let (before, after) = (lines.get(..from).unwrap_or_default(), lines.get(to..).unwrap_or_default());
    let mut text = before.concat();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text + block + &after.concat()
}

/// `value` under a path of keys, each on a line of its own.
fn block(path: &[&str], value: &Value, indent: usize) -> String {
    let mut text = String::new();
    let mut indent = indent;
    for (at, key) in path.iter().enumerate() {
        text.push_str(&" ".repeat(indent));
        text.push_str(&scalar(key));
        text.push(':');
        indent += 2;
        if at + 1 < path.len() {
            text.push('\n');
        }
    }
    emit(value, indent, &mut text);
    text
}

/// What stands behind a key's colon or an item's dash, and all below it.
fn emit(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            text.push('\n');
            for (key, value) in object {
                text.extend([&*" ".repeat(indent), &scalar(key), ":"]);
                emit(value, indent + 2, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                text.extend([&*" ".repeat(indent), "-"]);
                emit(item, indent + 2, text);
            }
        }
        Value::Object(_) => text.push_str(" {}\n"),
        Value::Array(_) => text.push_str(" []\n"),
        Value::String(string) => text.extend([" ", &scalar(string), "\n"]),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.extend([" ", &value.to_string(), "\n"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_block_deep_inside_is_replaced() {
        let text = "# head\nname: a # who\nresource:\n  # bytes\n  memory: 1\n  permission:\n    tool:\n      enabled: true\n\n  # more\n  other: [1]\n# tail\nend: x\n";
        insta::assert_snapshot!(set(text, &["resource", "permission"], &json!({"app": {"enabled": true}})).unwrap(), @r"
        # head
        name: a # who
        resource:
          # bytes
          memory: 1
          permission:
            app:
              enabled: true

          # more
          other: [1]
        # tail
        end: x
        ");
    }

    #[test]
    fn a_flow_mapping_becomes_a_block_and_keeps_what_else_it_has() {
        let text = "a: 1\nresource: {memory: 1, permission: {}, new: 'x'}\nb: 2 # two";
        insta::assert_snapshot!(set(text, &["resource", "permission"], &json!({"app": {"enabled": true}})).unwrap(), @r"
        a: 1
        resource:
          memory: 1
          new: x
          permission:
            app:
              enabled: true
        b: 2 # two
        ");
    }

    #[test]
    fn missing_keys_are_added() {
        let text = "plugins:\n  tools:\n    - a.yaml\n\nmeta: {}\n";
        insta::assert_snapshot!(set(text, &["plugins", "endpoints"], &json!(["b.yaml"])).unwrap(), @r"
        plugins:
          tools:
            - a.yaml
          endpoints:
            - b.yaml

        meta: {}
        ");
        assert_eq!(set("a: 1", &["b", "c"], &json!([])).unwrap(), "a: 1\nb:\n  c: []\n");
    }

    #[test]
    fn a_file_in_flow_style_is_written_anew() {
        let text = "{z: 1, a: {b: [1, {c: d}]}}\n";
        assert_eq!(
            set(text, &["a", "e"], &json!(null)).unwrap(),
            "z: 1\na:\n  b:\n    - 1\n    -\n      c: d\n  e: null\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_text_the_value_is_set_or_nothing_is_said_to_be(text in "[a-c:\\-{}\\[\\] \"'#\n,|>]{0,40}") {
            let value = json!({"x": [1, "two"]});
            if let Ok(edited) = set(&text, &["a", "b"], &value) {
                let found = read(&edited).unwrap();
                proptest::prop_assert_eq!(found.pointer("/a/b"), Some(&value));
            }
        }
    }

    #[test]
    fn no_yaml() {
        assert!(set("{{{ no", &["a"], &json!(1)).is_err());
    }
}
