from collections.abc import Mapping
from typing import Any

from dify_plugin.errors.tool import ToolProviderCredentialValidationError
from dify_plugin.interfaces.datasource import DatasourceProvider


class {{ class }}DatasourceProvider(DatasourceProvider):
    def _validate_credentials(self, credentials: Mapping[str, Any]) -> None:
        """Called when a user saves credentials. Raise if they do not work."""
        if not credentials.get("token"):
            raise ToolProviderCredentialValidationError("a token is needed")
