"""What a generator is given: numbers and categories, any of them left out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.tensors import Batch, rows_of


def complete(batch: Batch, conditions: Fields, rows: int, device: torch.device | str) -> Batch:
    """The condition entries of a batch on ``device``; those it lacks are NaN, or -1 for categories: not given.

    Raises:
        UserError: an entry has another number of rows or shape, or a category that does not exist.
    """
    full: Batch = {}
    for name, field in conditions.items():
        if name in batch:
            values = batch[name].to(device)
            if tuple(values.shape) != (rows, *field.shape):
                raise UserError(
                    f"its shape is {tuple(values.shape)}, not {(rows, *field.shape)}", f"condition '{name}'"
                )
            if field.discrete and values.numel() and bool((values >= field.categories).any()):
                raise UserError(f"a category lies outside 0 to {field.categories - 1}", f"condition '{name}'")
            full[name] = values.long() if field.discrete else values.float()
        elif field.discrete:
            full[name] = torch.full((rows, *field.shape), -1, device=device)
        else:
            full[name] = torch.full((rows, *field.shape), float("nan"), device=device)
    return full


def drop(batch: Batch, conditions: Fields, share: float) -> Batch:
    """Leave out each row's conditions, all at once, with probability ``share``: what classifier-free guidance needs."""
    if not conditions or share <= 0:
        return batch
    gone = torch.rand(rows_of(batch), device=next(iter(batch.values())).device) < share
    out = dict(batch)
    for name, field in conditions.items():
        shape = (-1, *[1] * len(field.shape))
        empty = -1 if field.discrete else float("nan")
        out[name] = torch.where(gone.view(shape), torch.full_like(batch[name], empty), batch[name])
    return out


class ConditionEncoder(nn.Module):
    """One vector ``(batch, width)`` from any subset of conditions; each has a learned vector for "not given".

    Numbers are standardised with training data (``fit``) and pass through a small network; categories are
    embedded. Without conditions the vector is zero, so that a network need not ask.
    """

    def __init__(self, conditions: Fields, width: int):
        super().__init__()
        self.conditions, self.width = dict(conditions), width
        self.parts = nn.ModuleDict()
        self.null = nn.ParameterDict()
        for name, field in self.conditions.items():
            if field.sites or field.kind in ("rotation", "image"):
                raise UserError(f"a {field.kind} field{' on sites' * field.sites} cannot be a condition", f"'{name}'")
            key = _key(name)
            if field.discrete:
                self.parts[key] = nn.Embedding(field.categories * max(1, field.size), width)
            else:
                self.parts[key] = nn.Sequential(nn.Linear(field.size, width), nn.SiLU(), nn.Linear(width, width))
                self.register_buffer(f"mean_{key}", torch.zeros(field.size))
                self.register_buffer(f"scale_{key}", torch.ones(field.size))
            self.null[key] = nn.Parameter(torch.zeros(width))

    def fit(self, batch: Batch) -> None:
        """Means and standard deviations of the numbers."""
        for name, field in self.conditions.items():
            if not field.discrete:
                values = batch[name].reshape(len(batch[name]), -1).float()
                values = values[~torch.isnan(values).any(1)]
                if not len(values):  # nobody was given it
                    continue
                deviation = values.std(0, correction=0)
                getattr(self, f"mean_{_key(name)}").copy_(values.mean(0))
                getattr(self, f"scale_{_key(name)}").copy_(torch.where(deviation > 1e-8, deviation, 1.0))

    def forward(self, batch: Batch, rows: int | None = None) -> Tensor:
        """From ``core.condition_of(batch)``, or the batch itself when it holds all conditions.

        Args:
            rows: the batch size when there are no conditions to take it from.
        """
        device = next(iter(self.null.values())).device if self.conditions else None
        total: Tensor | None = None
        for name, field in self.conditions.items():
            values, key = batch[name], _key(name)
            flat = values.reshape(len(values), -1)
            if field.discrete:
                given = (flat >= 0).all(1, keepdim=True)
                offset = torch.arange(flat.shape[1], device=device) * field.categories
                embedded = self.parts[key](flat.clamp(min=0) + offset).sum(1)
            else:
                given = ~torch.isnan(flat).any(1, keepdim=True)
                scaled = (torch.nan_to_num(flat) - getattr(self, f"mean_{key}")) / getattr(self, f"scale_{key}")
                embedded = self.parts[key](scaled)
            part = torch.where(given, embedded, self.null[key])
            total = part if total is None else total + part
        if total is None:
            some = next(iter(batch.values()), None)
            return torch.zeros(
                rows_of(batch) if rows is None else rows, self.width, device=None if some is None else some.device
            )
        return total


def _key(name: str) -> str:
    """A name that torch accepts for a submodule."""
    return "c_" + name.encode().hex()
