"""Fields as one sequence of tokens and back: what a language model reads and writes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sozai.errors import UserError
from sozai.fields import MASK, Field, Fields
from sozai.generators.codec import Codec
from sozai.generators.tensors import Batch


@dataclass(frozen=True)
class Part:
    """Places ``start`` to ``stop`` of the sequence hold a field, in tokens ``offset`` to ``offset + tokens``."""

    name: str
    field: Field
    start: int
    stop: int
    offset: int
    tokens: int

    @property
    def places(self) -> slice:
        """To index the sequence with."""
        return slice(self.start, self.stop)


class TokenCodec(Codec):
    """Each number of a field is a token with a place of its own; each field has its own tokens.

    Categories are tokens as they are, sequences end with the token ``end`` (repeated under the padding). Numbers
    become bins: as many as ``levels`` where a field has them, else ``bins`` with about equal shares of the training
    rows (images and periodic fields: of equal width). A density is then a histogram with exponential tails: the
    probability of the bin times ``exp(log_density)``. A bin in which all training values are one value decodes to it.

    Attributes:
        vocabulary: number of tokens, ``end`` and ``start`` (which precedes the sequence) included.
        legal: ``(places, vocabulary)``: which tokens a place can hold.
    """

    edges: Tensor
    point: Tensor
    legal: Tensor

    def __init__(self, fields: Fields, bins: int = 32):
        super().__init__()
        if bins < 2:
            raise UserError(f"{bins} bins cannot hold a number", "bins", "give 2 or more")
        self.bins, self.parts = bins, list[Part]()
        place = token = 0
        for name, field in fields.items():
            if field.sites or field.kind == "rotation":
                raise UserError(
                    f"a {field.kind} field{' on sites' * field.sites} cannot be written as tokens", f"field '{name}'",
                    "use a diffusion system",
                )  # fmt: skip
            tokens = field.categories if field.discrete else field.levels or bins
            self.parts.append(Part(name, field, place, place + field.size, token, tokens))
            place, token = place + field.size, token + tokens
        self.sequences = [part for part in self.parts if part.field.kind == "sequence"]
        self.end, self.start, self.vocabulary = token, token + 1, token + 2
        self.event, self.spans = (place,), []
        self.register_buffer("edges", torch.linspace(-1, 1, bins + 1).repeat(place, 1))
        self.register_buffer("point", torch.full((place, bins), math.nan))
        self.register_buffer("legal", torch.zeros(place, self.vocabulary, dtype=torch.bool))
        for part in self.parts:
            self.legal[part.places, part.offset : part.offset + part.tokens] = True
            if part.field.kind == "periodic":
                self.edges[part.places] = torch.linspace(0, 1, bins + 1)
        for part in self.sequences:
            self.legal[part.places, self.end] = True

    def fit(self, batch: Batch) -> None:
        """Edges of the bins from training data.

        Raises:
            UserError: the mask has a gap, or does not fit the sequences.
        """
        if self.sequences and MASK in batch:
            mask = batch[MASK]
            if any(mask.shape[1:] != part.field.shape for part in self.sequences):
                raise UserError("the mask is not as long as each sequence", "data", "pad them to one length")
            if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
                raise UserError("the mask has gaps", "data", "sequences are padded at their end only")
        for part in self.parts:
            if part.field.kind == "continuous":
                columns = batch[part.name].reshape(len(batch[part.name]), -1).T.contiguous()
                for place, values in zip(range(part.start, part.stop), columns, strict=True):
                    if part.field.levels:
                        self.edges[place, 0], self.edges[place, -1] = values.min(), values.max()
                    else:
                        self._fit_bins(place, part, values)

    def _fit_bins(self, place: int, part: Part, values: Tensor) -> None:
        """Edges half-way between neighbouring values, nearest to the quantiles; bins of no width are not legal."""
        known, counts = values.unique(return_counts=True)
        spots = (known[1:] + known[:-1]) / 2 if len(known) > 1 else known + known.abs().clamp(min=1) * 1e-3
        wanted = torch.arange(1, self.bins, device=values.device) * (len(values) / self.bins)
        below = counts.cumsum(0)[: len(spots)]
        chosen = torch.searchsorted(below.float(), wanted).clamp(max=len(spots) - 1).unique()
        inner = spots[chosen]
        inner = torch.cat([inner, inner[-1:].expand(self.bins - 1 - len(inner))])
        bin_of = torch.bucketize(values, inner)
        low, high = inner[0] - values[bin_of == 0], values[bin_of == self.bins - 1] - inner[-1]
        last = high.mean() if len(high) else low.mean()  # the scale of an exponential tail, by maximum likelihood
        self.edges[place] = torch.cat([(inner[0] - low.mean())[None], inner, (inner[-1] + last)[None]])
        self.legal[place, part.offset : part.offset + self.bins] = self.edges[place].diff() > 0
        least = torch.full_like(self.point[place], math.inf).scatter_reduce(0, bin_of, values, "amin")
        most = torch.full_like(self.point[place], -math.inf).scatter_reduce(0, bin_of, values, "amax")
        self.point[place] = torch.where(least == most, least, math.nan)

    def encode(self, batch: Batch) -> Tensor:
        """Tokens ``(batch, places)``."""
        pieces = []
        for part in self.parts:
            values = batch[part.name].reshape(len(batch[part.name]), -1)
            if not part.field.discrete:
                values = self._bin(part, values)
            values = values + part.offset
            if part.field.kind == "sequence" and MASK in batch:
                values = torch.where(batch[MASK], values, self.end)
            pieces.append(values)
        return torch.cat(pieces, 1)

    def decode(self, x: Tensor) -> Batch:
        """Fields from tokens; a number is drawn within its bin. With sequences, also their mask."""
        batch: Batch = {}
        for part in self.parts:
            tokens = (x[:, part.places] - part.offset).clamp(0, part.tokens - 1)
            if part.field.kind == "sequence":
                batch[MASK] = x[:, part.places] != self.end
                tokens = tokens * batch[MASK]
            values = tokens if part.field.discrete else self._draw(part, tokens)
            batch[part.name] = values.reshape(len(x), *part.field.shape)
        return batch

    def log_density(self, batch: Batch) -> Tensor:
        """Log-density of the numbers within their bins, ``(batch,)``: what tokens do not tell."""
        total = torch.zeros(len(next(iter(batch.values()))), device=self.edges.device)
        for part in self.parts:
            if part.field.discrete or part.field.levels:
                continue
            values = batch[part.name].reshape(len(total), -1)
            low, high = self._bounds(part, self._bin(part, values))
            beyond = torch.zeros_like(values)
            if part.field.kind == "continuous":
                inner = self.edges[part.places, 1:-1]
                beyond = (inner[:, 0] - values).clamp(min=0) + (values - inner[:, -1]).clamp(min=0)
            total = total - ((high - low).log() + beyond / (high - low)).sum(1)
        return total

    def _bounds(self, part: Part, tokens: Tensor) -> tuple[Tensor, Tensor]:
        edges = self.edges[part.places]
        return edges.gather(1, tokens.T).T, edges.gather(1, tokens.T + 1).T

    def _bin(self, part: Part, values: Tensor) -> Tensor:
        edges = self.edges[part.places]
        if part.field.levels:
            span = (edges[:, -1] - edges[:, 0]).clamp(min=1e-12)
            return ((values - edges[:, 0]) / span * (part.tokens - 1)).round().long().clamp(0, part.tokens - 1)
        return torch.searchsorted(edges[:, 1:-1].contiguous(), values.T.contiguous()).T

    def _draw(self, part: Part, tokens: Tensor) -> Tensor:
        edges = self.edges[part.places]
        if part.field.levels:
            return edges[:, 0] + tokens / max(1, part.tokens - 1) * (edges[:, -1] - edges[:, 0])
        low, high = self._bounds(part, tokens)
        share = torch.rand(tokens.shape, device=tokens.device)
        values = low + share * (high - low)
        if part.field.kind == "continuous":
            tail = -torch.log1p(-share) * (high - low)
            values = torch.where(tokens == 0, high - tail, torch.where(tokens == self.bins - 1, low + tail, values))
            point = self.point[part.places].gather(1, tokens.T).T
            values = torch.where(point.isnan(), values, point)
        return values % 1 if part.field.kind == "periodic" else values
