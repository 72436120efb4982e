import hmac
from collections.abc import Mapping
from typing import Any

from dify_plugin.entities.provider_config import CredentialType
from dify_plugin.entities.trigger import EventDispatch, Subscription, UnsubscribeResult
from dify_plugin.errors.trigger import (
    TriggerDispatchError,
    TriggerProviderCredentialValidationError,
    TriggerValidationError,
)
from dify_plugin.interfaces.trigger import Trigger, TriggerSubscriptionConstructor
from werkzeug import Request, Response

# from the type that a webhook names to the event of this plugin
EVENTS = { {{ name|string_literal }}: {{ (name ~ "_event")|string_literal }}}


class {{ class }}Trigger(Trigger):
    def _dispatch_event(self, subscription: Subscription, request: Request) -> EventDispatch:
        """Called for each webhook. Says which events it is about, and what the sender gets for an answer."""
        secret = subscription.properties.get("webhook_secret") if subscription.properties else None
        if secret and not hmac.compare_digest(request.headers.get("X-Webhook-Secret", ""), secret):
            raise TriggerValidationError("the webhook does not carry the right secret")
        payload = request.get_json(silent=True)
        if not isinstance(payload, dict):
            raise TriggerDispatchError("the webhook is not a JSON object")
        event = EVENTS.get(str(payload.get("type")))
        response = Response('{"status": "ok"}', status=200, content_type="application/json")
        return EventDispatch(events=[event] if event else [], response=response, payload=payload)


class {{ class }}SubscriptionConstructor(TriggerSubscriptionConstructor):
    def _validate_api_key(self, credentials: Mapping[str, Any]) -> None:
        """Called when a user saves credentials. Raise if they do not work."""
        if not credentials.get("api_key"):
            raise TriggerProviderCredentialValidationError("an API key is needed")

    def _create_subscription(
        self,
        endpoint: str,
        parameters: Mapping[str, Any],
        credentials: Mapping[str, Any],
        credential_type: CredentialType,
    ) -> Subscription:
        """Register `endpoint` as a webhook here; keep in `properties` what is needed to delete it."""
        properties = {"external_id": "the id that your service gave the webhook"}
        return Subscription(expires_at=-1, endpoint=endpoint, parameters=parameters, properties=properties)

    def _delete_subscription(
        self, subscription: Subscription, credentials: Mapping[str, Any], credential_type: CredentialType
    ) -> UnsubscribeResult:
        """Delete the webhook here."""
        return UnsubscribeResult(success=True, message="the webhook is deleted")

    def _refresh_subscription(
        self, subscription: Subscription, credentials: Mapping[str, Any], credential_type: CredentialType
    ) -> Subscription:
        """Make the webhook live longer here, if it expires at all."""
        return subscription
