"""What is told of one thing that looks wrong in a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Step = Literal["value", "descriptors", "sample"]
STEPS: dict[Step, str] = {
    "value": "single values",
    "descriptors": "several columns together",
    "sample": "whole samples",
}
"""The three steps of Liu Yue et al., Journal of Materiomics 2025, 101066, in the order in which they are told."""


@dataclass(frozen=True)
class Finding:
    """One doubt, with its reason.

    Args:
        row: label in the frame's index: the row's number in a spreadsheet.
        columns: which cells; of a doubt about a whole row the columns that say so.
        step: ``"value"``, ``"descriptors"`` or ``"sample"``.
        kind: short name of what it is, e.g. ``"unit slip"``.
        why: one sentence with the numbers.
        confidence: 0 to 1, the share of such findings that are expected to be errors.
        found: the values now in the cells, in the order of ``columns``.
        repair: the values proposed instead, in the same order; ``None`` where none can be justified.
        sure: whether the repair may be made without asking: it undoes a slip that explains all that is odd.
        rule: the rule that is broken, in words; empty where none is.
        others: labels of further rows that it is about, such as the twin of a contradiction.
    """

    row: int
    columns: tuple[str, ...]
    step: Step
    kind: str
    why: str
    confidence: float
    found: tuple[Any, ...] = ()
    repair: tuple[Any, ...] | None = None
    sure: bool = False
    rule: str = ""
    others: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)
