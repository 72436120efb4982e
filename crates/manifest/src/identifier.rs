//! Identifiers of plugins: `author/name` and the unique identifier `author/name:version@checksum` (package-format 2).

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[cfg(test)]
mod tests;

/// A plugin whatever its version: `author/name`, or `name` alone when it has no author.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginId(Arc<str>);

impl PluginId {
    /// The part before the slash, empty when there is none.
    pub fn author(&self) -> &str {
        self.0.split_once('/').map_or("", |(author, _)| author)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Clients name plugins freely; an identifier nothing is installed under is simply not found.
impl From<&str> for PluginId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for PluginId {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// One version of a plugin, content included: `author/name:version@checksum`.
///
/// Holds only text of the grammar of package-format 2. Cloning copies a pointer.
///
/// ```
/// use plugin_manifest::UniqueIdentifier;
///
/// let id: UniqueIdentifier = "acme/search:0.0.1@0123456789abcdef0123456789abcdef".parse()?;
/// assert_eq!((id.author(), id.name(), id.version()), ("acme", "search", "0.0.1"));
/// assert_eq!(id.plugin_id().as_str(), "acme/search");
/// # Ok::<(), plugin_manifest::InvalidIdentifier>(())
/// ```
#[derive(Clone)]
pub struct UniqueIdentifier {
    text: Arc<str>,
    /// Byte offsets into `text`: the slash (when there is an author), the colon, the at sign.
    slash: Option<u16>,
    colon: u16,
    at: u16,
}

/// A text that is no unique identifier. Displays as the reference's text, followed by the part that is missing or wrong.
///
/// ```
/// use plugin_manifest::UniqueIdentifier;
///
/// let error = "acme/search:0.0.1".parse::<UniqueIdentifier>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "plugin_unique_identifier is not valid: acme/search:0.0.1 (it has no checksum; the form is \
///      author/name:version@checksum)",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin_unique_identifier is not valid: {text} ({})", self.fault())]
pub struct InvalidIdentifier {
    /// What was given.
    pub text: String,
}

impl InvalidIdentifier {
    /// The first part that is missing or breaks its rule, as a clause.
    fn fault(&self) -> String {
        let text = &*self.text;
        let (rest, checksum) = match text.split_once('@') {
            Some((rest, checksum)) => (rest, Some(checksum)),
            None => (text, None),
        };
        let (plugin, version) = match rest.split_once(':') {
            Some((plugin, version)) => (plugin, Some(version)),
            None => (rest, None),
        };
        let (author, name) = match plugin.split_once('/') {
            Some((author, name)) => (Some(author), name),
            None => (None, plugin),
        };
        if let Some(author) = author.filter(|author| !is_word(author, 64)) {
            return format!("the author {author:?} has to be 1 to 64 of a-z, 0-9, - and _");
        }
        if !is_word(name, 255) {
            return format!("the name {name:?} has to be 1 to 255 of a-z, 0-9, - and _");
        }
        match (version.filter(|version| !version.is_empty()), checksum.filter(|checksum| !checksum.is_empty())) {
            (None, None) => "it has no version and no checksum; the form is author/name:version@checksum".to_owned(),
            (None, Some(_)) => "it has no version; the form is author/name:version@checksum".to_owned(),
            (Some(version), _) if !is_version(version, 2..=4) => {
                format!("the version {version:?} has to be two to four numbers, such as 1.0.0, and may end in -suffix")
            }
            (Some(_), None) => "it has no checksum; the form is author/name:version@checksum".to_owned(),
            (Some(_), Some(_)) => "the checksum has to be 32 to 64 of 0-9 and a-f".to_owned(),
        }
    }
}

impl UniqueIdentifier {
    /// `author/name`, what stays the same from version to version.
    pub fn plugin_id(&self) -> PluginId {
        PluginId(self.part(0, self.colon).into())
    }

    /// The author, empty when the identifier names none.
    pub fn author(&self) -> &str {
        self.slash.map_or("", |slash| self.part(0, slash))
    }

    /// The name, without author and version.
    pub fn name(&self) -> &str {
        self.part(self.slash.map_or(0, |slash| slash + 1), self.colon)
    }

    /// Two to four numbers and perhaps a suffix: `0.0.1-beta`.
    pub fn version(&self) -> &str {
        self.part(self.colon + 1, self.at)
    }

    /// 32 to 64 lower-case hexadecimal digits; 64 for everything this daemon computes itself.
    pub fn checksum(&self) -> &str {
        self.part(self.at + 1, u16::MAX)
    }

    /// `author/name:version`, the identifier without its checksum.
    pub fn identity(&self) -> &str {
        self.part(0, self.at)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the author is a UUID, dashed or not: such authors stand for debugged plugins, which no package may
    /// claim to be (package-format 2).
    pub fn is_remote_like(&self) -> bool {
        is_uuid(self.author())
    }

    fn part(&self, from: u16, to: u16) -> &str {
        let to = usize::from(to).min(self.text.len());
        self.text.get(usize::from(from)..to).unwrap_or_default()
    }
}

/// Whether an author is a UUID in one of the two forms its alphabet allows: dashed or 32 plain digits.
pub fn is_uuid(author: &str) -> bool {
    let bytes = author.as_bytes();
    match bytes.len() {
        32 => bytes.iter().all(u8::is_ascii_hexdigit),
        36 => bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        }),
        _ => false,
    }
}

impl FromStr for UniqueIdentifier {
    type Err = InvalidIdentifier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        scan(text).ok_or_else(|| InvalidIdentifier { text: text.to_owned() })
    }
}

impl TryFrom<String> for UniqueIdentifier {
    type Error = InvalidIdentifier;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Longest identifier of the grammar: author 64, name 255, version 4 x 4 + 3, suffix 17, checksum 64, separators 3.
const LONGEST: usize = 64 + 255 + 19 + 17 + 64 + 3;

/// Reads
/// `^(?:([a-z0-9_-]{1,64})\/)?([a-z0-9_-]{1,255}):([0-9]{1,4})(\.[0-9]{1,4}){1,3}(-\w{1,16})?@[a-f0-9]{32,64}$`.
fn scan(text: &str) -> Option<UniqueIdentifier> {
    if text.len() > LONGEST {
        return None;
    }
    let (plugin, rest) = text.split_once(':')?;
    let (version, checksum) = rest.split_once('@')?;
    let (author, name) = match plugin.split_once('/') {
        Some((author, name)) => (Some(author), name),
        None => (None, plugin),
    };
    let well_formed = author.is_none_or(|author| is_word(author, 64))
        && is_word(name, 255)
        && is_version(version, 2..=4)
        && (32..=64).contains(&checksum.len())
        && checksum.bytes().all(|byte| matches!(byte, b'a'..=b'f' | b'0'..=b'9'));
    if !well_formed {
        return None;
    }
    Some(UniqueIdentifier {
        slash: author.map(|author| u16::try_from(author.len())).transpose().ok()?,
        colon: u16::try_from(plugin.len()).ok()?,
        at: u16::try_from(plugin.len() + 1 + version.len()).ok()?,
        text: text.into(),
    })
}

/// `^[a-z0-9_-]{1,longest}$`, the rule for authors and names.
pub fn is_word(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// `^\d{1,4}(\.\d{1,4}){..}(-\w{1,16})?$` where `numbers` bounds the count of numbers.
pub fn is_version(text: &str, numbers: std::ops::RangeInclusive<usize>) -> bool {
    let (numeric, suffix) = match text.split_once('-') {
        Some((numeric, suffix)) => (numeric, Some(suffix)),
        None => (text, None),
    };
    let mut count = 0;
    numeric.split('.').all(|number| {
        count += 1;
        (1..=4).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    }) && numbers.contains(&count)
        && suffix.is_none_or(|suffix| {
            (1..=16).contains(&suffix.len()) && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
}

macro_rules! text_like {
    ($($name:ident . $field:tt),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.$field)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.$field)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.$field
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.$field)
            }
        }
    )*};
}

text_like!(PluginId.0, UniqueIdentifier.text);

impl PartialEq for UniqueIdentifier {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for UniqueIdentifier {}

impl PartialOrd for UniqueIdentifier {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UniqueIdentifier {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::hash::Hash for UniqueIdentifier {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<'de> Deserialize<'de> for PluginId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.into())
    }
}

impl<'de> Deserialize<'de> for UniqueIdentifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = UniqueIdentifier;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a plugin unique identifier `author/name:version@checksum`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}
