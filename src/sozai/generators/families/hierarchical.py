"""NVAE: a deep hierarchy of latents on feature maps, with residual posteriors.

A. Vahdat and J. Kautz, NVAE: A Deep Hierarchical Variational Autoencoder, NeurIPS 2020 (arXiv 2007.03898). Latents
come in groups z_1 .. z_L on maps from coarse to fine, p(z) = prod_l p(z_l | z_<l) and q(z|x) = prod_l q(z_l | z_<l, x)
(bidirectional: the encoder's features go up once, then both go down together). The posterior is told relative to the
prior N(mu, sigma), so that it need only learn where x moves it (section 3.2)::

    q(z_l | z_<l, x) = N(mu + dmu, sigma dsigma)
    KL = 1/2 (dmu^2 / sigma^2 + dsigma^2 - log dsigma^2 - 1)                                               (eq. 2)

    loss = -log p(x|z) + beta sum_l gamma_l KL_l + lambda (spectral penalty)

While beta rises from 0 to 1 the gamma balance the groups (appendix A), so that none is given up: those with a small
KL pay little for more. Cells and penalty: see ``networks.cells``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sozai.fields import Fields
from sozai.generators.codec import Codec
from sozai.generators.conditions import ConditionEncoder, drop
from sozai.generators.core import Core, Player
from sozai.generators.families.observation import Observation
from sozai.generators.families.variational import require
from sozai.generators.networks.cells import DownCell, SpectralPenalty, UpCell
from sozai.generators.networks.maps import Head, Stem, convolution, double, grids, halve
from sozai.generators.objectives import elbo
from sozai.generators.tensors import Batch, rows_of


class Step(NamedTuple):
    """One group: z, dmu / sigma, both (batch, latent, *grid); KL, log p(z) - log q(z), both (batch,)."""

    z: Tensor
    shift: Tensor
    kl: Tensor
    log_ratio: Tensor


def residual_kl(shift: Tensor, log_stretch: Tensor, prior_log_scale: Tensor) -> Tensor:
    """KL(N(mu + shift, sigma stretch) || N(mu, sigma)) of each element (eq. 2)."""
    return 0.5 * ((shift * torch.exp(-prior_log_scale)) ** 2 + torch.expm1(2 * log_stretch)) - log_stretch


def balance(divergences: Tensor, places: Tensor) -> Tensor:
    """gamma_l of mean divergences (groups,) on maps of so many places: in proportion to the KL a place, 1 on average.

    The paper prints a product with the map's size; its author calls that a misprint (issue 26 of its code).
    """
    weights = (divergences.detach() + 1e-3) / places
    return weights / weights.mean()


def softened(log_scale: Tensor) -> Tensor:
    """Within -5 and 5, smoothly."""
    return 5 * torch.tanh(log_scale / 5)


class Group(nn.Module):
    """One group of latents: prior, posterior, and how the draw enters the way down."""

    def __init__(self, dimensions: int, width: int, latent: int, first: bool, cells: int):
        super().__init__()
        self.latent, self.first = latent, first
        self.prior = None if first else nn.Sequential(nn.SiLU(), convolution(dimensions, width, 2 * latent, 1))
        self.posterior = nn.Sequential(
            convolution(dimensions, 2 * width, width), nn.SiLU(), convolution(dimensions, width, 2 * latent, 1)
        )
        self.enter = convolution(dimensions, width + latent, width, 1)
        self.cells = nn.Sequential(*[DownCell(dimensions, width) for _ in range(cells)])

    def prior_of(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log scale of p(z_l | z_<l), (batch, latent, *grid); the first group's is the standard normal."""
        if self.prior is None:
            zero = hidden.new_zeros(len(hidden), self.latent, *hidden.shape[2:])
            return zero, zero
        mean, log_scale = self.prior(hidden).float().chunk(2, 1)
        return mean, softened(log_scale)

    def infer(self, hidden: Tensor, features: Tensor, temperature: float) -> Step:
        """A draw of the posterior and what it costs; at temperature 0 its mean."""
        mean, log_scale = self.prior_of(hidden)
        shift, log_stretch = self.posterior(torch.cat([hidden, features], 1)).float().chunk(2, 1)
        log_stretch = softened(log_stretch)
        z = mean + shift + temperature * torch.exp(log_scale + log_stretch) * torch.randn_like(mean)
        log_p = elbo.gaussian_log_prob(z, mean, log_scale)
        log_q = elbo.gaussian_log_prob(z, mean + shift, log_scale + log_stretch)
        kl = residual_kl(shift, log_stretch, log_scale).flatten(1).sum(1)
        return Step(z, shift * torch.exp(-log_scale), kl, (log_p - log_q).flatten(1).sum(1))

    def forward(self, hidden: Tensor, z: Tensor) -> Tensor:
        """The way down after this group."""
        return self.cells(self.enter(torch.cat([hidden, z], 1)))


