//! An archive as the files of a package (package-format 1.2).

use std::borrow::Cow;

use plugin_manifest::{FileError, Files};

use super::{Archive, Entry, is_clean};

impl Files for Archive {
    fn walk(&self) -> Result<Vec<String>, FileError> {
        let is_first = |(index, name): &(usize, &str)| self.position(name) == Some(*index);
        let names = self.entries().iter().map(Entry::name).enumerate();
        Ok(names.filter(is_first).map(|(_, name)| name.to_owned()).collect())
    }

    fn read(&self, path: &str) -> Result<Cow<'_, [u8]>, FileError> {
        if !is_clean(path) {
            return Err(FileError::InvalidPath { path: path.to_owned() });
        }
        match self.find(path) {
            Some(entry) => Ok(Cow::Owned(self.content(entry).map_err(|error| FileError::Archive(error.to_string()))?)),
            None if path == "." || self.has_directory(path) => Err(FileError::IsDirectory { path: path.to_owned() }),
            None => Err(FileError::NotFound { path: path.to_owned() }),
        }
    }

    fn read_dir(&self, dir: &str) -> Result<Vec<String>, FileError> {
        let mut paths = self.walk()?;
        paths.retain(|path| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')));
        Ok(paths)
    }
}
