use super::super::testing::plugin;
use super::*;

struct Place {
    dir: tempfile::TempDir,
    store: CodeStore,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = CodeStore::new(dir.path(), Limits::default());
        Self { dir, store }
    }

    fn staging_is_empty(&self) -> bool {
        std::fs::read_dir(self.dir.path().join(".staging")).map_or(0, Iterator::count) == 0
    }
}

#[test]
fn where_it_is() {
    let store = CodeStore::new(Path::new("/w"), Limits::default());
    let checksum = "9f".repeat(32);
    for (identifier, directory) in [
        (format!("langgenius/openai:0.2.7@{checksum}"), format!("/w/langgenius/openai-0.2.7@{checksum}")),
        (format!("openai:0.2.7-rc1@{checksum}"), format!("/w/openai-0.2.7-rc1@{checksum}")),
    ] {
        assert_eq!(store.directory(&identifier.parse().unwrap()), Path::new(&directory));
    }
}

#[test]
fn a_package_becomes_a_working_directory() {
    let place = Place::new();
    let (identifier, package) = plugin("small", &[]);
    assert_eq!(place.store.find(&identifier), None);
    let code = place.store.unpack(&identifier, package.clone()).unwrap();
    assert_eq!(code.directory, place.store.directory(&identifier));
    assert_eq!(code.state.entrypoint, "main");
    assert_eq!(place.store.find(&identifier).as_ref(), Some(&code));
    assert_eq!(std::fs::read_to_string(code.directory.join("main.py")).unwrap(), "print('hello')\n");
    assert!(place.staging_is_empty());
    // Once more: what another process has made meanwhile is accepted.
    assert_eq!(place.store.unpack(&identifier, package).unwrap(), code);
}

#[test]
fn what_somebody_else_unpacked_can_be_taken_as_it_is() {
    let place = Place::new();
    let (identifier, package) = plugin("small", &[]);
    assert!(place.store.adopt(&identifier).is_err(), "there is nothing yet");
    let directory = place.store.directory(&identifier);
    Package::open(package, &Limits::default()).unwrap().extract(&directory).unwrap();
    std::fs::write(directory.join("main.py"), "print('mine')\n").unwrap();
    place.store.adopt(&identifier).unwrap();
    assert_eq!(place.store.find(&identifier).unwrap().state.entrypoint, "main");
    assert_eq!(std::fs::read_to_string(directory.join("main.py")).unwrap(), "print('mine')\n");
}

#[test]
fn what_the_reference_unpacked_is_accepted_and_what_it_did_not_finish_is_healed() {
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 7] = [
        ("nothing", |_| {}),
        ("a file is missing", |dir| std::fs::remove_file(dir.join("main.py")).unwrap()),
        ("a file is cut off", |dir| std::fs::write(dir.join("main.py"), "pri").unwrap()),
        ("a file is zeros", |dir| std::fs::write(dir.join("main.py"), [0; 15]).unwrap()),
        ("a folder is missing", |dir| std::fs::remove_dir_all(dir.join("tools")).unwrap()),
        ("a folder is a file", |dir| {
            std::fs::remove_dir_all(dir.join("tools")).unwrap();
            std::fs::write(dir.join("tools"), "x").unwrap();
        }),
        ("a file is a folder", |dir| {
            std::fs::remove_file(dir.join("main.py")).unwrap();
            std::fs::create_dir_all(dir.join("main.py/x")).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let place = Place::new();
        let (identifier, bytes) = plugin("small", &[]);
        let directory = place.store.directory(&identifier);
        Package::open(bytes.clone(), &Limits::default()).unwrap().extract(&directory).unwrap();
        std::fs::write(directory.join(".env"), "the operator's").unwrap();
        damage(&directory);
        place.store.unpack(&identifier, bytes).unwrap();
        assert_eq!(std::fs::read_to_string(directory.join("main.py")).unwrap(), "print('hello')\n", "{what}");
        assert!(directory.join("tools/one.yaml").is_file(), "{what}");
        let is_beyond_healing = matches!(what, "a folder is a file" | "a file is a folder");
        assert_eq!(directory.join(".env").exists(), !is_beyond_healing, "{what}");
        assert!(place.store.find(&identifier).is_some() && place.staging_is_empty(), "{what}");
    }
}

#[test]
fn healing_does_not_follow_links_out() {
    let place = Place::new();
    let (identifier, bytes) = plugin("small", &[]);
    let directory = place.store.directory(&identifier);
    let outside = place.dir.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(&directory).unwrap();
    std::os::unix::fs::symlink(&outside, directory.join("tools")).unwrap();
    place.store.unpack(&identifier, bytes).unwrap();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(directory.join("tools").symlink_metadata().unwrap().is_dir());
}

#[test]
fn an_empty_directory_is_none() {
    let place = Place::new();
    let (identifier, bytes) = plugin("small", &[]);
    std::fs::create_dir_all(place.store.directory(&identifier)).unwrap();
    place.store.unpack(&identifier, bytes).unwrap();
}

#[test]
fn a_state_file_of_another_package_does_not_count() {
    let place = Place::new();
    let (identifier, bytes) = plugin("small", &[(STATE, "{\"checksum\":\"00\",\"entrypoint\":\"evil\"}")]);
    let directory = place.store.directory(&identifier);
    Package::open(bytes.clone(), &Limits::default()).unwrap().extract(&directory).unwrap();
    assert_eq!(place.store.find(&identifier), None);
    assert_eq!(place.store.unpack(&identifier, bytes).unwrap().state.entrypoint, "main");
    assert_eq!(place.store.find(&identifier).unwrap().state.entrypoint, "main");
}

#[track_caller]
fn refused(identifier: &UniqueIdentifier, bytes: bytes::Bytes) -> EnvironmentError {
    let place = Place::new();
    let error = place.store.unpack(identifier, bytes).unwrap_err();
    assert!(place.staging_is_empty() && !place.store.directory(identifier).exists());
    error
}

#[test]
fn what_is_not_unpacked() {
    let (identifier, bytes) = plugin("small", &[]);
    let (_, other) = plugin("other", &[]);
    let error = refused(&identifier, other);
    assert!(error.cause == Cause::Plugin && error.message.contains("is another one"), "{error}");
    let cut = bytes.slice(..bytes.len() / 2);
    assert_eq!(refused(&identifier, cut).cause, Cause::Plugin);
}

#[test]
fn a_folder_that_cannot_be_written() {
    let place = Place::new();
    std::fs::write(place.dir.path().join("acme"), "a file where the author's folder belongs").unwrap();
    let (identifier, bytes) = plugin("small", &[]);
    let error = place.store.unpack(&identifier, bytes).unwrap_err();
    assert!(
        error.cause == Cause::Io && error.message.starts_with("copy plugin to working directory error: "),
        "{error}"
    );
    assert!(place.staging_is_empty());
}
