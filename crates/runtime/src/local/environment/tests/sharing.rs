//! Who gets which environment, and what that costs.

use super::*;

/// A package that must not be asked for.
struct Untouchable;

#[async_trait]
impl PackageSource for Untouchable {
    async fn package(&self) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        Err("the package was asked for".into())
    }
}

#[tokio::test]
async fn a_new_plugin_is_unpacked_built_and_linked() {
    let bench = Bench::new(INSTALL);
    let plugin = plugin("small", &[REQUIREMENTS]);
    let steps = Mutex::new(Vec::new());
    let progress = |step: Step, _: &str| {
        let mut steps = steps.lock().unwrap();
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    };
    let cancel = CancellationToken::new();
    let environments = bench.environments();
    let request =
        Request { plugin: &plugin.0, package: &plugin.1, deadline: None, progress: &progress, cancel: &cancel };
    let prepared = environments.prepare(request).await.unwrap();

    let directory = bench.working_path().join(format!("acme/small-0.0.1@{}", plugin.0.checksum()));
    assert_eq!(prepared.working_dir, directory);
    assert_eq!(prepared.entrypoint, "main");
    assert_eq!(std::fs::read_to_string(directory.join("main.py")).unwrap(), "print('hello')\n");
    let environment = prepared.environment.clone().unwrap();
    let link = std::fs::read_link(directory.join(".venv")).unwrap();
    assert_eq!(link, Path::new("../../.environments").join(&environment));
    assert!(
        prepared.python.exists() && directory.join(".venv/dify/plugin.json").exists(),
        "as the reference looks for it"
    );
    assert_eq!(bench.calls(), ["venv", "pip install -r requirements.txt -v"]);
    assert_eq!(*steps.lock().unwrap(), [Step::Unpack, Step::Wait, Step::Create, Step::Install, Step::Compile]);
    let packages = environments.packages(&plugin.0).await.unwrap();
    assert_eq!(packages, BTreeMap::from([("six".to_owned(), "1.0".to_owned())]));
    let compiled = std::fs::read_to_string(bench.dir.path().join("compiled")).unwrap();
    assert!(
        compiled.contains("site-packages\n") && compiled.ends_with("-m compileall -q -j 1 -x \\.venv|\\.uv-cache .\n")
    );
    let log = std::fs::read_to_string(environments.log_path(&plugin.0)).unwrap();
    assert!(log.contains("pip install -r requirements.txt"));
    bench.assert_clean();

    // After a restart, nothing is run and nobody is asked for the package.
    let request = Request { package: &Untouchable, ..request };
    assert_eq!(bench.environments().prepare(request).await.unwrap(), prepared);
    assert_eq!(bench.calls().len(), 2);
    let compiled_again = std::fs::read_to_string(bench.dir.path().join("compiled")).unwrap();
    assert_eq!(compiled, compiled_again);
}

#[tokio::test]
async fn equal_requirements_share_without_running_anything() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let one = prepare(&environments, &plugin("one", &[REQUIREMENTS])).await.unwrap();
    let two = prepare(&environments, &plugin("two", &[("requirements.txt", "# two\nsix\n")])).await.unwrap();
    assert_eq!(one.environment, two.environment);
    assert_eq!(bench.calls().len(), 2, "one environment, one install");
}

#[tokio::test]
async fn different_requirements_with_the_same_outcome_share_too() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let one = prepare(&environments, &plugin("one", &[REQUIREMENTS])).await.unwrap();
    let two = prepare(&environments, &plugin("two", &[("requirements.txt", "six>=1\n")])).await.unwrap();
    assert_eq!(one.environment, two.environment);
    assert_eq!(bench.calls().len(), 4);
    bench.assert_clean();
}

#[tokio::test]
async fn at_the_same_time_there_is_one_build() {
    let bench = Bench::new(&format!("sleep 0.3; {INSTALL}"));
    let environments = bench.environments();
    let plugins: Vec<_> = (0..8).map(|number| plugin(&format!("p{number}"), &[REQUIREMENTS])).collect();
    let all = futures_util::future::join_all(plugins.iter().map(|plugin| prepare(&environments, plugin))).await;
    assert!(all.iter().all(|prepared| prepared.as_ref().unwrap().environment == all[0].as_ref().unwrap().environment));
    assert_eq!(bench.calls().len(), 2);
}

