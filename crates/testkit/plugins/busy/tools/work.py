import os
import time

from dify_plugin import Tool

MINUTE = 60


class WorkTool(Tool):
    def _invoke(self, tool_parameters):
        self.file = tool_parameters["file"]
        try:
            yield self.create_text_message("begun")
            yield from getattr(self, tool_parameters["how"])()
            self.tell("done\n")
        finally:
            self.tell("released\n")

    def tell(self, what):
        with open(self.file, "a") as file:
            file.write(what)

    def wait(self):
        """Says nothing for a minute."""
        for _ in range(MINUTE * 50):
            self.tell(".")
            time.sleep(0.02)
        yield self.create_text_message("waited")

    def stream(self):
        """As a model that does not come to an end."""
        while True:
            self.tell(".")
            yield self.create_text_message("word ")
            time.sleep(0.02)

    def flood(self):
        """The same without a pause."""
        while True:
            self.tell(".")
            yield self.create_text_message("word ")

    def steady(self):
        """An answer that takes three seconds."""
        for number in range(60):
            yield self.create_text_message(str(number))
            time.sleep(0.05)

    def store(self):
        """Calls back, over and over."""
        key = self.file.replace("/", "_")
        for number in range(60):
            self.session.storage.set(key, str(number).encode())
            yield self.create_text_message(self.session.storage.get(key).decode())

    def steps(self):
        """Tells its process, then works a moment with calls back."""
        yield self.create_text_message(str(os.getpid()))
        for number in range(5):
            self.session.storage.set("steps", str(number).encode())
            yield self.create_text_message(str(number))
            time.sleep(0.02)

    def swallow(self):
        """Waits whatever happens."""
        end = time.time() + MINUTE
        while time.time() < end:
            try:
                self.tell(".")
                time.sleep(0.02)
            except BaseException:  # noqa: S110
                pass
        yield self.create_text_message("waited")

    def spin(self):
        """Lets nothing else run in this process."""
        end = time.monotonic() + MINUTE
        while time.monotonic() < end:
            pass
        yield self.create_text_message("spun")
