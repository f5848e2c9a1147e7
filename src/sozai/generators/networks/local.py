"""Decoder heads that also see a few values before the one they predict: p(x | z) = prod_i p(x_i | z, x_window(i)).

The window is the causal part of a small box around each place, in raster order; it is exact, not only in effect:
one masked layer looks at x, all else acts on each place by itself (arXiv 1611.02731, section 3.1; masks: 1601.06759).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CONV = {2: F.conv2d, 3: F.conv3d}

Draw = Callable[[Tensor], Tensor]
"""Values from the free output at one place."""


class LocalConv(nn.Module):
    """Of an image, in two or three dimensions.

    Args:
        features: channels of the map that the decoder makes of z.
        channels: of the image; those of one place do not see each other.
        outputs: channels of the result.
        dimensions: spatial axes.
        window: how far the box reaches along each axis; 0: no value is seen.
    """

    mask: Tensor

    def __init__(self, features: int, channels: int, outputs: int, dimensions: int, window: int):
        super().__init__()
        self.window, self.dimensions = window, dimensions
        side = 2 * window + 1
        self.weight = nn.Parameter(torch.randn(features, channels, *[side] * dimensions) / (channels * side) ** 0.5)
        self.register_buffer("mask", causal_box(side, dimensions), persistent=False)
        self.first, self.last = nn.Linear(features, features), nn.Linear(features, outputs)

    def forward(self, features: Tensor, x: Tensor) -> Tensor:
        """features (batch, features, *sides) and x (batch, channels, *sides) to (batch, outputs, *sides)."""
        return self.act(features, F.pad(x, [self.window] * (2 * self.dimensions)))

    def act(self, features: Tensor, padded: Tensor) -> Tensor:
        """The same for x that is padded by the window already."""
        hidden = F.silu(features + _CONV[self.dimensions](padded, self.weight * self.mask)).movedim(1, -1)
        return self.last(hidden + F.silu(self.first(hidden))).movedim(-1, 1)

    def sample(self, features: Tensor, channels: int, draw: Draw) -> Tensor:
        """Place by place, each from its own small box."""
        sides, side = features.shape[2:], 2 * self.window + 1
        if not self.window:
            return draw(self.act(features, features.new_zeros(len(features), channels, *sides)))
        padded = features.new_zeros(len(features), channels, *(length + side - 1 for length in sides))
        inner = tuple(slice(self.window, self.window + length) for length in sides)
        for place in itertools.product(*(range(length) for length in sides)):
            box = (slice(None), slice(None), *(slice(start, start + side) for start in place))
            here = (slice(None), slice(None), *(slice(start, start + 1) for start in place))
            centre = (
                slice(None),
                slice(None),
                *(slice(start + self.window, start + self.window + 1) for start in place),
            )
            padded[centre] = draw(self.act(features[here], padded[box]))
        return padded[(slice(None), slice(None), *inner)]


class LocalLinear(nn.Module):
    """Of a vector, whose columns belong to places in a row (a token's columns to one).

    Args:
        features: numbers a place that the decoder makes of z.
        places: the place of each column of x.
        repeat: numbers of the result a column.
        window: how many places before its own each place sees.
    """

    mask: Tensor
    places: Tensor

    def __init__(self, features: int, places: Sequence[int], repeat: int, window: int):
        super().__init__()
        self.features, self.count, self.window = features, max(places) + 1, window
        column = torch.tensor(places)
        self.register_buffer("places", column, persistent=False)
        self.register_buffer("outputs", column.repeat(repeat), persistent=False)
        back = torch.arange(self.count)[:, None] - column
        self.register_buffer("mask", ((back >= 1) & (back <= window)).float().repeat_interleave(features, 0), False)
        seen = float(self.mask.sum(1).max().clamp(min=1))
        self.weight = nn.Parameter(torch.randn(self.count * features, len(places)) / seen**0.5)
        self.last = nn.Parameter(torch.randn(len(places) * repeat, features) / features**0.5)
        self.bias = nn.Parameter(torch.zeros(len(places) * repeat))

    def forward(self, features: Tensor, x: Tensor) -> Tensor:
        """features (batch, places * features) and x (batch, columns) to (batch, columns * repeat)."""
        hidden = F.silu(features + F.linear(x, self.weight * self.mask)).unflatten(1, (self.count, self.features))
        return (hidden[:, self.outputs] * self.last).sum(-1) + self.bias

    def sample(self, features: Tensor, columns: int, draw: Draw) -> Tensor:
        """Place by place."""
        x = features.new_zeros(len(features), columns)
        for place in range(self.count if self.window else 1):
            drawn = draw(self(features, x))
            x = torch.where(self.places == place, drawn, x) if self.window else drawn
        return x


def causal_box(side: int, dimensions: int) -> Tensor:
    """1 for the places of a box that come before its centre in raster order, else 0; ``(side, ..)``."""
    box = torch.zeros(side**dimensions)
    box[: len(box) // 2] = 1
    return box.reshape([side] * dimensions)
