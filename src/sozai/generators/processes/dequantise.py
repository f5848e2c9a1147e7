"""Variational dequantisation (Flow++, arXiv 1902.00275; ScoreFlow, 2101.09258): discrete data for a density.

log P(v) >= E_q(u|v) [log p(v + u) - log q(u | v)], u in the unit bin. q starts as the uniform distribution (then
log q = 0) and learns to put u where the density model finds it likely.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.fields import Field
from sozai.generators.codec import Codec, ImageCodec, VectorCodec


class Dequantiser(nn.Module):
    """Moves uniformly dequantised values within their bins.

    Standard logistic noise goes through two affine couplings (arXiv 1605.08803), which see the discrete values
    and every other entry of the noise, and a sigmoid.

    Args:
        codec: one that dequantises.
        network: makes a network from (levels, masked noise), ``2 * channels`` in, to (log scale, shift).
    """

    discrete: Tensor
    turns: Tensor

    def __init__(self, codec: Codec, network: Callable[[], nn.Module]):
        super().__init__()
        self.codec = [codec]  # in a list: the core owns it
        discrete = torch.zeros(codec.event, dtype=torch.bool)
        for span in codec.spans:
            field = field_of(codec, span.field)
            if field.discrete or (isinstance(codec, ImageCodec) and field.levels):
                discrete[span.columns] = True
        place = torch.stack(torch.meshgrid(*[torch.arange(length) for length in codec.event], indexing="ij")).sum(0)
        self.register_buffer("discrete", discrete, persistent=False)
        self.register_buffer("turns", torch.stack([place % 2 == 0, place % 2 == 1]), persistent=False)
        self.couplings = nn.ModuleList(network() for _ in range(2))

    def bins(self) -> tuple[Tensor | float, Tensor | float]:
        """Where bin 0 starts in the codec's tensor, and the width of bins."""
        [codec] = self.codec
        if isinstance(codec, VectorCodec):
            return -codec.mean / codec.scale, 1 / codec.scale
        assert isinstance(codec, ImageCodec)
        return -1.0, 2 / codec.field.levels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (batch, *event), anywhere in its bins, to x at other places in the same bins and log q, (batch,)."""
        start, width = self.bins()
        level = ((x - start) / width).floor()
        seen = torch.where(self.discrete, start + (level + 0.5) * width, x)
        uniform = torch.rand_like(x).clamp(1e-6, 1 - 1e-6)
        hidden = torch.logit(uniform)
        log_q = log_logistic(hidden)
        for kept, coupling in zip(self.turns, self.couplings, strict=True):
            raw = coupling(torch.cat([seen, torch.where(self.discrete & kept, hidden, 0.0)], 1))
            hidden, scale = coupled(hidden, kept, raw)
            log_q = log_q - scale
        log_q = torch.where(self.discrete, log_q - log_logistic(hidden), 0.0)
        placed = start + (level + torch.sigmoid(hidden).clamp(1e-6, 1 - 1e-6)) * width
        return torch.where(self.discrete, placed, x), log_q.flatten(1).sum(1)


def field_of(codec: Codec, name: str) -> Field:
    """The field of this name in a codec's tensor."""
    if isinstance(codec, ImageCodec):
        return codec.field
    assert isinstance(codec, VectorCodec)  # the two that ``codec_for`` makes
    return codec.fields[name]


def coupled(hidden: Tensor, kept: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
    """Entries that are not kept scaled and shifted by a network's output; also the log of the scale, elementwise."""
    scale, shift = raw.chunk(2, 1)
    scale = torch.where(kept, 0.0, 2 * torch.tanh(scale / 2))
    return hidden * scale.exp() + torch.where(kept, 0.0, shift), scale


def log_logistic(x: Tensor) -> Tensor:
    """Log-density of the standard logistic distribution, which is the slope of the sigmoid."""
    return F.logsigmoid(x) + F.logsigmoid(-x)
