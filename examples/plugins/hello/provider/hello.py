from typing import Any

from dify_plugin import ToolProvider


class HelloProvider(ToolProvider):
    def _validate_credentials(self, credentials: dict[str, Any]) -> None:
        """Greeting needs no credentials."""
