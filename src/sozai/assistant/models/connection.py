"""A model with what every model needs around it: sound messages, the ledger, and an answer of sane size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sozai.assistant.models.base import LanguageModel, Message, Reply, ScriptedModel
from sozai.assistant.models.fence import fenced_in
from sozai.assistant.models.kept import KeptReplies
from sozai.errors import UserError
from sozai.trust.ledger import LEDGER, Place, Sent

MAX_CHARACTERS = 400_000
"""Of one answer."""


class Connection:
    """Asks a model and notes in the ledger what it was sent, before it is sent.

    Args:
        model: of one provider.
        place: where it is.
        key: name of the environment variable whose key goes along.
    """

    def __init__(self, model: LanguageModel, place: Place, key: str = ""):
        self._model, self._place, self._key = model, place, key
        self.name, self.endpoint = model.name, model.endpoint
        self._kept: KeptReplies | None = None

    def keep(self, kept: KeptReplies) -> None:
        """Keep each answer on disk from now on, and ask nothing whose answer is there already."""
        self._kept = kept
        if isinstance(self._model, ScriptedModel):
            self._model.given += kept.count

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 1000,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Reply:
        """See ``LanguageModel.complete``. A schema is also written out under the question: not all obey it."""
        if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
            raise ValueError("the last message must be a question of the user")
        # A lone surrogate, which a broken PDF can yield, is no text that could be sent.
        asked = [Message(one.role, one.content.encode("utf-8", "replace").decode()) for one in messages]
        if schema is not None:
            wish = json.dumps(schema, ensure_ascii=False)
            ending = f"\n\nAnswer with one JSON value that follows this JSON schema, and nothing else:\n{wish}"
            asked[-1] = Message("user", asked[-1].content + ending)
        wanted = {"schema": schema, "max_tokens": max_tokens, "temperature": temperature, "seed": seed}
        question = self._kept.key(asked, **wanted) if self._kept else ""
        if self._kept and (known := self._kept.reply(question)):
            return known
        sent = Sent(
            self.endpoint,
            self.name,
            self._place,
            sum(len(message.content) for message in asked),
            tuple(fenced_in(asked)),
            self._key,
        )
        LEDGER.note(sent)
        if self._kept:
            self._kept.asking(question, asked[-1].content, sent)
        reply = self._model.complete(asked, schema=schema, max_tokens=max_tokens, temperature=temperature, seed=seed)
        if not isinstance(reply.text, str) or not reply.text.strip():
            raise UserError("the answer is empty", f"{self.name} at {self.endpoint}", "ask again or ask another model")
        if len(reply.text) > MAX_CHARACTERS:
            raise UserError(
                f"the answer has {len(reply.text):,} characters, more than any answer should",
                f"{self.name} at {self.endpoint}",
                "ask another model",
            )
        if self._kept:
            self._kept.put(question, reply)
        return reply
