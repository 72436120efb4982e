//! Writes bundles: new ones, packed ones, and changed ones back to where they were.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;

use super::{ASSETS, Bundle, BundleError, BundleManifest, MANIFEST, Source, describe};
use crate::zip::ArchiveWriter;

/// What a new bundle shows until it has an icon of its own.
const ICON: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48" viewBox="0 0 48 48"><rect x="4" y="4" width="18" height="18" rx="4" fill="#155eef"/><rect x="26" y="4" width="18" height="18" rx="4" fill="#84adff"/><rect x="4" y="26" width="18" height="18" rx="4" fill="#84adff"/><rect x="26" y="26" width="18" height="18" rx="4" fill="#155eef"/></svg>
"##;

/// The files of a new bundle without dependencies, by their paths.
///
/// `date` is only text for its README.
pub fn new_bundle(
    name: &str,
    author: &str,
    description: &str,
    date: &str,
) -> Result<Vec<(&'static str, String)>, BundleError> {
    let mut manifest = BundleManifest {
        icon: "icon.svg".to_owned(),
        version: "0.0.1".to_owned(),
        kind: "bundle".to_owned(),
        ..BundleManifest::default()
    };
    describe(&mut manifest, name, author, description)?;
    let readme = format!(
        "# {name}\n\nAuthor: {author}\nVersion: {version}\nDate: {date}\n\n{description}\n\n## Dependencies\n",
        version = manifest.version,
    );
    Ok(vec![(MANIFEST, manifest.to_yaml()), ("README.md", readme), ("_assets/icon.svg", ICON.to_owned())])
}

impl Bundle {
    /// The bundle as an archive: the manifest, the assets and every file whose name starts with `README`, ordered by
    /// the bytes of their paths. The same bundle gives the same bytes.
    pub fn to_archive(&self) -> Result<Vec<u8>, BundleError> {
        let write_error = |cause| BundleError::Write { path: self.path.clone().unwrap_or_default(), cause };
        let mut paths: Vec<String> = self.asset_paths()?.into_iter().map(|path| format!("{ASSETS}{path}")).collect();
        paths.extend(self.readme_paths()?);
        paths.push(MANIFEST.to_owned());
        paths.sort();
        let mut writer = ArchiveWriter::new();
        for path in &paths {
            let content = match path.strip_prefix(ASSETS) {
                Some(asset) => self.asset(asset)?,
                None if path == MANIFEST => Bytes::from(self.text.clone()),
                None => self.source.files().read(path)?.into_owned().into(),
            };
            writer.add(path, &content).map_err(write_error)?;
        }
        writer.finish(&[]).map_err(write_error)
    }

    /// Writes the changes back to the archive or folder that [`Bundle::open_path`] read. An archive is replaced as a
    /// whole; in a folder, the manifest never names what is not there.
    pub fn save(&self) -> Result<(), BundleError> {
        let Some(path) = &self.path else {
            let cause = io::Error::new(io::ErrorKind::NotFound, "the bundle was not read from a file");
            return Err(BundleError::Write { path: MANIFEST.into(), cause });
        };
        if matches!(self.source, Source::Archive(_)) {
            return replace(path, &self.to_archive()?);
        }
        for (asset, content) in &self.changed {
            if let Some(content) = content {
                replace(&path.join(ASSETS).join(asset), content)?;
            }
        }
        replace(&path.join(MANIFEST), self.text.as_bytes())?;
        for asset in self.changed.iter().filter(|(_, content)| content.is_none()).map(|(asset, _)| asset) {
            let file = path.join(ASSETS).join(asset);
            match fs::remove_file(&file) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(BundleError::Write { path: file, cause });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Files to keep beside the manifest and the assets: of a folder, those at its root alone.
    fn readme_paths(&self) -> Result<Vec<String>, BundleError> {
        let mut paths = self.source.files().walk()?;
        let is_folder = matches!(self.source, Source::Folder(_));
        paths.retain(|path| path.starts_with("README") && !(is_folder && path.contains('/')));
        Ok(paths)
    }
}

/// Replaces a file atomically: a reader, and a start after a crash, finds the old content or the new.
fn replace(path: &Path, content: &[u8]) -> Result<(), BundleError> {
    let write = || -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let written = File::create(&beside).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&beside, path)
        });
        if written.is_err() {
            // The first error is reported; what is left is a hidden file.
            drop(fs::remove_file(&beside));
        }
        written
    };
    write().map_err(|cause| BundleError::Write { path: path.to_owned(), cause })
}
