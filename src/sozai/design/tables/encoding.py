"""Rows as points of a space in which distances mean something."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sozai.design.tables.formulas import Elements
from sozai.evaluation.tables.learners import skewness
from sozai.materials.tables.table import Table

SKEW = 3.0
"""Skewness of a non-negative column above which it is taken by its logarithm (ages, sizes, concentrations)."""


class Encoding:
    """Numbers scaled to 0 .. 1 over the data, names one-hot, levels in their order, elements by their mean properties.

    Args:
        table: complete rows; the ranges are learned from these.
        elements: how a formula column was taken apart, if there was one.
    """

    def __init__(self, table: Table, elements: Elements | None = None):
        self.table, self.elements = table, elements
        parts = {name for group in table.groups for name in group.columns}
        self._logs: dict[str, float] = {}
        for name in set(table.numeric) - parts:
            values = table.frame[name].to_numpy(float)
            if len(values) and values.min() >= 0 and values.max() > 0 and skewness(values) > SKEW:
                positive = values[values > 0]
                self._logs[name] = float(np.median(positive)) * 0.1
        numbers = self._numbers(table.frame)
        self._low = numbers.min(axis=0) if len(numbers) else np.zeros(numbers.shape[1])
        span = (numbers.max(axis=0) if len(numbers) else np.ones(numbers.shape[1])) - self._low
        self._span = np.where(span > 0, span, 1.0)

    def __call__(self, frame: pd.DataFrame) -> np.ndarray:
        """Points of rows, (rows, size)."""
        parts = [(self._numbers(frame) - self._low) / self._span]
        for name, column in self.table.columns.items():
            if column.kind == "category":
                parts.append(np.stack([(frame[name] == level).to_numpy(float) for level in column.levels], axis=1))
        return np.concatenate(parts, axis=1)

    def _numbers(self, frame: pd.DataFrame) -> np.ndarray:
        made = []
        for name, column in self.table.columns.items():
            if column.numeric:
                values = frame[name].to_numpy(float)
                made.append(np.log(np.maximum(values, 0) + self._logs[name]) if name in self._logs else values)
            elif column.kind == "ordinal":
                ranks = {level: float(place) for place, level in enumerate(column.levels)}
                made.append(frame[name].map(ranks).to_numpy(float))
        numbers = np.stack(made, axis=1) if made else np.zeros((len(frame), 0))
        return numbers if self.elements is None else np.hstack([numbers, self.elements.properties(frame)])
