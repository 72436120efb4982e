//! Rules on decoded parameters, reported all together (http-api 1.4).

use std::fmt;

/// A set of parameters that knows its own rules.
pub trait Validate {
    /// Reports every broken rule; names are those on the wire.
    fn validate(&self, violations: &mut Violations);
}

/// Whether a value counts as given: a string that is not empty, a number other than zero, a `Some`.
///
/// A list or an object that must be present (and may be empty) is an `Option`.
pub trait Presence {
    /// Whether the value is given.
    fn is_present(&self) -> bool;
}

impl Presence for str {
    fn is_present(&self) -> bool {
        !self.is_empty()
    }
}

impl Presence for String {
    fn is_present(&self) -> bool {
        !self.is_empty()
    }
}

impl<T> Presence for Option<T> {
    fn is_present(&self) -> bool {
        self.is_some()
    }
}

macro_rules! numbers_are_present_unless_zero {
    ($($number:ty),+) => {
        $(impl Presence for $number {
            fn is_present(&self) -> bool {
                *self != 0
            }
        })+
    };
}
numbers_are_present_unless_zero!(i32, i64, u16, u32, u64, usize);

/// Broken rules, one line each: `Key: '<path>' Error:Field validation for '<field>' failed on the '<rule>' tag`.
///
/// ```
/// use plugin_web::Violations;
///
/// let mut violations = Violations::default();
/// violations.required("plugin_id", "acme/search");
/// violations.range("page_size", &1000, 1..=256);
/// assert_eq!(
///     violations.into_result().unwrap_err().to_string(),
///     "Key: 'page_size' Error:Field validation for 'page_size' failed on the 'max' tag: 1000 given, at most 256",
/// );
/// ```
#[derive(Debug, Clone, Default)]
pub struct Violations {
    prefix: String,
    lines: Vec<String>,
}

impl Violations {
    /// Reports `rule` on `field` unless `holds`.
    pub fn check(&mut self, holds: bool, field: &str, rule: &str) {
        self.check_with(holds, field, rule, String::new);
    }

    /// Reports `rule` on `field` unless `holds`, and what the rule is, such as `at most 256`.
    pub fn check_with(&mut self, holds: bool, field: &str, rule: &str, says: impl FnOnce() -> String) {
        if !holds {
            let prefix = &self.prefix;
            let says =
                Some(says()).filter(|says| !says.is_empty()).map_or_else(String::new, |says| format!(": {says}"));
            self.lines.push(format!(
                "Key: '{prefix}{field}' Error:Field validation for '{field}' failed on the '{rule}' tag{says}"
            ));
        }
    }

    /// The value must be given.
    pub fn required<T: Presence + ?Sized>(&mut self, field: &str, value: &T) {
        self.check(value.is_present(), field, "required");
    }

    /// The number must be in the range: rules `min` and `max`.
    pub fn range<N: PartialOrd + fmt::Display>(&mut self, field: &str, value: &N, range: std::ops::RangeInclusive<N>) {
        let says = |bound: &str, limit: &N| format!("{value} given, {bound} {limit}");
        self.check_with(value >= range.start(), field, "min", || says("at least", range.start()));
        self.check_with(value <= range.end(), field, "max", || says("at most", range.end()));
    }

    /// At most `limit` elements or characters.
    pub fn at_most(&mut self, field: &str, count: usize, limit: usize) {
        self.check_with(count <= limit, field, "max", || format!("{count} given, at most {limit}"));
    }

    /// The rules of a value within.
    pub fn nested<T: Validate + ?Sized>(&mut self, field: &str, value: &T) {
        let outer = self.prefix.len();
        self.prefix.push_str(field);
        self.prefix.push('.');
        value.validate(self);
        self.prefix.truncate(outer);
    }

    /// The rules of every element of a list.
    pub fn each<'a, T: Validate + 'a>(&mut self, field: &str, values: impl IntoIterator<Item = &'a T>) {
        for (index, value) in values.into_iter().enumerate() {
            self.nested(&format!("{field}[{index}]"), value);
        }
    }

    /// `Err` when a rule is broken.
    pub fn into_result(self) -> Result<(), Self> {
        if self.lines.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}