class Hierarchical(Core):
    """The NVAE, for images of two or three dimensions and, on a sequence of ``tokens`` places, for vectors.

    Args:
        fields: what it generates.
        conditions: what it is given, on the way down at each scale.
        scales: number of grids (2 for images, 1 for vectors), each half as fine as the one before.
        groups: groups of latents at each scale.
        latent: columns of z at each place.
        width: channels of all maps.
        cells: residual cells at each scale going up, and after each group going down.
        tokens: places of the finest grid where the fields are no image.
        halvings: of an image down to the finest grid; by default by its size.
        warm_up: steps in which beta rises from 0 to 1 and the groups are balanced.
        smoothness: lambda, weight of the spectral penalty.
        scale: of Gaussian spans, see ``Observation``.
        drop_conditions: share of rows trained without their conditions.
        codec: by default the one for the fields.
    """

    likelihood = "bound"
    players = (Player(rate=3e-3),)
    step: Tensor
    places: Tensor

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        scales: int | None = None,
        groups: int = 2,
        latent: int = 4,
        width: int = 32,
        cells: int = 1,
        tokens: int = 2,
        halvings: int | None = None,
        warm_up: int = 300,
        smoothness: float = 1e-2,
        scale: str | float = "shared",
        drop_conditions: float = 0.1,
        codec: Codec | None = None,
    ):
        super().__init__(fields, conditions, codec)
        event = self.codec.event
        scales = scales if scales is not None else (1 if len(event) == 1 else 2)
        for name, value in {"scales": scales, "groups": groups, "latent": latent, "tokens": tokens}.items():
            require(value >= 1, name, value, "1 or more")
        require(smoothness >= 0, "smoothness", smoothness, "0 or more")
        self.warm_up, self.smoothness, self.drop_conditions = warm_up, smoothness, drop_conditions
        self.grids = grids(event, scales, tokens, halvings)
        self.group_count = groups
        dimensions = len(self.grids[0])
        self.observation = Observation(fields, self.codec, scale)
        self.given = ConditionEncoder(self.conditions, width)
        self.stem = Stem(event, self.grids[0], width)
        self.encoder = nn.ModuleList(
            nn.Sequential(
                *([halve(dimensions, width, width)] if level else []),
                *[UpCell(dimensions, width) for _ in range(cells)],
            )
            for level in range(scales)
        )
        self.start = nn.Parameter(torch.randn(width, *self.grids[-1]))
        self.groups = nn.ModuleList(
            Group(dimensions, width, latent, level == 0 and index == 0, cells)
            for level in range(scales)
            for index in range(groups)
        )  # coarsest first
        self.rise = nn.ModuleList(double(dimensions, width, width) for _ in range(scales - 1))
        self.head = Head(width, self.grids[0], self.observation.event)
        self.penalty = SpectralPenalty(self)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.register_buffer(
            "places",
            torch.tensor([float(prod(grid)) for grid in reversed(self.grids) for _ in range(groups)]),
            persistent=False,
        )

    # --- the way up and the ways down --------------------------------------------------------------------

    def infer(self, x: Tensor, given: Batch, temperature: float = 1.0) -> tuple[Tensor, list[Step]]:
        """The decoder's output and each group's step, coarsest group first, for draws of q(z|x)."""
        features = [self.encoder[0](self.stem(x))]
        for scale in list(self.encoder)[1:]:
            features.append(scale(features[-1]))
        steps: list[Step] = []

        def draw(group: Group, hidden: Tensor, level: int) -> Tensor:
            steps.append(group.infer(hidden, features[level], temperature))
            return steps[-1].z

        return self._down(len(x), given, draw), steps

    def generate(self, count: int, given: Batch, temperature: float = 1.0) -> Tensor:
        """The decoder's output for draws of the prior."""

        def draw(group: Group, hidden: Tensor, level: int) -> Tensor:
            mean, log_scale = group.prior_of(hidden)
            return mean + temperature * log_scale.exp() * torch.randn_like(mean)

        return self._down(count, given, draw)

    def _down(self, rows: int, given: Batch, draw: Any) -> Tensor:
        condition = self.given(given, rows).to(self.device)
        condition = condition.reshape(*condition.shape, *[1] * len(self.grids[0]))
        hidden = self.start.expand(rows, *self.start.shape)
        for index, group in enumerate(self.groups):
            level = len(self.grids) - 1 - index // self.group_count
            if index % self.group_count == 0:
                hidden = (self.rise[level](hidden) if index else hidden) + condition
            hidden = group(hidden, draw(group, hidden, level))
        return self.head(hidden)

    # --- the core's interface ----------------------------------------------------------------------------

    def prepare(self, batch: Batch) -> None:
        """Scales of fields and conditions."""
        super().prepare(batch)
        self.given.fit(batch)

    def loss(self, batch: Batch, player: str = "model") -> Mapping[str, Tensor]:
        """Minus the balanced and faded bound with the penalty in training, minus the plain bound in evaluation."""
        x = self.encode(batch)
        given = drop(self.condition_of(batch, len(x)), self.conditions, self.drop_conditions * self.training)
        raw, steps = self.infer(x, given)
        distortion = -self.observation.log_prob(raw, x).mean()
        rates = torch.stack([step.kl.mean() for step in steps])
        parts = {"distortion": distortion.detach(), "rate": rates.detach().sum()}
        if not self.training:
            return {"loss": distortion + rates.sum(), **parts}
        beta = elbo.capacity(self.step + 1, 1.0, self.warm_up)
        weights = balance(rates, self.places) if beta < 1 else torch.ones_like(rates)
        penalty = self.penalty()
        loss = distortion + beta * (weights * rates).sum() + self.smoothness * penalty
        return {"loss": loss, **parts, "spectral penalty": penalty.detach()}

    def after_step(self, player: str) -> None:
        """Count."""
        self.step += 1

    @torch.no_grad()
    def sample(
        self,
        count: int,
        given: Batch | None = None,
        *,
        temperature: float = 1.0,
        noise: bool = True,
        **options: Any,
    ) -> Batch:
        """Rows from the prior.

        Args:
            count: how many.
            given: conditions.
            temperature: factor of the prior's scales; below 1 for likelier, less varied rows.
            noise: draw from p(x|z) rather than take its middle.
        """
        raw = self.generate(count, self.condition_of(given, count), temperature)
        return self.codec.decode(self.observation.sample(raw) if noise else self.observation.mean(raw))

    @torch.no_grad()
    def log_prob(self, batch: Batch, samples: int = 16) -> Tensor:
        """Importance-weighted bound of log p(x|c) with so many draws (arXiv 1509.00519), (batch,); 1: the ELBO."""
        x, given = self.encode(batch), self.condition_of(batch, rows_of(batch))
        weights = []
        for _ in range(samples):
            raw, steps = self.infer(x, given)
            ratio = torch.stack([step.log_ratio for step in steps]).sum(0)
            weights.append(ratio + self.observation.log_prob(raw, x))
        return elbo.importance_bound(torch.stack(weights)) + self.observation.log_volume()

    @torch.no_grad()
    def active_units(self, batch: Batch, threshold: float = 0.01) -> list[int]:
        """How many latents of each group, coarsest first, carry x: those whose posterior mean's part due to x,
        in standard deviations of the prior, varies over rows by more than ``threshold`` (arXiv 1509.00519, sec. 5.3).
        """
        x, given = self.encode(batch), self.condition_of(batch, rows_of(batch))
        _, steps = self.infer(x, given, temperature=0.0)
        return [int((step.shift.flatten(1).var(0) > threshold).sum()) for step in steps]
