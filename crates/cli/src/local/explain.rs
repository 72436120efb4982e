//! Failures of a plugin in terms of its source folder.

use std::path::Path;

use crate::failure::Failure;

/// A failure of a plugin that ran in another folder, with an environment there, in terms of the folder in which it is
/// written, and with what to do about it.
pub(crate) fn explained(error: anyhow::Error, copy: &Path, source: &Path) -> anyhow::Error {
    let text = format!("{error:#}");
    let copy = copy.display().to_string();
    let hint = hint(&text);
    if hint.is_none() && !text.contains(&copy) {
        return error;
    }
    let text = text.replace(&format!("{copy}/.venv/"), ".venv/").replace(&copy, &source.display().to_string());
    Failure { hint, ..Failure::new(text) }.into()
}

/// What to do about what Python says last.
fn hint(text: &str) -> Option<String> {
    let last = text.trim_end().lines().next_back()?.trim();
    let (kind, rest) = last.split_once(": ")?;
    match kind {
        "ModuleNotFoundError" => {
            let module = rest.split('\'').nth(1)?.split('.').next()?;
            Some(format!(
                "correct the name, or add the package that has `{module}` to the dependencies in pyproject.toml or \
                 requirements.txt"
            ))
        }
        "FileNotFoundError" | "ImportError" | "SyntaxError" | "IndentationError" | "TabError" => {
            Some("`dify plugin check` names files that are missing or cannot be read as Python".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_copy_are_those_of_the_source() {
        let copy = "/tmp/x/acme/demo-0.0.1@aa";
        let text = format!(
            "it ended\n  File \"{copy}/.venv/lib/y.py\"\n  File \"{copy}/tools/demo.py\", line 1\nModuleNotFoundError: No module named 'a.b'\n"
        );
        let failure = explained(anyhow::anyhow!(text), Path::new(copy), Path::new("demo"));
        insta::assert_snapshot!(failure, @r#"
        it ended
          File ".venv/lib/y.py"
          File "demo/tools/demo.py", line 1
        ModuleNotFoundError: No module named 'a.b'
        "#);
        let hint = failure.downcast_ref::<Failure>().unwrap().hint.clone().unwrap();
        assert!(hint.contains("the package that has `a` "), "{hint}");
    }
}
