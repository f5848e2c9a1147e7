"""Variational autoencoders: an encoder q(z|x, c), a decoder p(x|z, c) and a prior p(z).

D. Kingma and M. Welling, arXiv 1312.6114. The loss is distortion + beta * rate (I. Higgins et al., ICLR 2017;
the plain VAE at beta = 1)::

    rate = KL(q(z|x, c) || p(z)),   distortion = -E_q log p(x|z, c)

The decoder's noise is learned (see ``observation``), which sets the weight between the two by maximum
likelihood instead of by hand and keeps the posterior from collapsing; the rate is besides faded in over the
first steps. Variants override ``regulariser`` (what stands for beta * rate), ``draw`` or the prior.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.codec import Codec
from sozai.generators.conditions import ConditionEncoder, drop
from sozai.generators.core import Core, Likelihood, Player
from sozai.generators.families.adversarial import convolvable
from sozai.generators.families.observation import Observation
from sozai.generators.networks.convolutional import ConvDecoder, ConvEncoder
from sozai.generators.networks.mlp import ResidualMLP
from sozai.generators.objectives import elbo
from sozai.generators.tensors import Batch, rows_of


class Affine(nn.Module):
    """One affine map of x and of the condition: a VAE of these is probabilistic PCA."""

    def __init__(self, inputs: int, outputs: int, condition: int = 0):
        super().__init__()
        self.map = nn.Linear(inputs, outputs)
        self.steer = nn.Linear(condition, outputs, bias=False) if condition else None

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, inputs), condition (batch, condition); time and mask are not looked at."""
        return self.map(x) if self.steer is None else self.map(x) + self.steer(condition)


