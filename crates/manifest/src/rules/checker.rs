//! Collects the violations of a declaration with the path of each.

use std::ops::RangeInclusive;

use super::Violation;

/// Collects violations, knowing the place that is looked at.
///
/// Lengths count characters. A field that breaks several rules is reported for the first of them.
#[derive(Debug)]
pub(crate) struct Checker {
    namespace: String,
    path: String,
    violations: Vec<Violation>,
}

impl Checker {
    pub(crate) fn new(name: &str) -> Self {
        Self { namespace: name.to_owned(), path: String::new(), violations: Vec::new() }
    }

    pub(crate) fn finish(self) -> Vec<Violation> {
        self.violations
    }

    /// Runs rules on what lies under a key.
    pub(crate) fn at(&mut self, key: &str, run: impl FnOnce(&mut Self)) {
        let (namespace, path) = (self.namespace.len(), self.path.len());
        self.namespace.push('.');
        self.namespace.push_str(&go_name(key));
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(key);
        run(self);
        self.namespace.truncate(namespace);
        self.path.truncate(path);
    }

    /// Runs rules on every item of the list under a key.
    pub(crate) fn each<T>(&mut self, key: &str, items: &[T], run: impl Fn(&mut Self, &T)) {
        self.at(key, |checker| {
            for (index, item) in items.iter().enumerate() {
                let (namespace, path) = (checker.namespace.len(), checker.path.len());
                let suffix = format!("[{index}]");
                checker.namespace.push_str(&suffix);
                checker.path.push_str(&suffix);
                run(checker, item);
                checker.namespace.truncate(namespace);
                checker.path.truncate(path);
            }
        });
    }

    /// Reports the place that is looked at.
    pub(crate) fn violate(&mut self, tag: &'static str, reason: impl Into<String>) {
        self.violations.push(Violation {
            namespace: self.namespace.clone(),
            path: self.path.clone(),
            tag,
            reason: reason.into(),
        });
    }

    /// Reports the field under a key unless it is good.
    pub(crate) fn ensure(&mut self, key: &str, good: bool, tag: &'static str, reason: &str) {
        if !good {
            self.at(key, |checker| checker.violate(tag, reason));
        }
    }

    /// A text that may not be empty.
    pub(crate) fn required(&mut self, key: &str, text: &str) -> bool {
        self.ensure(key, !text.is_empty(), "required", "must not be empty");
        !text.is_empty()
    }

    /// A text of at most `most` characters.
    pub(crate) fn max(&mut self, key: &str, text: &str, most: usize) {
        let good = text.chars().count() <= most;
        self.ensure(key, good, "max", &format!("must have at most {most} characters"));
    }

    /// A text of 1 to `most` characters.
    pub(crate) fn required_max(&mut self, key: &str, text: &str, most: usize) {
        if self.required(key, text) {
            self.max(key, text, most);
        }
    }

    /// A list of at most `most` items.
    pub(crate) fn max_items(&mut self, key: &str, count: usize, most: usize) {
        self.ensure(key, count <= most, "max", &format!("must have at most {most} items"));
    }

    /// A number within a range.
    pub(crate) fn within(&mut self, key: &str, number: u64, range: &RangeInclusive<u64>) {
        let (least, most) = (range.start(), range.end());
        self.ensure(key, number >= *least, "min", &format!("must be at least {least}"));
        self.ensure(key, number <= *most, "max", &format!("must be at most {most}"));
    }

    /// A word of a set.
    pub(crate) fn one_of(&mut self, key: &str, word: &str, tag: &'static str, words: &[&str]) {
        if !words.contains(&word) {
            self.at(key, |checker| checker.violate(tag, not_one_of(word, words)));
        }
    }

    /// Words of a set.
    pub(crate) fn each_one_of(&mut self, key: &str, found: &[String], tag: &'static str, words: &[&str]) {
        self.each(key, found, |checker, word| {
            if !words.contains(&&**word) {
                checker.violate(tag, not_one_of(word, words));
            }
        });
    }
}

fn not_one_of(word: &str, words: &[&str]) -> String {
    format!("`{word}` is none of {}", words.join(", "))
}

/// What the reference calls the field of a key.
fn go_name(key: &str) -> String {
    key.split(['_', '.'])
        .map(|part| match part {
            "url" | "llm" | "tts" => part.to_uppercase(),
            _ => {
                let mut letters = part.chars();
                letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        #[track_caller]
        fn check(key: &str, expected: &str) {
            assert_eq!(go_name(key), expected);
        }
        check("label", "Label");
        check("en_US", "EnUS");
        check("zh_Hans", "ZhHans");
        check("human_description", "HumanDescription");
        check("url", "URL");
        check("llm", "LLM");
    }
}
