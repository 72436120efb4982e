from dify_plugin import ModelProvider
from dify_plugin.errors.model import CredentialsValidateFailedError


class {{ class }}ModelProvider(ModelProvider):
    def validate_provider_credentials(self, credentials: dict) -> None:
        """Called when a user saves credentials. Raise if they do not work."""
        if not credentials.get("api_key"):  # ask your service instead
            raise CredentialsValidateFailedError("an API key is needed")
