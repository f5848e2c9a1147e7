"""Isotropic Gaussian noise on rotations, IGSO(3), and random walks that undo it.

Density of the angle w of the difference with respect to the uniform law on SO(3), by its two series::

    f(w) = sum_l (2 l + 1) exp(-l (l + 1) sigma^2 / 2) sin((l + 1/2) w) / sin(w / 2)
         = c sum_k (-1)^k (w + 2 pi k) exp(-(w + 2 pi k)^2 / (2 sigma^2)) / sin(w / 2),
    c    = exp(sigma^2 / 8) sqrt(2 pi) / sigma^3

The first (D. Nikolayev and T. Savyolova, 1997; A. Leach et al., 2022) converges fast for large sigma, the second, its
Poisson summation, for small. sigma is the standard deviation in each tangent direction; variances add under
composition. The angle itself has the density f(w) (1 - cos w) / pi. Diffusion on SO(3): J. Yim et al., FrameDiff
(arXiv 2302.02277); random walks along geodesics: V. De Bortoli et al. (arXiv 2202.02763).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sozai.fields import Field
from sozai.generators.processes.corruption import Geodesic
from sozai.generators.processes.gaussian import spread

SWITCH = 1.0
"""From this sigma on the series over l is used."""

SMALLEST = 1e-2
"""Below this angle the score is proportional to the angle."""


def _series(angle: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """f sin(w / 2) up to a factor exp(log_factor), its derivative, and log_factor; angle in (0, pi]."""
    w, s = angle[..., None], sigma[..., None]
    few = s.clamp(max=SWITCH)
    k = torch.arange(-2, 3, device=w.device, dtype=w.dtype)
    sign, shifted = 1 - 2 * (k % 2).abs(), w + 2 * math.pi * k
    weight = sign * torch.exp((w**2 - shifted**2) / (2 * few**2))  # relative to k = 0, which is the largest
    near, near_slope = (weight * shifted).sum(-1), (weight * (1 - shifted**2 / few**2)).sum(-1)
    near_factor = sigma**2 / 8 + 0.5 * math.log(2 * math.pi) - 3 * sigma.log() - angle**2 / (2 * sigma**2)
    many = torch.arange(14, device=w.device, dtype=w.dtype)
    weight = (2 * many + 1) * torch.exp(-many * (many + 1) * s.clamp(min=SWITCH) ** 2 / 2)
    far = (weight * torch.sin((many + 0.5) * w)).sum(-1)
    far_slope = (weight * (many + 0.5) * torch.cos((many + 0.5) * w)).sum(-1)
    small = (sigma < SWITCH).expand_as(near)
    zero = torch.zeros_like(near)
    return (
        torch.where(small, near, far),
        torch.where(small, near_slope, far_slope),
        torch.where(small, near_factor.expand_as(near), zero),
    )


def density(angle: Tensor, sigma: Tensor) -> Tensor:
    """f(w) against the uniform law; sigma broadcasts."""
    angle = angle.clamp(min=SMALLEST / 10)
    value, _, factor = _series(angle, sigma)
    return value.clamp(min=0) * factor.exp() / torch.sin(angle / 2)


def score(angle: Tensor, sigma: Tensor) -> Tensor:
    """d log f / dw; sigma broadcasts."""
    safe = angle.clamp(min=SMALLEST)
    value, slope, _ = _series(safe, sigma)
    return (slope / value.clamp(min=1e-30) - 0.5 / torch.tan(safe / 2)) * angle / safe


def angle_table(sigma: Tensor, points: int = 512) -> tuple[Tensor, Tensor]:
    """A grid of angles ``(batch, points)`` and the probability of each cell around them, for sigma ``(batch,)``."""
    reach = (8 * sigma).clamp(max=math.pi)[:, None]
    grid = reach * (torch.arange(points, device=sigma.device, dtype=sigma.dtype) + 0.5) / points
    weight = density(grid, sigma[:, None].expand_as(grid)) * (1 - grid.cos())
    return grid, weight / weight.sum(1, keepdim=True)


def sample_angle(sigma: Tensor, count: int) -> Tensor:
    """``(batch, count)`` angles of IGSO(3), by the inverse of the distribution function."""
    distinct, owner = torch.unique(sigma, return_inverse=True)
    grid, weight = (part[owner] for part in angle_table(distinct))
    edges = weight.cumsum(1)
    level = torch.rand(len(sigma), count, device=sigma.device, dtype=sigma.dtype) * edges[:, -1:]
    cell = torch.searchsorted(edges, level).clamp(max=grid.shape[1] - 1)
    inside = (level - (edges - weight).gather(1, cell)) / weight.gather(1, cell).clamp(min=1e-30)
    return (cell + inside.clamp(0, 1)) * 2 * grid[:, :1]  # a cell is twice its first middle


def exp_map(vector: Tensor) -> Tensor:
    """Rotation matrices ``(..., 3, 3)`` from axis times angle ``(..., 3)`` (Rodrigues)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    square = vector.square().sum(-1)[..., None, None]
    angle = square.clamp(min=1e-12).sqrt()
    small = square < 1e-6
    first = torch.where(small, 1 - square / 6, angle.sin() / angle)
    second = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / angle**2)
    return torch.eye(3, device=vector.device, dtype=vector.dtype) + first * cross + second * cross @ cross


