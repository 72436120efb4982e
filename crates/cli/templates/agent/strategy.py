import json
from collections.abc import Generator
from typing import Any

from dify_plugin.entities.agent import AgentInvokeMessage
from dify_plugin.entities.model.llm import LLMModelConfig
from dify_plugin.entities.model.message import (
    AssistantPromptMessage,
    PromptMessage,
    ToolPromptMessage,
    UserPromptMessage,
)
from dify_plugin.interfaces.agent import AgentStrategy, ToolEntity

ToolCall = AssistantPromptMessage.ToolCall
Messages = Generator[AgentInvokeMessage, None, None]


class {{ class }}AgentStrategy(AgentStrategy):
    def _invoke(self, parameters: dict[str, Any]) -> Messages:
        """Asks the model, runs the tools it wants, and asks again, until it wants none."""
        model = parameters["model"]
        config = LLMModelConfig(
            provider=model["provider"],
            model=model["model"],
            mode=model.get("mode") or "chat",
            completion_params=model.get("completion_params") or {},
        )
        tools = {tool.identity.name: tool for tool in map(ToolEntity.model_validate, parameters.get("tools") or [])}
        messages: list[PromptMessage] = [UserPromptMessage(content=str(parameters["query"]))]
        for round_ in range(1, int(parameters.get("maximum_iterations") or 3) + 1):
            status = AgentInvokeMessage.LogMessage.LogStatus.START
            log = self.create_log_message(label=f"ROUND {round_}", data={}, status=status)
            yield log
            text, calls = yield from self._ask(config, messages, list(tools.values()))
            messages.append(AssistantPromptMessage(content=text, tool_calls=calls))
            for call in calls:
                result = self._run(tools.get(call.function.name), call)
                messages.append(ToolPromptMessage(content=result, tool_call_id=call.id, name=call.function.name))
            yield self.finish_log_message(log=log, data={"text": text, "calls": [call.function.name for call in calls]})
            if not calls:
                return

    def _ask(
        self, config: LLMModelConfig, messages: list[PromptMessage], tools: list[ToolEntity]
    ) -> Generator[AgentInvokeMessage, None, tuple[str, list[ToolCall]]]:
        """Passes on what the model says, and collects it."""
        text, calls = "", []
        prompt_tools = self._init_prompt_tools(tools)
        for chunk in self.session.model.llm.invoke(config, messages, tools=prompt_tools or None, stream=True):
            message = chunk.delta.message
            calls.extend(message.tool_calls)
            if isinstance(message.content, str) and message.content:
                text += message.content
                yield self.create_text_message(message.content)
        return text, calls

    def _run(self, tool: ToolEntity | None, call: ToolCall) -> str:
        """What a tool answers, as text for the model."""
        if tool is None:
            return f"there is no tool {call.function.name}"
        try:
            arguments = json.loads(call.function.arguments or "{}")
            answers = self.session.tool.invoke(
                provider_type=tool.provider_type,
                provider=tool.identity.provider,
                tool_name=tool.identity.name,
                parameters={**tool.runtime_parameters, **arguments},
            )
            return "\n".join(answer.message.model_dump_json() for answer in answers if answer.message)
        except Exception as error:  # the model can do something about it, the user cannot
            return f"the tool failed: {error}"
