from collections.abc import Mapping
from typing import Any

from dify_plugin.entities.trigger import Variables
from dify_plugin.errors.trigger import EventIgnoreError
from dify_plugin.interfaces.trigger import Event
from werkzeug import Request


class {{ class }}TriggerEvent(Event):
    def _on_event(self, request: Request, parameters: Mapping[str, Any], payload: Mapping[str, Any]) -> Variables:
        """Turns a webhook into the variables that `output_schema` declares, or ignores it."""
        message = str(payload.get("message", ""))
        wanted = parameters.get("sample_filter")
        if wanted and wanted not in message:
            raise EventIgnoreError
        return Variables(variables={"message": message, "raw_event": dict(payload)})