def log_map(rotation: Tensor) -> Tensor:
    """Axis times angle ``(..., 3)``, the angle in [0, pi]; the inverse of ``exp_map``."""
    r = rotation
    twice = torch.stack([r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], -1)
    sine = twice.norm(dim=-1) / 2
    cosine = (r.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    angle = torch.atan2(sine, cosine)
    # close to pi the sine no longer gives the axis, but R + R' - (tr R - 1) 1 = 2 (1 - cos w) a a' does
    outer = r + r.mT - 2 * cosine[..., None, None] * torch.eye(3, device=r.device, dtype=r.dtype)
    best = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)
    column = outer.gather(-1, best[..., None, None].expand(*best.shape, 3, 1))[..., 0]
    side = torch.where((column * twice).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    from_outer = side * column / column.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    ratio = torch.where(sine > 1e-6, angle / (2 * sine.clamp(min=1e-6)), torch.full_like(angle, 0.5))
    near_pi = (cosine < -0.99)[..., None]
    return torch.where(near_pi, angle[..., None] * from_outer, ratio[..., None] * twice)


def uniform(*shape: int, device: torch.device | None = None) -> Tensor:
    """Uniform rotations ``(*shape, 3, 3)``: from normal quaternions."""
    w, x, y, z = torch.nn.functional.normalize(torch.randn(*shape, 4, device=device), dim=-1).unbind(-1)
    entries = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(entries, -1).unflatten(-1, (3, 3))


class RotationNoise(Geodesic):
    """The corruption of a rotation field; predictions are tangent vectors in the rotated (body) frame."""

    def __init__(self, field: Field, least: float = 0.03, most: float = 2.5):
        super().__init__(field, least, most)
        self.inputs, self.outputs = self.unit, self.unit // 3
        self.matrices = self.unit // 9

    def encode(self, values: Tensor) -> Tensor:
        """``(batch, places, matrices, 3, 3)``; padding (zeros) becomes the identity, lest the logarithm fail there."""
        z = self.arrange(values).unflatten(-1, (self.matrices, 3, 3))
        return torch.where(z.any(-1, keepdim=True).any(-2, keepdim=True), z, torch.eye(3, device=z.device))

    def decode(self, z: Tensor) -> Tensor:
        """Orthogonalised against rounding."""
        from sozai.generators.codec import orthogonal

        return self.restore(orthogonal(z[..., :2]).flatten(2))

    def prior(self, rows: int, places: int, device: torch.device) -> Tensor:
        """Uniform."""
        return uniform(rows, places, self.matrices, device=device)

    def corrupt(self, z0: Tensor, t: Tensor) -> Tensor:
        """z_0 times a draw of IGSO(3)."""
        angle = sample_angle(self.sigma(t), z0.shape[1] * self.matrices).view(*z0.shape[:3], 1)
        axis = torch.nn.functional.normalize(torch.randn(*z0.shape[:3], 3, device=z0.device, dtype=z0.dtype), dim=-1)
        return z0 @ exp_map(angle * axis)

    def features(self, z: Tensor, t: Tensor) -> Tensor:
        """The matrices' entries."""
        return z.flatten(2)

    def score(self, z: Tensor, z0: Tensor, sigma: Tensor) -> Tensor:
        """Along the axis of z_0' z, ``(batch, places, 3 * matrices)``."""
        vector = log_map(z0.mT @ z)
        angle = vector.norm(dim=-1)
        size = score(angle, spread(sigma, angle).expand_as(angle))
        return (size[..., None] * vector / angle.clamp(min=1e-8)[..., None]).flatten(2)

    def magnitude(self, sigma: Tensor) -> Tensor:
        """By quadrature over the angle."""
        grid, weight = angle_table(sigma, 128)
        return ((weight * score(grid, sigma[:, None].expand_as(grid)) ** 2).sum(1) / 3).sqrt()

    def walk(self, z: Tensor, step: Tensor) -> Tensor:
        """z exp(step)."""
        return z @ exp_map(step.unflatten(-1, (self.matrices, 3)))
