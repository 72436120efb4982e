//! Preparations that fail: the error, and that nothing is left behind.

use super::*;

/// Prepares a plugin with requirements with a uv that does this for an install.
async fn failure(install: &str, change: fn(&mut EnvironmentSettings)) -> EnvironmentError {
    let mut bench = Bench::new(install);
    change(&mut bench.settings);
    let error = prepare(&bench.environments(), &plugin("small", &[REQUIREMENTS])).await.unwrap_err();
    bench.assert_clean();
    let made = std::fs::read_dir(bench.working_path().join(".environments")).map_or(0, |entries| {
        entries.flatten().filter(|entry| store::is_id(&entry.file_name().to_string_lossy())).count()
    });
    assert_eq!(made, 0);
    if let Some(log) = &error.log {
        assert!(log.exists() && std::fs::read_to_string(log).unwrap().contains("$ "));
    }
    error
}

#[tokio::test]
async fn the_last_lines_of_a_tool_are_quoted() {
    let script = "echo 'DEBUG a'; echo 'Using Python'; echo 'error: No solution found'; echo '  cause: no version of six==9'; exit 1";
    let error = failure(script, |_| {}).await;
    assert_eq!(error.cause, Cause::Resolve);
    assert_eq!(
        error.message,
        "failed to install dependencies: exit status 1\nerror: No solution found\n  cause: no version of six==9"
    );
}

#[tokio::test]
async fn a_hanging_tool_is_ended() {
    let error = failure("echo 'DEBUG Sending request'; sleep 60", |settings| {
        settings.idle_timeout = Duration::from_secs(2);
    })
    .await;
    assert_eq!(error.cause, Cause::Timeout);
    assert!(error.message.contains("init process exited due to no activity for 2 seconds\nDEBUG Sending request"));
}

#[tokio::test]
async fn a_tool_that_never_ends_is_ended() {
    let error =
        failure("while :; do echo x; done", |settings| settings.command_timeout = Duration::from_millis(300)).await;
    assert_eq!(error.cause, Cause::Timeout);
}

#[tokio::test]
async fn the_signal_that_killed_a_tool_is_named() {
    let error = failure("kill -9 $$", |_| {}).await;
    assert_eq!(error.cause, Cause::OutOfMemory);
    assert!(error.message.contains("killed by signal 9"));
}

#[tokio::test]
async fn garbage_is_no_trouble() {
    let error = failure("head -c 3000000 /dev/urandom; exit 7", |_| {}).await;
    assert!(error.message.starts_with("failed to install dependencies: exit status 7") && error.message.len() < 10_000);
}

#[tokio::test]
async fn an_environment_that_does_not_work_is_not_kept() {
    let error = failure("rm -r $VIRTUAL_ENV/lib", |_| {}).await;
    assert_eq!(error.cause, Cause::Crashed);
    assert!(error.message.contains("no site-packages"));
}

