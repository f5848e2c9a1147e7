"""The variational lossy autoencoder: what a small window can tell is left to the decoder, the rest is in z.

X. Chen et al., arXiv 1611.02731. The decoder is autoregressive with a window (``networks.local``), so that z need
not, and by the price of its bits will not, carry what nearby values tell; the window's size sets what z is about.
The prior is an autoregressive flow (section 3.2), p(z) = N(f(z)) |df/dz|, as good as an inverse autoregressive flow
in the posterior and of no cost in inference::

    -log p(x) <= E_q [ -sum_i log p(x_i | z, x_window(i)) + log q(z|x) - log p(z) ]
"""

from __future__ import annotations

from typing import Any

import torch
import zuko
from torch import Tensor, nn

from sozai.fields import Fields
from sozai.generators.families.variational import Variational, decoder_for, require
from sozai.generators.networks.local import LocalConv, LocalLinear
from sozai.generators.objectives import elbo


class LossyVAE(Variational):
    """The variational lossy autoencoder.

    Args:
        fields: what it generates; columns of a table in their order, tokens of a sequence, pixels in raster order.
        conditions: what it is given.
        window: how far the decoder sees back: places of a vector, or pixels along each axis; 0: not at all.
        features: channels of the decoder's map at each place.
        transforms: autoregressive layers of the prior's flow, 0 for a standard normal.
        settings: of ``Variational``.
    """

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        window: int = 1,
        features: int = 32,
        transforms: int = 2,
        **settings: Any,
    ):
        require(window >= 0, "window", window, "0 or more")
        require(transforms >= 0, "transforms", transforms, "0 or more")
        self.window, self.features = window, features
        super().__init__(fields, conditions, **settings)
        event, outputs = self.codec.event, self.observation.event[0]
        if len(event) > 1:
            self.head: LocalConv | LocalLinear = LocalConv(features, event[0], outputs, len(event) - 1, window)
        else:
            self.head = LocalLinear(features, self.places(), outputs // event[0], window)
        self.prior = (
            zuko.flows.MAF(self.latent, transforms=transforms, hidden_features=(64, 64)) if transforms else None
        )

    def places(self) -> list[int]:
        """The place of each column: numbers one each, the columns of a category or of angles together."""
        places: list[int] = []
        for span in self.codec.spans:
            first, count = (places[-1] + 1 if places else 0), span.stop - span.start
            alone = self.observation.law(span) == "gaussian"
            places += range(first, first + count) if alone else [first] * count
        return places

    def make_decoder(self) -> nn.Module:
        """From z to a map of features."""
        event = self.codec.event
        shape = (self.features, *event[1:]) if len(event) > 1 else (self.features * (self.places()[-1] + 1),)
        return decoder_for(self.latent, shape, self.width, self.layers, self.condition_width)

    def reconstruct(self, z: Tensor, x: Tensor, condition: Tensor | None) -> Tensor:
        """sum_i log p(x_i | z, x_window(i)), (batch,)."""
        return self.observation.log_prob(self.head(self.decoder(z, condition=condition), x), x)

    def emit(self, z: Tensor, condition: Tensor | None, noise: bool) -> Tensor:
        """Place after place; what the next ones see is made legal first."""
        law = self.observation.sample if noise else self.observation.mean

        def draw(raw: Tensor) -> Tensor:
            return self.codec.encode(self.codec.decode(law(raw)))

        return self.head.sample(self.decoder(z, condition=condition), self.codec.event[0], draw)

    def rate(self, posterior: tuple[Tensor, ...], z: Tensor) -> Tensor:
        """log q(z|x) - log p(z) of the draw, (batch,)."""
        return elbo.gaussian_log_prob(z, *posterior).sum(1) - self.prior_log_prob(z)

    def prior_log_prob(self, z: Tensor) -> Tensor:
        """Of the autoregressive flow, (batch,)."""
        return super().prior_log_prob(z) if self.prior is None else self.prior().log_prob(z)

    def prior_sample(self, count: int) -> Tensor:
        """Of the autoregressive flow, a dimension after the other."""
        return super().prior_sample(count) if self.prior is None else self.prior().sample(torch.Size([count]))
