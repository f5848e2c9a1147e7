"""A language model words the answer; its sentences count only with quotes that support them by a check of code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sozai.assistant.answers.evidence import Answer, Citation, Statement
from sozai.assistant.answers.names import Aliases
from sozai.assistant.answers.support import unsupported
from sozai.assistant.models.base import LanguageModel, Message
from sozai.assistant.models.fence import RULE, fence
from sozai.assistant.models.reading import read_json
from sozai.errors import UserError

_QUOTES = 24
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["sentences"],
    "properties": {
        "sentences": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["text", "quotes"],
                "properties": {"text": {"type": "string"}, "quotes": {"type": "array", "items": {"type": "integer"}}},
            },
        }
    },
}
_TASK = (
    "You word answers for materials scientists. Use only the numbered quotes. Write one to eight short sentences; "
    "after each, give the numbers of the quotes that support it. Copy numbers, units and names of materials exactly. "
    "A sentence that its quotes do not support will be thrown away. "
    'Reply with JSON: {"sentences": [{"text": "...", "quotes": [1]}]}. '
)


def word(made: Answer, model: LanguageModel, aliases: Aliases) -> Answer:
    """The answer with sentences of a model in front, those that the check let through; the others are listed.

    A model that fails or replies nonsense changes nothing but ``dropped`` and ``models``.
    """
    quotes = list(dict.fromkeys(made.citations()))[:_QUOTES]
    shown = "\n".join(f"Quote {number}:\n{fence(quote.quote, quote.name)}" for number, quote in enumerate(quotes, 1))
    messages = [
        Message("system", _TASK + RULE),
        Message("user", f"{shown}\n\nQuestion: {made.question}"),
    ]
    told: dict[str, Any] = {"model": model.name, "endpoint": model.endpoint}
    try:
        reply = model.complete(messages, schema=SCHEMA, max_tokens=1200)
        sentences = read_json(reply.text, SCHEMA).value["sentences"]
    except (UserError, ValueError, KeyError, TypeError, RecursionError) as error:
        said = error.sentence() if isinstance(error, UserError) else str(error)
        return replace(made, models=[*made.models, told | {"problem": " ".join(said.split())[:300]}])
    kept, dropped = _judged(sentences, quotes, aliases, model.name)
    return replace(
        made, statements=(*kept, *made.statements), dropped=(*made.dropped, *dropped), models=[*made.models, told]
    )


def _judged(
    sentences: Sequence[Mapping[str, Any]], quotes: Sequence[Citation], aliases: Aliases, name: str
) -> tuple[list[Statement], list[Statement]]:
    kept, dropped = [], []
    for item in sentences[:20]:
        text = " ".join(str(item.get("text", "")).split())[:600]
        numbers = [number for number in item.get("quotes", []) if isinstance(number, int)]
        cited = tuple(quotes[number - 1] for number in dict.fromkeys(numbers) if 1 <= number <= len(quotes))
        if not text:
            continue
        reasons = unsupported(text, [quote.quote for quote in cited], aliases)
        if reasons:
            dropped.append(Statement(text, cited, "not supported", f"worded by {name}; {'; '.join(reasons)}"))
        else:
            kept.append(Statement(text, cited, "quote", f"worded by {name}; numbers, names and words checked by code"))
    return kept, dropped
