"""Batches of tensors: check them against their fields, take rows, move them, seed what draws them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sozai.errors import UserError
from sozai.fields import MASK, Field, Fields

Batch = dict[str, Tensor]
"""Tensors by field name (shapes: see ``sozai.fields``), and ``"mask"`` where there are sites or sequences."""


def as_batch(values: Mapping[str, Any], fields: Fields) -> Batch:
    """Tensors of the right dtype from arrays, checked against the fields.

    Raises:
        UserError: a field is missing, has another shape or length, or holds what it may not.
    """
    batch: Batch = {}
    for name, field in fields.items():
        if name not in values:
            raise UserError(f"the data lacks the field '{name}'", "data", f"it holds {', '.join(values) or 'nothing'}")
        try:
            tensor = torch.as_tensor(values[name] if isinstance(values[name], Tensor) else np.asarray(values[name]))
        except (TypeError, ValueError) as error:
            raise UserError("it does not hold numbers only", f"field '{name}'", "encode text as categories") from error
        if field.discrete and tensor.is_floating_point() and bool((tensor != tensor.round()).any()):
            raise UserError("a category is not a whole number", f"field '{name}'")
        tensor = tensor.long() if field.discrete else tensor.float()
        rank = 1 + field.sites
        if tensor.dim() != rank + len(field.shape) or tuple(tensor.shape[rank:]) != field.shape:
            expected = ("rows", *(("sites",) if field.sites else ()), *field.shape)
            raise UserError(
                f"its shape is {tuple(tensor.shape)}, not ({', '.join(map(str, expected))})", f"field '{name}'"
            )
        if not field.discrete and not bool(torch.isfinite(tensor).all()):
            row = (
                int((~torch.isfinite(tensor)).flatten(1).any(1).nonzero()[0])
                if tensor.dim() > 1
                else int((~torch.isfinite(tensor)).nonzero()[0])
            )
            raise UserError(
                "a value is missing or not finite", f"field '{name}', row {row + 1}", "fill it or leave the row out"
            )
        if field.discrete and tensor.numel() and (tensor.amin() < 0 or tensor.amax() >= field.categories):
            raise UserError(f"a category lies outside 0 to {field.categories - 1}", f"field '{name}'")
        batch[name] = _legal(name, tensor, field)
    if MASK in fields:
        raise UserError("no field may bear this name", f"field '{MASK}'", "give it another name")
    if MASK in values:
        batch[MASK] = torch.as_tensor(values[MASK]).bool()
    lengths = {name: len(tensor) for name, tensor in batch.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(f"the fields differ in their number of rows: {lengths}", "data")
    return batch


def _legal(name: str, tensor: Tensor, field: Field) -> Tensor:
    """Periodic values wrapped; images and rotations refused where they are none (padding may be zeros)."""
    if field.kind == "periodic":
        return tensor % 1 % 1  # -1e-9 % 1 rounds up to 1
    if field.kind == "image" and tensor.numel() and tensor.abs().amax() > 1 + 1e-4:
        raise UserError("a pixel lies outside -1 to 1", f"field '{name}'", "scale its values")
    if field.kind == "rotation" and tensor.numel():
        error = (tensor.mT @ tensor - torch.eye(3)).abs().amax((-1, -2))
        wrong = ((error > 1e-3) | (torch.linalg.det(tensor) < 0)) & tensor.flatten(-2).any(-1)
        if bool((wrong if field.sites else wrong | ~tensor.flatten(-2).any(-1)).any()):
            raise UserError("a matrix is not a rotation", f"field '{name}'", "orthogonalise it, determinant 1")
    return tensor


def rows_of(batch: Batch) -> int:
    """Number of rows."""
    return len(next(iter(batch.values())))


def take(batch: Batch, index: Any) -> Batch:
    """The rows that an index, slice or boolean mask names."""
    return {name: tensor[index] for name, tensor in batch.items()}


def to(batch: Batch, device: torch.device | str) -> Batch:
    """On another device."""
    return {name: tensor.to(device) for name, tensor in batch.items()}


def join(batches: Iterable[Batch]) -> Batch:
    """Rows of several batches under each other."""
    parts = list(batches)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def split(batch: Batch, share: float, seed: int = 0, least: int = 1) -> tuple[Batch, Batch]:
    """A random split into (rest, held out), the latter at least ``least`` rows."""
    rows = rows_of(batch)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    cut = max(least, round(share * rows))
    return take(batch, order[cut:]), take(batch, order[:cut])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, torch's random numbers start at ``seed``; afterwards they go on as if it had not been.

    Cores and samplers draw from torch's global source (libraries that we build on do so too); this guard is
    what makes them repeat themselves.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
