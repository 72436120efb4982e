"""Builds the images from deploy/docker/Dockerfile, and measures them."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import bases
import engine

NAMES = ("dify-plugin-daemon", "dify", "dify-plugin-connector")
BASES = {"serverless": "SERVERLESS_BASE", "connector": "CONNECTOR_BASE"}
TARGETS = ("local-slim", "local", "serverless", "connector")
MEGABYTE = 1_000_000


@dataclass
class Image:
    target: str
    name: str
    base: str
    seconds: float
    # what is in it, and what of it is the base's, in bytes
    size: int = 0
    base_size: int = 0
    layers: list[tuple[int, str]] = field(default_factory=list)

    @property
    def own(self) -> int:
        return self.size - self.base_size


def lacking(folder: Path) -> str:
    """How to get the programs that a folder lacks; nothing if they are there."""
    names = [name for name in NAMES if not (folder / name).exists()]
    if not names:
        return ""
    return (
        f"{folder} lacks {', '.join(names)}: cargo build --profile dist --package plugin-daemon --features plugin-daemon/full "
        "--bin dify-plugin-daemon --package plugin-cli --bin dify --package plugin-connector "
        "--features plugin-connector/lambda --bin dify-plugin-connector"
    )


def programs(folder: Path) -> str:
    """An image that has the compiled programs in /out, as the stage has that compiles them."""
    name = "localhost/programs:1"
    container = engine.run("buildah", "from", "scratch").strip()
    mounted = Path(engine.run("buildah", "mount", container).strip())
    (mounted / "out").mkdir()
    for program in NAMES:
        # symbols are of no use there, and make those of a debug build large
        engine.run("strip", "-o", mounted / "out" / program, folder / program)
        os.utime(mounted / "out" / program, (0, 0))
    os.utime(mounted / "out", (0, 0))
    engine.run("buildah", "unmount", container)
    engine.run("buildah", "commit", "--quiet", "--rm", "--timestamp", "0", container, name)
    return name


def build(target: str, arguments: dict[str, str]) -> Image:
    engine.say(f"building {target}")
    begun = time.monotonic()
    name = f"localhost/plugin-daemon:{target}"
    bases.bud(
        engine.PROJECT / "deploy/docker/Dockerfile", arguments, engine.PROJECT,
        "--ignorefile", engine.PROJECT / "deploy/docker/Dockerfile.dockerignore", "--target", target, "--tag", name,
    )  # fmt: skip
    base = arguments[BASES.get(target, "RUNNER_BASE")]
    return measure(Image(target, name, base, time.monotonic() - begun))


def content(name: str) -> int:
    return json.loads(engine.podman("image", "inspect", name))[0]["Size"]


def measure(image: Image) -> Image:
    image.size, image.base_size = content(image.name), content(image.base)
    history = json.loads(engine.podman("history", "--no-trunc", "--format", "json", image.name))
    image.layers = [(one["size"], " ".join(one["CreatedBy"].split())) for one in history if one["size"] >= 100_000]
    return image


def all_images(folder: Path, targets: tuple[str, ...], runner: str, serverless: str) -> dict[str, Image]:
    arguments = {
        "RUNNER_BASE": bases.image(runner),
        "SERVERLESS_BASE": bases.image(serverless),
        "CONNECTOR_BASE": bases.with_python(serverless),
        "PROGRAMS": programs(folder),
        # these come from elsewhere than package indexes
        "PYTHON_VERSIONS": "",
        "TIKTOKEN_ENCODINGS": "",
    }
    return {target: build(target, arguments) for target in targets}


def reference(suite: str) -> int:
    """The size of what the reference's local image installs, on the same base."""
    engine.say("building what the reference's image installs")
    bases.bud(bases.FOLDER / "reference.Dockerfile", {"BASE": bases.image(suite)}, bases.FOLDER / "servers", "--tag", "localhost/reference:1")
    return content("localhost/reference:1")