class Flat(nn.Module):
    """``ResidualMLP`` between flattened events: for images whose sides no strided convolution divides."""

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int], width: int, layers: int):
        super().__init__()
        self.outputs = tuple(outputs)
        self.net = ResidualMLP(math.prod(inputs), math.prod(outputs), width, layers)

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, *inputs), condition (batch, width); time and mask are not looked at."""
        return self.net(x.flatten(1), condition=condition).reshape(-1, *self.outputs)


def width_for(event: Sequence[int], width: int | None) -> int:
    """The width asked for, or 64 for vectors and 32 channels for convolutions."""
    return width if width is not None else (32 if convolvable(event) else 64)


def encoder_for(event: Sequence[int], outputs: int, width: int, layers: int, condition: int = 0) -> nn.Module:
    """``net(x, condition=c)``: (batch, *event) to (batch, outputs).

    Args:
        event: of x.
        outputs: columns of the result.
        width: of hidden layers, or channels of the first map.
        layers: residual blocks of a vector's network, 0 for an affine map; an image's depth follows its size.
        condition: columns of c: 0 where the network is called without one, else ``width``.
    """
    if convolvable(event):
        return ConvEncoder(event, outputs, width, condition, normalisation="group", activation="silu")
    if len(event) > 1:
        return Flat(event, (outputs,), width, max(layers, 1))
    return ResidualMLP(event[0], outputs, width, layers) if layers else Affine(event[0], outputs, condition)


def decoder_for(inputs: int, event: Sequence[int], width: int, layers: int, condition: int = 0) -> nn.Module:
    """``net(z, condition=c)``: (batch, inputs) to (batch, *event); see ``encoder_for``."""
    if convolvable(event):
        return ConvDecoder(inputs, event, width, "group", "silu", condition)
    if len(event) > 1:
        return Flat((inputs,), event, width, max(layers, 1))
    return ResidualMLP(inputs, event[0], width, layers) if layers else Affine(inputs, event[0], condition)


class Variational(Core):
    """The VAE and beta-VAE, and base of the others.

    Args:
        fields: what it generates.
        conditions: what it is given, in encoder and decoder.
        latent: dimensions of z.
        beta: weight of the rate; above 1 for latents that are fewer and purer.
        width: of hidden layers, by default 64; 32 channels for images.
        layers: residual blocks of each network; 0 makes both affine. Images are not affected.
        scale: of Gaussian spans, see ``Observation``.
        warm_up: steps in which beta rises from 0.
        drop_conditions: share of rows trained without their conditions, so that any may be left out later.
        codec: by default the one for the fields.
    """

    likelihood: ClassVar[Likelihood] = "bound"
    players: tuple[Player, ...] = (Player(rate=2e-3),)
    step: Tensor

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        latent: int = 8,
        beta: float = 1.0,
        width: int | None = None,
        layers: int = 2,
        scale: str | float = "free",
        warm_up: int = 500,
        drop_conditions: float = 0.1,
        codec: Codec | None = None,
    ):
        super().__init__(fields, conditions, codec)
        require(latent >= 1, "latent", latent, "1 or more")
        require(beta >= 0, "beta", beta, "0 or more")
        require(layers >= 0, "layers", layers, "0 or more")
        self.latent, self.beta, self.warm_up, self.drop_conditions = latent, beta, warm_up, drop_conditions
        self.width, self.layers = width_for(self.codec.event, width), layers
        self.observation = Observation(fields, self.codec, scale)
        self.given = ConditionEncoder(self.conditions, self.width)
        self.condition_width = self.width if self.conditions else 0
        self.encoder = self.make_encoder()
        self.decoder = self.make_decoder()
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    def make_encoder(self) -> nn.Module:
        """Its output holds means and log scales."""
        return encoder_for(self.codec.event, 2 * self.latent, self.width, self.layers, self.condition_width)

    def make_decoder(self) -> nn.Module:
        """Its output is what ``Observation`` takes."""
        return decoder_for(self.latent, self.observation.event, self.width, self.layers, self.condition_width)

    # --- the distributions -------------------------------------------------------------------------------

    def posterior(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, ...]:
        """Parameters of q(z|x, c), by default mean and log scale, (batch, latent) each."""
        mean, log_scale = self.encoder(x, condition=condition).float().chunk(2, 1)
        return mean, log_scale.clamp(-7, 3)

    def draw(self, posterior: tuple[Tensor, ...]) -> Tensor:
        """z from q, differentiable."""
        return elbo.reparameterise(*posterior)

    def rate(self, posterior: tuple[Tensor, ...], z: Tensor) -> Tensor:
        """KL(q || p), (batch,)."""
        return elbo.gaussian_kl(*posterior).sum(1)

    def log_ratio(self, posterior: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """A draw z and log p(z) - log q(z|x), (batch,): for the importance-weighted bound."""
        z = elbo.reparameterise(*posterior)
        return z, self.prior_log_prob(z) - elbo.gaussian_log_prob(z, *posterior).sum(1)

    def prior_log_prob(self, z: Tensor) -> Tensor:
        """log p(z), (batch,)."""
        return elbo.gaussian_log_prob(z).sum(1)

    def prior_sample(self, count: int) -> Tensor:
        """Draws of p(z)."""
        return torch.randn(count, self.latent, device=self.device)

    def reconstruct(self, z: Tensor, x: Tensor, condition: Tensor | None) -> Tensor:
        """log p(x|z, c), (batch,)."""
        return self.observation.log_prob(self.decoder(z, condition=condition), x)

    def emit(self, z: Tensor, condition: Tensor | None, noise: bool) -> Tensor:
        """The codec's tensor from p(x|z, c): a draw, or the middle of it."""
        raw = self.decoder(z, condition=condition)
        return self.observation.sample(raw) if noise else self.observation.mean(raw)

    def condition(self, batch: Batch | None, count: int | None = None, share: float = 0.0) -> Tensor | None:
        """The condition vector (batch, width), or None where the core takes no conditions."""
        if not self.conditions:
            return None
        return self.given(drop(self.condition_of(batch, count), self.conditions, share))

    # --- the core's interface ----------------------------------------------------------------------------

    def prepare(self, batch: Batch) -> None:
        """Scales of fields and conditions."""
        super().prepare(batch)
        self.given.fit(batch)

    def loss(self, batch: Batch, player: str = "model") -> Mapping[str, Tensor]:
        """Distortion + regulariser, a mean over rows in nats; and ``distortion``, ``rate``."""
        x, condition = self.encode(batch), self.condition(batch, share=self.drop_conditions * self.training)
        posterior = self.posterior(x, condition)
        z = self.draw(posterior)
        distortion = -self.reconstruct(z, x, condition).mean()
        rate = self.rate(posterior, z)
        penalty, parts = self.regulariser(posterior, z, rate)
        return {"loss": distortion + self.fade() * penalty, "distortion": distortion, "rate": rate.mean(), **parts}

    def regulariser(self, posterior: tuple[Tensor, ...], z: Tensor, rate: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What is added to the distortion, and parts to be logged; here beta * rate."""
        return self.beta * rate.mean(), {}

    def fade(self) -> Tensor | float:
        """Weight of the regulariser at this step of training; 1 in evaluation."""
        return elbo.capacity(self.step + 1, 1.0, self.warm_up) if self.training and self.warm_up else 1.0

    def after_step(self, player: str) -> None:
        """Count the steps of the first player."""
        if player == self.players[0].name:
            self.step += 1

    @torch.no_grad()
    def sample(self, count: int, given: Batch | None = None, *, noise: bool = True, **options: Any) -> Batch:
        """Rows from the prior through the decoder.

        Args:
            count: how many.
            given: conditions.
            noise: draw from p(x|z) rather than take its middle.
        """
        return self.decode(self.prior_sample(count), given, noise)

    @torch.no_grad()
    def log_prob(self, batch: Batch, samples: int = 64) -> Tensor:
        """Importance-weighted bound of log p(x|c) with ``samples`` draws (arXiv 1509.00519), (batch,)."""
        x, condition = self.encode(batch), self.condition(batch)
        posterior = self.posterior(x, condition)
        weights = []
        for _ in range(samples):
            z, log_ratio = self.log_ratio(posterior)
            weights.append(log_ratio + self.reconstruct(z, x, condition))
        return elbo.importance_bound(torch.stack(weights)) + self.observation.log_volume()

    # --- for interpretation ------------------------------------------------------------------------------

    @torch.no_grad()
    def embed(self, batch: Batch) -> Tensor:
        """Mean latent of each row, (batch, latent)."""
        return self.centre(self.posterior(self.encode(batch), self.condition(batch)))

    def centre(self, posterior: tuple[Tensor, ...]) -> Tensor:
        """The mean of q."""
        return posterior[0]

    @torch.no_grad()
    def decode(self, z: Tensor, given: Batch | None = None, noise: bool = False) -> Batch:
        """Fields of latents (batch, latent): the likeliest, or a draw."""
        z = z.to(self.device)
        return self.codec.decode(self.emit(z, self.condition(given, len(z)), noise))

    @torch.no_grad()
    def traverse(self, batch: Batch, dimension: int, values: Sequence[float]) -> Batch:
        """Each row decoded with one latent set to each value in turn; ``rows * values`` rows, a row's together."""
        z = self.embed(batch).repeat_interleave(len(values), 0)
        z[:, dimension] = torch.as_tensor(values, dtype=z.dtype, device=z.device).repeat(rows_of(batch))
        given = {name: batch[name].repeat_interleave(len(values), 0) for name in self.conditions if name in batch}
        return self.decode(z, given)


def require(right: bool, setting: str, value: object, mend: str) -> None:
    """Refuse a setting.

    Raises:
        UserError: ``right`` is false.
    """
    if not right:
        raise UserError(f"it cannot be {value}", f"setting '{setting}'", f"use {mend}")
