//! Preparation with the real uv, Python 3.12 and plugin SDK.
//!
//! They need the network, or a cache that has seen it, so they run on demand: `./dev real-test`, or `cargo test --
//! --ignored real_` with uv on `PATH` or at `UV_PATH`. All share the cache that `UV_CACHE_DIR` names, or one in the
//! temporary folder.

use super::*;

struct Real {
    dir: tempfile::TempDir,
    environments: Environments,
}

impl Real {
    fn new(change: impl FnOnce(&mut EnvironmentSettings)) -> Self {
        // Beside the cache, so that hard links are possible.
        let cache =
            std::env::var_os("UV_CACHE_DIR").map_or_else(|| std::env::temp_dir().join("uv-cache"), PathBuf::from);
        std::fs::create_dir_all(&cache).unwrap();
        let dir = tempfile::tempdir_in(cache.parent().unwrap()).unwrap();
        let mut settings = EnvironmentSettings::new(dir.path());
        settings.inherited = std::env::vars_os().collect();
        settings.inherited.insert("UV_CACHE_DIR".into(), cache.into());
        settings.uv = std::env::var_os("UV_PATH").map(PathBuf::from);
        change(&mut settings);
        Self { dir, environments: Environments::new(settings) }
    }

    async fn prepare(&self, plugin: &(UniqueIdentifier, Bytes)) -> Result<Prepared, EnvironmentError> {
        prepare(&self.environments, plugin).await
    }

    /// Bytes that all files below the working path take, hard links to the cache and to each other counted once.
    fn disk(&self) -> u64 {
        let output = std::process::Command::new("du").arg("-sk").arg(self.dir.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }
}

/// What a script prints that runs as the plugin would.
fn python(prepared: &Prepared, script: &str) -> String {
    let mut command = std::process::Command::new(&prepared.python);
    let output = command.args(["-c", script]).current_dir(&prepared.working_dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const SDK: (&str, &str) = ("requirements.txt", "dify_plugin>=0.7.4,<1.0\n");

#[tokio::test]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_second_equal_environment_costs_next_to_nothing() {
    let real = Real::new(|_| {});
    let started = Instant::now();
    let first = real.prepare(&plugin("one", &[SDK])).await.unwrap();
    let (took_first, disk_first) = (started.elapsed(), real.disk());
    let started = Instant::now();
    let second = real.prepare(&plugin("two", &[SDK])).await.unwrap();
    let (took, disk) = (started.elapsed(), real.disk() - disk_first);
    let started = Instant::now();
    let other_text =
        real.prepare(&plugin("three", &[("requirements.txt", "dify_plugin>=0.7.5,<1.0\n")])).await.unwrap();
    let took_other = started.elapsed();
    let started = Instant::now();
    real.prepare(&plugin("one", &[SDK])).await.unwrap();
    let took_again = started.elapsed();
    println!(
        "first {took_first:?}, {disk_first} bytes; equal {took:?}, {disk} bytes; equal outcome {took_other:?}; again {took_again:?}"
    );
    assert_eq!(first.environment, second.environment);
    assert_eq!(first.environment, other_text.environment);
    assert!(disk < 2_000_000);
    for prepared in [&first, &second] {
        let origin = python(prepared, "import sys, dify_plugin; print(sys.prefix, dify_plugin.__file__)");
        let venv = prepared.working_dir.join(".venv");
        assert!(origin.split(' ').all(|path| Path::new(path).starts_with(&venv)), "{origin}");
    }
    let compiled = python(&first, "import dify_plugin; print(dify_plugin.__cached__)");
    assert!(Path::new(&compiled).exists() && first.working_dir.join("__pycache__/main.cpython-312.pyc").exists());
}

#[tokio::test]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_one_package_more_costs_little_more() {
    let real = Real::new(|_| {});
    let first = real.prepare(&plugin("one", &[SDK])).await.unwrap();
    let disk_first = real.disk();
    let started = Instant::now();
    let more = [("requirements.txt", "dify_plugin>=0.7.4,<1.0\nsix==1.16.0\n")];
    let second = real.prepare(&plugin("two", &more)).await.unwrap();
    let (took, disk) = (started.elapsed(), real.disk() - disk_first);
    println!("one package more: {took:?}, {disk} bytes");
    assert_ne!(first.environment, second.environment);
    assert!(disk < 4_000_000, "sources and bytecode are hard links");
    assert_eq!(python(&second, "import dify_plugin, six; print(six.__version__)"), "1.16.0");
}

#[tokio::test]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_unsatisfiable_requirement_is_named() {
    let real = Real::new(|_| {});
    let error = real.prepare(&plugin("one", &[("requirements.txt", "dify_plugin==0.0.0.0.1\n")])).await.unwrap_err();
    assert_eq!(error.cause, Cause::Resolve, "{error}");
    assert!(error.message.contains("dify-plugin==0.0.0.0.1"), "{error}");
}

