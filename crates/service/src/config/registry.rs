//! One declaration per variable: it reads the value, and it writes the documentation.

use std::collections::BTreeMap;

use super::kind::Kind;
use super::report::Problem;
use super::{GROUPS, placeholder, service_link};

/// What a variable does in this daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// Zero and empty stand for the default (7.1, "late defaults").
    Late,
    /// The default depends on other variables; the declared one is for the reader.
    Computed,
    /// Never printed.
    Secret,
    /// Taken byte for byte: blanks around it belong to it.
    Verbatim,
    /// Accepted for compatibility; there is nothing for it to change.
    Unused,
}

/// The declaration of a variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name in the environment.
    pub name: &'static str,
    /// Names that are read when the first is not set.
    pub aliases: &'static [&'static str],
    /// The name of its [`Kind`].
    pub kind: &'static str,
    /// The default as text.
    pub default: Option<&'static str>,
    /// See [`Flag`].
    pub flags: &'static [Flag],
    /// What it means, a few sentences; one element per line of the source.
    pub doc: &'static [&'static str],
}

impl Variable {
    /// Whether the flag is set.
    pub fn is(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// The documentation as one line.
    pub fn text(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

/// Variables that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Heading in the documentation.
    pub title: &'static str,
    /// Its variables, in the order of the documentation.
    pub variables: &'static [Variable],
}

/// Reads variables and collects what is wrong with them.
#[derive(Debug, Default)]
pub struct Reader {
    environment: BTreeMap<String, String>,
    computed: BTreeMap<&'static str, String>,
    idle: BTreeMap<&'static str, String>,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl Reader {
    /// Takes the variables without the blanks around them, and without what Kubernetes puts in the place of a port.
    pub(super) fn new(environment: BTreeMap<String, String>) -> Self {
        let mut reader = Self::default();
        let variables = || GROUPS.iter().flat_map(|group| group.variables);
        for (name, text) in environment {
            let variable = variables().find(|variable| variable.name == name);
            if variable.is_some() && service_link::is_port(&name, &text) {
                reader.notes.push(service_link::note(&name, &text));
                continue;
            }
            let verbatim = variable.is_some_and(|variable| variable.is(Flag::Verbatim));
            let text = if verbatim { text } else { text.trim().to_owned() };
            reader.environment.insert(name, text);
        }
        for variable in variables().filter(|variable| variable.is(Flag::Unused)) {
            reader.set_idle(variable.name, "this variable has no effect");
        }
        reader
    }

    /// The text of a variable; an empty one counts as not set.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Sets the default of a [`Flag::Computed`] variable.
    pub(super) fn compute(&mut self, name: &'static str, default: impl Into<String>) {
        self.computed.insert(name, default.into());
    }

    /// What is wrong with the variable does not matter, for the given reason.
    pub(super) fn set_idle(&mut self, name: &'static str, reason: impl Into<String>) {
        self.idle.entry(name).or_insert_with(|| reason.into());
    }

    /// The text of a variable, or its default.
    pub(super) fn effective(&self, name: &str) -> Option<&str> {
        let declared = || GROUPS.iter().flat_map(|group| group.variables).find(|variable| variable.name == name);
        self.text(name).or_else(|| self.default_of(declared()?))
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// What was passed over, one sentence each.
    pub(super) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    fn report_about(&mut self, variable: &Variable, problem: Problem) {
        match self.idle.get(variable.name) {
            Some(reason) => self.notes.push(format!("{problem}; ignored, since {reason}")),
            None => self.problems.push(problem),
        }
    }

    /// The first name of the variable that is set, and its text.
    pub(super) fn given(&self, variable: &Variable) -> Option<(&'static str, String)> {
        std::iter::once(variable.name)
            .chain(variable.aliases.iter().copied())
            .find_map(|name| self.text(name).map(|text| (name, text.to_owned())))
    }

    /// The default that applies.
    pub(super) fn default_of(&self, variable: &Variable) -> Option<&str> {
        self.computed.get(variable.name).map(String::as_str).or(variable.default)
    }

    /// A variable without a default.
    pub(super) fn optional<K: Kind>(&mut self, variable: &Variable) -> Option<K::Value> {
        let (name, text) = self.given(variable)?;
        if let Some(found) = placeholder::find(&text, variable) {
            self.report_about(variable, Problem::invalid(format!("{name}: {found}")));
            return None;
        }
        match K::parse(&text) {
            Ok(value) => Some(value),
            Err(reason) => {
                let shown = (!variable.is(Flag::Secret)).then_some(text.as_str());
                self.report_about(variable, Problem::unreadable(name, shown, reason, K::EXIT_CODE));
                None
            }
        }
    }

    /// A variable with a default.
    pub(super) fn defaulted<K: Kind>(&mut self, variable: &Variable) -> K::Value {
        if let Some(value) = self.optional::<K>(variable)
            && !(variable.is(Flag::Late) && K::is_zero(&value))
        {
            return value;
        }
        let default = self.default_of(variable).unwrap_or_default().to_owned();
        if default.is_empty() {
            return K::Value::default();
        }
        K::parse(&default).unwrap_or_else(|reason| {
            self.problems.push(Problem::unreadable(variable.name, Some(&default), reason, K::EXIT_CODE));
            K::Value::default()
        })
    }
}

/// Declares a group: a struct with one field per variable, its documentation, and how it is read.
///
/// `field: Kind = "NAME" | "ALIAS" => "default" [Flag Flag];` - without a default the field is an `Option`.
macro_rules! group {
    (
        $(#[doc = $struct_doc:literal])+
        $group:ident, $title:literal;
        $(
            $(#[doc = $doc:literal])+
            $field:ident: $kind:ident = $name:literal $(| $alias:literal)* $(=> $default:literal)? $([$($flag:ident)+])?;
        )+
    ) => {
        $(#[doc = $struct_doc])+
        #[derive(Clone)]
        pub struct $group {
            $(
                $(#[doc = $doc])+
                pub $field: group!(@type $kind $($default)?),
            )+
        }

        impl std::fmt::Debug for $group {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($group))
                    $(.field(stringify!($field), &$crate::config::mask::Masked(&self.$field)))+
                    .finish()
            }
        }

        impl $group {
            /// The declarations.
            pub const GROUP: $crate::config::registry::Group = $crate::config::registry::Group {
                title: $title,
                variables: &[$(group!(@variable [$($doc)+] $kind, $name, [$($alias)*], [$($default)?], [$($($flag)+)?])),+],
            };

            pub(in $crate::config) fn read(reader: &mut $crate::config::registry::Reader) -> Self {
                Self {
                    $($field: group!(@read reader $kind $name $($default)?;
                        group!(@variable [$($doc)+] $kind, $name, [$($alias)*], [$($default)?], [$($($flag)+)?])),)+
                }
            }
        }
    };
    (@type $kind:ident) => { Option<<$crate::config::kind::$kind as $crate::config::kind::Kind>::Value> };
    (@type $kind:ident $default:literal) => { <$crate::config::kind::$kind as $crate::config::kind::Kind>::Value };
    (@read $reader:ident $kind:ident $name:literal; $variable:expr) => {
        $reader.optional::<$crate::config::kind::$kind>(&$variable)
    };
    (@read $reader:ident $kind:ident $name:literal $default:literal; $variable:expr) => {
        $reader.defaulted::<$crate::config::kind::$kind>(&$variable)
    };
    (@variable [$($doc:literal)+] $kind:ident, $name:literal, [$($alias:literal)*], [$($default:literal)?], [$($flag:ident)*]) => {
        $crate::config::registry::Variable {
            name: $name,
            aliases: &[$($alias),*],
            kind: <$crate::config::kind::$kind as $crate::config::kind::Kind>::NAME,
            default: group!(@default $($default)?),
            flags: &[$($crate::config::registry::Flag::$flag),*],
            doc: &[$($doc),+],
        }
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

pub(super) use group;