#[tokio::test]
async fn processes_on_one_folder_build_once() {
    let bench = Bench::new(&format!("sleep 0.3; {INSTALL}"));
    let (here, there) = (bench.environments(), bench.environments());
    let (one, two) = (plugin("one", &[REQUIREMENTS]), plugin("two", &[REQUIREMENTS]));
    let (one, two) = tokio::join!(prepare(&here, &one), prepare(&there, &two));
    assert_eq!(one.unwrap().environment, two.unwrap().environment);
    assert_eq!(bench.calls().len(), 2);
}

#[tokio::test]
async fn how_uv_is_called() {
    let project = ("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\ndependencies = ['six']\n");
    let package = ("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\n[build-system]\nrequires = []\n");
    let lock = ("uv.lock", "version = 1\n");
    let calls = async |files: &[(&str, &str)], change: fn(&mut EnvironmentSettings)| {
        let mut bench = Bench::new(INSTALL);
        change(&mut bench.settings);
        prepare(&bench.environments(), &plugin("x", files)).await.unwrap();
        let shorten = |call: String| match call.split_once("/cwd/.staging/") {
            Some((before, after)) => {
                let before = before.rsplit_once(' ').unwrap().0;
                let (_, after) = after.split_once("/requirements.txt").unwrap();
                format!("{before} EXPORTED{after}")
            }
            None => call,
        };
        bench.calls().into_iter().skip(1).map(shorten).collect::<Vec<_>>()
    };
    let mirror: fn(&mut EnvironmentSettings) = |settings| settings.mirror_url = Some("http://m".into());
    let extra: fn(&mut EnvironmentSettings) =
        |settings| settings.extra_args = vec!["--frozen".into(), "--offline".into()];
    let ignore: fn(&mut EnvironmentSettings) = |settings| settings.ignore_lock = true;
    assert_eq!(calls(&[REQUIREMENTS], mirror).await, ["pip install -i http://m -r requirements.txt -v"]);
    assert_eq!(calls(&[REQUIREMENTS], extra).await, ["pip install -r requirements.txt -v --frozen --offline"]);
    assert_eq!(calls(&[project], |_| {}).await, ["sync --no-dev --no-install-project -v"]);
    assert_eq!(calls(&[package], |_| {}).await, ["sync --no-dev -v"], "a package is installed itself");
    assert_eq!(calls(&[project, lock], |_| {}).await, ["sync --no-dev --frozen --no-install-project -v"]);
    assert_eq!(calls(&[project, lock], ignore).await, ["sync --no-dev --no-install-project -v"]);
    assert_eq!(calls(&[project, lock], extra).await, ["sync --no-dev --frozen --no-install-project -v --offline"]);
    assert_eq!(calls(&[project, REQUIREMENTS], mirror).await, ["pip install -i http://m -r requirements.txt -v"]);
    assert_eq!(
        calls(&[project, lock, REQUIREMENTS], mirror).await,
        [
            "export --frozen --no-dev --no-emit-project --no-header --no-annotate --quiet --output-file EXPORTED",
            "pip sync EXPORTED -i http://m -v",
            "sync --no-dev --frozen --no-install-project -i http://m -v",
        ],
        "a lock is kept, and the mirror used"
    );
    let wheel = ("wheels/six-1-py3-none-any.whl", "");
    assert_eq!(
        calls(&[REQUIREMENTS, wheel], mirror).await,
        ["pip install -r requirements.txt --no-index --offline --find-links wheels -v"]
    );
    assert_eq!(
        calls(&[project, lock, wheel], |_| {}).await,
        [
            "export --frozen --no-dev --no-emit-project --no-header --no-annotate --quiet --output-file EXPORTED",
            "pip sync EXPORTED --no-index --offline --find-links wheels -v",
            "sync --no-dev --frozen --no-install-project -v",
        ]
    );
}

