"""Strided convolutions between images and vectors in two or three dimensions, in the manner of DCGAN.

A. Radford, L. Metz, S. Chintala, arXiv 1511.06434: every change of resolution is a (transposed) convolution of
stride 2, the vector end is one that covers all of the smallest map, and there is no pooling and no fully
connected hidden layer. All networks are called alike: ``(x, time, condition, mask)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sozai.errors import UserError

ACTIVATIONS: dict[str, Any] = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "silu": nn.SiLU,
    "elu": nn.ELU,
}
NORMALISATIONS = ("batch", "group", "instance", "none")

_CONV: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_BATCH: dict[int, Any] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def resolutions(event: Sequence[int]) -> list[tuple[int, ...]]:
    """Spatial sizes from the image's down to the smallest map's: halved twice, then on while all exceed 4 and are even.

    Raises:
        UserError: the event is no image of two or three dimensions whose sides are multiples of four.
    """
    spatial = tuple(event[1:])
    if len(spatial) not in (2, 3) or any(side < 4 or side % 4 for side in spatial):
        raise UserError(
            f"convolutions need images (channels, *sides) with two or three sides that are multiples of 4, "
            f"not {tuple(event)}",
            "data",
            "crop or pad the images",
        )
    sizes = [spatial]
    while len(sizes) < 3 or (min(sizes[-1]) > 4 and not any(side % 2 for side in sizes[-1])):
        sizes.append(tuple(side // 2 for side in sizes[-1]))
    return sizes


def normaliser(kind: str, channels: int, dimensions: int) -> nn.Module:
    """A normalisation of maps: over the batch, over up to 8 groups of channels of a row, over each channel of it."""
    if kind == "batch":
        return _BATCH[dimensions](channels)
    if kind == "group":
        return nn.GroupNorm(math.gcd(8, channels), channels)
    if kind == "instance":
        return nn.GroupNorm(channels, channels)
    if kind == "none":
        return nn.Identity()
    raise UserError(
        f"there is no normalisation '{kind}'", "setting 'normalisation'", f"use one of {', '.join(NORMALISATIONS)}"
    )


def activator(kind: str) -> nn.Module:
    """An activation by name."""
    if kind not in ACTIVATIONS:
        raise UserError(
            f"there is no activation '{kind}'", "setting 'activation'", f"use one of {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[kind]()


class ConvEncoder(nn.Module):
    """Image to vector: ``(batch, *event)`` to ``(batch, outputs)``.

    Channels double with each halving, from ``width`` to at most ``8 * width``.

    Args:
        event: (channels, *sides) of the image.
        outputs: columns of the result.
        width: channels of the first map.
        condition: columns of a condition vector, 0 for none; it enters each map as a bias of its channels,
            which is the same as appending it to the maps as constant channels.
        normalisation: ``"batch"``, ``"group"``, ``"instance"`` or ``"none"``; the first map has none, as in DCGAN.
        activation: ``"leaky"``, ``"relu"``, ``"silu"`` or ``"elu"``.
    """

    def __init__(
        self,
        event: Sequence[int],
        outputs: int,
        width: int = 32,
        condition: int = 0,
        normalisation: str = "batch",
        activation: str = "leaky",
    ):
        super().__init__()
        sizes = resolutions(event)
        dimensions = len(sizes[0])
        channels = [event[0], *(width * 2 ** min(level, 3) for level in range(len(sizes) - 1))]
        self.convolutions, self.norms, self.steer = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, (before, after) in enumerate(pairwise(channels)):
            kind = "none" if level == 0 else normalisation
            self.convolutions.append(_CONV[dimensions](before, after, 4, 2, 1, bias=kind in ("none", "group")))
            self.norms.append(normaliser(kind, after, dimensions))
            self.steer.append(nn.Linear(condition, after, bias=False) if condition else nn.Identity())
        self.activation = activator(activation)
        self.last = _CONV[dimensions](channels[-1], outputs, sizes[-1])
        if normalisation == "batch":
            initialise(self)

    def features(self, x: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """The maps after each halving, finest first."""
        maps = []
        for convolution, norm, steer in zip(self.convolutions, self.norms, self.steer, strict=True):
            x = norm(convolution(x))
            if condition is not None and isinstance(steer, nn.Linear):
                bias = steer(condition)
                x = x + bias.reshape(*bias.shape, *[1] * (x.dim() - 2))
            x = self.activation(x)
            maps.append(x)
        return maps

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, *event), condition (batch, condition); time and mask are not looked at."""
        return self.last(self.features(x, condition)[-1]).flatten(1)


