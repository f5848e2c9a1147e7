"""Proofs of the layers of flows: determinants against autograd, inverses, masks, the first batch of actnorm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import TransformedDistribution, Uniform
from torch.distributions.transforms import AffineTransform, SigmoidTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.transforms import MonotonicRQSTransform

from sozai.fields import image, number
from sozai.generators.families import flow
from sozai.generators.processes import bijections, couplings
from sozai.generators.processes.bijections import Bijection
from sozai.generators.proofs import flow_densities as flow_densities  # registers its checks too
from sozai.generators.proofs.flow_tools import ROUNDING, bijective, build, exact_log_det, worst
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near

COUPLINGS = "sozai.generators.processes.couplings"
BIJECTIONS = "sozai.generators.processes.bijections"
FLOW = "sozai.generators.families.flow"


def _affine_instead(original: Any) -> Any:
    return lambda kind, bins=8: original("affine" if kind == "additive" else kind, bins)


def _additive_instead(original: Any) -> Any:
    return lambda kind, bins=8: original("additive" if kind == "affine" else kind, bins)


@check(
    "nice",
    seconds=0.3,
    broken_by=[
        Mutation("the coupling is affine", f"{COUPLINGS}:univariate", make=_affine_instead),
        Mutation("the prior is normal", f"{FLOW}:base_log_prob", make=lambda f: lambda base, z: f("normal", z)),
        Mutation(
            "no scale at the end", f"{BIJECTIONS}:Diagonal.forward", lambda self, x, context=None: (x, 0 * x.sum(1))
        ),
    ],
)
def additive_couplings_keep_volume() -> Iterator[Finding]:
    """NICE: couplings shift only (log det exactly 0), one diagonal scale does the rest, the prior is logistic."""
    core, x = build("nice", number(5)), torch.randn(8, 5, dtype=torch.double)
    *layers, diagonal = core.bijection.layers[1].layers  # type: ignore[union-attr, misc]
    chain = bijections.Chain(layers)
    with torch.no_grad():
        z, log_det = chain(x)
        yield holds("log det of all couplings is exactly 0", bool((log_det == 0).all()), f"{worst(log_det):.1e}")
        yield at_least("the couplings move the data", 0.1, float((z - x).abs().amax()))
        kept = couplings.alternate(5, 0)
        moved = x + torch.where(kept, 0.0, 1.7)  # the first coupling keeps even places and shifts odd ones
        shift = layers[0](moved)[0] - layers[0](x)[0] - (moved - x)
        yield at_most("what is shifted passes with slope 1", 1e-12, worst(shift), ROUNDING)
        scale = diagonal.log_scale.sum()  # type: ignore[union-attr]
        yield near("log det of the whole is that of the diagonal", float(scale), float(core.bijection(x)[1][0]), 1e-12)
        logistic = TransformedDistribution(Uniform(0.0, 1.0), [SigmoidTransform().inv, AffineTransform(0.0, 1.0)])
        places = torch.linspace(-8, 8, 33)
        error = flow.base_log_prob(core.base, places) - logistic.log_prob(places)
        yield at_most("logistic prior", 1e-3, worst(error), "torch's inverse sigmoid is in single precision")
    yield from bijective(core, x)


@check(
    "realnvp",
    seconds=0.8,
    broken_by=[
        Mutation("the coupling is additive", f"{COUPLINGS}:univariate", make=_additive_instead),
        Mutation("masks of vectors do not alternate", f"{COUPLINGS}:alternate", make=lambda f: lambda n, turn: f(n, 0)),
        Mutation("checkerboards do not alternate", f"{COUPLINGS}:checkerboard", make=lambda f: lambda n, turn: f(n, 0)),
        Mutation("channel masks do not alternate", f"{COUPLINGS}:channels", make=lambda f: lambda n, turn: f(n, 0)),
        Mutation(
            "the sign of log det",
            f"{COUPLINGS}:ImageCoupling.forward",
            make=lambda f: lambda self, x, context=None: (f(self, x, context)[0], -f(self, x, context)[1]),
        ),
        Mutation(
            "squeeze mixes up blocks",
            f"{BIJECTIONS}:Squeeze.inverse",
            make=lambda f: lambda self, z, context=None: f(self, z.flip(1), context),
        ),
    ],
)
def masked_couplings_transform_every_dimension() -> Iterator[Finding]:
    """RealNVP: affine couplings, alternating masks (checkerboard and channels), squeeze and multiscale split."""
    vector = build("realnvp", number(5))
    x = torch.randn(8, 5, dtype=torch.double)
    yield from bijective(vector, x)
    spread = float(exact_log_det(vector.bijection, x).std())
    yield at_least("log det depends on the data", 1e-2, spread, "additive couplings would give a constant")
    picture = build("realnvp", image(1, 4, 4), depth=4)
    pixels = 1.8 * torch.rand(4, 1, 4, 4, dtype=torch.double) - 0.9
    yield from bijective(picture, pixels)
    for name, mask, shape in (
        ("vector", couplings.alternate, 5),
        ("checkerboard", couplings.checkerboard, (3, 4, 6)),
        ("checkerboard in 3-D", couplings.checkerboard, (1, 2, 4, 3)),
        ("channels", couplings.channels, (5, 2, 2)),
    ):
        two = [mask(shape, turn) for turn in range(2)]  # type: ignore[operator]
        yield holds(f"{name}: two turns transform everything once", bool((two[0] ^ two[1]).all()))
    coarse = bijections.Squeeze()(torch.arange(16.0).reshape(1, 1, 4, 4))[0]
    yield holds("squeeze turns 2 x 2 blocks into channels", coarse[0, :, 0, 1].tolist() == [2, 3, 6, 7])


def _only_bias(self: bijections.ActNorm, x: Tensor) -> None:
    with torch.no_grad():
        self.bias.copy_(-x.transpose(0, 1).flatten(1).mean(1))
    self.waiting = False


def _without_places(original: Any) -> Any:
    def forward(self: Bijection, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = original(self, x, context)
        return z, log_det / math.prod(x.shape[2:])

    return forward


@check(
    "glow",
    seconds=0.8,
    broken_by=[
        Mutation("actnorm sets no scale", f"{BIJECTIONS}:ActNorm.initialise", _only_bias),
        Mutation("actnorm forgets the number of places", f"{BIJECTIONS}:ActNorm.forward", make=_without_places),
        Mutation("1x1 forgets the number of places", f"{BIJECTIONS}:Invertible1x1.forward", make=_without_places),
        Mutation(
            "no permutation in PLU",
            f"{BIJECTIONS}:Invertible1x1.weight",
            lambda self: self.factors()[0] @ self.factors()[1],
        ),
        Mutation(
            "the split forgets its prior's determinant",
            f"{COUPLINGS}:Split.standardise",
            make=lambda f: lambda self, *parts: (f(self, *parts)[0], 0.0),
        ),
        Mutation(
            "the split has no prior",
            f"{COUPLINGS}:Split.expected",
            lambda self, stays, context: (0 * stays[:, : self.leaving], 0 * stays[:, : self.leaving]),
        ),
    ],
)
def actnorm_and_invertible_convolution() -> Iterator[Finding]:
    """Glow: first batch standardised by each actnorm, log det of the 1x1 is h w log |det W|, learned priors."""
    core = build("glow", image(1, 8, 8), depth=2)
    x = torch.rand(64, 1, 8, 8, dtype=torch.double) * 2 - 1
    core.prepare({"x": x})
    seen: list[Tensor] = []
    norms = [module for module in core.modules() if isinstance(module, bijections.ActNorm)]
    hooks = [norm.register_forward_hook(lambda _m, _i, out: seen.append(out[0])) for norm in norms]
    with torch.no_grad():
        core.bijection(x)
    for hook in hooks:
        hook.remove()
    flat = [z.transpose(0, 1).flatten(1) for z in seen]
    yield near("actnorms", 4.0, len(flat), 0, "two steps in each of two scales")
    yield at_most("mean of the first batch after actnorm", 1e-9, max(worst(z.mean(1)) for z in flat), ROUNDING)
    yield at_most("deviation - 1", 1e-9, max(worst(z.std(1, correction=0) - 1) for z in flat), ROUNDING)

    mixing = bijections.Invertible1x1(6).double()
    with torch.no_grad():
        for parameter in mixing.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        y = torch.randn(3, 6, 4, 5, dtype=torch.double)
        z, log_det = mixing(y)
        kernel = mixing.weight()
        expected = 4 * 5 * torch.linalg.slogdet(kernel)[1]
        yield at_most("log det - h w log |det W|", 1e-9, worst(log_det - expected), ROUNDING)
        convolved = nn.functional.conv2d(y, kernel[:, :, None, None])
        yield at_most("it is a 1x1 convolution", 1e-10, worst(z - convolved), ROUNDING)
        yield at_most("its inverse", 1e-9, worst(mixing.inverse(z) - y), ROUNDING)
        fresh = bijections.Invertible1x1(6)
        yield at_most("starts as a rotation", 1e-5, worst(fresh.weight() @ fresh.weight().T - torch.eye(6)), "single")
    small = build("glow", image(1, 4, 4), depth=2)
    yield from bijective(small, 1.8 * torch.rand(3, 1, 4, 4, dtype=torch.double) - 0.9)
    yield from bijective(build("glow", number(5)), torch.randn(6, 5, dtype=torch.double))
    split = next(module for module in small.modules() if isinstance(module, couplings.Split))
    leaves, *stays = torch.randn(3, 2, 2, 2, 2, dtype=torch.double)
    noise = [split.standardise(leaves, kept, None)[0] for kept in stays]
    yield at_least("what leaves is standardised by what stays", 1e-3, worst(noise[0] - noise[1]))


@check(
    "maf",
    seconds=0.3,
    broken_by=[
        Mutation(
            "a coupling instead",
            f"{COUPLINGS}:MaskedAutoregressiveTransform",
            make=lambda f: lambda n, c, order, **k: GeneralCouplingTransform(n, c, **k),
        ),
        Mutation("the coupling is additive", f"{COUPLINGS}:univariate", make=_additive_instead),
    ],
)
def masked_network_is_autoregressive() -> Iterator[Finding]:
    """MAF: the Jacobian of a layer is triangular and full below the diagonal; the order reverses."""
    core, x = build("maf", number(5)), torch.randn(6, 5, dtype=torch.double)
    layers = list(core.bijection.layers[1].layers)  # type: ignore[union-attr, arg-type]
    for turn, layer in enumerate(layers[:2]):
        jacobian = torch.autograd.functional.jacobian(lambda y, layer=layer: layer(y[None])[0][0], x[0])
        jacobian = jacobian.flip(0, 1) if turn else jacobian
        yield at_most(f"layer {turn + 1}: above the diagonal", 0.0, worst(jacobian.triu(1)), "masked: exactly zero")
        below = jacobian[torch.ones(5, 5).tril(-1).bool()]
        yield at_least(f"layer {turn + 1}: below it", 1e-12, float(below.abs().amin()), "each depends on all before")
    yield at_least("log det depends on the data", 1e-2, float(core.bijection(x)[1].detach().std()))
    yield from bijective(core, x)


@check(
    "spline-flow",
    seconds=0.5,
    broken_by=[
        Mutation("zuko's inverse", f"{COUPLINGS}:Spline._inverse", make=lambda f: MonotonicRQSTransform._inverse),
        Mutation("the coupling is affine", f"{COUPLINGS}:univariate", make=lambda f: lambda kind, bins=8: f("affine")),
        Mutation(
            "log det of the inverse",
            f"{COUPLINGS}:Spline.call_and_ladj",
            make=lambda f: lambda self, x: (f(self, x)[0], -f(self, x)[1]),
        ),
    ],
)
def spline_is_monotone_and_never_nan() -> Iterator[Finding]:
    """The rational-quadratic spline rises, is inverted, is the identity outside its box, and survives extremes."""
    torch.manual_seed(0)
    shapes = [(500, 1, 8), (500, 1, 8), (500, 1, 7)]
    spline = couplings.Spline(*(3 * torch.randn(shape, dtype=torch.double) for shape in shapes), slope=0.01)
    x = torch.linspace(-7, 7, 141, dtype=torch.double).expand(500, -1).clone().requires_grad_()
    y, log_det = spline.call_and_ladj(x)
    [slope] = torch.autograd.grad(y.sum(), x)
    yield at_least("smallest rise between neighbours", 0.0, float(y.detach().diff(dim=1).amin()), "monotone")
    yield at_most("log det against autograd", 1e-8, worst(log_det - slope.log()), ROUNDING)
    yield at_most("inverse error", 1e-8, worst(spline.inv(y.detach()) - x), ROUNDING)
    outside = x.detach().abs() > 5
    yield at_most("identity outside the box", 0.0, worst((y - x)[outside]), "exactly")
    core = build("spline-flow", number(2))
    line = torch.stack([torch.full((141,), 0.3), torch.linspace(-4, 4, 141)], 1).double()  # 1 changes, given 0
    with torch.no_grad():
        response = core.bijection.layers[1].layers[0](line)[0][:, 1]  # type: ignore[union-attr, operator]
    bends = (response.diff(n=2).abs() > 1e-5).double().mean()
    yield at_least("share of places where a coupling bends", 0.5, float(bends), "an affine map has none")
    extreme = couplings.Spline(*(100 * torch.randn(shape) for shape in [(4000, 8), (4000, 8), (4000, 7)]), slope=1e-3)
    places = torch.cat([extreme.vertical[:, 3], extreme.vertical[:, 4] * 0.999])
    extreme.horizontal, extreme.vertical, extreme.derivatives = (
        torch.cat([knots, knots]) for knots in (extreme.horizontal, extreme.vertical, extreme.derivatives)
    )
    back = extreme.inv(places)
    yield holds(
        "extreme knots, single precision: finite", bool(back.isfinite().all()), f"{int(back.isnan().sum())} NaN"
    )
    yield from bijective(build("spline-flow", number(4)), torch.randn(6, 4, dtype=torch.double) * 2, 1e-7)
