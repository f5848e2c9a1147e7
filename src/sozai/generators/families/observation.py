"""p(x | z) of a decoder: which distribution each part of a codec's tensor gets from the decoder's free output.

=========================  ===========================================================================
span                       distribution
=========================  ===========================================================================
number                     Gaussian; its scale is learned, one a column (arXiv 2006.13202), or a row's own
choice                     categorical
number of a periodic field von Mises, the output its natural parameters kappa (cos mu, sin mu)
image without levels       Gaussian, one learned scale a channel
image with levels          logistic over the levels' bins (arXiv 1606.04934, 1701.05517), scale by pixel
=========================  ===========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.codec import Codec, Span
from sozai.generators.objectives.elbo import LOG_TAU, gaussian_log_prob

LEAST_LOG_SCALE = math.log(0.01)
"""Of Gaussians, in standard deviations of the data: values that repeat exactly would drive it to zero."""

FIRST_LOG_SCALE = math.log(0.1)
"""Where learned scales start: low, for a latent is given up early where noise explains the data."""


class Observation(nn.Module):
    """The distributions of all spans.

    Args:
        fields: what the codec encodes.
        codec: of the core; its scales are read, not owned.
        scale: of the Gaussians: ``"shared"`` by all rows, ``"free"`` (the decoder gives each row's own), or a
            fixed number.

    Attributes:
        event: shape of the decoder's output.
    """

    log_scale: Tensor
    codec: Codec

    def __init__(self, fields: Fields, codec: Codec, scale: str | float = "shared"):
        super().__init__()
        if not (scale in ("shared", "free") or (isinstance(scale, int | float) and scale > 0)):
            raise UserError(f"the scale cannot be {scale!r}", "setting 'scale'", "use shared, free or a number above 0")
        self.fields, self.scale = dict(fields), scale
        object.__setattr__(self, "codec", codec)  # not a submodule here: its buffers belong to the core
        self.image = len(codec.event) > 1
        self.levels = next(iter(fields.values())).levels if self.image else 0
        self.free = scale == "free" or self.levels > 0
        channels = codec.event[0]
        self.event = (channels * (2 if self.free else 1), *codec.event[1:])
        start = torch.full(
            (channels, *[1] * (len(codec.event) - 1)), FIRST_LOG_SCALE if isinstance(scale, str) else math.log(scale)
        )
        if scale == "shared" and not self.levels:
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start, persistent=False)

    def parameters_from(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Locations (or logits) and log scales from the decoder's output (batch, *self.event)."""
        raw = raw.float()  # under autocast too: differences of bins need it
        if self.free:
            location, log_scale = raw.chunk(2, 1)
            return location, log_scale.clamp(-7.0 if self.levels else LEAST_LOG_SCALE, 4.0)
        return raw, self.log_scale.clamp(min=LEAST_LOG_SCALE).expand_as(raw)

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """log p(x | z) in units of the codec's tensor, (batch,)."""
        location, log_scale = self.parameters_from(raw)
        if self.image:
            if self.levels:
                return discretised_logistic(x, location, log_scale, self.levels).flatten(1).sum(1)
            return gaussian_log_prob(x, location, log_scale).flatten(1).sum(1)
        gaussian = [span for span in self.codec.spans if self.law(span) == "gaussian"]
        columns = [column for span in gaussian for column in range(span.start, span.stop)]
        total = gaussian_log_prob(x[:, columns], location[:, columns], log_scale[:, columns]).sum(1)
        for length, spans in alike([span for span in self.codec.spans if span.kind == "choice"]):
            index = torch.tensor([span.start for span in spans], device=x.device)[:, None] + torch.arange(
                length, device=x.device
            )
            total = total + (F.log_softmax(location[:, index], -1) * x[:, index]).sum((1, 2))
        for span in self.codec.spans:
            if self.law(span) == "von mises":
                total = total + von_mises(x[:, span.columns], location[:, span.columns]).sum(1)
        return total

    def log_volume(self) -> Tensor:
        """What is to be added for a log-density of the fields' own values.

        Raises:
            UserError: rotations, whose Gaussian on two columns is no density on rotations.
        """
        total = torch.zeros((), device=self.log_scale.device)
        for span in [] if self.image else self.codec.spans:
            field = self.fields[span.field]
            if field.kind == "rotation":
                raise UserError(f"the rotation field '{span.field}' has no likelihood here", "likelihood")
            if self.law(span) == "gaussian":
                total = total - torch.as_tensor(self.codec.scale)[span.columns].log().sum()
            elif field.kind == "periodic":
                total = total + field.size * LOG_TAU  # angles are 2 pi times the values
        return total

    def mean(self, raw: Tensor) -> Tensor:
        """The middle of each distribution (of choices, their probabilities) in the codec's tensor."""
        location, _ = self.parameters_from(raw)
        return self._columns(location, lambda piece, span: piece) if not self.image else location.clamp(-1, 1)

    def sample(self, raw: Tensor) -> Tensor:
        """A draw, in the codec's tensor."""
        location, log_scale = self.parameters_from(raw)
        if self.levels:
            u = torch.rand_like(location).clamp(1e-6, 1 - 1e-6)
            return location + log_scale.exp() * torch.logit(u)  # the codec rounds it to the nearest level
        noisy = location + log_scale.exp() * torch.randn_like(location)
        if self.image:
            return noisy
        drawn = self._columns(location, lambda piece, span: noisy[:, span.columns])
        for span in self.codec.spans:
            piece = location[:, span.columns]
            if span.kind == "choice":
                gumbel = -torch.empty_like(piece).exponential_().clamp_min(1e-30).log()
                drawn[:, span.columns] = F.one_hot((piece + gumbel).argmax(1), piece.shape[1]).to(piece.dtype)
            elif self.law(span) == "von mises":
                drawn[:, span.columns] = draw_von_mises(piece)
        return drawn

    def law(self, span: Span) -> str:
        """``"categorical"``, ``"von mises"`` or ``"gaussian"``."""
        if span.kind == "choice":
            return "categorical"
        return "von mises" if self.fields[span.field].kind == "periodic" else "gaussian"

    def _columns(self, location: Tensor, gaussian) -> Tensor:
        """Columns put together: Gaussians by the function given, choices as probabilities, angles as unit vectors."""
        pieces = []
        for span in self.codec.spans:
            piece, law = location[:, span.columns], self.law(span)
            if law == "categorical":
                piece = piece.softmax(1)
            elif law == "von mises":
                cosine, sine = piece.chunk(2, 1)
                piece = torch.cat([cosine, sine], 1) / torch.hypot(cosine, sine).clamp_min(1e-6).repeat(1, 2)
            else:
                piece = gaussian(piece, span)
            pieces.append(piece)
        return torch.cat(pieces, 1)


def alike(spans: Sequence[Span]) -> list[tuple[int, list[Span]]]:
    """Spans by their length, so that a sequence's hundred tokens are one operation."""
    groups: dict[int, list[Span]] = {}
    for span in spans:
        groups.setdefault(span.stop - span.start, []).append(span)
    return list(groups.items())


def discretised_logistic(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """Log-probability of levels in [-1, 1]: the logistic's mass in each bin, the outer bins open.

    By sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which does not cancel.
    """
    half, inverse = 1 / (levels - 1), torch.exp(-log_scale)
    upper, lower = (x - mean + half) * inverse, (x - mean - half) * inverse
    first, last = x < -1 + half, x > 1 - half
    above = torch.where(last, torch.zeros_like(x), F.logsigmoid(upper))
    below = torch.where(first, torch.zeros_like(x), F.logsigmoid(-lower))
    width = torch.log(-torch.expm1(-(2 * half * inverse).clamp(min=1e-7)))
    return above + below + torch.where(first | last, torch.zeros_like(x), width)


def von_mises(x: Tensor, natural: Tensor) -> Tensor:
    """Log-density of angles given as (cos.., sin..): x . natural - log 2 pi I0(|natural|); (batch, angles)."""
    (cosine, sine), (along, across) = x.chunk(2, 1), natural.chunk(2, 1)
    concentration = torch.hypot(along, across) + 1e-6
    normaliser = LOG_TAU + torch.special.i0e(concentration).log() + concentration
    return along * cosine + across * sine - normaliser


def draw_von_mises(natural: Tensor) -> Tensor:
    """Angles as (cos.., sin..) from natural parameters of the same layout."""
    along, across = natural.chunk(2, 1)
    concentration = torch.hypot(along, across).clamp(1e-3, 1e5)
    angle = torch.distributions.VonMises(torch.atan2(across, along), concentration, validate_args=False).sample()
    return torch.cat([angle.cos(), angle.sin()], 1)
