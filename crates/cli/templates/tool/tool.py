from collections.abc import Generator
from typing import Any

from dify_plugin import Tool
from dify_plugin.entities.tool import ToolInvokeMessage


class {{ class }}Tool(Tool):
    def _invoke(self, tool_parameters: dict[str, Any]) -> Generator[ToolInvokeMessage, None, None]:
        """Called with the parameters that the YAML file declares. Yield as many messages as you like."""
        query = tool_parameters["query"]
        yield self.create_json_message({"query": query, "result": f"nothing is known of {query} yet"})
