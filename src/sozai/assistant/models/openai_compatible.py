"""Models behind an OpenAI-compatible endpoint: OpenAI, Ollama, vLLM, llama.cpp, ``transformers serve`` ..."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sozai.assistant.models.base import Message, Reply
from sozai.assistant.models.http import Endpoint, Refused, Wire, whole
from sozai.errors import UserError

DEFAULT = "https://api.openai.com/v1"


class OpenAICompatible:
    """Chat completions by the official client.

    Args:
        name: of the model, as the endpoint calls it.
        endpoint: where to.
        key: sent as bearer token; empty: none is sent.
        timeout: seconds for one answer, retries included.
    """

    def __init__(self, name: str, endpoint: Endpoint, key: str, timeout: float):
        import openai

        self.name, self.endpoint = name, endpoint.name
        self._wire = Wire(openai, endpoint, timeout, key)
        self._client: Any = openai.OpenAI(
            api_key=key or "none", base_url=endpoint.url, max_retries=0, http_client=self._wire.http_client()
        )
        self._headers = {} if key else {"Authorization": openai.Omit()}
        self._not_taken: dict[str, str] = {}

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 1000,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Reply:
        """See ``LanguageModel.complete``. What an endpoint refuses (schema, seed, temperature) is left out."""
        wishes: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        if schema is not None:
            wishes["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": dict(schema), "strict": _strict(schema)},
            }
        begun = time.monotonic()
        while True:
            taken = {self._not_taken.get(key, key): value for key, value in wishes.items()}
            taken.pop("", None)
            try:
                answer = self._wire.ask(partial(self._send, messages, taken))
            except Refused as error:
                if not self._leave_out(error.what, taken):
                    raise
            else:
                return self._reply(answer, time.monotonic() - begun)

    def _send(self, messages: Sequence[Message], wishes: Mapping[str, Any], seconds: float) -> Any:
        return self._client.chat.completions.with_raw_response.create(
            model=self.name,
            messages=[{"role": message.role, "content": message.content} for message in messages],
            timeout=seconds,
            extra_headers=self._headers,
            **wishes,
        )

    def _leave_out(self, said: str, taken: Mapping[str, Any]) -> bool:
        """Take the parameter that a refusal names out of this and later requests; whether there is one."""
        if "max_tokens" in taken and "max_completion_tokens" in said:
            self._not_taken["max_tokens"] = "max_completion_tokens"
            return True
        for key, words in _WORDS.items():
            if key in taken and any(word in said.lower() for word in words):
                self._not_taken[key] = ""
                return True
        if "response_format" in taken:  # the wish that most endpoints stumble over, some without naming it
            self._not_taken["response_format"] = ""
            return True
        return False

    def _reply(self, answer: Mapping[str, Any], seconds: float) -> Reply:
        choices = answer.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = choice.get("message") if isinstance(choice, Mapping) else None
        if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
            raise UserError("answers without a message in it", self.endpoint, "name an OpenAI-compatible endpoint")
        content, refusal = message.get("content"), message.get("refusal")
        if isinstance(content, list):  # some servers send parts
            content = "".join(
                part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)
            )
        if not content and isinstance(refusal, str) and refusal:
            raise UserError(f"the model declines to answer: {' '.join(refusal.split())[:300]}", self.endpoint)
        if not content and choice.get("finish_reason") == "length":
            raise UserError("the model used up its tokens before it answered", self.endpoint, "allow it more tokens")
        if content is not None and not isinstance(content, str):
            raise UserError(f"the answer is a {type(content).__name__} where text is due", self.endpoint)
        usage = answer.get("usage")
        usage = usage if isinstance(usage, Mapping) else {}
        model = answer.get("model")
        return Reply(
            content or "",
            model[:200] if isinstance(model, str) and model else self.name,
            self.endpoint,
            seconds,
            {"in": whole(usage.get("prompt_tokens")), "out": whole(usage.get("completion_tokens"))},
            cut=choice.get("finish_reason") == "length",
        )


_WORDS = {
    "response_format": (
        "response_format",
        "response format",
        "json_schema",
        "json schema",
        "structured output",
        "grammar",
    ),
    "temperature": ("temperature",),
    "seed": ("seed",),
    "max_tokens": ("max_tokens",),
}
"""By parameter: words in a refusal that tell it is this one."""


def _strict(schema: Any) -> bool:
    """Whether a schema is of the kind that OpenAI guarantees: closed objects whose properties are all required."""
    if isinstance(schema, Mapping):
        if schema.get("type") == "object":
            closed = schema.get("additionalProperties") is False
            if not closed or set(schema.get("required", ())) != set(schema.get("properties", {})):
                return False
        return all(_strict(part) for part in schema.values())
    return all(_strict(part) for part in schema) if isinstance(schema, list) else True
