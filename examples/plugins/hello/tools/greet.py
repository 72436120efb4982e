import time
from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage


class GreetTool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        for word in f"Hello, {tool_parameters['name']}! This answer comes word by word.".split():
            yield self.create_text_message(f"{word} ")
            time.sleep(0.1)
        yield self.create_json_message({"greeted": tool_parameters["name"]})
