"""Coupling layers: one part of the numbers is transformed by what the other part, which stays, decides.

========================  ==========================  ==========================================
coupling                  z_b (z_a = x_a stays)       log |det|
========================  ==========================  ==========================================
additive                  x_b + t(x_a)                0              (NICE, arXiv 1410.8516)
affine                    x_b exp(s(x_a)) + t(x_a)    sum s          (RealNVP, arXiv 1605.08803)
spline                    RQS(x_b; knots(x_a))        sum log RQS'   (NSF, arXiv 1906.04032)
========================  ==========================  ==========================================

The mask says what stays. Couplings of vectors, masked autoregressive layers and the spline are zuko's; this
module adds the couplings of images, and the split by which an image's scales are coupled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.lazy import LazyTransform
from zuko.nn import MLP
from zuko.transforms import AdditiveTransform, MonotonicAffineTransform, MonotonicRQSTransform
from zuko.utils import unpack

from sozai.generators.processes.bijections import Bijection


class Zuko(Bijection):
    """A lazy transformation of zuko, on vectors."""

    def __init__(self, lazy: LazyTransform):
        super().__init__()
        self.lazy = lazy

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, features) both."""
        z, log_det = self.lazy(context).call_and_ladj(x)
        return z, log_det.flatten(1).sum(1) if log_det.dim() > 1 else log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """(batch, features) both."""
        return self.lazy(context).inv(z)


