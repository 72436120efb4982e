"""Base images without a registry: an empty Debian, with what this machine has configured for package indexes."""

import os
import shutil
import subprocess
from pathlib import Path

import engine

# Where the machine says how packages are reached: mirrors, proxies, authorities.
FILES = ("/etc/pip.conf", "/etc/uv/uv.toml", "/etc/apt/apt.conf.d/proxy.conf")
AUTHORITIES = "/usr/local/share/ca-certificates"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX")
FOLDER = engine.PROJECT / "deploy/checks/containers"


def proxies() -> dict[str, str]:
    """Of this machine; for steps of builds, too, where these names need no declaration."""
    return {name: value for name, value in os.environ.items() if name.lower() in PROXIES}


def variables() -> dict[str, str]:
    """What installs of plugins need on this machine. Its own authorities are those that ca-certificates finds in the base."""
    found = proxies() | {name: os.environ[name] for name in INDEXES if name in os.environ}
    return found | ({"SSL_CERT_FILE": CERTIFICATES, "REQUESTS_CA_BUNDLE": CERTIFICATES} if own_authorities() else {})


def own_authorities() -> list[Path]:
    return sorted(Path(AUTHORITIES).rglob("*.crt"))


def bud(file: Path, arguments: dict[str, str], context: Path, *options: object) -> None:
    given = [word for key, value in (arguments | proxies()).items() for word in ("--build-arg", f"{key}={value}")]
    engine.run("buildah", "bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "--layers", *given, "--file", file, *options, context)


def with_python(suite: str) -> str:
    """An image of that release with Debian's Python."""
    name = f"localhost/python:{suite}"
    engine.say(f"building Debian {suite} with Python")
    bud(FOLDER / "python.Dockerfile", {"BASE": image(suite)}, FOLDER / "servers", "--tag", name)
    return name


def image(suite: str) -> str:
    """An image of a release of Debian; kept for the next time."""
    name = f"localhost/debian:{suite}"
    known = subprocess.run(["podman", "image", "exists", name])
    if known.returncode == 0:
        return name
    engine.say(f"making an empty Debian {suite}")
    root = engine.PLACE / f"base-{suite}"
    shutil.rmtree(root, ignore_errors=True)
    engine.run("debootstrap", "--variant=minbase", suite, root)
    slim(root)
    for file in [Path(file) for file in FILES if Path(file).exists()] + own_authorities():
        place = root / file.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    container = engine.run("buildah", "from", "scratch").strip()
    engine.run("buildah", "copy", "--quiet", container, root, "/")
    index = [word for name in INDEXES if name in os.environ for word in ("--env", f"{name}={os.environ[name]}")]
    engine.run("buildah", "config", "--cmd", "/bin/bash", *index, container)
    engine.run("buildah", "commit", "--quiet", "--rm", container, name)
    shutil.rmtree(root)
    return name


# Neither packages nor apt's caches stay in a layer.
CLEAN = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Languages "none";
"""


def slim(root: Path) -> None:
    """As the published slim images of Debian are: without documentation, translations and lists of packages."""
    (root / "etc/apt/apt.conf.d/docker-clean").write_text(CLEAN)
    (root / "etc/dpkg/dpkg.cfg.d/docker").write_text(
        "".join(f"path-exclude /usr/share/{name}/*\n" for name in ("doc", "groff", "info", "linda", "lintian", "locale", "man"))
        + "path-include /usr/share/doc/*/copyright\n"
    )
    for name in ("doc", "info", "locale", "man"):
        for path in sorted((root / "usr/share" / name).rglob("*"), reverse=True):
            if not path.is_dir() and path.name != "copyright":
                path.unlink()
    for folder in ("var/lib/apt/lists", "var/cache/apt/archives"):
        shutil.rmtree(root / folder)
        (root / folder / "partial").mkdir(parents=True)
