"""Reads folders of plugins from standard input, one path a line, and prints for each why the SDK does not start it.

Answers are JSON: null, or a text.
"""

import json
import os
import sys
from pathlib import Path

from dify_plugin.core.plugin_registration import PluginRegistration


def error_of(folder: str) -> str | None:
    """Loads the declarations as the SDK does when a plugin starts."""
    registration = PluginRegistration.__new__(PluginRegistration)
    for kind in ("tools", "models", "endpoints", "agent_strategies", "triggers"):
        setattr(registration, f"{kind}_configuration", [])
    registration.datasource_configuration = []
    before = Path.cwd()
    os.chdir(folder)
    try:
        registration._load_plugin_configuration()
    except Exception as error:  # whatever it is, the plugin does not start
        return str(error).replace("\n", " ")[:300] or repr(error)
    finally:
        os.chdir(before)
    return None


def main() -> None:
    # releases of the SDK print
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(error_of(line.rstrip("\n"))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
