"""A U-Net for images of two or three dimensions (arXiv 1505.04597, with DDPM's parts, 2006.11239).

Residual blocks of group norm and convolution, steered by time and condition (scale and shift after the second
norm, 2102.09672); halved resolution on the way down, skips on the way up, self-attention at the coarsest. The last
convolution starts at zero. Any spatial size works: odd lengths are halved upwards and restored from the skip.
Large images enter as patches of 2 x 2 pixels folded into channels, a quarter of the work (2301.11093).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.generators.networks.mlp import TimeEmbedding

CONVOLUTIONS: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}


def depth_of(spatial: tuple[int, ...]) -> int:
    """How often the resolution is halved: until the shortest side is under 8, three times at most."""
    return min(3, max(0, min(spatial).bit_length() - 3))


def patch_of(spatial: tuple[int, ...]) -> int:
    """Pixels a side that enter as one: 2 where all sides are even and 32 or more."""
    return 2 if min(spatial) >= 32 and all(side % 2 == 0 for side in spatial) else 1


def fold(x: Tensor, patch: int) -> Tensor:
    """``(batch, channels, *spatial)`` to ``(batch, channels * patch^axes, *spatial / patch)``; nothing is lost."""
    for axis in range(2, x.dim()):
        x = x.unflatten(axis, (-1, patch)).movedim(axis + 1, 2).flatten(1, 2)
    return x


def unfold(x: Tensor, patch: int) -> Tensor:
    """Undo ``fold``."""
    for axis in reversed(range(2, x.dim())):
        x = x.unflatten(1, (-1, patch)).movedim(2, axis + 1).flatten(axis, axis + 1)
    return x


class UNet(nn.Module):
    """Image to image.

    Args:
        event: ``(channels, *spatial)`` of x, two or three spatial axes.
        width: channels at full resolution (that of the patches); doubled below (once).
        timed: whether a time is given.
        condition: length of the condition vector, 0 for none.
        outputs: channels of the result, by default as many as x has.
        blocks: residual blocks at each resolution.
        dropout: in each block.
    """

    def __init__(
        self,
        event: tuple[int, ...],
        width: int = 32,
        timed: bool = True,
        condition: int = 0,
        outputs: int | None = None,
        blocks: int = 1,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.patch, axes = patch_of(event[1:]), len(event) - 1
        channels = event[0] * self.patch**axes
        spatial = tuple(side // self.patch for side in event[1:])
        conv, depth, steer = CONVOLUTIONS[axes], depth_of(spatial), 4 * width
        widths = [width] + [2 * width] * depth
        self.time = TimeEmbedding(steer) if timed else None
        self.condition = nn.Linear(condition, steer) if condition else None
        self.steer = steer
        self.enter = conv(channels, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, here = [width], width
        for level, wide in enumerate(widths):
            for _ in range(blocks):
                self.down.append(_Block(conv, here, wide, steer, dropout))
                here = wide
                skips.append(here)
            if level < depth:
                self.down.append(_Down(conv, here))
                skips.append(here)
        self.middle = nn.ModuleList(
            [_Block(conv, here, here, steer, dropout), _Attention(here), _Block(conv, here, here, steer, dropout)]
        )
        for level, wide in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(_Block(conv, here + skips.pop(), wide, steer, dropout))
                here = wide
            if level > 0:
                self.up.append(_Up(conv, here))
        last = conv(here, channels if outputs is None else outputs * self.patch**axes, 3, padding=1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.leave = nn.Sequential(_norm(here), nn.SiLU(), last)

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, channels, *spatial), time (batch,), condition (batch, condition); the mask is not looked at."""
        steer = torch.zeros(x.shape[0], self.steer, device=x.device)
        if self.time is not None and time is not None:
            steer = steer + self.time(time)
        if self.condition is not None and condition is not None:
            steer = steer + self.condition(condition)
        x = self.enter(fold(x, self.patch))
        skips = [x]
        for part in self.down:
            x = part(x, steer)
            skips.append(x)
        for part in self.middle:
            x = part(x, steer)
        for part in self.up:
            if isinstance(part, _Up):
                x = part(x, skips[-1].shape[2:])
            else:
                x = part(torch.cat([x, skips.pop()], 1), steer)
        return unfold(self.leave(x), self.patch)


def _norm(channels: int) -> nn.GroupNorm:
    groups = next(groups for groups in (8, 4, 2, 1) if channels % groups == 0)
    return nn.GroupNorm(groups, channels)


class _Block(nn.Module):
    def __init__(self, conv: type[nn.Module], inputs: int, outputs: int, steer: int, dropout: float):
        super().__init__()
        self.norm_first, self.norm_second = _norm(inputs), _norm(outputs)
        self.first, self.second = conv(inputs, outputs, 3, padding=1), conv(outputs, outputs, 3, padding=1)
        self.steer = nn.Linear(steer, 2 * outputs)
        self.skip = conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.dropout = dropout
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, steer: Tensor) -> Tensor:
        hidden = self.first(F.silu(self.norm_first(x)))
        scale, shift = self.steer(F.silu(steer)).reshape(len(x), -1, *[1] * (x.dim() - 2)).chunk(2, 1)
        hidden = F.silu(self.norm_second(hidden) * (1 + scale) + shift)
        return self.skip(x) + self.second(F.dropout(hidden, self.dropout, self.training))


class _Attention(nn.Module):
    """Self-attention over all places, four heads."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = heads if channels % heads == 0 else 1
        self.norm = _norm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, steer: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        batch, places, channels = tokens.shape
        q, k, v = self.qkv(tokens).reshape(batch, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, places, channels)
        return x + self.out(seen).transpose(1, 2).reshape(x.shape)


class _Down(nn.Module):
    def __init__(self, conv: type[nn.Module], channels: int):
        super().__init__()
        self.conv = conv(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, steer: Tensor) -> Tensor:
        return self.conv(x)


class _Up(nn.Module):
    def __init__(self, conv: type[nn.Module], channels: int):
        super().__init__()
        self.conv = conv(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        return self.conv(F.interpolate(x, size=size, mode="nearest"))