#[tokio::test]
async fn an_environment_the_reference_made_is_used_as_it_is() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let plugin = plugin("old", &[REQUIREMENTS]);
    let directory = environments.working_dir(&plugin.0);
    Package::open(plugin.1.clone(), &Limits::default()).unwrap().extract(&directory).unwrap();
    let venv = directory.join(".venv");
    std::fs::create_dir_all(venv.join("bin")).unwrap();
    std::os::unix::fs::symlink(bench.dir.path().join("python"), venv.join("bin/python")).unwrap();
    std::fs::create_dir_all(venv.join("dify")).unwrap();
    std::fs::write(venv.join("dify/plugin.json"), "{\"timestamp\":1}").unwrap();
    let prepared = prepare(&environments, &plugin).await.unwrap();
    assert_eq!(prepared.environment, None);
    assert!(bench.calls().is_empty());

    // Without its marker it is not valid, and an own one is made.
    std::fs::remove_file(venv.join("dify/plugin.json")).unwrap();
    assert!(prepare(&environments, &plugin).await.unwrap().environment.is_some());
    bench.assert_clean();
}

#[tokio::test]
async fn what_has_become_unusable_is_made_again() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let plugin = plugin("small", &[REQUIREMENTS]);
    let first = prepare(&environments, &plugin).await.unwrap();
    let directory = environments.store.directory(&first.environment.clone().unwrap());
    let damages: [(&str, &dyn Fn()); 4] = [
        ("the environment is gone", &|| std::fs::remove_dir_all(&directory).unwrap()),
        ("its marker is gone", &|| std::fs::remove_file(directory.join("dify/plugin.json")).unwrap()),
        ("its interpreter is gone", &|| std::fs::remove_file(directory.join("bin/python")).unwrap()),
        ("its dependencies are others", &|| {
            std::fs::write(first.working_dir.join("requirements.txt"), "six>=1\n").unwrap();
        }),
    ];
    for (round, (what, damage)) in damages.into_iter().enumerate() {
        damage();
        let again = prepare(&environments, &plugin).await.unwrap();
        assert_eq!(again.environment, first.environment, "{what}");
        assert!(again.python.exists());
        assert_eq!(bench.calls().len(), 2 * (round + 2), "{what}");
    }
    bench.assert_clean();
}

#[tokio::test]
async fn another_interpreter_makes_it_useless_only_if_its_minor_version_differs() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let plugin = plugin("small", &[REQUIREMENTS]);
    let first = prepare(&environments, &plugin).await.unwrap();
    let python = bench.dir.path().join("python");
    let original = std::fs::read_to_string(&python).unwrap();
    std::fs::write(&python, original.replace("3.12.1", "3.12.99")).unwrap();
    assert_eq!(prepare(&environments, &plugin).await.unwrap().environment, first.environment);
    assert_eq!(bench.calls().len(), 2);
    std::fs::write(&python, original.replace("3.12.1", "3.13.0")).unwrap();
    assert_ne!(prepare(&environments, &plugin).await.unwrap().environment, first.environment);
    assert_eq!(bench.calls().len(), 4);
}

#[tokio::test]
async fn unlocked_versions_are_looked_up_again_once_in_a_while() {
    let mut bench = Bench::new(&format!("[ ! -e $D/fail ] || {{ echo 'error: dns error'; exit 2; }}; {INSTALL}"));
    bench.settings.resolution_max_age = Duration::ZERO;
    let environments = bench.environments();
    let one = prepare(&environments, &plugin("one", &[REQUIREMENTS])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    prepare(&environments, &plugin("two", &[REQUIREMENTS])).await.unwrap();
    assert_eq!(bench.calls().len(), 4);
    // Without network, what was current before does.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    std::fs::write(bench.dir.path().join("fail"), "").unwrap();
    let three = prepare(&environments, &plugin("three", &[REQUIREMENTS])).await.unwrap();
    assert_eq!(three.environment, one.environment);
    assert_eq!(bench.calls().len(), 6);
}