class Coupling(Bijection):
    """The masked half stays; a network of it says how zuko's transformation moves the other (1410.8516, section 3.2).

    Args:
        mask: (features,), true for what stays.
        context: length of what the network also sees.
        constructor, shapes: see ``univariate``.
        settings: of the network.
    """

    kept: Tensor
    moved: Tensor
    order: Tensor

    def __init__(
        self, mask: Tensor, context: int, constructor: Callable[..., Any], shapes: list[tuple[int, ...]], settings: Any
    ):
        super().__init__()
        self.constructor, self.shapes = constructor, shapes
        places = {"kept": mask.nonzero()[:, 0], "moved": (~mask).nonzero()[:, 0]}
        places["order"] = torch.cat(list(places.values())).argsort()
        for name, place in places.items():  # places, not a mask: picking by a mask would search it at each call
            self.register_buffer(name, place, persistent=False)
        self.total = sum(math.prod(shape) for shape in shapes)
        self.net = MLP(len(self.kept) + context, len(self.moved) * self.total, **settings)
        shrink(self.net[-1])

    def _halves(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Any]:
        """What stays, what moves, and the transformation of the latter."""
        kept, moved = x.index_select(1, self.kept), x.index_select(1, self.moved)
        raw = self.net(kept if context is None else torch.cat([kept, context], 1)).unflatten(1, (-1, self.total))
        # One parameter or two a number need no reshaping: less time than zuko's general way.
        parameters = unpack(raw, self.shapes) if any(self.shapes) else raw.unbind(-1)
        return kept, moved, self.constructor(*parameters)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(batch, features) both."""
        kept, moved, transform = self._halves(x, context)
        moved, log_det = transform.call_and_ladj(moved)
        return torch.cat([kept, moved], 1).index_select(1, self.order), log_det.sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """(batch, features) both."""
        kept, moved, transform = self._halves(z, context)
        return torch.cat([kept, transform.inv(moved)], 1).index_select(1, self.order)


class Spline(MonotonicRQSTransform):
    """zuko's rational-quadratic spline (arXiv 1906.04032), whose inverse cannot become NaN.

    Near a knot of a steep bin rounding makes the discriminant of the quadratic (eq. 29) slightly negative;
    in exact arithmetic it is not. Outside the box [-5, 5] the spline is the identity.
    """

    def _inverse(self, y: Tensor) -> Tensor:
        place = self.searchsorted(self.vertical, y) - 1
        inside, x0, x1, y0, y1, d0, d1, slope = self.bin(place)
        rise = torch.where(inside, y - y0, torch.zeros_like(y))
        curve = rise * (d0 + d1 - 2 * slope)
        a = (y1 - y0) * (slope - d0) + curve
        b = (y1 - y0) * d0 - curve
        root = (b**2 + 4 * a * slope * rise).clamp(min=0).sqrt()
        share = (2 * slope * rise / (b + root).clamp(min=torch.finfo(y.dtype).tiny)).clamp(0, 1)
        return torch.where(inside, x0 + share * (x1 - x0), y)


def univariate(kind: str, bins: int = 8, stretch: float = 10.0) -> tuple[Callable[..., Any], list[tuple[int, ...]]]:
    """What a coupling does to each number, as zuko wants it: constructor and shapes of its parameters.

    ``"additive"``: x + t; ``"affine"``: x exp(s) + t with |s| softly below log ``stretch``, since where a table's
    rows lie close together a freer s makes a row a little beside them impossible (worst held-out row of the
    concrete table: 137 nats at 1,000, 65 at 10); ``"spline"``: slopes between 1/100 and 100.
    """
    kinds: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
        "additive": (AdditiveTransform, [()]),
        "affine": (partial(MonotonicAffineTransform, slope=1 / stretch), [(), ()]),
        "spline": (partial(Spline, slope=0.01), [(bins,), (bins,), (bins - 1,)]),
    }
    return kinds[kind]


def alternate(features: int, turn: int) -> Tensor:
    """Mask of a vector (features,): even places stay, then odd ones. True is kept as it is."""
    return torch.arange(features) % 2 == turn % 2


def checkerboard(shape: tuple[int, ...], turn: int) -> Tensor:
    """Mask of an image (channels, *spatial): the dark fields stay, then the light ones (1605.08803, fig. 3)."""
    places = torch.tensor([sum(index) % 2 for index in product(*(range(side) for side in shape[1:]))])
    return (places.reshape(1, *shape[1:]) == turn % 2).expand(shape).clone()


def channels(shape: tuple[int, ...], turn: int) -> Tensor:
    """Mask of an image: the first half of the channels stays, then the second."""
    first = torch.arange(shape[0]) < (shape[0] + 1) // 2
    return (first == (turn % 2 == 0)).reshape(-1, *[1] * (len(shape) - 1)).expand(shape).clone()


def vector_coupling(
    features: int, context: int, turn: int, kind: str, hidden: list[int], bins: int = 8, stretch: float = 10.0,
    autoregressive: bool = False,
) -> Bijection:  # fmt: skip
    """A coupling layer of zuko, or a masked autoregressive one (arXiv 1705.07057); starts near the identity."""
    # Masks leave few paths to the first numbers of an autoregressive network: none of them may die.
    settings: dict[str, Any] = {"hidden_features": hidden, "activation": nn.LeakyReLU if autoregressive else nn.ReLU}
    constructor, shapes = univariate(kind, bins, stretch)
    if features > 1 and not autoregressive:
        return Coupling(alternate(features, turn), context, constructor, shapes, settings)
    order = torch.arange(features)
    order = order.flip(0) if turn % 2 else order
    lazy = MaskedAutoregressiveTransform(
        features, context, order=order, univariate=constructor, shapes=shapes, **settings
    )
    if getattr(lazy, "hyper", None) is not None:  # of one number zuko makes a map of the context, or a constant one
        shrink(lazy.hyper[-1])
    return Zuko(lazy)


def shrink(last: nn.Module, by: float = 0.1) -> None:
    """Make a network's last layer small, so that a deep flow starts near the identity."""
    with torch.no_grad():
        last.weight.mul_(by)  # type: ignore[operator, union-attr]
        last.bias.mul_(by)  # type: ignore[operator, union-attr]


def convolution(spatial: int) -> type[nn.Conv2d] | type[nn.Conv3d]:
    """The layer for two or three spatial axes."""
    return nn.Conv2d if spatial == 2 else nn.Conv3d


