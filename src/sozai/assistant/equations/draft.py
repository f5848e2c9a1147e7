"""What has been read so far of a problem, clause by clause, before names have meanings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sozai.assistant.equations.known import Known


@dataclass
class Said:
    """A condition as it was said.

    Attributes:
        text: an equation, or the value alone (then ``bare``).
        faces: ``x-``, ``boundary`` ..., or ``t``; empty where the equation itself tells the place.
        at: place by coordinate's name, as text.
        kind: ``""`` where the equation tells it; else neumann, dirichlet, periodic, initial.
        source: the clause, for messages.
    """

    text: str
    source: str
    faces: tuple[str, ...] = ()
    at: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    bare: bool = False
    derivative: int = 0


@dataclass
class Draft:
    """A problem while it is being read; see ``Problem`` for what becomes of it."""

    text: str
    known: Known | None = None
    equations: list[str] = field(default_factory=list)
    conditions: list[Said] = field(default_factory=list)
    ranges: dict[str, tuple[str, str]] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    spoken: list[tuple[str, str]] = field(default_factory=list)
    source: str = ""
    dimension: int = 0
    round: int = 0
    notes: list[str] = field(default_factory=list)
    dimensions: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def uses(self, name: str) -> bool:
        """Whether a clause has the name as an unknown: ``T =``, ``T(``."""
        clauses = [*self.equations, *(said.source for said in self.conditions)]
        return any(re.search(rf"(?<!\w){re.escape(name)}\s*(?:=|\(|_[xyzt]+\b|')", clause) for clause in clauses)
