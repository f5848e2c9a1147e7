"""What a build has computed so far, line by line in a file, so that an interrupted one need not compute it again."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any

import sozai
from sozai.errors import UserError

FILE_NAME = "unfinished.jsonl"
_FORM = 1  # of the lines; another one is not read


class Journal:
    """Results by key, kept in a file.

    Every random start and every relaxation is a function of the rules, the seed and its number alone. A build that
    finds them here takes the same way to the same result as one that was never interrupted.

    Args:
        path: of the file; made when missing. What another build left there (other rules, settings or version) is
            replaced.
        settings: what decides the results, JSON types.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], settings: Any):
        self.path = Path(path)
        told = json.dumps([_FORM, sozai.__version__, settings], sort_keys=True)
        self._identity = hashlib.sha256(told.encode()).hexdigest()
        self._whole = True
        self._known = self._read()
        self.found = len(self._known)
        """How many results were there already."""
        try:
            self._stream: IO[str] = open(self.path, "a" if self._known else "w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise UserError(f"cannot be written ({error.strerror})", str(path), "name another folder") from error
        if not self._known:
            self._line({"build": self._identity})
        elif not self._whole:  # the process ended in the middle of a line, which must not spoil the next one
            self._stream.write("\n")

    def get(self, key: str) -> Any:
        """The result of this key, or ``None``."""
        return self._known.get(key)

    def put(self, key: str, value: Any) -> None:
        """Keep a result; it is on disk when this returns."""
        self._line({"key": key, "value": value})

    def close(self, finished: bool) -> None:
        """Close the file; a finished build needs it no more."""
        self._stream.close()
        if finished:
            self.path.unlink(missing_ok=True)

    def _line(self, content: dict[str, Any]) -> None:
        self._stream.write(json.dumps(content) + "\n")
        self._stream.flush()

    def _read(self) -> dict[str, Any]:
        known: dict[str, Any] = {}
        try:
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return known
        self._whole = text.endswith("\n")
        for place, line in enumerate(text.splitlines()):
            try:
                content = json.loads(line)
                if place == 0 and content["build"] != self._identity:
                    return {}
                if place:
                    known[content["key"]] = content["value"]
            except (ValueError, KeyError, TypeError):  # a line that was being written when the process ended
                if place == 0:
                    return {}
        return known
