import hashlib
import math
import time
from collections.abc import Mapping

from dify_plugin import TextEmbeddingModel
from dify_plugin.entities import I18nObject
from dify_plugin.entities.model import (
    AIModelEntity,
    EmbeddingInputType,
    FetchFrom,
    ModelPropertyKey,
    ModelType,
    PriceType,
)
from dify_plugin.entities.model.text_embedding import EmbeddingUsage, TextEmbeddingResult
from dify_plugin.errors.model import (
    CredentialsValidateFailedError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
)


class {{ class }}TextEmbeddingModel(TextEmbeddingModel):
    def _invoke(
        self,
        model: str,
        credentials: dict,
        texts: list[str],
        user: str | None = None,
        input_type: EmbeddingInputType = EmbeddingInputType.DOCUMENT,
    ) -> TextEmbeddingResult:
        """Turns texts into vectors. These depend on the letters alone; ask your service instead."""
        tokens = sum(self.get_num_tokens(model, credentials, texts))
        price = self.get_price(model, credentials, PriceType.INPUT, tokens)
        usage = EmbeddingUsage(
            tokens=tokens,
            total_tokens=tokens,
            unit_price=price.unit_price,
            price_unit=price.unit,
            total_price=price.total_amount,
            currency=price.currency,
            latency=time.perf_counter() - self.started_at,
        )
        return TextEmbeddingResult(model=model, embeddings=[self._vector(text) for text in texts], usage=usage)

    def _vector(self, text: str) -> list[float]:
        """A vector of length 1."""
        numbers = [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()]
        length = math.sqrt(sum(number * number for number in numbers))
        return [number / length for number in numbers]

    def get_num_tokens(self, model: str, credentials: dict, texts: list[str]) -> list[int]:
        """How many tokens each text has; words are a rough guess."""
        return [len(text.split()) for text in texts]

    def validate_credentials(self, model: str, credentials: Mapping) -> None:
        """Called when a user adds a model. Raise if the credentials do not work for it."""
        if not credentials.get("api_key"):
            raise CredentialsValidateFailedError("an API key is needed")

    def get_customizable_model_schema(self, model: str, credentials: Mapping) -> AIModelEntity:
        """What a model can do that users add by name."""
        return AIModelEntity(
            model=model,
            label=I18nObject(en_US=model),
            model_type=ModelType.TEXT_EMBEDDING,
            fetch_from=FetchFrom.CUSTOMIZABLE_MODEL,
            model_properties={ModelPropertyKey.CONTEXT_SIZE: 8192, ModelPropertyKey.MAX_CHUNKS: 16},
        )

    @property
    def _invoke_error_mapping(self) -> dict[type[InvokeError], list[type[Exception]]]:
        """Which errors of your service mean what to Dify."""
        return {InvokeConnectionError: [ConnectionError], InvokeBadRequestError: [KeyError, ValueError]}
