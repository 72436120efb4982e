use super::super::store::{Interpreter, Marker, write_marker};
use super::*;

const IN_USE: &str = "acme/one-0.0.1@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const UNUSED: &str = "acme/two-0.0.1@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const WITHOUT_AUTHOR: &str = "three-0.0.1@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

struct Place {
    dir: tempfile::TempDir,
    store: EnvironmentStore,
}

impl Place {
    /// Three working directories: two linked to environments of their own, all unused for an hour but for `young`.
    fn new(young: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self { store: EnvironmentStore::new(dir.path()), dir };
        for (index, name) in [IN_USE, UNUSED, WITHOUT_AUTHOR].into_iter().enumerate() {
            let directory = place.dir.path().join(name);
            std::fs::create_dir_all(&directory).unwrap();
            let id = Self::id(index);
            let environment = place.store.directory(&id);
            std::fs::create_dir_all(&environment).unwrap();
            let interpreter = Interpreter { path: "/x".into(), version: "3.12.1".into(), length: 0, modified: 0 };
            let marker =
                Marker { timestamp: 0, environment: id.clone(), interpreter, owner: None, packages: [].into() };
            write_marker(&environment, &marker).unwrap();
            assert!(place.store.link(&directory, &id).unwrap());
            place.store.remember(&format!("inputs{index}"), &id).unwrap();
            let state = directory.join(super::super::super::code::STATE);
            std::fs::write(&state, "{}").unwrap();
            if !young.contains(&name) {
                age(&state);
                age(&EnvironmentStore::marker_path(&environment));
            }
        }
        place
    }

    fn id(index: usize) -> String {
        format!("{index:040}")
    }

    fn collect(&self, in_use: &[&str], grace: Duration) -> Collected {
        let in_use = in_use.iter().map(|name| self.dir.path().join(name)).collect();
        let mut collected = collect(self.dir.path(), &self.store, &in_use, &[self.log("kept")].into(), grace).unwrap();
        collected.working_dirs.sort();
        collected.environments.sort();
        collected
    }

    fn log(&self, name: &str) -> PathBuf {
        self.store.root().join(LOGS).join(name)
    }

    fn there(&self) -> (Vec<bool>, Vec<bool>) {
        let directories = [IN_USE, UNUSED, WITHOUT_AUTHOR].map(|name| self.dir.path().join(name).exists());
        let environments = [0, 1, 2].map(|index| self.store.directory(&Self::id(index)).exists());
        (directories.to_vec(), environments.to_vec())
    }
}

fn age(file: &Path) {
    let past = SystemTime::now() - Duration::from_hours(1);
    std::fs::File::options().write(true).open(file).unwrap().set_modified(past).unwrap();
}

const GRACE: Duration = Duration::from_mins(10);

#[test]
fn what_no_plugin_needs_goes() {
    let place = Place::new(&[]);
    let collected = place.collect(&[IN_USE], GRACE);
    let gone = [UNUSED, WITHOUT_AUTHOR].map(|name| place.dir.path().join(name)).to_vec();
    assert_eq!((collected.working_dirs, collected.environments), (gone, vec![Place::id(1), Place::id(2)]));
    assert_eq!(place.there(), (vec![true, false, false], vec![true, false, false]));
    let remembered = std::fs::read_dir(place.store.root().join(".inputs")).unwrap().count();
    assert_eq!(remembered, 1);
    assert_eq!(place.collect(&[IN_USE], GRACE), Collected::default(), "and nothing is left to do");
}

#[test]
fn what_waits_for_its_deletion_is_shown() {
    let place = Place::new(&[UNUSED]);
    let in_use = [place.dir.path().join(IN_USE)].into();
    let unused = unused(place.dir.path(), &place.store, &in_use).unwrap();
    let shown: Vec<_> = unused.iter().map(|unused| (unused.path.clone(), unused.unused_seconds / 3600)).collect();
    let (old, young) = (place.dir.path().join(WITHOUT_AUTHOR), place.dir.path().join(UNUSED));
    let environment = |index| place.store.directory(&Place::id(index));
    let (mut oldest, mut youngest) = (shown[..2].to_vec(), shown[2..].to_vec());
    oldest.sort();
    youngest.sort();
    assert_eq!(oldest, [(environment(2), 1), (old, 1)]);
    assert_eq!(youngest, [(environment(1), 0), (young, 0)]);
}

#[test]
fn logs_of_plugins_that_are_gone_go() {
    let place = Place::new(&[]);
    std::fs::create_dir_all(place.store.root().join(LOGS)).unwrap();
    for name in ["kept", "young", "old"] {
        std::fs::write(place.log(name), "").unwrap();
    }
    for name in ["kept", "old"] {
        age(&place.log(name));
    }
    place.collect(&[], GRACE);
    assert!(place.log("kept").exists() && place.log("young").exists() && !place.log("old").exists());
}

#[test]
fn what_was_used_lately_stays() {
    let place = Place::new(&[UNUSED]);
    let collected = place.collect(&[IN_USE], GRACE);
    assert_eq!(collected.environments, [Place::id(2)]);
    assert_eq!(place.there(), (vec![true, true, false], vec![true, true, false]));
}

#[test]
fn a_shared_environment_stays_as_long_as_one_plugin_is_linked_to_it() {
    let place = Place::new(&[]);
    assert!(place.store.link(&place.dir.path().join(UNUSED), &Place::id(0)).unwrap());
    age(&EnvironmentStore::marker_path(&place.store.directory(&Place::id(0))));
    let collected = place.collect(&[UNUSED, WITHOUT_AUTHOR], GRACE);
    assert_eq!(collected.environments, [Place::id(1)]);
    assert_eq!(place.there(), (vec![false, true, true], vec![true, false, true]));
}

#[test]
fn what_is_not_ours_is_not_touched() {
    let place = Place::new(&[]);
    let foreign =
        [".uv-cache/a-1@bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "acme/notes", "acme/mail@host", ".environments/backup"];
    for name in foreign {
        std::fs::create_dir_all(place.dir.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink("/", place.dir.path().join("acme/link-1@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")).unwrap();
    place.collect(&[], Duration::ZERO);
    assert!(foreign.iter().all(|name| place.dir.path().join(name).exists()));
    assert!(Path::new("/bin").exists());
}

#[test]
fn while_links_are_made_nothing_is_deleted() {
    let place = Place::new(&[]);
    let lock = place.store.collector_lock().unwrap();
    lock.lock_shared().unwrap();
    assert_eq!(place.collect(&[], GRACE), Collected::default());
    drop(lock);
    assert_eq!(place.collect(&[], GRACE).environments.len(), 3);
}

#[test]
fn linking_to_what_was_collected_says_so() {
    let place = Place::new(&[]);
    place.collect(&[], GRACE);
    let directory = place.dir.path().join(IN_USE);
    std::fs::create_dir_all(&directory).unwrap();
    assert!(!place.store.link(&directory, &Place::id(0)).unwrap());
}
