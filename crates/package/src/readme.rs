//! A plugin's readme in its languages (package-format 15).

use std::collections::BTreeMap;

use plugin_manifest::{FileError, Files};

const MAIN: &str = "README.md";
const MAIN_LANGUAGE: &str = "en_US";
const FOLDER: &str = "readme";

/// Why the readme of a plugin cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadmeError {
    /// There is no `README.md`, or it cannot be read.
    #[error("{0}\nen_US readme not found")]
    Main(FileError),
    /// The readme of another language cannot be read.
    #[error(transparent)]
    Translation(FileError),
}

/// The texts by their language: `README.md` as `en_US`, then what `readme/README_<language>.md` adds or replaces.
///
/// Invalid UTF-8 is replaced.
pub fn readmes(files: &impl Files) -> Result<BTreeMap<String, String>, ReadmeError> {
    let text = |path: &str| files.read(path).map(|content| String::from_utf8_lossy(&content).into_owned());
    let mut readmes = BTreeMap::from([(MAIN_LANGUAGE.to_owned(), text(MAIN).map_err(ReadmeError::Main)?)]);
    let translations = match files.read_dir(FOLDER) {
        Err(error) if error.is_not_found() => Vec::new(),
        paths => paths.map_err(ReadmeError::Translation)?,
    };
    for path in translations {
        if let Some(language) = language_of(&path) {
            readmes.insert(language.to_owned(), text(&path).map_err(ReadmeError::Translation)?);
        }
    }
    Ok(readmes)
}

/// The language in `readme/README_<language>.md`: two lower-case letters, `_`, two letters or more.
fn language_of(path: &str) -> Option<&str> {
    let language = path.strip_prefix("readme/README_")?.strip_suffix(".md")?;
    let (code, region) = language.split_once('_')?;
    let is_language = code.len() == 2
        && code.bytes().all(|byte| byte.is_ascii_lowercase())
        && region.len() >= 2
        && region.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_language.then_some(language)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, PLUGIN, plugin_with};

    #[test]
    fn readmes_in_their_languages() {
        let files = plugin_with(&[
            ("readme/README_zh_Hans.md", Some("# 小")),
            ("readme/README_en_US.md", Some("# Other")),
            ("readme/notes.md", Some("")),
        ]);
        let found = readmes(&testing::package(&files)).unwrap();
        let expected = [("en_US", "# Other"), ("zh_Hans", "# 小")];
        assert_eq!(found, expected.map(|(language, text)| (language.to_owned(), text.to_owned())).into());
    }

    #[test]
    fn folders_need_no_translations() {
        let root = tempfile::tempdir().unwrap();
        testing::write(root.path(), &PLUGIN);
        let folder = crate::Folder::open(root.path()).unwrap();
        assert_eq!(readmes(&folder).unwrap(), [("en_US".to_owned(), "# Small\n".to_owned())].into());
    }

    #[test]
    fn a_plugin_without_a_readme() {
        let error = readmes(&testing::package(&plugin_with(&[("README.md", None)]))).unwrap_err();
        assert_eq!(error.to_string(), "open README.md: file does not exist\nen_US readme not found");
    }

    #[test]
    fn languages() {
        for (path, expected) in [
            ("readme/README_zh_Hans.md", Some("zh_Hans")),
            ("readme/README_en_US.md", Some("en_US")),
            ("readme/README_xx_YY.md", Some("xx_YY")),
            ("readme/README_x_YY.md", None),
            ("readme/README_ZH_Hans.md", None),
            ("readme/README_zh_H.md", None),
            ("readme/README_zh_Hans.txt", None),
            ("readme/README_zh_Hans_2.md", None),
            ("readme/sub/README_zh_Hans.md", None),
            ("readme/OTHER_zh_Hans.md", None),
            ("README_zh_Hans.md", None),
        ] {
            assert_eq!(language_of(path), expected, "{path}");
        }
    }
}
