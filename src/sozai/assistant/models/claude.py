"""Models of Anthropic by the official client."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sozai.assistant.models.base import Message, Reply
from sozai.assistant.models.http import Endpoint, Refused, Wire, whole
from sozai.errors import UserError

DEFAULT = "https://api.anthropic.com"


class Anthropic:
    """The messages interface.

    Args:
        name: of the model.
        endpoint: where to.
        key: of the account.
        timeout: seconds for one answer, retries included.
    """

    def __init__(self, name: str, endpoint: Endpoint, key: str, timeout: float):
        import anthropic

        self.name, self.endpoint = name, endpoint.name
        self._wire = Wire(anthropic, endpoint, timeout, key)
        self._client: Any = anthropic.Anthropic(
            api_key=key, base_url=endpoint.url, max_retries=0, http_client=self._wire.http_client()
        )
        self._not_taken: set[str] = set()

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 1000,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Reply:
        """See ``LanguageModel.complete``; there is no seed here. Refused wishes are left out."""
        # By name in extra_body, not as arguments: older clients do not know the newer wishes.
        wishes: dict[str, Any] = {"temperature": temperature}
        if schema is not None:
            wishes["output_config"] = {"format": {"type": "json_schema", "schema": dict(schema)}}
        if system := "\n\n".join(message.content for message in messages if message.role == "system"):
            wishes["system"] = system
        begun = time.monotonic()
        while True:
            taken = {key: value for key, value in wishes.items() if key not in self._not_taken}
            try:
                answer = self._wire.ask(partial(self._send, messages, max_tokens, taken))
            except Refused as error:
                said = error.what.lower()
                named = [key for key, words in _WORDS.items() if key in taken and any(word in said for word in words)]
                if not named:
                    raise
                self._not_taken.update(named)
            else:
                return self._reply(answer, time.monotonic() - begun)

    def _send(self, messages: Sequence[Message], max_tokens: int, wishes: Mapping[str, Any], seconds: float) -> Any:
        return self._client.messages.with_raw_response.create(
            model=self.name,
            max_tokens=max_tokens,
            messages=[
                {"role": message.role, "content": message.content} for message in messages if message.role != "system"
            ],
            timeout=seconds,
            extra_body=wishes,
        )

    def _reply(self, answer: Mapping[str, Any], seconds: float) -> Reply:
        parts = answer.get("content")
        if not isinstance(parts, list):
            raise UserError("answers without content in it", self.endpoint, "name an endpoint of Anthropic's kind")
        text = "".join(
            part["text"]
            for part in parts
            if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
        )
        if not text and answer.get("stop_reason") == "refusal":
            raise UserError("the model declines to answer", self.endpoint)
        if not text and answer.get("stop_reason") == "max_tokens":
            raise UserError("the model used up its tokens before it answered", self.endpoint, "allow it more tokens")
        usage = answer.get("usage")
        usage = usage if isinstance(usage, Mapping) else {}
        model = answer.get("model")
        return Reply(
            text,
            model[:200] if isinstance(model, str) and model else self.name,
            self.endpoint,
            seconds,
            {"in": whole(usage.get("input_tokens")), "out": whole(usage.get("output_tokens"))},
            cut=answer.get("stop_reason") == "max_tokens",
        )


_WORDS = {"output_config": ("output_config", "output_format", "schema", "structured"), "temperature": ("temperature",)}
"""By wish: words in a refusal that tell it is this one."""
