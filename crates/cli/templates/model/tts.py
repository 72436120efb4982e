import io
import math
import struct
import wave
from collections.abc import Generator, Mapping

from dify_plugin import TTSModel
from dify_plugin.errors.model import (
    CredentialsValidateFailedError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
)

RATE = 8000  # samples a second


class {{ class }}TTSModel(TTSModel):
    def _invoke(
        self,
        model: str,
        tenant_id: str,
        credentials: dict,
        content_text: str,
        voice: str,
        user: str | None = None,
    ) -> bytes | Generator[bytes, None, None]:
        """Speaks a text. This one beeps once a word; ask your service instead. A generator is sent piece by piece."""
        audio = io.BytesIO()
        with wave.open(audio, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            for _ in content_text.split():
                samples = (int(8000 * math.sin(2 * math.pi * 440 * at / RATE)) for at in range(RATE // 10))
                file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples) + bytes(RATE // 5))
        return audio.getvalue()

    def validate_credentials(self, model: str, credentials: Mapping) -> None:
        """Called when a user adds a model. Raise if the credentials do not work for it."""
        if not credentials.get("api_key"):
            raise CredentialsValidateFailedError("an API key is needed")

    @property
    def _invoke_error_mapping(self) -> dict[type[InvokeError], list[type[Exception]]]:
        """Which errors of your service mean what to Dify."""
        return {InvokeConnectionError: [ConnectionError], InvokeBadRequestError: [KeyError, ValueError]}
