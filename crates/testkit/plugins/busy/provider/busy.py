from dify_plugin import ToolProvider


class BusyProvider(ToolProvider):
    def _validate_credentials(self, credentials):
        """Work needs no credentials."""
