"""Fields as one tensor and back: what families that know only ``(batch, *event)`` work on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.fields import Field, Fields
from sozai.generators.tensors import Batch


@dataclass(frozen=True)
class Span:
    """Columns ``start`` to ``stop`` of the tensor that belong together.

    ``kind`` says what they are: ``"number"`` (any real), ``"choice"`` (one-hot, a category), ``"image"``.
    """

    field: str
    kind: str
    start: int
    stop: int

    @property
    def columns(self) -> slice:
        """To index the tensor's columns with."""
        return slice(self.start, self.stop)


class Codec(nn.Module):
    """Base: ``decode(encode(batch))`` is the batch.

    Attributes:
        event: shape of the tensor without its batch axis.
        spans: what its columns are, for losses and activations.
    """

    event: tuple[int, ...]
    spans: list[Span]

    def fit(self, batch: Batch) -> None:
        """Take scales from training data into buffers."""

    def encode(self, batch: Batch) -> Tensor:
        """``(batch, *event)``; values of order one. Where ``dequantise`` is set levels get uniform noise."""
        raise NotImplementedError

    def decode(self, x: Tensor) -> Batch:
        """The fields again; any finite tensor decodes to legal values."""
        raise NotImplementedError

    def log_volume(self) -> Tensor:
        """Log-determinant of d(tensor)/d(values): added to a log-density of the tensor it gives that of the values."""
        raise NotImplementedError

    def activate(self, raw: Tensor, temperature: float = 0.2) -> Tensor:
        """A network's free output as a possible, still differentiable, encoding.

        Choices become samples of a Gumbel-softmax (arXiv 1611.01144), images pass through tanh.
        """
        raise NotImplementedError


def codec_for(fields: Fields, dequantise: bool = False) -> Codec:
    """The codec that serves these fields: an image alone stays an image, all else becomes a vector.

    Raises:
        UserError: fields on sites, which no single tensor without a mask can hold.
    """
    kinds = [field.kind for field in fields.values()]
    if kinds == ["image"]:
        return ImageCodec(fields, dequantise)
    return VectorCodec(fields, dequantise)


class ImageCodec(Codec):
    """One image field as it is, ``(batch, channels, *spatial)``."""

    def __init__(self, fields: Fields, dequantise: bool = False):
        super().__init__()
        [(self.name, self.field)] = fields.items()
        self.event = self.field.shape
        self.spans = [Span(self.name, "image", 0, self.field.shape[0])]
        self.dequantise = dequantise and self.field.levels > 0

    def encode(self, batch: Batch) -> Tensor:
        """Values in [-1, 1]; dequantised, each level is spread evenly over its own bin."""
        x = batch[self.name]
        if not self.dequantise:
            return x
        level = ((x + 1) / 2 * (self.field.levels - 1)).round()
        return (level + torch.rand_like(x)) * (2 / self.field.levels) - 1

    def decode(self, x: Tensor) -> Batch:
        """Clipped to [-1, 1], and to the levels where there are any."""
        x, levels = x.clamp(-1, 1), self.field.levels
        if self.dequantise:
            x = ((x + 1) / 2 * levels).floor().clamp(0, levels - 1) / (levels - 1) * 2 - 1
        elif levels:
            x = ((x + 1) / 2 * (levels - 1)).round() / (levels - 1) * 2 - 1
        return {self.name: x}

    def log_volume(self) -> Tensor:
        """Of the bin width 2 / levels in each pixel."""
        scale = 2 / self.field.levels if self.dequantise else 1.0
        return torch.tensor(self.field.size * math.log(scale))

    def activate(self, raw: Tensor, temperature: float = 0.2) -> Tensor:
        """Tanh."""
        return raw.tanh()


