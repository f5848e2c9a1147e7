"""LSGM: a VAE whose prior is a diffusion in its latent space, learned with it.

A. Vahdat, K. Kreis, J. Kautz, Score-based Generative Modeling in Latent Space, NeurIPS 2021 (arXiv 2106.05931)::

    loss = E_q -log p(x|z) - H(q(z|x)) + CE(q(z|x) || p(z))                                                (eq. 4)
    CE   = E_t,eps [ w(t)/2 ||eps - eps_hat(z_t, t)||^2 ] + D/2 log(2 pi e sigma_0^2),  w = g^2 / sigma^2  (theorem 1)
    eps_hat(z_t, t) = sigma_t (1 - a) z_t + a eps'(z_t, t)                                                 (section 3.2)

the last being the mixed score: where a = 0 in a dimension its prior is N(0, 1), and a network eps' with a learned in
(0, 1) only corrects that. Times come from importance sampling for w (appendix B): log sigma_t^2 even, which the
geometric VPSDE has for even t; the integrand is then constant where q = p = N(0, 1).

The latent is diffused a little already at t = 0, so what the decoder sees is z_0 = alpha_0 z + sigma_0 eps, and H is
that of z_0. With KL(q(z_1|x) || N(0, 1)), tiny, added, the loss is an exact bound at any sigma_0.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from sozai.fields import Fields
from sozai.generators.codec import Codec
from sozai.generators.conditions import ConditionEncoder, drop
from sozai.generators.core import Player
from sozai.generators.families.variational import Variational, require
from sozai.generators.networks.mlp import ResidualMLP
from sozai.generators.objectives import denoising, elbo, nelbo
from sozai.generators.processes import schedules
from sozai.generators.processes.gaussian import Denoiser, Schedule, noised, spread
from sozai.generators.processes.schedules import GeometricSchedule
from sozai.generators.samplers import catalog
from sozai.generators.tensors import Batch, take

WEIGHTINGS = ("likelihood", "uniform")


class MixedScore(Denoiser):
    """The prior's denoiser: the standard normal's, corrected by a network.

    Args:
        latent: dimensions of z.
        schedule: of the noise.
        width: of the network's hidden layers and of the condition.
        layers: its residual blocks.
    """

    def __init__(self, latent: int, schedule: Schedule, width: int, layers: int):
        super().__init__()
        self.event, self.schedule = (latent,), schedule
        self.net = ResidualMLP(latent, latent, width, layers, timed=True)
        self.raw_share = nn.Parameter(torch.full((latent,), -2.0))

    def share(self) -> Tensor:
        """a of each dimension."""
        return torch.sigmoid(self.raw_share)

    def eps(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (batch, latent), t (batch,), condition (batch, width)."""
        share = self.share()
        plain = spread(self.schedule.sigma(t), x) * x  # of N(0, 1), which stays so at all t
        return (1 - share) * plain + share * self.correction(x, t, plain, condition)

    def correction(self, x: Tensor, t: Tensor, plain: Tensor, condition: Tensor | None) -> Tensor:
        """eps'. It has a skip, for near t = 1 it must be x itself, whose length the network's layer norms hide."""
        return plain + self.net(x, t, condition)


def importance_times(schedule: Schedule, even: Tensor) -> Tensor:
    """Times (batch,) at which log sigma^2 has gone this share of its way up."""
    if isinstance(schedule, GeometricSchedule):
        return even
    low, high = (schedule.sigma(even.new_tensor([end])).square().log() for end in (0.0, 1.0))
    log_variance = low + (high - low) * even
    return schedule.time_of(torch.log(-torch.expm1(log_variance)) - log_variance)


def weight(schedule: Schedule, t: Tensor) -> Tensor:
    """w(t) / r(t) = log(sigma_1^2 / sigma_0^2) / (1 - sigma^2): by w = (d sigma^2 / dt) / (sigma^2 (1 - sigma^2))."""
    first, last = (schedule.sigma(t.new_tensor([end])).square().log() for end in (0.0, 1.0))
    return (last - first) / schedule.alpha(t).square()


def cross_entropy(
    denoiser: Denoiser, z: Tensor, condition: Tensor | None, t: Tensor, noise: Tensor | None = None
) -> Tensor:
    """CE(q(z_0|z) || p(z_0)) at one time a row, (batch,); its mean over times of ``importance_times`` is the bound."""
    schedule = denoiser.schedule
    noise = torch.randn_like(z) if noise is None else noise
    error = noise - denoiser.eps(noised(schedule, z, t, noise), t, condition)
    start = schedule.sigma(z.new_zeros(1)).log()
    constant = z.shape[1] * (0.5 * (1 + elbo.LOG_TAU) + start)
    return 0.5 * weight(schedule, t) * error.square().sum(1) + constant + nelbo.prior_kl(schedule, z)


def entropy(schedule: Schedule, log_scale: Tensor) -> Tensor:
    """H(q(z_0|x)) of the Gaussian posterior after the noise at t = 0, (batch,)."""
    start = log_scale.new_zeros(1)
    variance = schedule.alpha(start) ** 2 * (2 * log_scale).exp() + schedule.sigma(start) ** 2
    return 0.5 * (1 + elbo.LOG_TAU + variance.log()).sum(1)