#[tokio::test]
async fn a_file_system_on_which_no_environment_can_be() {
    let bench = Bench::new(INSTALL);
    let environments = bench.environments();
    let lacking = |lack| Lacking { working_path: "/x".into(), lack };
    environments.lacks.set([Lack::HardLinks, Lack::SymbolicLinks].map(lacking).into()).unwrap();
    let error = prepare(&environments, &plugin("small", &[REQUIREMENTS])).await.unwrap_err();
    let message = "no environment can be made in /x: its file system has no symbolic links, of which environments are made; \
                   name a folder elsewhere (PLUGIN_WORKING_PATH)";
    assert_eq!((error.cause, error.message.as_str()), (Cause::Io, message));
    assert_eq!(bench.calls(), [""; 0]);
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_is_done_without() {
    let mut bench = Bench::new(&format!("echo \"$UV_CACHE_DIR\" >> $D/caches; {INSTALL}"));
    // even root cannot use a file as a folder
    let cache = bench.dir.path().join("file");
    std::fs::write(&cache, "").unwrap();
    bench.settings.inherited.insert("UV_CACHE_DIR".into(), cache.clone().into());
    prepare(&bench.environments(), &plugin("small", &[REQUIREMENTS])).await.unwrap();
    let used = std::fs::read_to_string(bench.dir.path().join("caches")).unwrap();
    let staging = bench.working_path().join(".staging");
    assert!(used.starts_with(staging.to_str().unwrap()) && used.ends_with("/cache\n"), "{used}");
    bench.assert_clean();
}

#[tokio::test]
async fn no_uv() {
    let error = failure("", |settings| settings.uv = Some("/nonexistent/uv".into())).await;
    assert_eq!(error.cause, Cause::NotFound);
}

#[tokio::test]
async fn no_interpreter() {
    let bench = Bench::new(INSTALL);
    let uv = bench.settings.uv.clone().unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$UV_PYTHON_DOWNLOADS $*\" >> {0}/calls\ncase \"$*\" in *{0}/python*) exit 3;; esac\n\
         echo 'error: No interpreter found for Python 3.12'; exit 2\n",
        bench.dir.path().display()
    );
    std::fs::write(uv, script).unwrap();
    let error = prepare(&bench.environments(), &plugin("small", &[REQUIREMENTS])).await.unwrap_err();
    assert!(error.message.ends_with("exit status 3"), "the configured interpreter is tried: {}", error.message);

    let mut other = Bench::new(INSTALL);
    std::fs::copy(bench.settings.uv.as_ref().unwrap(), other.settings.uv.as_ref().unwrap()).unwrap();
    other.settings.python = "3.11".into();
    let error = prepare(&other.environments(), &plugin("small", &[REQUIREMENTS])).await.unwrap_err();
    assert_eq!(error.cause, Cause::NotFound);
    let text = error.message.replace(&*other.dir.path().to_string_lossy(), "DIR");
    assert!(text.starts_with("failed to create virtual environment: there is no Python 3.11 on PATH, nor at PYTHON_INTERPRETER_PATH (DIR/python, which is 3.12.1), and it could not be downloaded"), "{text}");
    let calls = bench.calls().into_iter().map(|call| call.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(calls, ["never", "never", "never", "", "never"], "after a download only another version is left");
}

/// Lets uv find none of the wanted version.
fn only_other_interpreters(bench: &mut Bench) {
    let uv = bench.settings.uv.clone().unwrap();
    let only_others = "venv) case \"$*\" in *'>=3.11'*) ;; *) echo 'error: No interpreter found'; exit 2;; esac; ";
    std::fs::write(&uv, std::fs::read_to_string(&uv).unwrap().replace("venv) ", only_others)).unwrap();
    bench.settings.python = "3.13".into();
}

#[tokio::test]
async fn another_interpreter_will_not_do() {
    let mut bench = Bench::new(
        "echo \"downloads $UV_PYTHON_DOWNLOADS\" >> $D/calls; echo 'error: No solution found'; \
         echo '  cause: the current Python version (3.11.7) does not satisfy Python>=3.12'; exit 1",
    );
    only_other_interpreters(&mut bench);
    let error = prepare(&bench.environments(), &plugin("small", &[REQUIREMENTS])).await.unwrap_err();
    let text = error.message.replace(&*bench.dir.path().to_string_lossy(), "DIR");
    insta::assert_snapshot!(text, @"
    there is no Python 3.13 on PATH, nor at PYTHON_INTERPRETER_PATH (DIR/python, which is 3.12.1), and it could not be downloaded; the plugin cannot do with another one: install Python 3.13, or make a download possible (UV_PYTHON_INSTALL_MIRROR, HTTPS_PROXY)
    failed to install dependencies: exit status 1
    error: No solution found
      cause: the current Python version (3.11.7) does not satisfy Python>=3.12
    ");
    assert_eq!(error.cause, Cause::NotFound, "it goes away with an interpreter");
    assert_eq!(bench.calls().last().unwrap(), "downloads never");
}

#[tokio::test]
async fn callers_hear_which_interpreter_is_taken() {
    let mut bench = Bench::new(&format!("echo Using Python 3.12.1 environment at: $VIRTUAL_ENV; {INSTALL}"));
    only_other_interpreters(&mut bench);
    let heard = Mutex::<Vec<String>>::default();
    let progress = |step: Step, detail: &str| {
        if !detail.is_empty() {
            heard.lock().unwrap().push(format!("{}: {detail}", step.as_str()));
        }
    };
    let (plugin, package) = &plugin("small", &[REQUIREMENTS]);
    let cancel = CancellationToken::new();
    let request = Request { plugin, package, deadline: None, progress: &progress, cancel: &cancel };
    bench.environments().prepare(request).await.unwrap();
    assert_eq!(
        *heard.lock().unwrap(),
        [
            "creating environment: downloading Python 3.13",
            "installing dependencies: with Python 3.12.1, since there is no Python 3.13",
        ]
    );
}

#[tokio::test]
async fn wheels_that_do_not_suffice_are_no_failure() {
    let bench = Bench::new(&format!("case \"$*\" in *--offline*) exit 1;; esac; {INSTALL}"));
    prepare(&bench.environments(), &plugin("small", &[REQUIREMENTS, ("wheels/x.whl", "")])).await.unwrap();
    assert_eq!(bench.calls().last().unwrap(), "pip install -r requirements.txt -v");
}

#[tokio::test]
async fn no_dependency_file() {
    let bench = Bench::new(INSTALL);
    let error = prepare(&bench.environments(), &plugin("small", &[])).await.unwrap_err();
    assert_eq!(error.message, "neither pyproject.toml nor requirements.txt found in plugin directory");
    assert!(bench.calls().is_empty());
}

#[tokio::test]
async fn bytecode_is_not_needed() {
    let bench = Bench::new(INSTALL);
    let python = bench.dir.path().join("python");
    let script = std::fs::read_to_string(&python).unwrap().replace("*compileall*) ", "*compileall*) exit 1; ");
    std::fs::write(python, script).unwrap();
    prepare(&bench.environments(), &plugin("small", &[REQUIREMENTS])).await.unwrap();
}

#[tokio::test]
async fn who_waits_for_a_failing_build_fails_with_it() {
    let bench = Bench::new("sleep 0.3; echo 'error: dns error'; exit 2");
    let environments = bench.environments();
    let plugins: Vec<_> = (0..5).map(|number| plugin(&format!("p{number}"), &[REQUIREMENTS])).collect();
    let all = futures_util::future::join_all(plugins.iter().map(|plugin| prepare(&environments, plugin))).await;
    assert!(all.iter().all(|result| result.as_ref().is_err_and(|error| error.cause == Cause::Network)));
    assert!(bench.calls().len() <= 4, "{:?}", bench.calls());
    assert!(prepare(&environments, &plugins[0]).await.is_err(), "and later it is tried again");
}

#[tokio::test]
async fn cancelling_ends_everything_and_the_next_in_line_goes_on() {
    let bench =
        Bench::new(&format!("[ -e $D/once ] || {{ touch $D/once; sleep 60 & echo $! > $D/pid; wait; }}; {INSTALL}"));
    let environments = bench.environments();
    let (one, two) = (plugin("one", &[REQUIREMENTS]), plugin("two", &[REQUIREMENTS]));
    let cancel = CancellationToken::new();
    let pid_file = bench.dir.path().join("pid");
    let cancelling = async {
        while !pid_file.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let waiting = prepare(&environments, &two);
        tokio::pin!(waiting);
        let still_waits = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
        assert!(still_waits.is_err());
        cancel.cancel();
        waiting.await
    };
    let request = Request { plugin: &one.0, package: &one.1, deadline: None, progress: &Silent, cancel: &cancel };
    let started = Instant::now();
    let (cancelled, waited) = tokio::join!(environments.prepare(request), cancelling);
    assert_eq!(cancelled.unwrap_err().cause, Cause::Cancelled);
    waited.unwrap();
    assert!(started.elapsed() < Duration::from_secs(50));
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    bench.assert_clean();
}

#[tokio::test]
async fn the_deadline_holds_while_waiting_too() {
    let bench = Bench::new("sleep 60");
    let environments = bench.environments();
    let (one, two) = (plugin("one", &[REQUIREMENTS]), plugin("two", &[REQUIREMENTS]));
    let cancel = CancellationToken::new();
    let deadline = Some(Instant::now() + Duration::from_millis(500));
    let request = |plugin| {
        environments.prepare(Request { plugin, package: &one.1, deadline, progress: &Silent, cancel: &cancel })
    };
    let other =
        environments.prepare(Request { plugin: &two.0, package: &two.1, deadline, progress: &Silent, cancel: &cancel });
    let started = Instant::now();
    let (one, two) = tokio::join!(request(&one.0), other);
    assert!(started.elapsed() < Duration::from_secs(50));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.cause, Cause::Timeout, "{error}");
    }
    bench.assert_clean();
}

