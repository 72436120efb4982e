use std::os::unix::fs::symlink;

use super::*;
use crate::testing;

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Folder) {
    let root = tempfile::tempdir().unwrap();
    testing::write(root.path(), files);
    let folder = Folder::open(root.path()).unwrap();
    (root, folder)
}

#[test]
fn walks_directory_by_directory() {
    let (_root, folder) = folder(&[("a.txt", ""), ("a/b", ""), ("B", ""), ("a/.c", ""), ("é/\u{1f600}", "")]);
    assert_eq!(folder.walk().unwrap(), ["B", "a/.c", "a/b", "a.txt", "é/\u{1f600}"]);
    assert_eq!(folder.read_dir("a").unwrap(), ["a/.c", "a/b"]);
}

#[test]
fn ignored_files_are_not_walked_but_read() {
    let (_root, folder) = folder(&[
        (".difyignore", "*.log\n/build/\n"),
        (".gitignore", "*.txt"),
        ("a.log", "1"),
        ("build/x", "2"),
        ("b.txt", ""),
    ]);
    assert_eq!(folder.walk().unwrap(), [".difyignore", ".gitignore", "b.txt"]);
    assert_eq!(&*folder.read("a.log").unwrap(), b"1");
    assert_eq!(folder.read_dir("build").unwrap(), ["build/x"]);
}

#[test]
fn gitignore_stands_in() {
    let (_root, folder) = folder(&[(".gitignore", "*.log"), ("a.log", "1"), ("sub/.difyignore", "x"), ("sub/x", "")]);
    assert_eq!(folder.walk().unwrap(), [".gitignore", "sub/.difyignore", "sub/x"]);
}

#[test]
fn paths() {
    let (_root, folder) = folder(&[("a/b", "content")]);
    assert_eq!(&*folder.read("./a/../a/b").unwrap(), b"content");
    assert_eq!(folder.size("a/b").unwrap(), 7);
    for (path, expected) in [
        ("a/none", "open a/none: file does not exist"),
        ("a", "read a: is a directory"),
        (".", "read .: is a directory"),
        ("../a/b", "open ../a/b: invalid argument"),
        ("/etc/passwd", "open /etc/passwd: invalid argument"),
    ] {
        assert_eq!(folder.read(path).unwrap_err().to_string(), expected);
    }
    assert!(folder.read_dir("none").unwrap_err().is_not_found());
    assert!(matches!(folder.read_dir("..").unwrap_err(), FileError::InvalidPath { .. }));
}

#[test]
fn links() {
    let (root, folder) = folder(&[("README.md", "text"), ("dir/x", "")]);
    let outside = tempfile::tempdir().unwrap();
    testing::write(outside.path(), &[("secret.pem", "secret")]);
    symlink("README.md", root.path().join("link.md")).unwrap();
    symlink(".", root.path().join("loop")).unwrap();
    symlink(outside.path().join("secret.pem"), root.path().join("key.pem")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    assert_eq!(folder.walk().unwrap(), ["README.md", "dangling", "dir/x", "key.pem", "link.md", "loop"]);
    assert_eq!(&*folder.read("link.md").unwrap(), b"text");
    assert_eq!(folder.read("loop").unwrap_err().to_string(), "read loop: is a directory");
    assert!(folder.read("dangling").unwrap_err().is_not_found());
    let target = outside.path().canonicalize().unwrap().join("secret.pem");
    assert_eq!(folder.links_outside().unwrap(), [("key.pem".to_owned(), target)]);
}

#[test]
fn what_is_no_file() {
    let (root, folder) = folder(&[]);
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
    assert_eq!(folder.walk().unwrap(), ["socket"]);
    assert_eq!(folder.read("socket").unwrap_err().to_string(), "socket: not a regular file");
}

#[test]
fn names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let (root, folder) = folder(&[]);
    fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"a\xff")), "").unwrap();
    let error = folder.walk().unwrap_err().to_string();
    assert_eq!(error, "the name of a\u{fffd} is not UTF-8, which a package cannot hold");
}

#[test]
fn what_is_no_folder() {
    let (root, _) = folder(&[("file", "")]);
    let error = Folder::open(root.path().join("file")).unwrap_err().to_string();
    assert!(error.ends_with("file: not a directory"), "{error}");
    assert!(matches!(Folder::open(root.path().join("none")), Err(FolderError::Io { .. })));
}

#[test]
fn byproducts_are_not_walked() {
    let files = [
        ("main.py", ""),
        // by what they are, under any name
        (".venv/pyvenv.cfg", ""),
        (".venv/lib/x.py", ""),
        ("env/pyvenv.cfg", ""),
        (".git/HEAD", ""),
        (".git/objects/aa", ""),
        ("tools/__pycache__/a.pyc", ""),
        (".ruff_cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# cache\n"),
        ("demo-0.0.1.difypkg", ""),
        ("dist/all.difybndl", ""),
        // by their names they could be, and they are not
        ("venv/x", ""),
        ("other/CACHEDIR.TAG", ""),
        ("sub/.git/HEAD", ""),
        ("sub/module/.git", "gitdir: ../../.git/modules/module\n"),
        ("text/.git", "x"),
    ];
    let (root, folder) = folder(&files);
    symlink("lib", root.path().join(".venv/lib64")).unwrap();
    assert_eq!(folder.walk().unwrap(), ["main.py", "other/CACHEDIR.TAG", "sub/.git/HEAD", "text/.git", "venv/x"]);
    let found: Vec<_> = folder.byproducts().unwrap().iter().map(|(path, what)| format!("{path}: {what}")).collect();
    assert_eq!(
        found,
        [
            ".git: a Git repository",
            ".ruff_cache: a cache",
            ".venv: a Python environment",
            "demo-0.0.1.difypkg: a package",
            "dist/all.difybndl: a package",
            "env: a Python environment",
            "sub/module/.git: a Git repository",
            "tools/__pycache__: compiled modules",
        ]
    );
    std::fs::write(root.path().join(".difyignore"), ".venv/\n*.difypkg\n").unwrap();
    let folder = Folder::open(root.path()).unwrap();
    assert!(!folder.byproducts().unwrap().iter().any(|(path, _)| path == ".venv" || path.ends_with(".difypkg")));
    assert!(folder.ignores(".venv/lib/x.py") && folder.ignores("demo-0.0.1.difypkg") && !folder.ignores("main.py"));
}
