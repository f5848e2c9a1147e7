"""Table rows as networks like them: mode-specific normalisation, and rows as square images.

A number c of a column with several modes is told by its mode k (a Gaussian of a mixture fitted to the column) and its
place in it, (c - mean_k) / (width * deviation_k): CTGAN's with width 4 and a one-hot mode (arXiv 1907.00503, section
4.2), TGAN's with width 2 and the probabilities of all modes (1811.11264, section 3.2).
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.fields import Field, Fields
from sozai.generators.codec import Codec, Span
from sozai.generators.tensors import Batch

LARGEST = 0.99
"""Bound of a place in its mode; tanh reaches no further in practice."""
MOST_FITTED = 5000


def columns_of(fields: Fields) -> list[tuple[str, Field, int]]:
    """Every column of a table: field, and its place within the field.

    Raises:
        UserError: a field that is no column of a table.
    """
    for name, field in fields.items():
        if field.sites or field.kind not in ("continuous", "categorical"):
            raise UserError(f"a {field.kind} field is no column of a table", f"field '{name}'", "use another system")
    return [(name, field, place) for name, field in fields.items() for place in range(field.size)]


def mixture(values: Tensor, modes: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and deviations (each (modes,)) of a variational Gaussian mixture of one column.

    Components of a weight below 0.005 are dropped: weight 0. Fitted by scikit-learn.
    """
    from sklearn.mixture import BayesianGaussianMixture

    model = BayesianGaussianMixture(
        n_components=min(modes, len(values)), weight_concentration_prior=1e-3, max_iter=200, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: good enough to normalise by
        model.fit(values[:MOST_FITTED, None].double().cpu().numpy())
    weights, means, deviations = torch.zeros(modes), torch.zeros(modes), torch.ones(modes)
    found = len(model.weights_)
    weights[:found] = torch.from_numpy(model.weights_).float()
    means[:found] = torch.from_numpy(model.means_[:, 0]).float()
    deviations[:found] = torch.from_numpy(model.covariances_[:, 0, 0]).sqrt().float()
    weights[weights < 0.005] = 0
    return weights / weights.sum(), means, deviations


class ModeCodec(Codec):
    """Numbers by mode and place within it, categories one-hot.

    Args:
        fields: numbers and categories.
        modes: of each number, at most.
        width: standard deviations that the place's range of one covers.
        soft: modes as probabilities (TGAN) rather than one drawn from them (CTGAN).
    """

    weights: Tensor
    means: Tensor
    deviations: Tensor

    def __init__(self, fields: Fields, modes: int = 10, width: float = 4.0, soft: bool = False):
        super().__init__()
        self.fields, self.modes, self.width, self.soft = dict(fields), modes, width, soft
        self.columns = columns_of(fields)
        self.spans, self.numbers = [], 0
        place = 0
        for name, field, _ in self.columns:
            for kind, length in [("choice", field.categories)] if field.discrete else [("place", 1), ("choice", modes)]:
                self.spans.append(Span(name, kind, place, place + length))
                place += length
            self.numbers += not field.discrete
        self.event = (place,)
        for name, start in (("weights", 1.0 / modes), ("means", 0.0), ("deviations", 1.0)):
            self.register_buffer(name, torch.full((self.numbers, modes), start))

    def fit(self, batch: Batch) -> None:
        """A mixture for each number; equal values get deviations of a ten-thousandth of the column's range."""
        seed = int(torch.randint(2**31 - 1, (1,)))
        number = 0
        for name, field, place in self.columns:
            if not field.discrete:
                column = batch[name].reshape(len(batch[name]), -1)[:, place]
                centre, scale = column.mean(), column.std(correction=0).clamp(min=1e-8)
                weights, means, deviations = mixture((column - centre) / scale, self.modes, seed)
                least = 1e-4 * (column.max() - column.min()).clamp(min=1e-4)
                self.weights[number] = weights.to(column)
                self.means[number] = means.to(column) * scale + centre
                self.deviations[number] = (deviations.to(column) * scale).clamp(min=float(least))
                number += 1

    def encode(self, batch: Batch) -> Tensor:
        """``(batch, columns)``; a mode is drawn from its probabilities given the number, unless ``soft``."""
        pieces, number = [], 0
        for name, field, place in self.columns:
            column = batch[name].reshape(len(batch[name]), -1)[:, place]
            if field.discrete:
                pieces.append(F.one_hot(column, field.categories).float())
                continue
            share = self.responsibilities(column, number)
            mode = share.argmax(1) if self.soft else torch.multinomial(share, 1)[:, 0]
            pieces.append(self.place(column, mode, number).clamp(-LARGEST, LARGEST)[:, None])
            pieces.append(share if self.soft else F.one_hot(mode, self.modes).float())
            number += 1
        return torch.cat(pieces, 1)

    def responsibilities(self, column: Tensor, number: int) -> Tensor:
        """Probability of each mode given the value, (batch, modes)."""
        away = (column[:, None] - self.means[number]) / self.deviations[number]
        return (self.weights[number].log() - self.deviations[number].log() - away**2 / 2).softmax(1)

    def place(self, column: Tensor, mode: Tensor, number: int) -> Tensor:
        """(c - mean_k) / (width * deviation_k)."""
        return (column - self.means[number][mode]) / (self.width * self.deviations[number][mode])

    def value(self, place: Tensor, mode: Tensor, number: int) -> Tensor:
        """The number again."""
        return place * self.width * self.deviations[number][mode] + self.means[number][mode]

    def decode(self, x: Tensor) -> Batch:
        """The likeliest category or mode, and the place in it."""
        found: dict[str, list[Tensor]] = {}
        spans, number = iter(self.spans), 0
        for name, field, _ in self.columns:
            if field.discrete:
                column = x[:, next(spans).columns].argmax(1)
            else:
                place, choice = x[:, next(spans).columns][:, 0], x[:, next(spans).columns]
                mode = choice.masked_fill(self.weights[number] == 0, -math.inf).argmax(1)
                column = self.value(place.clamp(-1, 1), mode, number)
                number += 1
            found.setdefault(name, []).append(column)
        return {name: torch.stack(found[name], 1).reshape(-1, *field.shape) for name, field in self.fields.items()}

    def activate(self, raw: Tensor, temperature: float = 0.2) -> Tensor:
        """Places through tanh, choices by Gumbel-softmax; modes that were dropped are never chosen."""
        pieces = []
        for span, dropped in zip(self.spans, self.dropped(), strict=True):
            piece = raw[:, span.columns]
            if span.kind == "place":
                pieces.append(piece.tanh())
            else:
                piece = piece if dropped is None else piece.masked_fill(dropped, -1e4)
                pieces.append(piece.softmax(1) if self.soft else F.gumbel_softmax(piece, tau=temperature))
        return torch.cat(pieces, 1)

    def dropped(self) -> list[Tensor | None]:
        """For each span the modes that no number may take."""
        masks: list[Tensor | None] = []
        number = 0
        for span in self.spans:
            of_modes = span.kind == "choice" and not self.fields[span.field].discrete
            masks.append(self.weights[number] == 0 if of_modes else None)
            number += of_modes
        return masks


class SquareCodec(Codec):
    """A row as a square image in [-1, 1], a column a pixel, the rest zero (TableGAN, arXiv 1806.03384, section 4.1).

    Categories are numbered and scaled like numbers, as there.
    """

    low: Tensor
    high: Tensor

    def __init__(self, fields: Fields):
        super().__init__()
        self.fields, self.columns = dict(fields), columns_of(fields)
        edge = 4
        while edge**2 < len(self.columns):
            edge *= 2
        self.event = (1, edge, edge)
        self.spans = [Span(name, "number", at, at + 1) for at, (name, _, _) in enumerate(self.columns)]
        self.register_buffer("low", torch.zeros(len(self.columns)))
        self.register_buffer("high", torch.ones(len(self.columns)))

    def fit(self, batch: Batch) -> None:
        """Least and largest value of each column."""
        rows = self._flat(batch)
        self.low.copy_(rows.amin(0))
        self.high.copy_(torch.maximum(rows.amax(0), rows.amin(0) + 1e-6))

    def encode(self, batch: Batch) -> Tensor:
        """(batch, 1, edge, edge)."""
        scaled = (self._flat(batch) - self.low) / (self.high - self.low) * 2 - 1
        edge = self.event[1]
        return F.pad(scaled, (0, edge**2 - len(self.columns))).reshape(-1, 1, edge, edge)

    def decode(self, x: Tensor) -> Batch:
        """Columns within the range of the training data; the nearest category."""
        scaled = x.flatten(1)[:, : len(self.columns)].clamp(-1, 1)
        rows = (scaled + 1) / 2 * (self.high - self.low) + self.low
        batch: Batch = {}
        for name, field in self.fields.items():
            where = [at for at, (owner, _, _) in enumerate(self.columns) if owner == name]
            values = rows[:, where].reshape(-1, *field.shape)
            batch[name] = values.round().long().clamp(0, field.categories - 1) if field.discrete else values
        return batch

    def activate(self, raw: Tensor, temperature: float = 0.2) -> Tensor:
        """Tanh, and zero where there is no column."""
        used = torch.arange(self.event[1] ** 2, device=raw.device) < len(self.columns)
        return raw.tanh() * used.reshape(self.event)

    def _flat(self, batch: Batch) -> Tensor:
        return torch.cat([batch[name].reshape(len(batch[name]), -1).float() for name in self.fields], 1)


class Concatenating(nn.Module):
    """A layer whose output is appended to its input: CTGAN's residual block (1907.00503, section 4.4)."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs) to (batch, inputs + width)."""
        return torch.cat([self.layers(x), x], 1)
