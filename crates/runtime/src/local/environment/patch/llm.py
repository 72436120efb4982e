

# The rest of this file is added by the plugin daemon: results do not carry the prompt back to the caller.
from pydantic import field_validator as _field_validator  # noqa: E402


class LLMResultChunk(LLMResultChunk):
    prompt_messages: list[PromptMessage] = Field(default_factory=list)

    @_field_validator("prompt_messages", mode="before")
    @classmethod
    def _drop_prompt_messages(cls, _):
        return []


class LLMResult(LLMResult):
    prompt_messages: list[PromptMessage] = Field(default_factory=list)

    @_field_validator("prompt_messages", mode="before")
    @classmethod
    def _drop_prompt_messages(cls, _):
        return []
