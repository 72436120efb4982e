//! Whether a plugin is the same when it is forked from an interpreter that has imported the SDK already.
//!
//! It is if the import of the SDK is the first thing that its main module does, and if the plugin's folder, which comes
//! first when modules are looked for, has no part in that import. Then a new interpreter would have come to the same state
//! before it ran the plugin's own code.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Bytes of a main module that are read.
const LONGEST_MAIN: u64 = 256 * 1024;
/// Modules that may be imported before the SDK: they are loaded by then, or do nothing that the SDK's import could notice.
const HARMLESS: [&str; 10] =
    ["sys", "os", "logging", "warnings", "time", "re", "json", "typing", "collections", "datetime"];
/// Endings of files that are modules.
const MODULES: [&str; 3] = ["py", "pyc", "so"];

/// Why the plugin in `folder` has to be started by an interpreter of its own, whatever it would be forked from; `None` if
/// it need not. Blocks.
///
/// # Errors
///
/// When the plugin's files cannot be read.
pub(super) fn obstacle(folder: &Path, entrypoint: &str) -> io::Result<Option<String>> {
    if folder.join(".env").exists() {
        return Ok(Some("it has a file .env, which the SDK reads while it is imported".into()));
    }
    let main = folder.join(format!("{entrypoint}.py"));
    if entrypoint.contains('.') || !main.is_file() {
        return Ok(Some(format!("its entry point {entrypoint} is not a module of its folder")));
    }
    let mut text = Vec::new();
    File::open(main)?.take(LONGEST_MAIN).read_to_end(&mut text)?;
    Ok(first_step(&String::from_utf8_lossy(&text)))
}

/// Why the plugin in `folder` cannot be forked from an interpreter that has imported or looked for modules of these names.
/// Blocks.
///
/// # Errors
///
/// When the folder cannot be read.
pub(super) fn clash(folder: &Path, names: &BTreeSet<String>) -> io::Result<Option<String>> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((stem, rest)) = name.to_str().map(|name| name.split_once('.').unwrap_or((name, ""))) else { continue };
        let ending = rest.rsplit('.').next().unwrap_or_default();
        let is_module = if rest.is_empty() { entry.path().is_dir() } else { MODULES.contains(&ending) };
        if is_module && names.contains(stem) {
            return Ok(Some(format!("it has a module {stem} of its own, which the SDK would import")));
        }
    }
    Ok(None)
}

/// The first statement of a main module that keeps the import of the SDK from being its first one, in words.
///
/// What is not understood counts as one.
fn first_step(source: &str) -> Option<String> {
    let mut lines = source.trim_start_matches('\u{feff}').lines();
    let mut said_anything = false;
    while let Some(line) = lines.next() {
        let code = line.split('#').next().unwrap_or_default().trim_end();
        if code.is_empty() {
            continue;
        }
        if imports(code, "dify_plugin") {
            return None;
        }
        let quotes = ["\"\"\"", "'''"].into_iter().find(|quotes| code.starts_with(quotes));
        if let Some(quotes) = quotes.filter(|_| !said_anything) {
            said_anything = true;
            let rest = line.get(quotes.len()..).unwrap_or_default();
            if let Some((_, after)) = rest.split_once(quotes) {
                if after.trim().is_empty() {
                    continue;
                }
            } else if lines.by_ref().any(|line| line.trim_end().ends_with(quotes)) {
                continue;
            }
        }
        said_anything = true;
        let harmless = HARMLESS.iter().any(|name| imports(code, name))
            || code.starts_with("from __future__ import ")
            // the SDK begins with the same
            || ["from gevent import monkey", "monkey.patch_all(sys=True)"].contains(&code);
        if !harmless {
            return Some(format!("its main module does something else before it imports the SDK: {}", short(code)));
        }
    }
    Some("its main module does not import the SDK".into())
}

/// Whether a line is one whole import of this module, or of something in it.
fn imports(code: &str, module: &str) -> bool {
    if code.contains(';') || code.contains('\\') {
        return false;
    }
    let after = |keyword: &str| {
        let rest = code.strip_prefix(keyword)?.strip_prefix(module)?;
        (rest.is_empty() || rest.starts_with([' ', '.'])).then_some(rest)
    };
    match after("from ") {
        Some(rest) => rest.contains(" import "),
        None => after("import ").is_some_and(|rest| !rest.contains(',')),
    }
}

fn short(code: &str) -> String {
    const LENGTH: usize = 60;
    let cut: String = code.chars().take(LENGTH).collect();
    if cut.len() < code.len() { cut + "..." } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_comes_first() {
        for source in [
            "from dify_plugin import DifyPluginEnv, Plugin\nplugin = 1",
            "from dify_plugin import (\n    Plugin,\n)\n",
            "\u{feff}# coding: utf-8\n\nimport dify_plugin # here\n",
            "\"\"\"What it is\n\nat length.\n\"\"\"\nfrom __future__ import annotations\nimport logging\nimport dify_plugin",
            "'''x'''\nimport os\nfrom typing import Any\nfrom dify_plugin.plugin import Plugin",
            "from gevent import monkey\n\nmonkey.patch_all(sys=True)\nfrom dify_plugin import Plugin",
        ] {
            assert_eq!(first_step(source), None, "{source}");
        }
        for source in [
            "",
            "import os",
            "import grpc\nimport dify_plugin",
            "import os, ssl\nimport dify_plugin",
            "import os; os.environ['X'] = '1'\nimport dify_plugin",
            "import sys\nsys.path.insert(0, 'vendor')\nimport dify_plugin",
            "import dify_plugin, x",
            "from dify_plugin_extras import x\nfrom dify_plugin import y",
            "\"\"\"x\"\"\"; import ssl\nimport dify_plugin",
            "\"\"\"never closed\nimport dify_plugin",
            "import os\n\"\"\"\nimport dify_plugin\n\"\"\"",
            "if True:\n    import dify_plugin",
            "import os.path as p\\\n, ssl\nimport dify_plugin",
            "from dify_plugin import Plugin; import x",
            "from gevent import monkey\nmonkey.patch_all()\nimport dify_plugin",
        ] {
            assert!(first_step(source).is_some(), "{source}");
        }
        let long = format!("x = '{}'\nimport dify_plugin", "é".repeat(100));
        assert!(first_step(&long).unwrap().ends_with("..."));
    }

    #[test]
    fn a_folder_must_not_take_part_in_the_import() {
        let names = BTreeSet::from(["yaml", "json", "brotli"].map(str::to_owned));
        let with = |path: &str| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("main.py"), "import dify_plugin\n").unwrap();
            std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(path), "import dify_plugin\n").unwrap();
            obstacle(dir.path(), "main").unwrap().or_else(|| clash(dir.path(), &names).unwrap())
        };
        for path in ["json.py", "yaml/__init__.py", "brotli.cpython-312-x86_64-linux-gnu.so", ".env", "json.pyc"] {
            assert!(with(path).is_some(), "{path}");
        }
        for path in ["tools/json.py", "yaml.md", "provider/x.yaml", "json", "_assets/yaml.svg"] {
            assert_eq!(with(path), None, "{path}");
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(obstacle(dir.path(), "main").unwrap().is_some());
        std::fs::create_dir(dir.path().join("src")).unwrap();
        std::fs::write(dir.path().join("src.main.py"), "import dify_plugin\n").unwrap();
        assert!(obstacle(dir.path(), "src.main").unwrap().is_some());
    }
}