#[tokio::test]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_index_that_is_not_there_is_a_network_failure() {
    let real = Real::new(|settings| {
        settings.mirror_url = Some("http://user:secret@127.0.0.1:9/simple".into());
        settings.inherited.insert("UV_HTTP_RETRIES".into(), "0".into());
        settings.inherited.insert("UV_NO_CACHE".into(), "1".into());
    });
    let error = real.prepare(&plugin("one", &[("requirements.txt", "six==1.16.0\n")])).await.unwrap_err();
    assert_eq!(error.cause, Cause::Network, "{error}");
    assert!(!error.message.contains("secret"), "{error}");
}

#[tokio::test]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_projects_share_locked_or_not() {
    let real = Real::new(|_| {});
    let project = |name: &str| {
        format!(
            "[project]\nname = \"{name}\"\nversion = \"0.0.1\"\nrequires-python = \">=3.12\"\ndependencies = [\"six==1.16.0\"]\n"
        )
    };
    let unlocked = real.prepare(&plugin("unlocked", &[("pyproject.toml", &project("unlocked"))])).await.unwrap();
    let lock = std::fs::read_to_string(unlocked.working_dir.join("uv.lock")).unwrap();
    let again = real.prepare(&plugin("unlocked", &[("pyproject.toml", &project("unlocked"))])).await.unwrap();
    assert_eq!(again, unlocked, "the lock that uv wrote is no change");
    for name in ["one", "two"] {
        let lock = lock.replace("name = \"unlocked\"", &format!("name = \"{name}\""));
        let locked =
            real.prepare(&plugin(name, &[("pyproject.toml", &project(name)), ("uv.lock", &lock)])).await.unwrap();
        assert_eq!(locked.environment, unlocked.environment);
        assert_eq!(python(&locked, "import six; print(six.__version__)"), "1.16.0");
    }
    // A changed wheel under the same name is refused.
    let forged = lock.replace("sha256:8abb2f1d", "sha256:00000000").replace("sha256:1e61c374", "sha256:00000000");
    let mirrored = Real::new(|settings| {
        settings.mirror_url = Some("https://pypi.org/simple".into());
        settings.inherited.insert("UV_NO_CACHE".into(), "1".into());
    });
    let files = [("pyproject.toml", &*project("unlocked")), ("uv.lock", &*forged), ("requirements.txt", "six\n")];
    let error = mirrored.prepare(&plugin("forged", &files)).await.unwrap_err();
    assert_eq!(error.cause, Cause::Resolve, "{error}");
    let files = [("pyproject.toml", &*project("unlocked")), ("uv.lock", &*lock), ("requirements.txt", "six==1.15.0\n")];
    let locked = mirrored.prepare(&plugin("locked", &files)).await.unwrap();
    assert_eq!(python(&locked, "import six; print(six.__version__)"), "1.16.0", "a mirror does not undo the lock");
}

#[tokio::test]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_package_is_installed_and_its_environment_is_its_own() {
    let real = Real::new(|_| {});
    let project = "[project]\nname = \"thing\"\nversion = \"0.0.1\"\ndependencies = []\n\n[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n\n[tool.setuptools]\npackage-dir = { \"\" = \"src\" }\npackages = [\"inner\"]\n";
    let files = [("pyproject.toml", project), ("src/inner/__init__.py", "value = 7\n")];
    let one = real.prepare(&plugin("one", &files)).await.unwrap();
    let two = real.prepare(&plugin("two", &files)).await.unwrap();
    assert_ne!(one.environment, two.environment);
    assert_eq!(
        python(&two, "import inner; print(inner.value, inner.__file__)"),
        format!("7 {}", two.working_dir.join("src/inner/__init__.py").display())
    );
}