class VectorCodec(Codec):
    """Any fields without sites as a vector.

    Numbers are standardised; categories and tokens one-hot (or, dequantised, the standardised number
    ``category + uniform noise``); periodic values (cos, sin); rotations their first two columns (arXiv
    1812.07035), orthogonalised on the way back.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, fields: Fields, dequantise: bool = False):
        super().__init__()
        self.fields, self.dequantise = dict(fields), dequantise
        self.spans = []
        place = 0
        for name, field in fields.items():
            if field.sites:
                raise UserError(
                    f"the field '{name}' sits on sites",
                    "data",
                    "use a system that serves sites, such as 'field-diffusion'",
                )
            for kind, width in _spans(field, dequantise):
                self.spans.append(Span(name, kind, place, place + width))
                place += width
        self.event = (place,)
        self.register_buffer("mean", torch.zeros(place))
        self.register_buffer("scale", torch.ones(place))

    def fit(self, batch: Batch) -> None:
        """Means and standard deviations of number columns."""
        raw = self._raw(batch)
        for span in self.spans:
            if span.kind == "number" and self.fields[span.field].kind not in ("periodic", "rotation"):
                columns = raw[:, span.columns].double()
                deviation = columns.std(0, correction=0)
                self.mean[span.columns] = columns.mean(0).float()
                self.scale[span.columns] = torch.where(deviation > 1e-8, deviation, torch.ones_like(deviation)).float()

    def encode(self, batch: Batch) -> Tensor:
        """``(batch, columns)``."""
        return (self._raw(batch) - self.mean) / self.scale

    def decode(self, x: Tensor) -> Batch:
        """Fields from columns: the likeliest category, an image's nearest level, a rotation by Gram-Schmidt."""
        raw = x * self.scale + self.mean
        batch: Batch = {}
        for name, field in self.fields.items():
            pieces = [raw[:, span.columns] for span in self.spans if span.field == name]
            batch[name] = _decode(field, pieces, self.dequantise)
        return batch

    def log_volume(self) -> Tensor:
        """Minus the log of all standard deviations of number columns.

        Raises:
            UserError: one-hot categories have no volume: their likelihood needs ``dequantise``; angles and rotations
                have more columns than degrees of freedom.
        """
        round_about = next((n for n, field in self.fields.items() if field.kind in ("periodic", "rotation")), None)
        if round_about is not None:
            raise UserError("angles and rotations as columns have no density", f"field '{round_about}'")
        if any(span.kind == "choice" for span in self.spans):
            raise UserError("one-hot categories have no density", "likelihood", "use a codec that dequantises")
        return -self.scale.log().sum()

    def activate(self, raw: Tensor, temperature: float = 0.2) -> Tensor:
        """Gumbel-softmax of the choices, numbers as they are."""
        out = []
        for span in self.spans:
            piece = raw[:, span.columns]
            out.append(F.gumbel_softmax(piece, tau=temperature) if span.kind == "choice" else piece)
        return torch.cat(out, 1)

    def _raw(self, batch: Batch) -> Tensor:
        return torch.cat([_encode(field, batch[name], self.dequantise) for name, field in self.fields.items()], dim=1)


def _spans(field: Field, dequantise: bool) -> list[tuple[str, int]]:
    if field.discrete and not dequantise:
        return [("choice", field.categories)] * field.size
    width = {"periodic": 2 * field.size, "rotation": 6 * field.size // 9}.get(field.kind, field.size)
    return [("number", width)]


def _encode(field: Field, values: Tensor, dequantise: bool) -> Tensor:
    rows = len(values)
    if field.discrete:
        flat = values.reshape(rows, -1)
        if dequantise:
            return flat + torch.rand(flat.shape, device=flat.device)
        return F.one_hot(flat, field.categories).float().reshape(rows, -1)
    if field.kind == "periodic":
        angle = 2 * math.pi * values.reshape(rows, -1)
        return torch.cat([angle.cos(), angle.sin()], 1)
    if field.kind == "rotation":
        return values[..., :2].reshape(rows, -1)
    return values.reshape(rows, -1)


def _decode(field: Field, pieces: list[Tensor], dequantise: bool) -> Tensor:
    rows = len(pieces[0])
    if field.discrete:
        if dequantise:
            return pieces[0].floor().clamp(0, field.categories - 1).long().reshape(rows, *field.shape)
        return torch.stack([piece.argmax(1) for piece in pieces], 1).reshape(rows, *field.shape)
    if field.kind == "periodic":
        cosine, sine = pieces[0].chunk(2, 1)
        return (torch.atan2(sine, cosine) / (2 * math.pi) % 1).reshape(rows, *field.shape) % 1
    if field.kind == "rotation":
        return orthogonal(pieces[0].reshape(rows, *field.shape[:-1], 2))
    values = pieces[0].reshape(rows, *field.shape)
    if field.kind != "image":
        return values
    values, last = values.clamp(-1, 1), field.levels - 1
    return ((values + 1) / 2 * last).round() / last * 2 - 1 if field.levels else values


def orthogonal(columns: Tensor) -> Tensor:
    """Rotation matrices ``(..., 3, 3)`` from two columns ``(..., 3, 2)`` by Gram-Schmidt (arXiv 1812.07035)."""
    columns = columns / columns.abs().amax(-2, keepdim=True).clamp(min=1e-12)
    axes = torch.eye(3, device=columns.device, dtype=columns.dtype)
    first, second = columns[..., 0], columns[..., 1]
    first = F.normalize(torch.where(first.norm(dim=-1, keepdim=True) > 1e-6, first, axes[0]), dim=-1)
    second = second - (first * second).sum(-1, keepdim=True) * first
    aside = axes[first.abs().argmin(-1)]  # parallel columns say nothing of the second axis: any will do
    second = F.normalize(torch.where(second.norm(dim=-1, keepdim=True) > 1e-4, second, aside), dim=-1)
    second = F.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)