class LatentDiffusion(Variational):
    """The LSGM.

    Args:
        fields: what it generates.
        conditions: what it is given, in encoder, decoder and prior.
        latent: dimensions of z.
        noise_schedule: of the prior's diffusion, variance preserving: ``"geometric"``, ``"linear"`` or ``"cosine"``.
        weighting: how the prior learns: ``"likelihood"``: with the VAE, from one loss (the paper's algorithm 1);
            ``"uniform"``: as a second player, by the plain mean square at even times (algorithm 2), which looks
            better in images and costs likelihood.
        prior_width: of its network.
        prior_layers: residual blocks of it.
        sampler: see ``samplers.catalog``.
        steps: of the sampler.
        settings: of the VAE, see ``Variational``.
    """

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        latent: int = 8,
        noise_schedule: str = "geometric",
        weighting: str = "likelihood",
        prior_width: int = 128,
        prior_layers: int = 3,
        sampler: str = "dpm-solver",
        steps: int = 30,
        codec: Codec | None = None,
        **settings: Any,
    ):
        super().__init__(fields, conditions, latent=latent, codec=codec, **settings)
        require(weighting in WEIGHTINGS, "weighting", weighting, " or ".join(WEIGHTINGS))
        usable = ("geometric", "linear", "cosine")
        require(noise_schedule in usable, "noise_schedule", noise_schedule, "geometric, linear or cosine")
        self.weighting = weighting
        self.prior = MixedScore(latent, schedules.make(noise_schedule), prior_width, prior_layers)
        self.prior_given = ConditionEncoder(self.conditions, prior_width)
        self.sampler = catalog.make(sampler, (latent,), steps=steps, path="log-snr")
        if weighting == "uniform":
            self.players = (Player("vae"), Player("prior"))

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        """Of the prior: its denoiser and condition encoder; of the VAE: the rest."""
        prior = list(chain(self.prior.parameters(), self.prior_given.parameters()))
        if player == "prior":
            return prior
        own = {id(parameter) for parameter in prior} if player == "vae" else set()
        return [parameter for parameter in self.parameters() if id(parameter) not in own]

    def prepare(self, batch: Batch) -> None:
        """Scales of fields and conditions."""
        super().prepare(batch)
        self.prior_given.fit(batch)

    def loss(self, batch: Batch, player: str = "model") -> Mapping[str, Tensor]:
        """Minus the bound in nats a row, or the prior's plain mean square."""
        x = self.encode(batch)
        given = drop(self.condition_of(batch, len(x)), self.conditions, self.drop_conditions * self.training)
        condition, told = self._vectors(given, len(x))
        if player == "prior":
            with torch.no_grad():
                z = elbo.reparameterise(*self.posterior(x, condition))
                times = denoising.stratified_times(z)
            return {"loss": nelbo.denoising_error(self.prior, z, times, told).mean() / self.latent}
        distortion, rate = self._bound(x, condition, told)
        parts = {"distortion": distortion.mean().detach(), "rate": rate.mean().detach()}
        return {"loss": (distortion + self.fade() * self.beta * rate).mean(), **parts}

    @torch.no_grad()
    def log_prob(self, batch: Batch, samples: int = 32) -> Tensor:
        """The bound, its expectation estimated with so many draws a row, (batch,)."""
        x = self.encode(batch)
        condition, told = self._vectors(self.condition_of(batch, len(x)), len(x))
        total = torch.zeros(len(x), device=x.device)
        for _ in range(samples):
            distortion, rate = self._bound(x, condition, told)
            total = total - (distortion + rate) / samples
        return total + self.observation.log_volume()

    def finish(self, batch: Batch) -> None:
        """Fit the sampler to the latents of (some thousands of) the training rows."""
        batch = take(batch, slice(0, 4096))
        with torch.no_grad():
            x = self.encode(batch)
            condition, told = self._vectors(self.condition_of(batch, len(x)), len(x))
            z = elbo.reparameterise(*self.posterior(x, condition))
        self.sampler.fit(self.prior, z, told)

    @torch.no_grad()
    def sample(
        self, count: int, given: Batch | None = None, *, noise: bool = True, steps: int | None = None, **options: Any
    ) -> Batch:
        """Rows: a latent by the sampler, then the decoder.

        Args:
            count: how many.
            given: conditions.
            noise: draw from p(x|z) rather than take its middle.
            steps: of the sampler.
        """
        condition, told = self._vectors(self.condition_of(given, count), count)
        z = self.sampler.draw(self.prior, count, told, steps).to(self.device)
        return self.codec.decode(self.emit(self.start(z), condition, noise))

    def start(self, z: Tensor) -> Tensor:
        """z_0, as the decoder knows it."""
        return noised(self.prior.schedule, z, z.new_zeros(len(z)), torch.randn_like(z))

    def _bound(self, x: Tensor, condition: Tensor | None, told: Tensor | None) -> tuple[Tensor, Tensor]:
        """Distortion and rate CE - H, (batch,) each."""
        mean, log_scale = self.posterior(x, condition)
        z = elbo.reparameterise(mean, log_scale)
        distortion = -self.reconstruct(self.start(z), x, condition)
        t = importance_times(self.prior.schedule, denoising.stratified_times(z))
        return distortion, cross_entropy(self.prior, z, told, t) - entropy(self.prior.schedule, log_scale)

    def _vectors(self, given: Batch, rows: int) -> tuple[Tensor | None, Tensor | None]:
        """The condition for encoder and decoder, and that for the prior."""
        if not self.conditions:
            return None, None
        return self.given(given, rows), self.prior_given(given, rows)