class ConvNet(nn.Module):
    """Residual convolutions that keep the image's size; channels in, channels out, the context as a bias."""

    def __init__(self, inputs: int, outputs: int, spatial: int, context: int, width: int, blocks: int):
        super().__init__()
        conv = convolution(spatial)
        self.enter = conv(inputs, width, 3, padding=1)
        self.steer = nn.Linear(context, width) if context else None
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, width), nn.SiLU(), conv(width, width, 3, padding=1),
                nn.SiLU(), conv(width, width, 1),
            )
            for _ in range(blocks)
        )  # fmt: skip
        self.leave = conv(width, outputs, 3, padding=1)
        shrink(self.leave)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(batch, inputs, *spatial) to (batch, outputs, *spatial)."""
        hidden = self.enter(x)
        if self.steer is not None and context is not None:
            hidden = hidden + self.steer(context).reshape(*hidden.shape[:2], *[1] * (hidden.dim() - 2))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.leave(F.silu(hidden))


class ImageCoupling(Bijection):
    """Additive or affine coupling of an image under a mask (RealNVP, eq. 9).

    z = m x + (1 - m) (x exp(s(m x)) + t(m x)); s is bounded softly by 3.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, context: int, kind: str, width: int, blocks: int):
        super().__init__()
        self.register_buffer("mask", mask.float())
        self.kind, inputs = kind, mask.shape[0]
        self.net = ConvNet(inputs, inputs if kind == "additive" else 2 * inputs, mask.dim() - 1, context, width, blocks)

    def scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """s and t where the mask lets through, zero elsewhere."""
        shift, *raw = self.net(kept, context).chunk(1 if self.kind == "additive" else 2, 1)
        scale = 3 * torch.tanh(raw[0] / 3) if raw else torch.zeros_like(shift)
        return scale * (1 - self.mask), shift * (1 - self.mask)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The log-determinant is the sum of s."""
        scale, shift = self.scale_and_shift(x * self.mask, context)
        return x * scale.exp() + shift, scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """What the mask keeps is the same in z, so s and t are too."""
        scale, shift = self.scale_and_shift(z * self.mask, context)
        return (z - shift) * (-scale).exp()


class Split(Bijection):
    """Multiscale: half of the channels become noise here, only the others go through ``rest``.

    Args:
        shape: of the image that comes in, (channels, *spatial).
        rest: bijection of the second half.
        prior: ``None``: the leaving half is noise as it is (RealNVP); otherwise a network that tells its mean
            and log deviation from the other half (Glow): noise is what remains after them.
    """

    def __init__(self, shape: tuple[int, ...], rest: Bijection, prior: ConvNet | None = None):
        super().__init__()
        self.shape, self.leaving = shape, shape[0] // 2
        self.rest, self.prior = rest, prior

    def expected(self, stays: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log deviation of the leaving half; 0 without a prior."""
        if self.prior is None:
            zero = torch.zeros_like(stays[:, : self.leaving])
            return zero, zero
        mean, raw = self.prior(stays, context).chunk(2, 1)
        return mean, 3 * torch.tanh(raw / 3)

    def standardise(self, leaves: Tensor, stays: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The leaving half as noise, and the log-determinant of that."""
        mean, log_deviation = self.expected(stays, context)
        return (leaves - mean) * (-log_deviation).exp(), -log_deviation.flatten(1).sum(1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z is flat: the leaving half, then the rest's."""
        leaves, stays = x[:, : self.leaving], x[:, self.leaving :]
        noise, log_det = self.standardise(leaves, stays, context)
        z, log_det_rest = self.rest(stays, context)
        return torch.cat([noise.flatten(1), z.flatten(1)], 1), log_det + log_det_rest

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The rest first, since the prior needs it."""
        size = self.leaving * math.prod(self.shape[1:])
        leaves = z[:, :size].reshape(-1, self.leaving, *self.shape[1:])
        stays = self.rest.inverse(z[:, size:], context)
        mean, log_deviation = self.expected(stays, context)
        return torch.cat([leaves * log_deviation.exp() + mean, stays], 1)
