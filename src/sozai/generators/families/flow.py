"""Normalizing flows: an invertible network between the data and a simple density.

    log p(x) = log p_base(f(x)) + log |det df/dx|     minimised: the mean of -log p over the data

One core puts together any of NICE, RealNVP, Glow, MAF, spline flows, CNF and FFJORD from the layers in
``processes``. Discrete values (categories, tokens, images with ``levels``) get
uniform noise on each value's own unit cell, where the flow's density is a lower bound of their probability:
log P(v) >= E_u log p(v + u) (arXiv 1511.01844, eq. 4); the mean of p itself over many u is P(v).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators import conditions as conditioning
from sozai.generators.codec import Codec, ImageCodec, codec_for
from sozai.generators.core import Core, Likelihood, Player
from sozai.generators.processes import bijections, couplings, ode
from sozai.generators.processes.bijections import Bijection
from sozai.generators.tensors import Batch, rows_of, take

CHOICES = {
    "transform": ("additive", "affine", "spline", "continuous"),
    "base": ("normal", "logistic"),
    "actnorm": ("never", "images", "always"),
    "trace": ode.TRACES,
}


class Flow(Core):
    """Any normalizing flow: its likelihood is computed, not estimated, and samples take one pass.

    Args:
        fields: continuous, categorical, sequence (padding counts as its token), any mixture, or an image.
        conditions: numbers and categories; the density is that given them.
        transform: of one layer: ``"additive"``, ``"affine"``, ``"spline"`` or ``"continuous"``.
        base: density of the noise in each dimension, ``"normal"`` or ``"logistic"``.
        depth: number of layers; of an image in each scale (RealNVP: half of them checkerboards).
        width: of the networks' hidden layers.
        channels: of the convolutions of images.
        layers: hidden layers of each network; of an image two count for the first and last convolution,
            the others are residual blocks.
        autoregressive: each number is transformed given all earlier ones, not given half of them: more apt,
            but samples take a pass a number.
        mixing: between layers an invertible linear map, learned (Glow), instead of alternating masks.
        actnorm: whether each layer follows a scale and bias set by the first batch (Glow): ``"never"``,
            ``"always"``, or for ``"images"`` only.
        scales: how often an image is squeezed and half of it split off, as far as its sides are even; 0 takes
            it as one long vector.
        logit: how far from 0 and 1 the values of an image are kept before a logit (RealNVP); 0 for no logit.
        bins: of a spline.
        stretch: about the most by which one affine layer stretches or shrinks a number; of images e^3.
        trace: of a continuous flow, ``"exact"`` or ``"hutchinson"``.
        tolerance: of a continuous flow's integration in training; in evaluation a tenth of it.
        jitter: deviation of the normal noise that training adds to the standardised continuous values. Repeated
            or rounded values (the zeros of a table) have no density: without jitter the likelihood grows
            without bound while the flow closes in on them. With it the flow tells the density of value + noise.
        drop: share of rows trained without their conditions, so that conditions can be left out later.
        rate: learning rate at its peak.
        weight_decay: of AdamW.
        codec: another encoding; it must dequantise all discrete values.

    Raises:
        UserError: a setting or a field that it cannot serve.
    """

    likelihood: ClassVar[Likelihood] = "exact"
    jittered: Tensor

    def __init__(
        self, fields: Fields, conditions: Fields | None = None, *, transform: str = "affine", base: str = "normal",
        depth: int = 6, width: int = 64, channels: int = 32, layers: int = 3, autoregressive: bool = False,
        mixing: bool = False, actnorm: str = "never", scales: int = 0, logit: float = 0.0, bins: int = 8,
        stretch: float = 10.0, trace: str = "exact", tolerance: float = 1e-3, jitter: float = 0.02, drop: float = 0.1,
        rate: float = 5e-3, weight_decay: float = 1e-4, codec: Codec | None = None,
    ):  # fmt: skip
        _check(fields, {"transform": transform, "base": base, "trace": trace, "actnorm": actnorm}, depth, jitter)
        super().__init__(fields, conditions, codec or codec_for(fields, dequantise=True))
        self.players = (Player(rate=rate, weight_decay=weight_decay),)
        self.base, self.jitter, self.drop = base, jitter, drop
        jittered = _continuous_columns(self.codec)
        self.register_buffer("jittered", jittered, persistent=False)
        self.dequantised = not bool(jittered.all())
        if self.dequantised:
            self.likelihood = "bound"  # type: ignore[misc]
        self.dimensions = math.prod(self.codec.event)
        self.context = conditioning.ConditionEncoder(self.conditions, width)
        steered = width if self.conditions else 0
        event = tuple(self.codec.event)
        if scales and len(event) > 2 and transform != "continuous":
            made = image_layers(
                event, steered, transform, depth, channels, max(0, layers - 2), mixing, actnorm != "never", scales
            )
        else:
            made = bijections.Chain([
                bijections.Reshape(event, (self.dimensions,)),
                continuous_layer(self.dimensions, steered, width, layers, trace, tolerance)
                if transform == "continuous"
                else vector_layers(
                    self.dimensions, steered, transform, depth, [width] * layers, bins, stretch, autoregressive,
                    mixing, actnorm == "always",
                ),
            ])  # fmt: skip
        if logit and len(event) > 2:
            made = bijections.Chain([bijections.Logit(logit), made])
        self.bijection: Bijection = made

    def prepare(self, batch: Batch) -> None:
        """Scales of fields and conditions, and each actnorm by the first (at most 1,024) rows."""
        super().prepare(batch)
        self.context.fit(batch)
        order = torch.randperm(rows_of(batch))[:1024].to(next(iter(batch.values())).device)
        first = take(batch, order)
        bijections.initialise(self.bijection, self._noisy(self.encode(first)), self._steer(first, rows_of(first)))

    def loss(self, batch: Batch, player: str = "model") -> dict[str, Tensor]:
        """Negative log-likelihood: ``loss`` a dimension, ``nats`` a row, ``bits`` a dimension, in the data's units."""
        x = self.encode(batch)
        if self.training:
            x, batch = self._noisy(x), conditioning.drop(batch, self.conditions, self.drop)
        log_prob = self.log_density(x, self._steer(batch, len(x))) + self.codec.log_volume().to(x.device)
        nats = -log_prob.mean()
        loss = nats / self.dimensions
        return {"loss": loss, "nats": nats.detach(), "bits": loss.detach() / math.log(2)}

    def log_density(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Of encoded rows x (batch, *event), (batch,); in full precision also under autocast."""
        with torch.autocast(x.device.type, enabled=False):
            z, log_det = self.bijection(x, None if context is None else context.to(x.dtype))
            return base_log_prob(self.base, z).flatten(1).sum(1) + log_det

    def log_prob(self, batch: Batch, samples: int = 1) -> Tensor:
        """Log-density of continuous data, exact; of discrete data a bound, the tighter the more ``samples``.

        Args:
            batch: fields and conditions.
            samples: of the dequantising noise: log mean p(v + u), whose expectation rises to log P(v).
        """
        with torch.no_grad():
            context = self._steer(batch, rows_of(batch))
            draws = [self.log_density(self.encode(batch), context) for _ in range(samples if self.dequantised else 1)]
            return (
                torch.logsumexp(torch.stack(draws), 0) - math.log(len(draws)) + self.codec.log_volume().to(self.device)
            )

    def sample(self, count: int, given: Batch | None = None, temperature: float = 1.0, **options: Any) -> Batch:
        """``count`` rows by the inverse; noise is scaled by ``temperature`` (below 1: likelier, less varied)."""
        with torch.no_grad():
            z = base_sample(self.base, (count, self.dimensions), self.device) * temperature
            context = self._steer(self.condition_of(given, count), count)
            x = self.bijection.inverse(z, context).reshape(count, *self.codec.event)
            return self.codec.decode(x)

    def _steer(self, batch: Batch, rows: int) -> Tensor | None:
        if not self.conditions:
            return None
        return self.context(self.condition_of(batch, rows))

    def _noisy(self, x: Tensor) -> Tensor:
        return x + self.jitter * torch.randn_like(x) * self.jittered if self.jitter else x


def base_log_prob(base: str, z: Tensor) -> Tensor:
    """Elementwise log-density: of the standard normal, or logistic, -softplus(z) - softplus(-z) (NICE, eq. 6)."""
    if base == "logistic":
        return -F.softplus(z) - F.softplus(-z)
    return -0.5 * (z**2 + math.log(2 * math.pi))


def base_sample(base: str, shape: tuple[int, ...], device: Any) -> Tensor:
    """Noise of that density."""
    if base == "logistic":
        return torch.logit(torch.rand(shape, device=device).clamp(1e-6, 1 - 1e-6))
    return torch.randn(shape, device=device)


def continuous_layer(features: int, context: int, width: int, layers: int, trace: str, tolerance: float) -> Bijection:
    """One differential equation is the whole flow; a diagonal scale after it meets the noise's deviation."""
    equation = ode.Continuous(features, context, width, layers, trace, tolerance)
    return bijections.Chain([equation, bijections.Diagonal(features)])


def vector_layers(
    features: int, context: int, transform: str, depth: int, hidden: list[int], bins: int, stretch: float,
    autoregressive: bool, mixing: bool, actnorm: bool,
) -> Bijection:  # fmt: skip
    """Couplings whose masks alternate, between actnorms and invertible linear maps where asked for."""
    made: list[Bijection] = []
    for turn in range(depth):
        made += [bijections.ActNorm(features)] if actnorm else []
        made += [bijections.Invertible1x1(features)] if mixing else []
        made.append(
            couplings.vector_coupling(features, context, turn, transform, hidden, bins, stretch, autoregressive)
        )
    # An additive flow keeps volume, so that one scale a dimension has to do all of it (NICE, section 3.3).
    return bijections.Chain([*made, bijections.Diagonal(features)])


def image_layers(
    event: tuple[int, ...], context: int, transform: str, depth: int, width: int, blocks: int, mixing: bool,
    actnorm: bool, scales: int,
) -> Bijection:  # fmt: skip
    """Layers of one scale, then the next scale on half of their channels; ends in a flat vector.

    RealNVP (masks alternate): checkerboards, squeeze, as many channel masks, split. Glow (mixing): squeeze, then steps
    of actnorm, invertible 1x1 and a coupling, then split with a learned prior.
    """
    spatial = event[1:]
    halves = scales > 0 and all(side % 2 == 0 and side > 1 for side in spatial)
    made: list[Bijection] = []

    def step(shape: tuple[int, ...], mask: Tensor) -> None:
        made.extend([bijections.ActNorm(shape[0])] if actnorm else [])
        made.extend([bijections.Invertible1x1(shape[0])] if mixing else [])
        made.append(couplings.ImageCoupling(mask, context, transform, width, blocks))

    if not mixing:  # the last scale has no channel masks, so it gets one coupling more
        for turn in range((depth + 1) // 2 if halves else depth + 1):
            step(event, couplings.checkerboard(event, turn))
    shape = event
    if halves:
        made.append(bijections.Squeeze())
        shape = (event[0] * 2 ** len(spatial), *(side // 2 for side in spatial))
    if halves or mixing:
        for turn in range(depth if mixing else max(1, depth // 2)):
            masks = couplings.channels if shape[0] > 1 else couplings.checkerboard
            step(shape, masks(shape, turn))
    if not halves or scales == 1:
        return bijections.Chain([*made, bijections.Reshape(shape, (math.prod(shape),))])
    leaving = shape[0] // 2
    stays = (shape[0] - leaving, *shape[1:])
    prior = couplings.ConvNet(stays[0], 2 * leaving, len(spatial), context, width, 0) if mixing else None
    rest = image_layers(stays, context, transform, depth, width, blocks, mixing, actnorm, scales - 1)
    return bijections.Chain([*made, couplings.Split(shape, rest, prior)])


def _continuous_columns(codec: Codec) -> Tensor:
    """True for the columns of the tensor that are densities, false where values are dequantised."""
    if isinstance(codec, ImageCodec):
        return torch.full((1,) * len(codec.event), not codec.dequantise)
    fields: Fields = codec.fields  # type: ignore[assignment]
    columns = torch.zeros(codec.event, dtype=torch.bool)
    for span in codec.spans:
        columns[span.columns] = not fields[span.field].discrete
    return columns


def _check(fields: Fields, choices: dict[str, str], depth: int, jitter: float) -> None:
    for name, field in fields.items():
        if field.kind in ("periodic", "rotation"):
            raise UserError(
                f"a flow has no density on a {field.kind} field", f"field '{name}'", "use a diffusion system for it"
            )
    for setting, value in choices.items():
        if value not in CHOICES[setting]:
            raise UserError(f"there is no {setting} '{value}'", setting, f"use one of {', '.join(CHOICES[setting])}")
    if depth < 1:
        raise UserError("a flow needs at least one layer", "depth", "set it to 1 or more")
    if jitter < 0:
        raise UserError("noise cannot be negative", "jitter", "set it to 0 or more")
