from typing import Any

from dify_plugin import ToolProvider
from dify_plugin.errors.tool import ToolProviderCredentialValidationError


class {{ class }}Provider(ToolProvider):
    def _validate_credentials(self, credentials: dict[str, Any]) -> None:
        """Called when a user saves credentials. Raise if they do not work."""
        if credentials.get("api_key") == "invalid":  # ask your service instead
            raise ToolProviderCredentialValidationError("the service does not accept this key")

    # For services that users sign in to. Both methods below need an `oauth_schema` in the provider's YAML file, and
    #     from collections.abc import Mapping
    #     from dify_plugin.entities.oauth import ToolOAuthCredentials
    #     from werkzeug import Request
    #
    # def _oauth_get_authorization_url(self, redirect_uri: str, system_credentials: Mapping[str, Any]) -> str:
    #     """Where the user signs in."""
    #     return f"https://example.com/authorize?redirect_uri={redirect_uri}"
    #
    # def _oauth_get_credentials(
    #     self, redirect_uri: str, system_credentials: Mapping[str, Any], request: Request
    # ) -> ToolOAuthCredentials:
    #     """Turns the code that came back into credentials."""
    #     return ToolOAuthCredentials(credentials={"access_token": request.args["code"]}, expires_at=-1)
    #
    # def _oauth_refresh_credentials(
    #     self, redirect_uri: str, system_credentials: Mapping[str, Any], credentials: Mapping[str, Any]
    # ) -> ToolOAuthCredentials:
    #     """Makes new credentials of old ones."""
    #     return ToolOAuthCredentials(credentials=dict(credentials), expires_at=-1)
