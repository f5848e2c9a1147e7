"""VAE-GAN: the reconstruction error is measured in a layer of a discriminator instead of in the data.

A. Larsen et al., arXiv 1512.09300, algorithm 1. With x' = Dec(Enc(x)), x_p = Dec(z_p) for z_p from the prior, and
D_l the features of the discriminator's layer l::

    encoder        KL(q(z|x) || p(z)) + L_features         L_features = -E log N(D_l(x) | D_l(x'), 1)
    decoder        gamma L_features - L_GAN
    discriminator  L_GAN only                              L_GAN = log D(x) + log(1 - D(x')) + log(1 - D(x_p))

The decoder's side of the game is the non-saturating one. Each player's loss is of its own terms; what it does
not own is constant to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.fields import Fields
from sozai.generators.core import Player
from sozai.generators.families.adversarial import Dense, Leaky, convolvable, frozen
from sozai.generators.families.variational import Variational, decoder_for, require
from sozai.generators.networks.convolutional import ConvEncoder
from sozai.generators.objectives import adversarial, elbo
from sozai.generators.tensors import Batch, rows_of, seeded, take


class Discriminator(nn.Module):
    """Scores rows, and shows the features of its last hidden layer."""

    def __init__(self, event: tuple[int, ...], width: int, condition: int):
        super().__init__()
        self.convolutional = convolvable(event)
        if self.convolutional:
            self.net: nn.Module = ConvEncoder(event, 1, width, condition, normalisation="instance")
        else:
            self.net = Dense(event, (width,), condition, width, 1, Leaky)
            self.last = nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def features(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The layer l, (batch, features)."""
        if self.convolutional:
            return self.net.features(x, condition)[-1].flatten(1)  # type: ignore[operator]
        return self.net(x, condition=condition)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The logit of being real, (batch,)."""
        scores = self.net(x, condition=condition)
        return (scores if self.convolutional else self.last(scores)).squeeze(1)


class VAEGAN(Variational):
    """VAE-GAN.

    Args:
        fields: what it generates.
        conditions: what it is given, in all three networks.
        gamma: weight of the features' error in the decoder's loss.
        settings: of ``Variational``; those of its likelihood have no effect.
    """

    likelihood = "none"
    players = (
        Player("encoder", rate=1e-3),
        Player("decoder", rate=1e-3, betas=(0.5, 0.9)),
        Player("discriminator", rate=1e-3, betas=(0.5, 0.9)),
    )

    def __init__(self, fields: Fields, conditions: Fields | None = None, *, gamma: float = 0.1, **settings: Any):
        super().__init__(fields, conditions, scale=1.0, **settings)
        require(gamma >= 0, "gamma", gamma, "0 or more")
        self.gamma = gamma
        self.discriminator = Discriminator(self.codec.event, self.width, self.condition_width)

    def make_decoder(self) -> nn.Module:
        """Its output is made possible data by ``codec.activate``."""
        return decoder_for(self.latent, self.codec.event, self.width, self.layers, self.condition_width)

    def parameters_of(self, player: str) -> Iterable[nn.Parameter]:
        """The encoder's include the encoding of conditions."""
        return [*super().parameters_of(player), *(self.given.parameters() if player == "encoder" else [])]

    def emit(self, z: Tensor, condition: Tensor | None, noise: bool = True) -> Tensor:
        """The decoder's data; the noise is that of choices, which have it always."""
        return self.codec.activate(self.decoder(z, condition=condition))

    def feature_error(self, x: Tensor, made: Tensor, condition: Tensor | None) -> Tensor:
        """-log N(D_l(x) | D_l(x'), 1) without its constant, (batch,)."""
        real, fake = self.discriminator.features(x, condition), self.discriminator.features(made, condition)
        return 0.5 * (real.detach() - fake).square().sum(1)

    def loss(self, batch: Batch, player: str = "encoder") -> Mapping[str, Tensor]:
        """Of one player; see the module's head."""
        x, condition = self.encode(batch), self.condition(batch, share=self.drop_conditions * self.training)
        if player == "encoder":
            posterior = self.posterior(x, condition)
            with frozen(self.decoder), frozen(self.discriminator):
                made = self.emit(self.draw(posterior), condition)
                error = self.feature_error(x, made, condition).mean()
            rate = elbo.gaussian_kl(*posterior).sum(1).mean()
            return {"loss": self.fade() * self.beta * rate + error, "rate": rate, "features": error}
        condition = None if condition is None else condition.detach()
        with torch.no_grad():
            z = self.draw(self.posterior(x, condition))
        prior = self.prior_sample(len(x))
        if player == "decoder":
            with frozen(self.discriminator):
                made, dreamt = self.emit(z, condition), self.emit(prior, condition)
                error = self.feature_error(x, made, condition).mean()
                game = sum(F.softplus(-self.discriminator(each, condition)).mean() for each in (made, dreamt))
            return {"loss": self.gamma * error + game, "game": torch.as_tensor(game)}
        with torch.no_grad():
            made, dreamt = self.emit(z, condition), self.emit(prior, condition)
        return {"loss": self.game(x, made, dreamt, condition)}

    def game(self, x: Tensor, made: Tensor, dreamt: Tensor, condition: Tensor | None) -> Tensor:
        """-L_GAN: what the discriminator minimises."""
        fakes = sum(F.softplus(self.discriminator(fake, condition)).mean() for fake in (made, dreamt))
        return F.softplus(-self.discriminator(x, condition)).mean() + fakes

    def held_out_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Energy distance of samples to held-out rows: the losses of a game do not tell how good samples are."""
        with torch.no_grad(), seeded(0):
            batch = take(batch, slice(1024))
            more = max(1, 1024 // rows_of(batch))
            condition = self.condition({name: batch[name].repeat_interleave(more, 0) for name in self.conditions})
            made = self.emit(self.prior_sample(more * rows_of(batch)), condition)
            real = self.encode(batch)
            made = self.encode(self.codec.decode(made))
            return {"loss": adversarial.energy_distance(real.flatten(1), made.flatten(1))}

    def log_prob(self, batch: Batch, samples: int = 0) -> Tensor:
        """There is none.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("VAE-GAN has no likelihood")
