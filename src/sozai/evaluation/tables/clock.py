"""Pieces of work done while there is time, each kept as it is finished."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sozai.files import plain
from sozai.generators.base import Progress


class Stop(Exception):
    """Time is up."""


class Clock:
    """Runs pieces of work while there is time, keeps their results, and tells how far they are."""

    def __init__(self, path: Path | None, key: str, seconds: float, on_progress: Progress | None):
        self.path, self.key, self.on_progress = path, key, on_progress
        self.began, self.seconds = time.monotonic(), seconds
        self.plan = ""
        """What is compared in the units that follow; results of another plan are not taken for theirs."""
        self.longest: dict[str, float] = {}
        self.kept: dict[str, Any] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # cut off by an interruption: done again
                if entry.get("study") == key:
                    self.kept[entry["unit"]] = entry["found"]

    def tell(self, note: str) -> None:
        """Progress is time: the budget is what bounds the work."""
        if self.on_progress:
            spent = min(time.monotonic() - self.began, self.seconds)
            self.on_progress(int(spent), int(self.seconds), note)

    def run(self, unit: str, work: Callable[[], Any], must: bool = False) -> Any:
        """The unit's result, from the file if it is there.

        Raises:
            Stop: it would probably not be done in time; never for what must be done.
        """
        place, kind = self.plan + unit, unit.split("/")[0]
        if place in self.kept:
            return self.kept[place]
        begun = time.monotonic()
        # Of a kind that was never run: as long as the longest of the others.
        expected = self.longest.get(kind, max(self.longest.values(), default=0.0))
        if not must and begun + expected > self.began + self.seconds:
            raise Stop
        found = plain(work())
        self.longest[kind] = max(self.longest.get(kind, 0.0), time.monotonic() - begun)
        self.kept[place] = found
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"study": self.key, "unit": place, "found": found}) + "\n")
        return found
