"""VAEs whose latents are pushed apart: beta-TCVAE, FactorVAE and JointVAE.

They differ from the VAE only in what stands for the rate (see ``objectives.elbo``)::

    beta-TCVAE  alpha I(x; z) + beta TC(z) + gamma sum_j KL(q(z_j) || p(z_j))        arXiv 1802.04942, eq. 4
    FactorVAE   rate + gamma TC(z), TC from a density-ratio network                  arXiv 1802.05983, eq. 2
    JointVAE    gamma |KL_z - C_z(t)| + gamma |KL_c - C_c(t)|, c categorical         arXiv 1804.00104, eq. 7
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.fields import Fields
from sozai.generators.core import Player
from sozai.generators.families.variational import Variational, decoder_for, encoder_for, require
from sozai.generators.networks.mlp import mlp
from sozai.generators.objectives import elbo
from sozai.generators.tensors import Batch, rows_of


class TotalCorrelationVAE(Variational):
    """beta-TCVAE: the rate in three terms, each with its own weight.

    Args:
        fields: what it generates.
        conditions: what it is given.
        alpha: weight of the mutual information of row and latent.
        beta: weight of the total correlation.
        gamma: weight of the dimension-wise divergence from the prior.
        sampling: of the aggregate posterior from a batch, ``"stratified"`` or ``"weighted"``.
        settings: of ``Variational``.
    """

    rows: Tensor

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        alpha: float = 1.0,
        beta: float = 6.0,
        gamma: float = 1.0,
        sampling: str = "stratified",
        **settings: Any,
    ):
        super().__init__(fields, conditions, beta=beta, **settings)
        require(sampling in ("stratified", "weighted"), "sampling", repr(sampling), "stratified or weighted")
        self.alpha, self.gamma, self.sampling = alpha, gamma, sampling
        self.register_buffer("rows", torch.zeros((), dtype=torch.long))

    def prepare(self, batch: Batch) -> None:
        """Also the number of training rows."""
        super().prepare(batch)
        self.rows.fill_(rows_of(batch))

    def regulariser(self, posterior: tuple[Tensor, ...], z: Tensor, rate: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """alpha MI + beta TC + gamma dimension-wise KL, estimated on the batch."""
        rows = max(int(self.rows), len(z))
        terms = elbo.decompose(z, posterior[0], posterior[1], rows, self.sampling)
        information, correlation, marginal = (term.mean() for term in terms)
        parts = {"mutual information": information, "total correlation": correlation, "marginal": marginal}
        return self.alpha * information + self.beta * correlation + self.gamma * marginal, parts


class FactorVAE(Variational):
    """FactorVAE: the total correlation by a network that tells q(z) from the product of its marginals.

    Args:
        fields: what it generates.
        conditions: what it is given.
        gamma: weight of the total correlation.
        ratio_width: of the density-ratio network's hidden layers.
        settings: of ``Variational``.
    """

    players = (Player("model", rate=2e-3), Player("ratio", rate=1e-3, betas=(0.5, 0.9)))

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        gamma: float = 10.0,
        ratio_width: int = 128,
        **settings: Any,
    ):
        super().__init__(fields, conditions, **settings)
        require(gamma >= 0, "gamma", gamma, "0 or more")
        self.gamma = gamma
        self.ratio = mlp(self.latent, 1, ratio_width, 3, nn.LeakyReLU)

    def parameters_of(self, player: str) -> Iterable[nn.Parameter]:
        """The density ratio, or all else."""
        ratio = list(self.ratio.parameters())
        if player == "ratio":
            return ratio
        held = {id(parameter) for parameter in ratio}
        return [parameter for parameter in self.parameters() if id(parameter) not in held]

    def logit(self, z: Tensor) -> Tensor:
        """log q(z) / prod_j q(z_j) as the network sees it, (batch,)."""
        return self.ratio(z).squeeze(1)

    def regulariser(self, posterior: tuple[Tensor, ...], z: Tensor, rate: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """beta * rate + gamma * TC."""
        correlation = elbo.density_ratio_tc(self.logit(z))
        return self.beta * rate.mean() + self.gamma * correlation, {"total correlation": correlation}

    def loss(self, batch: Batch, player: str = "model") -> Mapping[str, Tensor]:
        """The VAE's, or the density ratio's: one half of the batch as it is, the other with permuted columns."""
        if player == "model":
            return super().loss(batch)
        with torch.no_grad():
            z = self.draw(self.posterior(self.encode(batch), self.condition(batch)))
        half = (len(z) + 1) // 2
        joint, independent = self.logit(z[:half]), self.logit(elbo.permute_dimensions(z[-half:]))
        return {"loss": elbo.density_ratio_loss(joint, independent)}


class JointVAE(Variational):
    """JointVAE: Gaussian latents beside categories, each group's rate led along a rising capacity.

    A category is relaxed to a Gumbel-softmax in training and drawn for good in samples and bounds. z is
    ``latent`` numbers, then each category one-hot.

    Args:
        fields: what it generates.
        conditions: what it is given.
        categories: sizes of the categorical latents.
        gamma: weight of both penalties.
        capacity: final nats of the numbers, by default 1.5 a dimension.
        choice_capacity: final nats of the categories, at most (and by default) sum log k.
        rise: steps until the capacities are final.
        temperature: of the Gumbel-softmax.
        settings: of ``Variational``.
    """

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        categories: Sequence[int] = (10,),
        gamma: float = 10.0,
        capacity: float | None = None,
        choice_capacity: float | None = None,
        rise: int = 1000,
        temperature: float = 0.67,
        **settings: Any,
    ):
        self.categories = [int(size) for size in categories]
        require(all(size >= 2 for size in self.categories), "categories", categories, "sizes of 2 or more")
        require(temperature > 0, "temperature", temperature, "a number above 0")
        self.gamma, self.rise, self.temperature = gamma, rise, temperature
        most = sum(math.log(size) for size in self.categories)
        self.most = {"choice": most if choice_capacity is None else min(choice_capacity, most)}
        super().__init__(fields, conditions, warm_up=0, **settings)
        self.most["number"] = 1.5 * self.latent if capacity is None else capacity

    def make_encoder(self) -> nn.Module:
        """Means, log scales, then logits of each category."""
        outputs = 2 * self.latent + sum(self.categories)
        return encoder_for(self.codec.event, outputs, self.width, self.layers, self.condition_width)

    def make_decoder(self) -> nn.Module:
        """From numbers and categories."""
        inputs = self.latent + sum(self.categories)
        return decoder_for(inputs, self.observation.event, self.width, self.layers, self.condition_width)

    def posterior(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, ...]:
        """Mean, log scale, and the logits of each category."""
        out = self.encoder(x, condition=condition).float()
        mean, log_scale, *logits = out.split([self.latent, self.latent, *self.categories], 1)
        return mean, log_scale.clamp(-7, 3), *logits

    def draw(self, posterior: tuple[Tensor, ...]) -> Tensor:
        """Numbers, and categories relaxed."""
        relaxed = [F.gumbel_softmax(logits, self.temperature) for logits in posterior[2:]]
        return torch.cat([elbo.reparameterise(*posterior[:2]), *relaxed], 1)

    def rates(self, posterior: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """KL of the numbers and of the categories, (batch,) each; the latter that of the category itself."""
        choice = torch.zeros_like(posterior[0][:, 0])
        for logits in posterior[2:]:
            choice = choice + elbo.categorical_kl(logits)
        return {"number": elbo.gaussian_kl(*posterior[:2]).sum(1), "choice": choice}

    def rate(self, posterior: tuple[Tensor, ...], z: Tensor) -> Tensor:
        """Both together."""
        return sum(self.rates(posterior).values(), torch.zeros_like(z[:, 0]))

    def capacities(self) -> dict[str, Tensor]:
        """C(t) of each group: of this step while training, the final ones in evaluation."""
        step = self.step if self.training else self.rise
        return {name: elbo.capacity(step, most, self.rise) for name, most in self.most.items()}

    def regulariser(self, posterior: tuple[Tensor, ...], z: Tensor, rate: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """gamma |KL - C| of each group; the group's rate is the mean over the batch."""
        rates, targets = self.rates(posterior), self.capacities()
        penalties = [elbo.capacity_penalty(rates[name].mean(), targets[name], self.gamma) for name in rates]
        parts = {f"rate of {name}s": value.mean() for name, value in rates.items()}
        return penalties[0] + penalties[1], parts

    def log_ratio(self, posterior: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """With categories drawn for good: the bound of the model that samples come from."""
        number, total = super().log_ratio(posterior[:2])
        pieces = [number]
        for logits in posterior[2:]:
            log_q = logits.log_softmax(1)
            index = torch.multinomial(log_q.exp(), 1)
            total = total - log_q.gather(1, index).squeeze(1) - math.log(logits.shape[1])
            pieces.append(F.one_hot(index.squeeze(1), logits.shape[1]).float())
        return torch.cat(pieces, 1), total

    def prior_sample(self, count: int) -> Tensor:
        """Standard normal numbers, uniform categories."""
        choices = [
            F.one_hot(torch.randint(size, (count,), device=self.device), size).float() for size in self.categories
        ]
        return torch.cat([super().prior_sample(count), *choices], 1)

    def centre(self, posterior: tuple[Tensor, ...]) -> Tensor:
        """Means, then the categories' probabilities."""
        return torch.cat([posterior[0], *(logits.softmax(1) for logits in posterior[2:])], 1)
