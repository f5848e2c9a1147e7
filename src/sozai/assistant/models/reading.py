"""JSON out of what a model said, which is rarely only JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sozai.errors import UserError

MAX_CHARACTERS = 200_000
MAX_DEPTH = 40
_TRIES = 50
"""Places in a prose text at which JSON may begin that are looked at."""


class ReplyError(UserError):
    """A reply that cannot be used; its sentence is fit to be sent back to the model."""


@dataclass(frozen=True)
class Json:
    """A value read from a reply.

    Attributes:
        value: plain JSON types.
        notices: what was passed over or mended to get at it, for a person.
    """

    value: Any
    notices: tuple[str, ...] = ()


def read_json(
    text: str,
    schema: Mapping[str, Any] | None = None,
    *,
    max_characters: int = MAX_CHARACTERS,
    max_depth: int = MAX_DEPTH,
) -> Json:
    """The one JSON object or list in a reply.

    It may stand alone, in a fenced block, or between words; thoughts in ``<think>`` are passed over. Trailing commas
    are mended with a notice. Numbers that are not finite and keys that stand twice are refused, as are several values
    that differ, unless the schema tells which is meant: nothing is guessed.

    Args:
        text: as the model sent it.
        schema: JSON schema that the value must follow.
        max_characters: of the text.
        max_depth: of brackets within brackets.

    Raises:
        ReplyError: there is no such value, it is cut off, or it does not follow the schema; with what to do about it.
    """
    if len(text) > max_characters:
        raise ReplyError(f"the reply has {len(text):,} characters; at most {max_characters:,} are read")
    notices: list[str] = []
    body = _THOUGHT.sub("", text, count=1).strip()
    if len(body) < len(text.strip()):
        notices.append("thoughts before the answer were passed over")
    found, problem = _values(body, max_depth, notices)
    if not found:
        raise ReplyError(problem or "there is no JSON object or list in the reply", mend="answer with the JSON only")
    judged = [(value, _faults(value, schema)) for value in found]
    sound = [value for value, faults in judged if not faults]
    if not sound:
        faults = judged[0][1]
        raise ReplyError(f"the JSON does not follow the schema: {'; '.join(faults[:5])}", mend="correct it")
    if any(value != sound[0] for value in sound[1:]):
        raise ReplyError("the reply holds several JSON values that differ", mend="answer with one JSON value only")
    if len(found) > len(sound):
        notices.append(f"{len(found) - len(sound)} JSON values that do not follow the schema were passed over")
    return Json(sound[0], tuple(notices))


_THOUGHT = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*(\w*)[ \t]*")
_TRAILING = re.compile(r'("(?:[^"\\]|\\.)*")|,(\s*[}\]])', re.DOTALL)


def _values(body: str, max_depth: int, notices: list[str]) -> tuple[list[Any], str]:
    """Objects and lists in a text, and what is wrong with it where there are none."""
    blocks = _blocks(body)
    found: list[Any] = []
    problem = ""
    for piece in blocks:
        try:
            found.append(_parse(piece, max_depth, notices))
        except ReplyError as error:
            problem = problem or error.what
    if not blocks:
        found, problem = _in_prose(body, max_depth, notices)
    values = [value for value in found if isinstance(value, dict | list)]
    if values and (blocks or len(values) > 1 or not (body[:1] in "{[" and body[-1:] in "}]")):
        notices.append("words around the JSON were passed over")
    return values, problem


def _blocks(body: str) -> list[str]:
    """The contents of closed fenced blocks that are named JSON or not named."""
    blocks: list[str] = []
    lines: list[str] = []
    mark = kind = ""
    for line in body.split("\n"):
        fence = _FENCE.fullmatch(line)
        if not mark:
            if fence:
                mark, kind, lines = fence[1], fence[2].lower(), []
        elif fence and fence[1] == mark and not fence[2]:
            if kind in ("", "json", "jsonc", "json5"):
                blocks.append("\n".join(lines))
            mark = ""
        else:
            lines.append(line)
    return blocks


def _parse(piece: str, max_depth: int, notices: list[str]) -> Any:
    piece = piece.strip()
    _check_depth(piece, max_depth)
    try:
        return _DECODER.decode(piece)
    except RecursionError:
        raise ReplyError("the JSON is nested too deeply") from None
    except ValueError as error:
        mended = _TRAILING.sub(lambda match: match[1] or match[2], piece)
        if mended != piece:
            try:
                value = _DECODER.decode(mended)
            except ValueError:
                pass
            else:
                notices.append("trailing commas were taken out")
                return value
        raise ReplyError(_reason(error, piece)) from None


def _in_prose(body: str, max_depth: int, notices: list[str]) -> tuple[list[Any], str]:
    """Values at the outermost brackets in a text of words.

    A broken one ends the search: its parts are no answer.
    """
    place = 0
    found: list[Any] = []
    for _ in range(_TRIES):
        opening = _OPENING.search(body, place)
        if opening is None:
            break
        start = opening.start()
        try:
            _check_depth(body[start:], max_depth)
            value, place = _DECODER.raw_decode(body, start)
        except (ValueError, RecursionError, ReplyError):
            if not _SURELY.match(body, start):
                place = start + 1
                continue
            end = body.rfind("}" if opening[0] == "{" else "]", start)
            try:
                return [*found, _parse(body[start : end + 1] if end > 0 else body[start:], max_depth, notices)], ""
            except ReplyError as error:
                return [], error.what
        if isinstance(value, dict) or not value or any(isinstance(item, dict) for item in value):
            found.append(value)  # a list of plain items is as likely a citation, such as [1]
    if not found and body[:1] == "[":
        try:
            return [_parse(body, max_depth, notices)], ""
        except ReplyError as error:
            return [], error.what
    return found, ""


_OPENING = re.compile(r"[{\[]")
_SURELY = re.compile(r"\{\s*[\"']|\[\s*[\[{\"]")
"""Where a broken value was surely meant as JSON."""


def _check_depth(piece: str, max_depth: int) -> None:
    depth = 0
    for match in _BRACKETS.finditer(piece):
        if (bracket := match[0]) in "{[":
            depth += 1
            if depth > max_depth:
                raise ReplyError(f"the JSON is nested more than {max_depth} deep")
        elif bracket in "}]":
            depth -= 1


_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Unsound(f"the key {twice[:80]!r} stands twice in one object")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Unsound(f"the number {text[:40]} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > 100:
        raise _Unsound("a number has more than a hundred digits")
    return int(text)


def _constant(text: str) -> Any:
    raise _Unsound(f"{text} is no JSON number")


class _Unsound(ValueError):
    """Well-formed, but not to be used."""


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_int=_whole, parse_constant=_constant)


def _reason(error: ValueError, piece: str) -> str:
    if isinstance(error, json.JSONDecodeError):
        if not piece[error.pos :].strip() or error.msg.startswith("Unterminated"):
            return "the JSON is cut off at its end"
        return f"the JSON is wrong at line {error.lineno}, column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"
    return str(error)


def _faults(value: Any, schema: Mapping[str, Any] | None) -> list[str]:
    if schema is None:
        return []
    import jsonschema

    errors = sorted(
        jsonschema.Draft202012Validator(dict(schema)).iter_errors(value), key=lambda error: list(map(str, error.path))
    )
    return [
        f"{'at ' + '/'.join(map(str, error.absolute_path)) + ': ' if error.absolute_path else ''}{error.message[:200]}"
        for error in errors
    ]