class ConvDecoder(nn.Module):
    """Vector to image: ``(batch, inputs)`` to ``(batch, *event)``, the mirror image of ``ConvEncoder``.

    The result is free: squash it with ``codec.activate`` (tanh) where an image is wanted.

    Args:
        inputs: columns of the vector.
        event: (channels, *sides) of the image.
        width: channels of the largest map.
        normalisation: see ``ConvEncoder``; the result has none, as in DCGAN.
        activation: see ``ConvEncoder``.
        condition: columns of a condition vector, 0 for none; it is appended to the vector.
    """

    def __init__(
        self,
        inputs: int,
        event: Sequence[int],
        width: int = 32,
        normalisation: str = "batch",
        activation: str = "relu",
        condition: int = 0,
    ):
        super().__init__()
        sizes = resolutions(event)[::-1]
        dimensions = len(sizes[0])
        channels = [width * 2 ** min(level, 3) for level in range(len(sizes) - 1)][::-1]
        bias = normalisation in ("none", "group")
        layers: list[nn.Module] = [_TRANSPOSED[dimensions](inputs + condition, channels[0], sizes[0], bias=bias)]
        for before, after in zip(channels, [*channels[1:], event[0]], strict=True):
            layers += [normaliser(normalisation, before, dimensions), activator(activation)]
            final = len(layers) == 3 * len(channels)
            layers.append(_TRANSPOSED[dimensions](before, after, 4, 2, 1, bias=bias or final))
        self.dimensions = dimensions
        self.layers = nn.Sequential(*layers)
        if normalisation == "batch":
            initialise(self)

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, inputs), condition (batch, condition); time and mask are not looked at."""
        x = x if condition is None else torch.cat([x, condition], 1)
        return self.layers(x.reshape(*x.shape, *[1] * self.dimensions))


class ConvTranslator(nn.Module):
    """Image to image of the same shape: two halvings, residual blocks, two doublings (arXiv 1703.10593, 1603.08155).

    Args:
        event: (channels, *sides).
        width: channels of the largest map.
        blocks: residual blocks on the smallest map.
        normalisation: see ``ConvEncoder``.
    """

    def __init__(self, event: Sequence[int], width: int = 32, blocks: int = 3, normalisation: str = "instance"):
        super().__init__()
        dimensions = len(resolutions(event)[0])
        conv, up = _CONV[dimensions], _TRANSPOSED[dimensions]

        def then(layer: nn.Module, channels: int) -> list[nn.Module]:
            return [layer, normaliser(normalisation, channels, dimensions), nn.ReLU()]

        self.enter = nn.Sequential(
            *then(conv(event[0], width, 3, 1, 1), width),
            *then(conv(width, 2 * width, 4, 2, 1), 2 * width),
            *then(conv(2 * width, 4 * width, 4, 2, 1), 4 * width),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*then(conv(4 * width, 4 * width, 3, 1, 1), 4 * width), conv(4 * width, 4 * width, 3, 1, 1))
            for _ in range(blocks)
        )
        self.leave = nn.Sequential(
            *then(up(4 * width, 2 * width, 4, 2, 1), 2 * width),
            *then(up(2 * width, width, 4, 2, 1), width),
            conv(width, event[0], 3, 1, 1),
        )

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, *event) to free values of the same shape; time, condition and mask are not looked at."""
        x = self.enter(x)
        for block in self.blocks:
            x = x + block(x)
        return self.leave(x)


class PatchCritic(nn.Module):
    """A score for each patch of an image, ``(batch, 1, *sides / 4)`` (PatchGAN: arXiv 1611.07004, section 3.2.2).

    Args:
        event: (channels, *sides).
        width: channels of the first map.
        normalisation: of the second map; see ``ConvEncoder``.
    """

    def __init__(self, event: Sequence[int], width: int = 32, normalisation: str = "instance"):
        super().__init__()
        dimensions = len(resolutions(event)[0])
        conv = _CONV[dimensions]
        self.layers = nn.Sequential(
            conv(event[0], width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            conv(width, 2 * width, 4, 2, 1),
            normaliser(normalisation, 2 * width, dimensions),
            nn.LeakyReLU(0.2),
            conv(2 * width, 1, 3, 1, 1),
        )

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, *event); time, condition and mask are not looked at."""
        return self.layers(x)


def initialise(network: nn.Module) -> None:
    """DCGAN's start: weights of convolutions N(0, 0.02), scales of batch norms N(1, 0.02), biases zero."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        elif isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
