"""What every generator is: one interface, whatever its family."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from sozai.errors import UserError

Progress = Callable[[int, int, str], None]
"""``on_progress(done, total, note)``."""


class Generator(ABC):
    """A generator of materials.

    The four verbs are the same for all: ``fit`` on data, ``sample`` new materials, ``save`` to a folder,
    ``load`` from it. Settings go into the constructor; conditions go into ``given``.
    """

    name: ClassVar[str]
    """Name in the catalog, e.g. ``"wyckoff-gpt"``."""
    unbuilt: Sequence[tuple[str, str]] = ()
    """Of the last ``sample``: what was drawn but could not be built, as (formula, reason)."""

    @abstractmethod
    def sample(self, count: int, given: Any = None, seed: int = 0, on_progress: Progress | None = None) -> Any:
        """Draw ``count`` materials (crystals, rows, images, ...) that fulfil ``given``; same seed, same ones.

        Args:
            count: how many; fewer come back only when the wish leaves too few possibilities.
            given: for crystals a ``CrystalWish`` (exact conditions and targets); else values by name.
            seed: same seed, same result.
            on_progress: called with (done, total, note).

        Raises:
            UserError: the wish cannot be met by this generator; the message says why.
        """

    def fit(self, data: Any, on_progress: Progress | None = None, **settings: Any) -> Self:
        """Learn from data. Generators that learn nothing return themselves."""
        return self

    def save(self, folder: Path | str) -> None:  # noqa: B027  # nothing to write is a fine answer
        """Write weights (safetensors) and settings (JSON) to a folder; nothing for generators without."""

    @classmethod
    def load(cls, folder: Path | str | None = None) -> Self:
        """Read what ``save`` wrote; without a folder, what ships with sozai."""
        return cls()

    def card(self) -> dict[str, Any]:
        """What a run records about the generator: name, settings, hash of the weights, data and licence."""
        return {"name": self.name}


def seconds_of(time_budget: float | str) -> float:
    """Seconds from a number or from ``"90s"``, ``"10m"``, ``"2h"``.

    Raises:
        UserError: it is no time.
    """
    text = str(time_budget).strip().lower()
    if text == "inf":
        return math.inf
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:])
    try:
        seconds = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise UserError(f"'{time_budget}' is no time to train in", "max_time", "give seconds, or such as 90s, 10m, 2h")
    return seconds
