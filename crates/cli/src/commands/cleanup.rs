//! `dify plugin cleanup` (cli 5.6)

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, IsTerminal as _, stdin};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use plugin_package::Folder;
use plugin_store::Database;

use super::database::database;
use crate::executor::block_on;
use crate::failure::Failure;
use crate::interact;
use crate::printer::Printer;
use crate::version::Version;

#[derive(Debug, Args)]
#[command(after_help = "\
Keeps the highest version of each plugin. Where the daemon's variables (DB_HOST and so on, or .env) name its database,
versions that a workspace still has installed are kept, too. Rows of the database are not touched.

Examples:
  dify plugin cleanup -p ./plugin --dry-run
  dify plugin cleanup -p ./plugin -y")]
pub(crate) struct Arguments {
    /// The daemon's working folder, `PLUGIN_WORKING_PATH`
    #[arg(short, long, value_name = "FOLDER")]
    path: PathBuf,
    /// Print what would be deleted, and delete nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    #[arg(hide_default_value = true, hide_possible_values = true, value_name = "BOOL")]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_value_t = false)]
    #[arg(default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_name = "BOOL")]
    yes: bool,
}

/// The folder of one version.
#[derive(Debug, PartialEq, Eq)]
struct Installed {
    /// `author/name`
    plugin: String,
    version: Version,
    checksum: Option<String>,
    path: PathBuf,
}

impl Installed {
    fn identifier(&self) -> Option<String> {
        Some(format!("{}:{}@{}", self.plugin, self.version, self.checksum.as_ref()?))
    }
}

impl Arguments {
    pub(crate) fn run(self, printer: Printer) -> Result<()> {
        let found = scan(&self.path)?;
        if found.is_empty() {
            return Ok(printer.line(format_args!("No plugins found under: {}", self.path.display()))?);
        }
        let in_use = in_use()?;
        let mut old = superseded(found);
        old.retain(|installed| {
            let is_used = installed.identifier().is_some_and(|identifier| in_use.contains(&identifier));
            if is_used {
                printer.warn("kept, because a workspace has it installed", &[("path", &installed.path.display())]);
            }
            !is_used
        });
        if old.is_empty() {
            return Ok(printer.line("Nothing to delete. All plugins are already at their latest versions.")?);
        }
        let count = old.len();
        if self.dry_run {
            printer.line(format_args!("[dry-run] Will remove {count} old version directories:"))?;
        }
        for Installed { plugin, version, checksum, path } in &old {
            let checksum = checksum.as_deref().unwrap_or("unknown");
            printer.line(format_args!("- {plugin} {version} (checksum {checksum}) -> {}", path.display()))?;
        }
        if self.dry_run {
            return Ok(());
        }
        if !self.yes && !confirmed(printer, count)? {
            return Ok(printer.line("Aborted.")?);
        }
        for installed in &old {
            remove(&self.path, &installed.path)?;
            printer.info("removed old plugin version", &[("path", &installed.path.display())]);
        }
        Ok(printer.line("Cleanup complete.")?)
    }
}

fn confirmed(printer: Printer, count: usize) -> Result<bool> {
    let question = format!("You are about to delete {count} directories. Proceed?");
    if stdin().is_terminal() {
        return Ok(interact::confirm(&question)?);
    }
    printer.bytes(format!("{question} [y/N]: ").as_bytes())?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer)?;
    Ok(matches!(&*answer.trim().to_lowercase(), "y" | "yes"))
}

/// Every version below a working path.
fn scan(root: &Path) -> Result<Vec<Installed>, Failure> {
    let mut found = Vec::new();
    for author in folders(root)? {
        let name = author.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue; // environments and the like
        }
        found.extend(folders(&author)?.into_iter().filter_map(|path| installed(&name, path)));
    }
    found.sort_by(|a, b| (&a.plugin, &a.version, &a.path).cmp(&(&b.plugin, &b.version, &b.path)));
    Ok(found)
}

/// Real folders directly below a folder.
fn folders(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| Failure::new(format!("failed to read {}", path.display())).because(error);
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// What a folder's name, or else its manifest, says.
fn installed(author: &str, path: PathBuf) -> Option<Installed> {
    let text = path.file_name()?.to_str()?;
    let (plugin, checksum) = match text.split_once('@') {
        Some((plugin, checksum)) => (plugin, Some(checksum.to_owned())),
        None => (text, None),
    };
    // a version may itself hold a dash
    let dashes = plugin.match_indices('-').map(|(at, _)| at);
    let named = dashes.filter_map(|at| {
        let (name, version) = (plugin.get(..at)?, plugin.get(at + 1..)?);
        Some((name.to_owned(), version.parse::<Version>().ok()?))
    });
    let mut named = named.filter(|(name, _)| !name.is_empty());
    let (name, version) = if let Some(named) = named.next() {
        named
    } else {
        let declaration = plugin_manifest::decode(&Folder::open(&path).ok()?).ok()?;
        (declaration.name, declaration.version.parse().ok()?)
    };
    Some(Installed { plugin: format!("{author}/{name}"), version, checksum, path })
}

/// Those that are not the highest version of their plugin.
fn superseded(found: Vec<Installed>) -> Vec<Installed> {
    let mut highest: BTreeMap<String, Version> = BTreeMap::new();
    for installed in &found {
        let known = highest.entry(installed.plugin.clone()).or_insert_with(|| installed.version.clone());
        if *known < installed.version {
            known.clone_from(&installed.version);
        }
    }
    found.into_iter().filter(|installed| highest.get(&installed.plugin) != Some(&installed.version)).collect()
}

/// The versions that workspaces have, as far as the daemon's database can be asked.
fn in_use() -> Result<BTreeSet<String>> {
    let Some(config) = database()? else { return Ok(BTreeSet::new()) };
    block_on(async {
        let failed = |error| {
            Failure::new("failed to ask the database which versions are installed")
                .because(error)
                .hint("start the database, or unset DB_HOST and DB_TYPE to delete without asking it")
        };
        let database = Database::open(&config).await.map_err(failed)?;
        let plugins = database.plugins.all().await.map_err(failed)?;
        database.close().await;
        Ok(plugins.into_iter().map(|plugin| plugin.plugin_unique_identifier).collect())
    })
}

/// Deletes a folder, which has to lie in the working path.
fn remove(root: &Path, path: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::new(format!("failed to delete {}", path.display())).because(error);
    let inside = path.canonicalize().map_err(failed)?.starts_with(root.canonicalize().map_err(failed)?);
    if !inside {
        return Err(Failure::new(format!("{} leads out of {}", path.display(), root.display())));
    }
    std::fs::remove_dir_all(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_folders() {
        for (name, expected) in [
            ("small-0.10.0@aa", Some(("small", "0.10.0", Some("aa")))),
            ("my-tool-0.10.0-beta@aa", Some(("my-tool", "0.10.0-beta", Some("aa")))),
            ("small-0.1.0", Some(("small", "0.1.0", None))),
            ("small", None),
        ] {
            let found = installed("acme", PathBuf::from("/w/acme").join(name));
            let found = found.map(|found| (found.plugin, found.version.to_string(), found.checksum));
            let expected = expected.map(|(name, version, checksum)| {
                (format!("acme/{name}"), version.to_owned(), checksum.map(str::to_owned))
            });
            assert_eq!(found, expected, "{name}");
        }
    }
}
