//! Small plugins, as packages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use plugin_package::{Folder, PackOptions, pack};

/// The folder of an example plugin.
pub fn folder(name: &str) -> PathBuf {
    here().join("../../examples/plugins").join(name)
}

/// A package of an example plugin.
pub fn package(name: &str) -> Result<Bytes> {
    pack_folder(&folder(name))
}

/// A plugin without the SDK that answers with `answer`; another answer is another package of the same version.
///
/// `files` replaces files of it, or adds some.
///
/// ```
/// use plugin_package::{Limits, Package};
/// use plugin_testkit::plugins::light;
///
/// let open = |answer| anyhow::Ok(Package::open(light(answer, &[])?, &Limits::default())?.identifier()?);
/// let (one, two) = (open("one")?, open("two")?);
/// assert_eq!(one.identity(), two.identity());
/// assert_ne!(one.checksum(), two.checksum());
/// # anyhow::Ok(())
/// ```
pub fn light(answer: &str, files: &[(&str, &str)]) -> Result<Bytes> {
    let files: Vec<_> = files.iter().map(|(path, content)| (*path, content.as_bytes())).collect();
    light_of_bytes(answer, &files)
}

/// The same, of files that may be no text.
pub fn light_of_bytes(answer: &str, files: &[(&str, &[u8])]) -> Result<Bytes> {
    let scratch = tempfile::tempdir()?;
    copy(&light_folder(), scratch.path())?;
    std::fs::write(scratch.path().join("answer.txt"), answer)?;
    for (path, content) in files {
        let path = scratch.path().join(path);
        std::fs::create_dir_all(path.parent().context("a file without a folder")?)?;
        std::fs::write(path, content)?;
    }
    pack_folder(scratch.path())
}

/// The plugin of [`light`] with another program, which has the module `wire` to speak the protocol with.
pub fn program(main: &str) -> Result<Bytes> {
    light("", &[("main.py", main), ("wire.py", include_str!("../plugins/wire.py"))])
}

/// A plugin on the SDK in the version of `requirements`, whose tool `work` is busy as its parameters say.
pub fn busy(requirements: &str) -> Result<Bytes> {
    busy_as("busy", requirements)
}

/// The same under another name.
pub fn busy_as(name: &str, requirements: &str) -> Result<Bytes> {
    let scratch = tempfile::tempdir()?;
    copy(&here().join("plugins/busy"), scratch.path())?;
    let manifest = scratch.path().join("manifest.yaml");
    let text = std::fs::read_to_string(&manifest)?;
    std::fs::write(&manifest, text.replacen("name: busy", &format!("name: {name}"), 1))?;
    std::fs::write(scratch.path().join("requirements.txt"), requirements)?;
    pack_folder(scratch.path())
}

/// The folder that [`light`] is made of.
pub fn light_folder() -> PathBuf {
    here().join("plugins/light")
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pack_folder(folder: &Path) -> Result<Bytes> {
    Ok(pack(&Folder::open(folder)?, &PackOptions::default())?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
