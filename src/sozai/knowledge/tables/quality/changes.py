"""Repairs put into a table, each with its record; the table itself stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from sozai.knowledge.tables.quality.finding import Finding

Apply = Literal["sure", "all", "blank", "none"]
SURE = 0.9
"""Confidence from which a sure repair is made by default."""


@dataclass(frozen=True)
class Change:
    """One cell that was changed: row label, column, old and new value, why."""

    row: int
    column: str
    old: Any
    new: Any
    why: str


def changes_of(findings: Sequence[Finding], apply: Apply = "sure", told: float = 0.5) -> list[Change]:
    """The changes that findings lead to; where two would change one cell, the more confident does.

    Args:
        findings: of one table.
        apply: ``"sure"``: repairs that undo an evident slip, from a confidence of 0.9; ``"all"``: all proposed
            repairs of findings from ``told``; ``"blank"``: these, and values in doubt without a repair are emptied;
            ``"none"``.
        told: lowest confidence of a finding that is acted upon.
    """
    made: dict[tuple[int, str], Change] = {}
    for finding in sorted(findings, key=lambda each: -each.confidence):
        if apply == "none" or finding.confidence < told or not finding.columns or finding.others:
            continue
        repair: tuple[Any, ...] | None = finding.repair
        if apply == "sure" and not (finding.sure and finding.confidence >= SURE):
            continue
        if repair is None:
            if apply != "blank" or finding.rule:
                continue
            repair = (None,) * len(finding.columns)
        cells = [(finding.row, name) for name in finding.columns]
        if any(cell in made for cell in cells):
            continue
        for name, old, new in zip(finding.columns, finding.found, repair, strict=True):
            if old != new:
                made[finding.row, name] = Change(finding.row, name, old, new, f"{finding.kind}: {finding.why}")
    return sorted(made.values(), key=lambda change: (change.row, change.column))


def changed(frame: pd.DataFrame, changes: Sequence[Change]) -> pd.DataFrame:
    """A copy of the table with the changes in it."""
    made = frame.copy()
    for change in changes:
        empty = np.nan if pd.api.types.is_numeric_dtype(made[change.column]) else None
        made.at[change.row, change.column] = empty if change.new is None else change.new
    return made


def log_of(changes: Sequence[Change]) -> pd.DataFrame:
    """The record: row, column, old, new, why."""
    rows = [(each.row, each.column, each.old, each.new, each.why) for each in changes]
    return pd.DataFrame(rows, columns=["row", "column", "old", "new", "why"])
