from collections.abc import Mapping

from dify_plugin import RerankModel
from dify_plugin.entities import I18nObject
from dify_plugin.entities.model import AIModelEntity, FetchFrom, ModelPropertyKey, ModelType
from dify_plugin.entities.model.rerank import RerankDocument, RerankResult
from dify_plugin.errors.model import (
    CredentialsValidateFailedError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
)


class {{ class }}RerankModel(RerankModel):
    def _invoke(
        self,
        model: str,
        credentials: dict,
        query: str,
        docs: list[str],
        score_threshold: float | None = None,
        top_n: int | None = None,
        user: str | None = None,
    ) -> RerankResult:
        """Puts documents into the order of their worth for a query. This one counts shared words; ask your service."""
        words = set(query.lower().split())
        scored = [
            RerankDocument(index=index, text=doc, score=len(words & set(doc.lower().split())) / max(len(words), 1))
            for index, doc in enumerate(docs)
        ]
        kept = [doc for doc in scored if score_threshold is None or doc.score >= score_threshold]
        kept.sort(key=lambda doc: doc.score, reverse=True)
        return RerankResult(model=model, docs=kept[: top_n or None])

    def validate_credentials(self, model: str, credentials: Mapping) -> None:
        """Called when a user adds a model. Raise if the credentials do not work for it."""
        if not credentials.get("api_key"):
            raise CredentialsValidateFailedError("an API key is needed")
        try:
            self._invoke(model, dict(credentials), query="capital", docs=["the capital", "a hill"])
        except Exception as error:
            raise CredentialsValidateFailedError(str(error)) from error

    def get_customizable_model_schema(self, model: str, credentials: Mapping) -> AIModelEntity:
        """What a model can do that users add by name."""
        return AIModelEntity(
            model=model,
            label=I18nObject(en_US=model),
            model_type=ModelType.RERANK,
            fetch_from=FetchFrom.CUSTOMIZABLE_MODEL,
            model_properties={ModelPropertyKey.CONTEXT_SIZE: 8192},
        )

    @property
    def _invoke_error_mapping(self) -> dict[type[InvokeError], list[type[Exception]]]:
        """Which errors of your service mean what to Dify."""
        return {InvokeConnectionError: [ConnectionError], InvokeBadRequestError: [KeyError, ValueError]}
