"""Rows changed to obey rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sozai.knowledge.tables.rule import Rule


def repaired(
    rules: Sequence[Rule], frame: pd.DataFrame, fixed: frozenset[str], scales: Mapping[str, float]
) -> tuple[pd.DataFrame, np.ndarray]:
    """See ``TableRules.repair``."""
    good = np.ones(len(frame), bool)
    for rule in rules:
        good &= ~(rule.amounts(frame) > 0)
    return frame, good
