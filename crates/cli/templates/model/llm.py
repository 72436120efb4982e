from collections.abc import Generator, Mapping

from dify_plugin import LargeLanguageModel
from dify_plugin.entities import I18nObject
from dify_plugin.entities.model import AIModelEntity, FetchFrom, ModelPropertyKey, ModelType
from dify_plugin.entities.model.llm import LLMMode, LLMResult, LLMResultChunk, LLMResultChunkDelta
from dify_plugin.entities.model.message import AssistantPromptMessage, PromptMessage, PromptMessageTool
from dify_plugin.errors.model import (
    CredentialsValidateFailedError,
    InvokeBadRequestError,
    InvokeConnectionError,
    InvokeError,
)


def text_of(message: PromptMessage) -> str:
    if isinstance(message.content, list):
        return " ".join(getattr(part, "data", "") for part in message.content)
    return message.content or ""


class {{ class }}LargeLanguageModel(LargeLanguageModel):
    def _invoke(
        self,
        model: str,
        credentials: dict,
        prompt_messages: list[PromptMessage],
        model_parameters: dict,
        tools: list[PromptMessageTool] | None = None,
        stop: list[str] | None = None,
        stream: bool = True,
        user: str | None = None,
    ) -> LLMResult | Generator[LLMResultChunk, None, None]:
        """Answers a conversation. This one says again what it was told; ask your service instead."""
        answer = text_of(prompt_messages[-1])
        if stream:
            return self._chunks(model, credentials, prompt_messages, answer)
        usage = self._usage(model, credentials, prompt_messages, answer)
        message = AssistantPromptMessage(content=answer)
        return LLMResult(model=model, prompt_messages=prompt_messages, message=message, usage=usage)

    def _chunks(
        self, model: str, credentials: dict, prompt_messages: list[PromptMessage], answer: str
    ) -> Generator[LLMResultChunk, None, None]:
        words = answer.split(" ")
        for index, word in enumerate(words):
            is_last = index == len(words) - 1
            delta = LLMResultChunkDelta(
                index=index,
                message=AssistantPromptMessage(content=word if is_last else word + " "),
                usage=self._usage(model, credentials, prompt_messages, answer) if is_last else None,
                finish_reason="stop" if is_last else None,
            )
            yield LLMResultChunk(model=model, prompt_messages=prompt_messages, delta=delta)

    def _usage(self, model: str, credentials: dict, prompt_messages: list[PromptMessage], answer: str):
        prompt_tokens = self.get_num_tokens(model, credentials, prompt_messages)
        return self._calc_response_usage(model, credentials, prompt_tokens, len(answer.split()))

    def get_num_tokens(
        self,
        model: str,
        credentials: dict,
        prompt_messages: list[PromptMessage],
        tools: list[PromptMessageTool] | None = None,
    ) -> int:
        """How many tokens a conversation has; words are a rough guess."""
        return sum(len(text_of(message).split()) for message in prompt_messages)

    def validate_credentials(self, model: str, credentials: Mapping) -> None:
        """Called when a user adds a model. Raise if the credentials do not work for it."""
        if not credentials.get("api_key"):
            raise CredentialsValidateFailedError("an API key is needed")

    def get_customizable_model_schema(self, model: str, credentials: Mapping) -> AIModelEntity:
        """What a model can do that users add by name."""
        return AIModelEntity(
            model=model,
            label=I18nObject(en_US=model),
            model_type=ModelType.LLM,
            fetch_from=FetchFrom.CUSTOMIZABLE_MODEL,
            model_properties={ModelPropertyKey.MODE: LLMMode.CHAT.value, ModelPropertyKey.CONTEXT_SIZE: 8192},
            parameter_rules=[],
        )

    @property
    def _invoke_error_mapping(self) -> dict[type[InvokeError], list[type[Exception]]]:
        """Which errors of your service mean what to Dify."""
        return {InvokeConnectionError: [ConnectionError], InvokeBadRequestError: [KeyError, ValueError]}
