from collections.abc import Mapping
from typing import IO

from dify_plugin.errors.model import (
    CredentialsValidateFailedError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
)
from dify_plugin.interfaces.model.speech2text_model import Speech2TextModel


class {{ class }}Speech2TextModel(Speech2TextModel):
    def _invoke(self, model: str, credentials: dict, file: IO[bytes], user: str | None = None) -> str:
        """Writes down what is said in an audio file. This one only weighs it; ask your service instead."""
        return f"audio of {len(file.read())} bytes"

    def validate_credentials(self, model: str, credentials: Mapping) -> None:
        """Called when a user adds a model. Raise if the credentials do not work for it."""
        if not credentials.get("api_key"):
            raise CredentialsValidateFailedError("an API key is needed")

    @property
    def _invoke_error_mapping(self) -> dict[type[InvokeError], list[type[Exception]]]:
        """Which errors of your service mean what to Dify."""
        return {InvokeConnectionError: [ConnectionError], InvokeBadRequestError: [KeyError, ValueError]}
