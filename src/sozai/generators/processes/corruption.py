"""What a noise process must offer to serve a kind of field; Gaussian noise; noise on curved spaces.

Time runs from 0 (data) to 1 (noise). A corruption sees its field as a tensor ``(batch, places, unit...)``: places
are the sites, the tokens of a sequence, the patches of an image, or a single one for a field of the whole material.
Times are ``(batch,)``; what it returns for a loss is ``(batch, places)``, so that a mask can be laid on it.
"""

from __future__ import annotations

import math
from math import gcd, prod
from typing import Literal

import torch
from torch import Tensor, nn

from sozai.fields import Field
from sozai.generators.processes import gaussian
from sozai.generators.processes.gaussian import Schedule, spread
from sozai.generators.processes.scaling import Scaling

Group = Literal["whole", "sites", "sequence", "patches"]
"""Which axis of tokens a field lies on."""

MOST_PATCHES = 64
"""An image is cut into at most so many square patches (where its sides allow)."""


class Corruption(nn.Module):
    """Base: how one field is noised, what a network sees of it and predicts for it, and how a step is undone.

    Attributes:
        inputs, outputs: numbers that the network sees, and predicts, at each place.
        group, places: the axis of the field; 0 places when their number varies (sites).
        unit: values at each place.
        relative: the network sees differences between sites, ``(batch, sites, sites, inputs)``, not the sites.
    """

    inputs: int
    outputs: int
    relative = False

    def __init__(self, field: Field):
        super().__init__()
        self.field = field
        self.patch = 0
        self.group: Group = "sites" if field.sites else "whole"
        self.places = 0 if field.sites else 1
        if field.kind == "sequence" and not field.sites:
            self.group, self.places = "sequence", field.size
        if field.kind == "image" and not field.sites:
            self.patch = patch_of(field.shape[1:])
            self.places = prod(length // self.patch for length in field.shape[1:])
            self.group = "patches" if self.places > 1 else "whole"
        self.unit = field.size // max(1, self.places)

    def arrange(self, values: Tensor) -> Tensor:
        """Values in the shape of ``sozai.fields`` as ``(batch, places, unit)``."""
        if self.patch:
            return to_patches(values, self.patch)
        return values.reshape(len(values), -1 if self.field.sites else self.places, self.unit)

    def restore(self, z: Tensor) -> Tensor:
        """The inverse of ``arrange``."""
        if self.patch:
            return from_patches(z, self.patch, self.field.shape)
        return z.reshape(len(z), *((z.shape[1],) if self.field.sites else ()), *self.field.shape)

    def fit(self, z: Tensor, mask: Tensor) -> None:
        """Take scales from arranged training values, where the mask ``(batch, places)`` is true."""

    def encode(self, values: Tensor) -> Tensor:
        """Values as what is noised."""
        return self.arrange(values)

    def decode(self, z: Tensor) -> Tensor:
        """And back; always legal values."""
        return self.restore(z)

    def prior(self, rows: int, places: int, device: torch.device) -> Tensor:
        """Pure noise."""
        raise NotImplementedError

    def corrupt(self, z0: Tensor, t: Tensor) -> Tensor:
        """A draw of q(z_t | z_0)."""
        raise NotImplementedError

    def features(self, z: Tensor, t: Tensor) -> Tensor:
        """What the network sees: ``(batch, places, inputs)``."""
        raise NotImplementedError

    def project(self, prediction: Tensor, mask: Tensor) -> Tensor:
        """The prediction without what a symmetry forbids."""
        return prediction

    def loss(self, prediction: Tensor, z0: Tensor, zt: Tensor, s: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """What training minimises, ``(batch, places)``; s is the time of the step before t."""
        raise NotImplementedError

    def reverse(self, z: Tensor, prediction: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """A draw of p(z_s | z_t); all rows share s and t."""
        raise NotImplementedError

    def correct(self, z: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """A Langevin step at time t (arXiv 2011.13456), where there is one."""
        return z

    def divergence(self, prediction: Tensor, z0: Tensor, zt: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """KL of q(z_s | z_t, z_0) from p(z_s | z_t), nats: a step's part of the likelihood bound."""
        raise NotImplementedError

    def ends(self, z0: Tensor) -> Tensor:
        """The other parts of the bound, nats: KL of q(z_1 | z_0) from the prior, reconstruction, change of units."""
        raise NotImplementedError


class GaussianNoise(Corruption):
    """Variance-preserving Gaussian noise on numbers (see ``processes.gaussian``).

    Args:
        predict: ``"noise"`` (arXiv 2006.11239) or ``"velocity"`` v = alpha eps - sigma x_0 (arXiv 2202.00512),
            which stays well-behaved where there is only noise.
        scaling: of the values; images, already in [-1, 1], have none.
        steps: T.

    The variance of a reverse step is the best for the fitted network (Analytic-DPM, arXiv 2201.06503): the posterior's
    and that of what the network does not know of the data, ``error[k]``, once ``learn_error`` has found it.
    """

    low: Tensor
    high: Tensor
    error: Tensor

    def __init__(
        self, field: Field, schedule: Schedule, predict: str = "velocity", scaling: Scaling | None = None,
        steps: int = 100,
    ):  # fmt: skip
        super().__init__(field)
        self.schedule, self.predict, self.scaling, self.steps = schedule, predict, scaling, steps
        self.inputs = self.outputs = self.unit
        self.register_buffer("error", torch.zeros(steps + 1, self.unit))
        self.register_buffer("low", torch.full((self.unit,), -1.0))
        self.register_buffer("high", torch.full((self.unit,), 1.0))

    def fit(self, z: Tensor, mask: Tensor) -> None:
        """Scaling, and the range (5% wider than the data's) that estimates of the data are kept within."""
        if self.scaling is not None:
            real = z[mask]
            self.scaling.fit(real)
            scaled = self.scaling(real)
            margin = 0.05 * (scaled.amax(0) - scaled.amin(0))
            self.low.copy_(scaled.amin(0) - margin)
            self.high.copy_(scaled.amax(0) + margin)

    def encode(self, values: Tensor) -> Tensor:
        """Scaled."""
        z = self.arrange(values)
        return z if self.scaling is None else self.scaling(z)

    def decode(self, z: Tensor) -> Tensor:
        """In the data's units; images clipped, to their levels where there are any."""
        if self.scaling is not None:
            return self.restore(self.scaling.inverse(z))
        z, levels = self.restore(z).clamp(-1, 1), self.field.levels
        return ((z + 1) / 2 * (levels - 1)).round() / (levels - 1) * 2 - 1 if levels else z

    def prior(self, rows: int, places: int, device: torch.device) -> Tensor:
        """Standard normal."""
        return torch.randn(rows, places, self.unit, device=device)

    def corrupt(self, z0: Tensor, t: Tensor) -> Tensor:
        """alpha z_0 + sigma eps."""
        return gaussian.noised(self.schedule, z0, t, torch.randn_like(z0))

    def features(self, z: Tensor, t: Tensor) -> Tensor:
        """Themselves: their variance is one."""
        return z

    def loss(self, prediction: Tensor, z0: Tensor, zt: Tensor, s: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """Mean squared error of what is predicted."""
        alpha, sigma = spread(self.schedule.alpha(t), zt), spread(self.schedule.sigma(t), zt)
        noise = (zt - alpha * z0) / sigma
        target = noise if self.predict == "noise" else alpha * noise - sigma * z0
        return (prediction - target).square().mean(-1)

    def estimate(self, z: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """Expected data given z_t."""
        alpha, sigma = spread(self.schedule.alpha(t), z), spread(self.schedule.sigma(t), z)
        data = (z - sigma * prediction) / alpha if self.predict == "noise" else alpha * z - sigma * prediction
        return data.clamp(self.low, self.high)

    def learn_error(self, prediction: Tensor, z0: Tensor, zt: Tensor, t: Tensor, mask: Tensor) -> None:
        """Mean squared error of the estimate at t (the same for all rows)."""
        self.error[self.index(t[:1])] = (self.estimate(zt, prediction, t) - z0)[mask].square().mean(0)

    def index(self, t: Tensor) -> Tensor:
        """The step k of a time."""
        return (t * self.steps).round().long()

    def reverse(self, z: Tensor, prediction: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Ancestral; the last step returns the estimate itself."""
        data = self.estimate(z, prediction, t)
        if not bool((s > 0).any()):
            return data
        of_z, of_data, variance = (spread(c, z) for c in gaussian.posterior(self.schedule, s, t))
        variance = variance + of_data**2 * self.error[self.index(t)][:, None]
        return of_z * z + of_data * data + variance.sqrt() * torch.randn_like(z)

    def divergence(self, prediction: Tensor, z0: Tensor, zt: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """With the fall of the signal-to-noise ratio f = SNR_s - SNR_t, error e and its expected size m, a column's
        (log(1 + f m) + (1 + f e) / (1 + f m) - 1) / 2; without m, f e / 2 (arXiv 2107.00630, eq. 13).
        """
        fall = spread(self.schedule.log_snr(s).exp() - self.schedule.log_snr(t).exp(), zt)
        known = fall * self.error[self.index(t)][:, None]
        error = fall * (self.estimate(zt, prediction, t) - z0).square()
        return 0.5 * (known.log1p() + (error - known) / (1 + known)).sum(-1)

    def ends(self, z0: Tensor) -> Tensor:
        """At t = 1 against the standard normal; at t = 0 the data are read off z_0 within its noise."""
        zero, one = z0.new_zeros(len(z0)), z0.new_ones(len(z0))
        alpha, sigma = spread(self.schedule.alpha(one), z0), spread(self.schedule.sigma(one), z0)
        prior = 0.5 * (alpha**2 * z0**2 + sigma**2 - 1 - 2 * sigma.log())
        width = spread((-self.schedule.log_snr(zero) / 2).exp(), z0)  # sigma / alpha
        if self.field.kind == "image" and self.field.levels:
            levels = torch.linspace(-1, 1, self.field.levels, device=z0.device)
            read = z0 + width * torch.randn_like(z0)
            logits = -0.5 * ((read[..., None] - levels) / width[..., None]) ** 2
            place = ((z0 + 1) / 2 * (self.field.levels - 1)).round().long()
            return (prior - logits.log_softmax(-1).gather(-1, place[..., None])[..., 0]).sum(-1)
        reconstruction = 0.5 + width.log() + 0.5 * math.log(2 * math.pi)
        volume = 0.0 if self.scaling is None else self.scaling.log_volume()
        return (prior + reconstruction).sum(-1) - volume


class Geodesic(Corruption):
    """Variance-exploding noise on a compact space: z_t is a Brownian motion from z_0, run for sigma(t)^2.

    sigma grows geometrically from ``least`` to ``most``, where the law is as good as uniform. The network predicts
    the score divided by its root mean square, which makes the weight of the denoising loss the inverse expected
    squared score (arXiv 2309.04475, sec. 4; 2011.13456, eq. 7). Reverse steps walk along geodesics (2202.02763).
    """

    def __init__(self, field: Field, least: float, most: float):
        super().__init__(field)
        self.least, self.most = least, most

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise in each tangent direction."""
        return self.least * (self.most / self.least) ** t

    def score(self, z: Tensor, z0: Tensor, sigma: Tensor) -> Tensor:
        """Gradient of log q(z | z_0) in z, in coordinates of the tangent space at z; sigma (batch,)."""
        raise NotImplementedError

    def magnitude(self, sigma: Tensor) -> Tensor:
        """Root mean square of a component of the score under q; (batch,)."""
        raise NotImplementedError

    def walk(self, z: Tensor, step: Tensor) -> Tensor:
        """The end of the geodesic from z along a tangent vector."""
        raise NotImplementedError

    def size(self, sigma: Tensor) -> Tensor:
        """``magnitude``, computed once for rows that share their sigma (all of them, while sampling)."""
        distinct, owner = torch.unique(sigma, return_inverse=True)
        return self.magnitude(distinct)[owner]

    def loss(self, prediction: Tensor, z0: Tensor, zt: Tensor, s: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """Denoising score matching, mean over components."""
        sigma = self.sigma(t)
        score = self.score(zt, z0, sigma)
        target = self.project(score / spread(self.size(sigma), score), mask)
        return (prediction - target).square().mean(-1)

    def reverse(self, z: Tensor, prediction: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Predictor: a step of the reverse diffusion; the last one goes to the expected data without noise."""
        before, now = self.sigma(s), self.sigma(t)
        last = not bool((s > 0).any())
        length = now**2 if last else now**2 - before**2
        step = spread(length * self.size(now), prediction) * prediction
        if not last:
            step = step + spread(length.sqrt() * before / now, prediction) * torch.randn_like(prediction)
        return self.walk(z, step)

    def correct(self, z: Tensor, prediction: Tensor, t: Tensor, ratio: float = 0.3) -> Tensor:
        """Corrector: a Langevin step of ``ratio`` times the noise."""
        sigma = self.sigma(t).clamp(max=self.most / 2)
        length = (ratio * sigma) ** 2
        drift = spread(length / 2 * self.size(self.sigma(t)), prediction) * prediction
        return self.walk(z, drift + spread(length.sqrt(), prediction) * torch.randn_like(prediction))


def patch_of(spatial: tuple[int, ...]) -> int:
    """The smallest side of square patches that leaves at most ``MOST_PATCHES`` of them, or the largest that divides."""
    common = gcd(*spatial)
    sides = [side for side in range(1, common + 1) if common % side == 0]
    return next((p for p in sides if prod(length // p for length in spatial) <= MOST_PATCHES), sides[-1])


def to_patches(values: Tensor, patch: int) -> Tensor:
    """``(batch, channels, *spatial)`` to ``(batch, patches, channels * patch^d)``."""
    rows, channels, *spatial = values.shape
    split = values.reshape(rows, channels, *(n for length in spatial for n in (length // patch, patch)))
    axes = len(spatial)
    order = [0, *(2 + 2 * axis for axis in range(axes)), 1, *(3 + 2 * axis for axis in range(axes))]
    return split.permute(order).reshape(rows, prod(length // patch for length in spatial), -1)


def from_patches(z: Tensor, patch: int, shape: tuple[int, ...]) -> Tensor:
    """The inverse of ``to_patches``."""
    channels, *spatial = shape
    axes = len(spatial)
    split = z.reshape(len(z), *(length // patch for length in spatial), channels, *[patch] * axes)
    order = [0, 1 + axes, *(place for axis in range(axes) for place in (1 + axis, 2 + axes + axis))]
    return split.permute(order).reshape(len(z), *shape)
