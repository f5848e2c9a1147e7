"""What sozai asks of a language model: one call, text in and text out.

Nothing that a model says is believed: callers check it by code before it counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

LOCAL = "here"
"""Endpoint of a model that runs in this process: nothing leaves it."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Attributes:
        text: as it came.
        model: name of the model, as its endpoint tells it.
        endpoint: where the request went: a URL's host and port, or ``LOCAL``.
        seconds: it took.
        tokens: ``{"in": ..., "out": ...}`` where the endpoint counts them.
        cut: the answer is not whole: it came to the end of ``max_tokens``.
    """

    text: str
    model: str
    endpoint: str
    seconds: float = 0.0
    tokens: Mapping[str, int] = field(default_factory=dict)
    cut: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class LanguageModel(Protocol):
    """A model of any provider; see ``sozai.assistant.models.connect``."""

    name: str
    endpoint: str

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 1000,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Reply:
        """Answer a conversation.

        Args:
            messages: so far; the last is the user's.
            schema: JSON schema the answer is asked to have. A wish: the answer must still be checked.
            max_tokens: of the answer.
            temperature: 0: the likeliest answer.
            seed: where the endpoint takes one.

        Raises:
            UserError: the endpoint cannot be reached, refuses the key, takes too long, or sends no answer.
        """
        ...


class ScriptedModel:
    """Gives prepared answers, in turn, and keeps what it was asked; for tests and demonstrations.

    Args:
        replies: texts, or functions of the messages; an exception is raised. The last one is repeated.
        name: of the model.

    Attributes:
        asked: the conversations, in order.
        given: answers that were given in an earlier attempt of the same run: it goes on after them.
    """

    endpoint = LOCAL

    def __init__(self, replies: Sequence[str | Exception | Callable[[Sequence[Message]], str]], name: str = "scripted"):
        self.name, self.replies = name, list(replies)
        self.asked: list[list[Message]] = []
        self.given = 0

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 1000,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Reply:
        """The next prepared answer."""
        reply = self.replies[min(self.given + len(self.asked), len(self.replies) - 1)]
        self.asked.append(list(messages))
        if isinstance(reply, Exception):
            raise reply
        return Reply(reply if isinstance(reply, str) else reply(messages), self.name, self.endpoint)
