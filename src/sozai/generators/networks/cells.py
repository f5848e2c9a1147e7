"""The residual cells of NVAE, and what keeps them smooth.

A. Vahdat and J. Kautz, NVAE, NeurIPS 2020 (arXiv 2007.03898, section 3.1). Going down (the generative model) a cell
is wide and depthwise, going up (the encoder) two regular convolutions::

    down: x + s SE(BN(1x1(swish(BN(depthwise 5x5(swish(BN(1x1, expand(BN(x)))))))))
    up:   x + s SE(3x3(swish(BN(3x3(swish(BN(x)))))))

Swish is SiLU; SE is squeeze and excitation: each channel gated by a small network of all channels' means.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.generators.networks.maps import convolution

SKIP = 0.1
"""s: cells start near the identity, which deep stacks need."""

_BATCH: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class Norm(nn.Module):
    """Batch norm whose running statistics are slow, as the averaged weights that they serve in evaluation."""

    def __init__(self, dimensions: int, width: int):
        super().__init__()
        self.layer = _BATCH[dimensions](width, eps=1e-3, momentum=0.05)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, *grid) to the same."""
        return self.layer(x)


class SqueezeExcite(nn.Module):
    """Each channel times a gate in (0, 1) made of all channels' means (arXiv 1709.01507)."""

    def __init__(self, width: int):
        super().__init__()
        hidden = max(width // 8, 4)
        self.gate = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, *grid) to the same."""
        gate = self.gate(x.flatten(2).mean(2))
        return x * gate.reshape(*gate.shape, *[1] * (x.dim() - 2))


class UpCell(nn.Module):
    """The encoder's residual cell."""

    def __init__(self, dimensions: int, width: int):
        super().__init__()
        parts: list[nn.Module] = []
        for _ in range(2):
            parts += [Norm(dimensions, width), nn.SiLU(), convolution(dimensions, width, width)]
        self.layers = nn.Sequential(*parts, SqueezeExcite(width))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, *grid) to the same."""
        return x + SKIP * self.layers(x)


class DownCell(nn.Module):
    """The generative model's residual cell: an inverted bottleneck around a depthwise convolution."""

    def __init__(self, dimensions: int, width: int, expand: int = 3):
        super().__init__()
        inner = expand * width
        self.layers = nn.Sequential(
            Norm(dimensions, width),
            convolution(dimensions, width, inner, 1),
            Norm(dimensions, inner),
            nn.SiLU(),
            convolution(dimensions, inner, inner, 5, groups=inner),
            Norm(dimensions, inner),
            nn.SiLU(),
            convolution(dimensions, inner, width, 1),
            Norm(dimensions, width),
            SqueezeExcite(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, *grid) to the same."""
        return x + SKIP * self.layers(x)


class SpectralPenalty(nn.Module):
    """Sum of the largest singular values of all convolutions' and linear maps' weights, and of batch norms' scales.

    Section 3.2 of the paper: it bounds how much the encoder's output changes with its input, and with it the KL.
    Singular values come from power iteration whose vectors are kept from step to step; a depthwise convolution is
    a map a channel, so that its norm is that of its longest kernel.

    Args:
        network: whose weights are meant; it is not owned.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self._weights: list[nn.Parameter] = []
        self._scales: list[nn.Parameter] = []
        for module in network.modules():
            weight = getattr(module, "weight", None)
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear) and isinstance(weight, nn.Parameter):
                self.register_buffer(f"start_{len(self._weights)}", F.normalize(torch.randn(len(weight)), dim=0))
                self._weights.append(weight)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
                self._scales.append(module.weight)

    def forward(self, rounds: int = 1) -> Tensor:
        """The sum, after so many more rounds of power iteration."""
        total = torch.stack([scale.abs().max() for scale in self._scales]).sum()
        for index, weight in enumerate(self._weights):
            matrix = weight.flatten(1)
            if weight.dim() > 2 and weight.shape[1] == 1 and len(weight) > 1:
                total = total + matrix.norm(dim=1).max()
                continue
            kept = getattr(self, f"start_{index}")
            with torch.no_grad():
                left = kept
                for _ in range(rounds):
                    right = F.normalize(matrix.T @ left, dim=0)
                    left = F.normalize(matrix @ right, dim=0)
                kept.copy_(left)
            total = total + left @ matrix @ right
        return total
