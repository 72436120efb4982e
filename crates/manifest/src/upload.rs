//! What an upload and an install refuse of packages that decode.

use crate::decode::Notice;
use crate::dependencies::names_sdk;
use crate::locate::Documents;
use crate::{Declaration, Files, dify, sdk};

/// The number of values that are named: enough to see what is wrong.
const MOST: usize = 100;

/// Why a plugin could never work: values that Dify does not know in any version, and, where the dependencies name the
/// SDK, files and values that no release of it reads. One line each, with place, field, reason and remedy; none for a good
/// plugin. Keys that are missing are left to [`install_refusals`]: packages that lack some have always been taken.
///
/// No more than 100 values of each kind are named, since each is looked for in its file.
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
    found.extend(of_sdk(files, |problem| !problem.is_missing));
    found
}

/// Why no release of the SDK starts a plugin whose dependencies name it, for all that an upload takes: keys that are missing.
/// One line each, as of [`refusals`]; none for a good plugin.
pub fn install_refusals(files: &dyn Files) -> Vec<String> {
    of_sdk(files, |problem| problem.is_missing)
}

fn of_sdk(files: &dyn Files, is_asked: impl Fn(&sdk::Problem) -> bool) -> Vec<String> {
    if !names_sdk(files) {
        return Vec::new();
    }
    let found = sdk::problems(files).into_iter().filter(|problem| problem.is_final && is_asked(problem));
    found.map(|problem| format!("{problem}: the SDK could not start the plugin: {}", problem.fix)).collect()
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

    /// Files with their texts.
    struct Texts<'a>(&'a [(&'a str, &'a str)]);

    impl Files for Texts<'_> {
        fn walk(&self) -> Result<Vec<String>, FileError> {
            Ok(self.0.iter().map(|(path, _)| (*path).to_owned()).collect())
        }

        fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
            let found = self.0.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| text.as_bytes().into()).ok_or_else(|| FileError::NotFound { path: path.to_owned() })
        }

        fn read_dir(&self, _: &str) -> Result<Vec<String>, FileError> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn what_no_release_of_the_sdk_starts_is_refused_of_plugins_that_need_it() {
        const MANIFEST: (&str, &str) =
            ("manifest.yaml", "meta: {runner: {language: go, version: 3.12, entrypoint: main}}");
        let found = |files: &[(&str, &str)]| {
            let declaration = serde_json::from_value(serde_json::json!({})).unwrap();
            let mut found = refusals(&Texts(files), &declaration, &[]);
            found.retain(|line| line.contains("meta.runner"));
            found
        };
        let refusal = "manifest.yaml:1:31: `meta.runner.version` must be a text, and is a number to Python: \
            the SDK could not start the plugin: put the value in quotes";
        assert_eq!(found(&[MANIFEST, ("requirements.txt", "requests\nDify-Plugin>=0.9")]), [refusal]);
        let project = ("pyproject.toml", "[project]\ndependencies = [\"six\", \"dify_plugin~=0.9\"]");
        assert_eq!(found(&[MANIFEST, project]), [refusal]);
        assert_eq!(found(&[MANIFEST, ("requirements.txt", "# dify_plugin\nrequests")]), [""; 0], "without the SDK");
        assert_eq!(found(&[MANIFEST]), [""; 0]);
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
