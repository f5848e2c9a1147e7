"""Rows to train on: shuffled in batches, or in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch

from sozai.generators.tensors import Batch, rows_of, take


class Rows(Protocol):
    """Data that the training loop can take batches from; any class with these methods will do."""

    def epoch(self, source: torch.Generator, batch_size: int) -> Iterable[Batch]:
        """All rows once, in an order that ``source`` decides."""
        ...

    def in_order(self) -> Iterable[Batch]:
        """All rows once, always the same."""
        ...

    def whole(self) -> Batch:
        """All rows at once."""
        ...


class TensorRows:
    """Rows that are one batch in memory."""

    def __init__(self, batch: Batch):
        self.batch = batch

    def __len__(self) -> int:
        return rows_of(self.batch)

    def epoch(self, source: torch.Generator, batch_size: int) -> Iterable[Batch]:
        """Shuffled; a last batch that is not full is left out, unless it is the only one."""
        order = torch.randperm(len(self), generator=source)
        full = len(self) // batch_size * batch_size or len(self)
        for rows in order[:full].split(batch_size):
            yield take(self.batch, rows)

    def in_order(self) -> Iterable[Batch]:
        """512 at a time."""
        for start in range(0, len(self), 512):
            yield take(self.batch, slice(start, start + 512))

    def whole(self) -> Batch:
        """All rows."""
        return self.batch


def as_rows(data: Batch | Rows) -> Rows:
    """A batch as rows; rows as they are."""
    return TensorRows(data) if isinstance(data, dict) else data
