"""Builds the images and runs them as their users do: `python3 deploy/checks/containers [--full] [--programs FOLDER]`.

The short form builds local-slim, serverless and connector and runs each in the way that asks most of it. The full form is what a
release is looked at with: all four images, every way of running, compose, the chart, the systemd unit, and a table of it all.

Needs root and Debian's packages buildah, podman and others, which it names. Base images are made by debootstrap: they are
Debian's, whose Python is another one than that of the public images, and have neither further Pythons nor the tables of tiktoken.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import build
import compose
import engine
import machine
import pair
import shapes
import surroundings
import table
import ways
from engine import Fault, say

# In bytes: of an image, or of what it adds to its base.
LIMITS = {"local-slim": ("size", 250_000_000), "serverless": ("own", 60_000_000), "connector": ("own", 60_000_000)}
PROBE = engine.PROJECT / "deploy/checks/containers/probe"
RUNNER, SERVERLESS = "trixie", "bookworm"


def check_sizes(images: dict) -> None:
    for target, (what, most) in LIMITS.items():
        found = getattr(images[target], what)
        if found > most:
            raise Fault(f"{target} has {found / 1e6:.0f} MB, more than {most / 1e6:.0f}:\n{table.sizes({target: images[target]})}")


def short(programs: Path, rows: list) -> None:
    images = build.all_images(programs, ("local-slim", "serverless", "connector"), RUNNER, RUNNER)
    print(table.sizes(images), flush=True)
    slim = images["local-slim"]
    plugin = ways.package(slim.name, PROBE)
    for way in ways.short():
        rows.append(ways.go("local-slim", slim.name, slim.size, way, plugin))
    for way in pair.short():
        rows += pair.go(images["serverless"], images["connector"], way, plugin)


def in_every_way(images: dict, plugin: Path, rows: list) -> None:
    for target in ("local-slim", "local"):
        image = images[target]
        for way in ways.every():
            rows.append(ways.go(target, image.name, image.size, way, plugin))
    slim = images["local-slim"]
    others = [surroundings.without_landlock(), ways.without_network(ways.wheels_for(slim.name, PROBE))]
    rows += [ways.go("local-slim", slim.name, slim.size, way, plugin) for way in others]
    for surrounded in (surroundings.behind_proxy, surroundings.slow_disk):
        with surrounded() as way:
            rows.append(ways.go("local-slim", slim.name, slim.size, way, plugin))
    rows.append(surroundings.refused_volume("local-slim", slim, "1001:1001"))
    rows.append(surroundings.refused_volume("serverless", images["serverless"], "1000:1000"))
    for way in pair.every():
        rows += pair.go(images["serverless"], images["connector"], way, plugin)


def full(programs: Path, rows: list) -> None:
    images = build.all_images(programs, build.TARGETS, RUNNER, SERVERLESS)
    begun = time.monotonic()
    build.all_images(programs, build.TARGETS, RUNNER, SERVERLESS)
    cached = time.monotonic() - begun
    if cached > 60:
        raise Fault(f"building all images from cache takes {cached:.0f} s")
    reference = build.reference(RUNNER)
    print(f"{table.sizes(images)}\n\nOnce more from cache: {cached:.0f} s. The reference's packages on the same base: {reference / 1e6:.0f} MB.", flush=True)
    check_sizes(images)
    if images["local"].size > reference:
        raise Fault(f"local has {images['local'].size / 1e6:.0f} MB, what the reference installs {reference / 1e6:.0f}")
    plugin = ways.package(images["local-slim"].name, PROBE)
    in_every_way(images, plugin, rows)
    rows += compose.go(images["local-slim"], SERVERLESS, plugin)
    rows += shapes.go(images, plugin)
    rows.append(machine.go(programs, plugin))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every image in every way, compose, the chart, systemd")
    parser.add_argument("--programs", type=Path, default=engine.PROJECT / "target/dist", help="folder of what is compiled: target/dist")
    parser.add_argument("--keep", action="store_true", help="leave images and storage in .dev/containers")
    options = parser.parse_args()
    options.programs = options.programs.resolve()
    why = engine.missing() or build.lacking(options.programs)
    if why:
        text = f"containers are not checked: {why}"
        if options.full or os.environ.get("REQUIRE_SERVERS") == "1":
            sys.exit(text)
        say(text)
        return
    engine.prepare()
    begun = time.monotonic()
    rows: list = []
    try:
        (full if options.full else short)(options.programs, rows)
    except Fault as fault:
        sys.exit(f"containers: {fault}")
    finally:
        # what was seen until something failed, too
        print(table.table(rows), flush=True)
    say(f"containers: {len(rows)} ways of running, {time.monotonic() - begun:.0f} s")
    if not options.keep:
        engine.remove()


main()
