"""Images of PostgreSQL and Redis under the names that compose files give them, made of Debian's packages."""

import bases
import engine

HERE = engine.PROJECT / "deploy/checks/containers/servers"


def build(suite: str, *names: str) -> None:
    engine.say("building PostgreSQL and Redis")
    proxies = [word for name, value in bases.proxies().items() for word in ("--build-arg", f"{name}={value}")]
    engine.run(
        "buildah", "bud", "--isolation", "chroot", "--pull-never", "--format", "docker", "--layers", *proxies,
        "--build-arg", f"BASE={bases.image(suite)}", "--tag", "localhost/servers:1", HERE,
    )  # fmt: skip
    for name in names:
        engine.run("buildah", "tag", "localhost/servers:1", f"localhost/{name}")