#[tokio::test]
#[ignore = "needs uv, Python 3.12 and the package index"]
async fn real_old_sdk_is_patched_and_the_cache_is_not() {
    let real = Real::new(|_| {});
    for version in ["0.0.1b69", "0.1.0"] {
        let name = format!("sdk-{}", version.replace('.', "-"));
        let prepared =
            real.prepare(&plugin(&name, &[("requirements.txt", &format!("dify_plugin=={version}\n"))])).await.unwrap();
        let script = "
import gevent.monkey; gevent.monkey.patch_all()
from dify_plugin.entities.model.llm import LLMResultChunk, LLMResultChunkDelta, LLMResult
from dify_plugin.entities.model.message import AssistantPromptMessage, UserPromptMessage
delta = LLMResultChunkDelta(index=0, message=AssistantPromptMessage(content='a'))
chunk = LLMResultChunk(model='m', prompt_messages=[UserPromptMessage(content='u')], delta=delta)
from dify_plugin.interfaces.model.ai_model import AIModel
from dify_plugin.core.server.stdio.request_reader import StdioRequestReader as Reader
count = AIModel._get_num_tokens_by_gpt2(None, 'x' * 100000)
print(chunk.prompt_messages, count, Reader._read_stream.__name__)
";
        assert_eq!(python(&prepared, script), "[] 100000 _read_blocks");
        let reader = "
import os, sys, json
read, write = os.pipe(); os.dup2(read, 0)
from dify_plugin.core.server.stdio.request_reader import StdioRequestReader
lines = [json.dumps({'session_id': str(n), 'event': 'request', 'data': {'x': 'y' * n}}) for n in (1, 20000, 3)]
os.write(write, ('\\n'.join(lines) + '\\n').encode())
stream = StdioRequestReader()._read_stream()
print([(one.session_id, len(one.data['x'])) for one in (next(stream), next(stream), next(stream))])
";
        assert_eq!(python(&prepared, reader), "[('1', 1), ('20000', 20000), ('3', 3)]");
    }
    let untouched = Real::new(|settings| settings.inherited.extend([("UV_OFFLINE".into(), "1".into())]));
    let target = untouched.dir.path().join("target");
    let uv = untouched.environments.tools.uv().await.unwrap();
    let mut command = std::process::Command::new(uv);
    command.args(["pip", "install", "--no-deps", "dify_plugin==0.1.0", "--target"]).arg(&target);
    command.env_clear().envs(&untouched.environments.tools.variables);
    assert!(command.status().unwrap().success());
    let text = std::fs::read_to_string(target.join("dify_plugin/entities/model/llm.py")).unwrap();
    assert!(!text.contains("added by the plugin daemon"));
}

#[tokio::test]
#[ignore = "needs uv, Python 3.11 and 3.12 on PATH and the package index"]
async fn real_project_gets_the_interpreter_it_requires() {
    let real = Real::new(|_| {});
    let project = "[project]\nname = \"thing\"\nversion = \"0.0.1\"\nrequires-python = \">=3.11,<3.12\"\ndependencies = [\"six==1.16.0\"]\n";
    let old = real.prepare(&plugin("old", &[("pyproject.toml", project)])).await.unwrap();
    assert_eq!(python(&old, "import sys, six; print(sys.version_info[:2], six.__version__)"), "(3, 11) 1.16.0");
    assert_eq!(real.prepare(&plugin("old", &[("pyproject.toml", project)])).await.unwrap(), old);
}

#[tokio::test]
#[ignore = "needs uv and Python 3.12"]
async fn real_wheels_that_come_along_need_no_network() {
    let real = Real::new(|settings| {
        settings.inherited.extend([("UV_OFFLINE".into(), "1".into()), ("UV_NO_CACHE".into(), "1".into())]);
        settings.mirror_detection = Some(MirrorDetection { candidates: Vec::new(), timeout: Duration::from_mins(1) });
    });
    let bundled = plugin("bundled", &[("requirements.txt", "tiny==1.0\n")]);
    let started = Instant::now();
    let error = real.prepare(&bundled).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_mins(1) && error.message.contains("tiny"), "{error}");
    assert_eq!(error.cause, Cause::Network);

    let wheels = real.environments.working_dir(&bundled.0).join("wheels");
    std::fs::create_dir(&wheels).unwrap();
    let script = "
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as wheel:
    wheel.writestr('tiny.py', 'value = 3')
    wheel.writestr('tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')
    wheel.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr('tiny-1.0.dist-info/RECORD', 'tiny.py,,\\ntiny-1.0.dist-info/METADATA,,\\ntiny-1.0.dist-info/WHEEL,,\\ntiny-1.0.dist-info/RECORD,,\\n')
";
    let mut command = std::process::Command::new("python3");
    assert!(command.args(["-c", script]).arg(wheels.join("tiny-1.0-py3-none-any.whl")).status().unwrap().success());
    let prepared = real.prepare(&bundled).await.unwrap();
    assert_eq!(python(&prepared, "import tiny; print(tiny.value)"), "3");
}
