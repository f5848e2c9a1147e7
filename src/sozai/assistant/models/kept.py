"""Answers of a model on disk as they come: work that was stopped goes on without asking, and paying, twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from sozai.assistant.models.base import Message, Reply
from sozai.errors import UserError
from sozai.trust.ledger import LEDGER, Sent

FILE_NAME = "replies.jsonl"
_FORM = 1  # of the lines


class KeptReplies:
    """What was asked and answered in a run that has not finished, line by line in a file of its folder.

    A question is known again by all that goes to the model: messages, schema, length, temperature, seed, and how often
    the same was asked before. So a run that takes the same way finds its answers, and no other question gets one.

    Args:
        path: of the file; made with the first question.
        settings: what decides the questions, JSON types; named to the person where they differ.

    Raises:
        UserError: the file holds answers to a run with other settings, or is no such file; nothing in it is changed.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Mapping[str, Any]):
        self.path = Path(path)
        self._settings = json.loads(json.dumps(dict(settings)))
        self._stream: IO[str] | None = None
        self._times: Counter[str] = Counter()
        self._questions: dict[str, dict[str, Any]] = {}
        self._replies: dict[str, Reply] = {}
        self._notes: dict[str, Any] = {}
        self._whole = True  # whether the file ends with the end of a line
        self._read()

    @property
    def count(self) -> int:
        """How many answers there are."""
        return len(self._replies)

    def key(self, messages: Sequence[Message], **wanted: Any) -> str:
        """Name of a question; each call counts as asking it once more."""
        told = json.dumps([[asdict(one) for one in messages], wanted], sort_keys=True)
        digest = hashlib.sha256(told.encode()).hexdigest()
        self._times[digest] += 1
        return f"{digest[:32]}-{self._times[digest]}"

    def reply(self, key: str) -> Reply | None:
        """The answer to a question, where it came before."""
        return self._replies.get(key)

    def asking(self, key: str, question: str, sent: Sent) -> None:
        """Keep that a question goes out, before it does."""
        self._questions[key] = {"question": question, "sent": asdict(sent)}
        self._line({"asking": key, **self._questions[key]})

    def put(self, key: str, reply: Reply) -> None:
        """Keep an answer; it is on disk when this returns."""
        self._replies[key] = reply
        self._line({"key": key, "reply": reply.to_dict()})

    def note(self, key: str) -> Any:
        """Something else that was found out on the way, such as what was built of an answer; ``None`` if nothing."""
        return self._notes.get(key)

    def put_note(self, key: str, value: Any) -> None:
        """Keep such a thing, JSON types: what depends on the clock must not lead to another question."""
        self._notes[key] = value
        self._line({"note": key, "value": value})

    def tell_ledger(self) -> None:
        """Note in the ledger what went out in earlier attempts, so that this run's manifest tells of it."""
        for entry in self._questions.values():
            LEDGER.note(_sent(entry["sent"]))

    def transcript(self) -> list[dict[str, Any]]:
        """Questions (their last message) and answers in order, plain JSON types."""
        return [
            {"asked": entry["question"], "reply": self._replies[key].to_dict() if key in self._replies else None}
            for key, entry in self._questions.items()
        ]

    def close(self, finished: bool) -> None:
        """Close the file; a run that has finished has written what it keeps, and needs it no more."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if finished:
            self.path.unlink(missing_ok=True)

    def _line(self, content: dict[str, Any]) -> None:
        try:
            if self._stream is None:
                self._stream = open(self.path, "a", encoding="utf-8")  # noqa: SIM115
                if self._stream.tell() == 0:
                    self._stream.write(json.dumps({"form": _FORM, "settings": self._settings}) + "\n")
                elif not self._whole:  # the process ended in the middle of a line, which must not spoil the next one
                    self._stream.write("\n")
            self._stream.write(json.dumps(content, ensure_ascii=False) + "\n")
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise UserError(f"cannot be written ({error.strerror})", str(self.path), "name another folder") from error

    def _read(self) -> None:
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror})", str(self.path)) from error
        first, *others = text.split("\n")
        begun = self._begun(first, bool("".join(others).strip()))
        for line in others if begun is not None else ():
            self._take(line)
        if begun is None or begun != self._settings:
            if self._replies:
                raise UserError(
                    f"holds answers of a run with other settings ({_difference(begun or {}, self._settings)})",
                    str(self.path),
                    "give the settings it was begun with, name another folder, or delete the file to begin anew",
                )
            self._questions, self._notes = {}, {}  # nothing was answered yet: nothing is lost
            self.path.unlink()
            return
        self._whole = text.endswith("\n")

    def _begun(self, line: str, more: bool) -> dict[str, Any] | None:
        """The settings in the first line; ``None`` where it was being written when the process ended."""
        try:
            content = json.loads(line)
            if content["form"] == _FORM and isinstance(content["settings"], dict):
                return dict(content["settings"])
        except (ValueError, KeyError, TypeError):
            if not more:
                return None
        raise UserError("holds no answers that this version reads", str(self.path), "name another folder, or delete it")

    def _take(self, line: str) -> None:
        try:
            content = json.loads(line)
            if "asking" in content:
                _sent(content["sent"])
                self._questions[content["asking"]] = {"question": content["question"], "sent": content["sent"]}
            elif "reply" in content:
                self._replies[content["key"]] = Reply(**content["reply"])
            else:
                self._notes[content["note"]] = content["value"]
        except (ValueError, KeyError, TypeError):
            return  # a line that was being written when the process ended


def _sent(content: Mapping[str, Any]) -> Sent:
    return Sent(**{**content, "documents": tuple(content["documents"])})


def _difference(begun: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    names = [name for name in dict.fromkeys([*begun, *now]) if begun.get(name) != now.get(name)]
    return "; ".join(f"{name} was {_told(begun.get(name))}, is {_told(now.get(name))}" for name in names)


def _told(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