#[tokio::test]
async fn a_dropped_preparation_leaves_nothing() {
    let bench = Bench::new("sleep 60");
    let environments = bench.environments();
    let plugin = plugin("small", &[REQUIREMENTS]);
    let dropped = tokio::time::timeout(Duration::from_millis(500), prepare(&environments, &plugin)).await;
    assert!(dropped.is_err());
    bench.assert_clean();
}

#[tokio::test]
async fn only_so_many_builds_run_at_a_time() {
    let mut bench = Bench::new(&format!(
        "mkdir $D/running.$$; ls -d $D/running.* | wc -l >> $D/counts; sleep 0.2; rmdir $D/running.$$; {INSTALL}"
    ));
    bench.settings.concurrent_builds = 2;
    let environments = bench.environments();
    let plugins: Vec<_> = (0..6)
        .map(|number| plugin(&format!("p{number}"), &[("requirements.txt", &format!("six=={number}\n"))]))
        .collect();
    let done = AtomicUsize::new(0);
    futures_util::future::join_all(plugins.iter().map(|plugin| async {
        prepare(&environments, plugin).await.unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }))
    .await;
    assert_eq!(done.into_inner(), 6);
    let counts = std::fs::read_to_string(bench.dir.path().join("counts")).unwrap();
    assert!(counts.lines().all(|count| count.trim() == "1" || count.trim() == "2"), "{counts}");
}
