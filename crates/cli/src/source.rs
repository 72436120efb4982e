//! Where a plugin comes from: the folder it is written in, or a package.

use std::borrow::Cow;
use std::path::Path;

use plugin_manifest::{Declaration, FileError, Files};
use plugin_package::{Folder, Limits, Package};

use crate::failure::Failure;

/// A plugin's files.
#[derive(Debug)]
pub(crate) enum Source {
    Folder(Folder),
    Package(Box<Package>),
}

/// Limits for packages on a developer's machine: as large as a daemon can be configured to accept.
pub(crate) const LIMITS: Limits = Limits { uncompressed: 1 << 30, entries: 65_535 };

impl Source {
    /// Opens a folder or a package.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let metadata = std::fs::metadata(path).map_err(|error| {
            Failure::new(format!("failed to get plugin file info: {}", path.display()))
                .because(error)
                .hint("name the folder of a plugin, or a .difypkg file")
        })?;
        if metadata.is_dir() {
            return open_folder(path).map(Self::Folder);
        }
        open_package(path).map(Box::new).map(Self::Package)
    }

    /// The plugin's declarations.
    pub(crate) fn declaration(&self) -> Result<Declaration, Failure> {
        plugin_manifest::decode(self.files()).map_err(not_a_plugin)
    }

    pub(crate) fn files(&self) -> &dyn Files {
        match self {
            Self::Folder(folder) => folder,
            Self::Package(package) => &**package,
        }
    }

    pub(crate) fn folder(&self) -> Option<&Folder> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Package(_) => None,
        }
    }
}

impl Source {
    /// The package, if it is one.
    pub(crate) fn package(&self) -> Option<&Package> {
        match self {
            Self::Folder(_) => None,
            Self::Package(package) => Some(package),
        }
    }
}

impl Files for Source {
    fn walk(&self) -> Result<Vec<String>, FileError> {
        self.files().walk()
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        self.files().read(path)
    }

    fn read_dir(&self, dir: &str) -> Result<Vec<String>, FileError> {
        self.files().read_dir(dir)
    }
}

/// Opens the folder of a plugin.
pub(crate) fn open_folder(path: &Path) -> Result<Folder, Failure> {
    Folder::open(path)
        .map_err(|error| Failure::new("failed to open the plugin's folder").because(error).hint(HINT_FOLDER))
}

const HINT_FOLDER: &str = "name the folder that holds the plugin's manifest.yaml; `dify plugin init` makes a new one";

/// Opens a package.
pub(crate) fn open_package(path: &Path) -> Result<Package, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::new(format!("failed to read plugin file: {}", path.display())).because(error))?;
    Package::open(bytes.into(), &LIMITS)
        .map_err(|error| Failure::new(format!("failed to open package {}", path.display())).because(error))
}

/// The declarations of a plugin cannot be read.
pub(crate) fn not_a_plugin(error: plugin_manifest::DecodeError) -> Failure {
    let hint = if error.file() == "manifest.yaml" && error.code() == "file_missing" {
        HINT_FOLDER.to_owned()
    } else {
        format!("look at {}; `dify plugin check` says all that is wrong", error.file())
    };
    Failure::new("failed to read the plugin's declarations").because(error).hint(hint)
}
