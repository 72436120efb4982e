import os
import subprocess
import time

from dify_plugin import Tool

# What a plugin must not read at L1, though its user may.
FOREIGN = ("/app/storage/daemon.db", "/app/entrypoint.sh", "/app/main")


class LookTool(Tool):
    def _invoke(self, tool_parameters):
        yield from getattr(self, tool_parameters["how"])()

    def around(self):
        """Who, when and where this is, and what of the daemon's it can open."""
        with open("/proc/self/status") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        yield self.create_json_message(
            {
                "user": os.getuid(),
                "group": os.getgid(),
                "capabilities": status["CapEff"],
                "no_new_privileges": status["NoNewPrivs"],
                "seccomp_filters": status.get("Seccomp_filters", "?"),
                "zone": time.strftime("%Z"),
                "opened": [path for path in FOREIGN if self.opens(path)],
            }
        )

    def opens(self, path):
        try:
            with open(path, "rb") as file:
                file.read(1)
            return True
        except OSError:
            return False

    def slow(self):
        """An answer that takes four seconds."""
        for number in range(40):
            yield self.create_text_message(str(number))
            time.sleep(0.1)
        yield self.create_json_message({"slow": "done"})

    def orphan(self):
        """Leaves a process behind that ends after this call."""
        subprocess.run(["/bin/sh", "-c", "sleep 1 &"], check=True)
        yield self.create_json_message({"orphan": "left"})

    def hog(self):
        """Takes memory until it is ended."""
        yield self.create_text_message("begun")
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20) * 16))
            time.sleep(0.005)
