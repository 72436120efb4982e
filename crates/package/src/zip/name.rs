//! Names of archive entries: which are taken, as what, and which are refused (package-format 1.2).

use std::fmt;

/// Longest path in bytes; leaves room below the 4096 bytes of `PATH_MAX` for the folder a package is unpacked into.
const MAX_PATH: usize = 2048;
/// Longest part between two slashes in bytes, the limit of the usual file systems.
const MAX_COMPONENT: usize = 255;

/// What the name of an entry stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryName {
    /// An explicit directory entry: nothing to read, and no part of the checksum.
    Directory,
    /// A file, by its clean path: relative, forward slashes, no `.` or `..`.
    File(Box<str>),
}

/// Why a name cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameFault {
    /// No name at all.
    Empty,
    /// Starts with a slash.
    Absolute,
    /// Leaves the package by `..`.
    Escapes,
    /// Contains a backslash, which some tools write where the format demands `/`.
    Backslash,
    /// Not UTF-8.
    Encoding,
    /// Contains a NUL byte, which no file system takes.
    Nul,
    /// Longer than a file system takes.
    Long,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "invalid argument (an entry of the archive has no name)",
            Self::Absolute => "invalid argument (paths in a package are relative, without a leading slash)",
            Self::Escapes => "invalid argument (the path leads out of the package)",
            Self::Backslash => "file does not exist (paths in a package use forward slashes, not backslashes)",
            Self::Encoding => "invalid argument (paths in a package are UTF-8)",
            Self::Nul => "invalid argument (the path contains a NUL byte)",
            Self::Long => "invalid argument (a path is at most 2048 bytes long, and 255 between two slashes)",
        })
    }
}

impl EntryName {
    pub(crate) fn parse(raw: &[u8]) -> Result<Self, NameFault> {
        let name = str::from_utf8(raw).map_err(|_| NameFault::Encoding)?;
        if name.is_empty() {
            return Err(NameFault::Empty);
        }
        if name.contains('\\') {
            return Err(NameFault::Backslash);
        }
        if name.contains('\0') {
            return Err(NameFault::Nul);
        }
        if name.starts_with('/') {
            return Err(NameFault::Absolute);
        }
        if name.len() > MAX_PATH {
            return Err(NameFault::Long);
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in name.split('/') {
            match part {
                "" | "." => {}
                ".." => _ = parts.pop().ok_or(NameFault::Escapes)?,
                part if part.len() > MAX_COMPONENT => return Err(NameFault::Long),
                part => parts.push(part),
            }
        }
        if parts.is_empty() || name.ends_with('/') {
            return Ok(Self::Directory);
        }
        Ok(Self::File(parts.join("/").into()))
    }
}

/// Whether a path is one that can be looked up: relative, with slashes, clean; `.` stands for the package itself.
pub(crate) fn is_clean(path: &str) -> bool {
    path == "." || path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> EntryName {
        EntryName::File(path.into())
    }

    #[test]
    fn names() {
        let long = "x".repeat(256);
        let deep = "d/".repeat(1100) + "x";
        for (raw, expected) in [
            (&b"manifest.yaml"[..], Ok(file("manifest.yaml"))),
            (b"a/b/c", Ok(file("a/b/c"))),
            (b"./q", Ok(file("q"))),
            (b"a//q", Ok(file("a/q"))),
            (b"a/../b", Ok(file("b"))),
            (b"a/./..x", Ok(file("a/..x"))),
            ("é/\u{1f600}".as_bytes(), Ok(file("é/\u{1f600}"))),
            (b"new\nline", Ok(file("new\nline"))),
            (b"_assets/", Ok(EntryName::Directory)),
            (b".", Ok(EntryName::Directory)),
            (b"a/..", Ok(EntryName::Directory)),
            (b"", Err(NameFault::Empty)),
            (b"/x", Err(NameFault::Absolute)),
            (b"../x", Err(NameFault::Escapes)),
            (b"a/../../x", Err(NameFault::Escapes)),
            (b"../", Err(NameFault::Escapes)),
            (b"a\\b", Err(NameFault::Backslash)),
            (b"a\0b", Err(NameFault::Nul)),
            (b"a\xff", Err(NameFault::Encoding)),
            (long.as_bytes(), Err(NameFault::Long)),
            (deep.as_bytes(), Err(NameFault::Long)),
        ] {
            assert_eq!(EntryName::parse(raw), expected, "{:?}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn clean_paths() {
        for (path, clean) in
            [("a", true), ("a/b.c", true), (".", true), ("./a", false), ("", false), ("/a", false), ("a//b", false)]
        {
            assert_eq!(is_clean(path), clean, "{path:?}");
        }
        assert!(!is_clean("../a") && !is_clean("a/") && !is_clean("a/../b"));
    }
}
