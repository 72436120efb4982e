"""The table of what was run."""

from ways import Row

MEGABYTE = 1_000_000


def table(rows: list[Row]) -> str:
    lines = ["| Image | Way of running | What happened | Isolation | Ready after | Size |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        lines.append(f"| {row.image} | {row.way} | {'; '.join(row.happened)} | {row.level} | {row.ready:.1f} s | {row.size / MEGABYTE:.0f} MB |")
    return "\n".join(lines)


def sizes(images: dict) -> str:
    lines = ["| Image | Size | Over its base | Built in | Layers |", "| --- | --- | --- | --- | --- |"]
    for image in images.values():
        layers = ", ".join(f"{size / MEGABYTE:.0f} {short(command)}" for size, command in image.layers)
        lines.append(f"| {image.target} | {image.size / MEGABYTE:.0f} MB | {image.own / MEGABYTE:.0f} MB | {image.seconds:.0f} s | {layers} |")
    return "\n".join(lines)


def short(command: str) -> str:
    """What a layer is for, from the command that has made it."""
    words = command.split(" in ")[-1] if " in /" in command else ""
    if words:
        return words.split()[0]
    return "packages" if "apt-get" in command else "base"
