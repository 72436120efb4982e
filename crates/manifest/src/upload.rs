//! What an upload refuses of packages that decode.

use crate::decode::Notice;
use crate::locate::Documents;
use crate::{Declaration, Files, dify};

/// The number of values that are named: enough to see what is wrong.
const MOST: usize = 100;

/// Why a plugin could never work: values that Dify does not know in any version, and files that the SDK cannot read.
/// One line each, with place, field, reason and remedy; none for a good plugin.
///
/// No more than 100 values are named, since each is looked for in its file.
///
/// `notices` are those of [`decode_with_notices`](crate::decode_with_notices). Packages that are installed already are
/// not to be asked.
pub fn refusals(files: &dyn Files, declaration: &Declaration, notices: &[Notice]) -> Vec<String> {
    let mut found: Vec<String> = notices.iter().filter(|notice| notice.is_fatal).map(ToString::to_string).collect();
    let documents = Documents::new(files);
    let refused = dify::refused(declaration);
    for violation in refused.iter().take(MOST) {
        let (place, field) = documents.find(declaration, &violation.path);
        found.push(format!("{place}: `{field}`: {}: Dify could not read the plugin", violation.reason));
    }
    if refused.len() > MOST {
        found.push(format!("and {} more values that Dify could not read", refused.len() - MOST));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::FileError;

    struct NoFiles;

    impl Files for NoFiles {
        fn walk(&self) -> Result<Vec<String>, FileError> {
            Ok(Vec::new())
        }

        fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
            Err(FileError::NotFound { path: path.to_owned() })
        }

        fn read_dir(&self, _: &str) -> Result<Vec<String>, FileError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let field = serde_json::json!({"name": "n", "type": "nonsense"});
        let declaration = serde_json::json!({"version": "0.0.1", "author": "a", "name": "b",
            "endpoint": {"settings": vec![field; MOST + 7]}});
        let found = refusals(&NoFiles, &serde_json::from_value(declaration).unwrap(), &[]);
        assert_eq!(found.len(), MOST + 1);
        assert!(found[0].contains("`endpoint.settings[0].type`: `nonsense` is none of "), "{}", found[0]);
        assert_eq!(found[MOST], "and 7 more values that Dify could not read");
    }
}
