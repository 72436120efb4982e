//! YAML as plugin files are written, read the way the reference's parser reads it (package-format 20).
//!
//! [`text`] finds the encoding, [`parse`] builds a [`Tree`] that keeps what a generic value would lose (literal text,
//! style, position, order), and a [`Reader`] turns nodes into typed values by the coercions of package-format 20.1. The
//! same reader serves JSON, whose typing is strict (13.5).

mod error;
mod json;
mod number;
mod primitive;
mod read;
mod resolve;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod write;

pub use error::{Error, ErrorKind, Problem};
pub(crate) use json::deserialize;
pub(crate) use number::truncate;
pub(crate) use read::shortened;
pub use read::{Mapping, Pair, Read, Reader};
pub use resolve::Resolved;
pub use text::text;
pub use tree::{Dialect, Kind, Limits, Mark, Node, Scalar, Style, Tree, parse, parse_with};
pub use write::scalar;

/// Reads the first document of a YAML file as a value of type `T`, reporting all typing errors together.
///
/// An empty file is the zero value.
///
/// ```
/// use plugin_manifest::{I18n, yaml};
///
/// let text: I18n = yaml::read(b"en_US: Search\nzh_Hans: \xe6\x90\x9c\n")?;
/// assert_eq!(text.get("zh_Hans"), "搜");
/// assert_eq!(text.get("pt_BR"), "Search");
/// # Ok::<(), yaml::Error>(())
/// ```
pub fn read<T: Read>(bytes: &[u8]) -> Result<T, Error> {
    let text = text(bytes)?;
    read_tree(&parse(&text)?)
}

/// Reads a parsed document as a value of type `T`, reporting all typing errors together.
pub fn read_tree<T: Read>(tree: &Tree<'_>) -> Result<T, Error> {
    let mut reader = Reader::new(tree);
    let value = tree.root().map_or_else(T::default, |root| reader.read(root));
    reader.finish()?;
    Ok(value)
}
