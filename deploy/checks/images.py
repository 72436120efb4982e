"""What the Dockerfile says about the project is so: versions, programs, files."""

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

dockerfile = Path("deploy/docker/Dockerfile").read_text()
faults = []


def expect(condition: object, fault: str) -> None:
    if not condition:
        faults.append(fault)


def argument(name: str) -> str:
    found = re.search(rf"^ARG {name}=(\S+)", dockerfile, re.M)
    return found.group(1) if found else ""


toolchain = tomllib.loads(Path("rust-toolchain.toml").read_text())["toolchain"]["channel"]
expect(argument("RUST_VERSION") == toolchain, f"RUST_VERSION is {argument('RUST_VERSION')}, rust-toolchain.toml has {toolchain}")

metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
packages = json.loads(subprocess.run(metadata, check=True, stdout=subprocess.PIPE).stdout)["packages"]
programs = {
    (package["name"], target["name"])
    for package in packages
    for target in package["targets"]
    if "bin" in target["kind"]
}
features = {f"{package['name']}/{feature}" for package in packages for feature in package["features"]}
command = re.sub(r"\\\n\s*", "", dockerfile)
built = re.findall(r"--package (\S+)(?: --features (\S+))? --bin (\S+)", command)
expect(built, "nothing is built")
for package, feature, program in built:
    expect((package, program) in programs, f"there is no program {program} in package {package}")
    expect(not feature or feature in features, f"there is no feature {feature}")

stages = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.M))
for target in ("local", "local-slim", "serverless", "connector"):
    expect(target in stages, f"there is no target {target}")
for stage in re.findall(r"COPY --from=(\S+)", dockerfile):
    expect(stage in stages, f"COPY --from={stage}: there is no such stage")

# what is copied from the project has to be there, and to be let through
let_through = [line[1:] for line in Path("deploy/docker/Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.M):
    *sources, _ = [word for word in line.split() if not word.startswith("--")]
    for source in sources:
        expect(Path(source).exists(), f"COPY {source}: it is not there")
        expect(any(fnmatch(source, pattern) for pattern in let_through), f"COPY {source}: Dockerfile.dockerignore keeps it out")

if faults:
    sys.exit("\n".join(f"deploy/docker/Dockerfile: {fault}" for fault in faults))
