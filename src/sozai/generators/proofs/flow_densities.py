"""Proofs of the continuous flows, and of all flows as densities: traces, adjoint, mass 1, entropy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sozai.fields import number
from sozai.generators.families import flow
from sozai.generators.processes import ode
from sozai.generators.proofs.flow_tools import ROUNDING, build, exact_log_det, worst
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.proofs.training import learn

BIJECTIONS = "sozai.generators.processes.bijections"
FLOWS = ("nice", "realnvp", "glow", "maf", "spline-flow", "cnf", "ffjord")
ODE = "sozai.generators.processes.ode"
FLOW = "sozai.generators.families.flow"


def _wrong_slope(original: Any) -> Any:
    def forward(self: ode.Velocity, t: Tensor, x: Tensor, context: Any = None, directions: Any = None) -> Any:
        velocity, trace = original(self, t, x, context, directions)
        return velocity, -trace

    return forward


def _redrawn(original: Any) -> Any:
    def forward(self: ode.Velocity, t: Tensor, x: Tensor, context: Any = None, directions: Any = None) -> Any:
        return original(self, t, x, context, None if directions is None else ode.random_direction(x))

    return forward


def _steps(field: Any, state: tuple[Tensor, Tensor], count: int = 30) -> tuple[Tensor, Tensor]:
    """Classical Runge-Kutta, unrolled: gradients by plain backpropagation."""
    step = 1 / count
    for index in range(count):
        time = torch.tensor(index * step, dtype=torch.double)

        def at(share: float, slope: tuple[Tensor, ...] | None, time=time, state=state) -> tuple[Tensor, Tensor]:
            moved = state if slope is None else tuple(s + share * step * k for s, k in zip(state, slope, strict=True))
            return field(time + share * step, *moved)

        first = at(0, None)
        second = at(0.5, first)
        third = at(0.5, second)
        fourth = at(1, third)
        state = tuple(  # type: ignore[assignment]
            s + step / 6 * (a + 2 * b + 2 * c + d)
            for s, a, b, c, d in zip(state, first, second, third, fourth, strict=True)
        )
    return state


@check(
    "cnf",
    seconds=2,
    broken_by=[
        Mutation("the trace has the wrong sign", f"{ODE}:Velocity.forward", make=_wrong_slope),
        Mutation("the trace is estimated", f"{ODE}:unit_directions", make=lambda f: lambda x: ode.random_direction(x)),
        Mutation(
            "the adjoint leaves out all layers but the first",
            f"{ODE}:Continuous.parameters",
            make=lambda f: lambda self, recurse=True: iter(list(f(self, recurse))[:2]),
        ),
    ],
)
def exact_trace_and_adjoint() -> Iterator[Finding]:
    """CNF: trace = autograd's, log det = slogdet of the whole map, adjoint = backpropagation, time runs backwards."""
    equation = build("cnf", number(3), tolerance=1e-6).bijection.layers[1].layers[0]  # type: ignore[union-attr, operator]
    assert isinstance(equation, ode.Continuous)
    x, t = torch.randn(5, 3, dtype=torch.double), torch.tensor(0.3, dtype=torch.double)
    _, trace = equation.velocity(t, x, None, ode.directions_of("exact", x))
    jacobians = torch.stack(
        [torch.autograd.functional.jacobian(lambda y: equation.velocity(t, y[None])[0][0], row) for row in x]  # type: ignore[misc]
    )
    yield at_most("trace - autograd's", 1e-12, worst(trace - jacobians.diagonal(dim1=1, dim2=2).sum(1)), ROUNDING)
    z, log_det = equation(x)
    yield at_most("log det - slogdet of the map", 1e-4, worst(log_det - exact_log_det(equation, x)), "tolerance 1e-7")
    yield at_most("there and back", 1e-5, worst(equation.inverse(z) - x), "tolerance 1e-7")

    weights = [weight for _, weight in equation.named_parameters()]
    loss = (z**2).sum() / 2 - log_det.sum()
    adjoint = torch.autograd.grad(loss, weights, allow_unused=True)
    end, total = _steps(
        lambda t, x, _: equation.velocity(t, x, None, ode.directions_of("exact", x)), (x, x.new_zeros(len(x)))
    )
    direct = torch.autograd.grad((end**2).sum() / 2 - total.sum(), weights)
    yield at_most("state - unrolled Runge-Kutta's", 1e-5, worst(end - z), "30 steps of order 4")
    error = max(
        math.inf if got is None else worst(got - want) / (1 + worst(want))
        for got, want in zip(adjoint, direct, strict=True)
    )
    yield at_most("adjoint gradient - direct gradient, relative", 1e-4, error, "both integrate to about 1e-6")


@check(
    "ffjord",
    seconds=3,
    broken_by=[
        Mutation("e has variance 1.2", f"{ODE}:random_direction", make=lambda f: lambda x: f(x) * 1.2**0.5),
        Mutation("e is drawn anew at each time", f"{ODE}:Velocity.forward", make=_redrawn),
        Mutation("the trace is exact", f"{ODE}:random_direction", make=lambda f: lambda x: ode.unit_directions(x)),
        Mutation("the trace has the wrong sign", f"{ODE}:Velocity.forward", make=_wrong_slope),
    ],
)
def hutchinson_trace_is_unbiased() -> Iterator[Finding]:
    """FFJORD: e^T J e has mean tr J, e is one and the same inside a solve, the likelihood agrees with the exact."""
    core = build("ffjord", number(3), tolerance=1e-4)
    equation = core.bijection.layers[1].layers[0]  # type: ignore[union-attr, operator]
    assert isinstance(equation, ode.Continuous)
    t, row = torch.tensor(0.3, dtype=torch.double), torch.randn(1, 3, dtype=torch.double)
    with torch.no_grad():
        many = row.expand(20000, -1)
        draws = equation.velocity(t, many, None, ode.directions_of("hutchinson", many))[1]
        jacobian = torch.autograd.functional.jacobian(lambda y: equation.velocity(t, y[None])[0][0], row[0])
        truth = torch.trace(jacobian)
        error = float(draws.std()) / math.sqrt(len(draws))
        yield near("mean of e^T J e", float(truth), float(draws.mean()), 4 * error + 1e-9, "4 standard errors")
        yield at_least("it varies: one direction only", 1e-6, float(draws.std()))
        used: list[Tensor] = []
        inner = equation.velocity.forward

        def watched(t: Tensor, x: Tensor, context: Any = None, directions: Any = None) -> Any:
            used.append(directions)
            return inner(t, x, context, directions)

        equation.velocity.forward = watched  # type: ignore[method-assign]
        start = torch.randn(4, 3, dtype=torch.double)
        equation(start)
        del equation.velocity.forward
        same = all(torch.equal(used[0], e) for e in used)
        yield holds(f"the same e in all {len(used)} evaluations of a solve", same and len(used) > 6)
        t_fixed = torch.tensor(0.5, dtype=torch.double)
        twice = [equation.velocity(t_fixed, start, None, used[0])[1] for _ in range(2)]
        yield at_most("same e, time and place: same trace", 0.0, worst(twice[0] - twice[1]))
        x = torch.randn(500, 3, dtype=torch.double)
        estimate = torch.stack([core.log_density(x).mean() for _ in range(4)])
        equation.trace = "exact"
        exact = core.log_density(x).mean()
        tolerance = 4 * float(estimate.std()) / 2 + 0.02
        yield near("mean log-likelihood", float(exact), float(estimate.mean()), tolerance, "4 standard errors")


def mixture(count: int) -> tuple[Tensor, Tensor]:
    """Draws (count, 2) from three normals in a triangle, and their exact log-density."""
    angle = 2 * math.pi / 3 * torch.arange(3)
    centres = 1.5 * torch.stack([angle.cos(), angle.sin()], 1)
    x = centres[torch.randint(3, (count,))] + 0.5 * torch.randn(count, 2)
    parts = -((x[:, None] - centres) ** 2).sum(-1) / (2 * 0.25) - math.log(2 * math.pi * 0.25)
    return x, parts.logsumexp(1) - math.log(3)


def fitted(name: str, steps: int, rate: float = 5e-3, **settings: Any) -> flow.Flow:
    """The named system after a short training on the mixture."""
    from sozai.generators.recipes.flow import RECIPES

    torch.set_num_threads(1)
    [recipe] = [recipe for recipe in RECIPES if recipe.name == name]
    core = recipe.build({"x": number(2)}, **({"width": 32} | settings))
    assert isinstance(core, flow.Flow)
    core.prepare({"x": mixture(2000)[0]})
    learn(core, lambda: {"x": mixture(256)[0]}, steps, rate=rate, clip=1.0)
    return core


def mass(core: flow.Flow, reach: float = 11.0, side: int = 147) -> float:
    """Integral of the density over a square."""
    axis = torch.linspace(-reach, reach, side)
    grid = torch.cartesian_prod(axis, axis)
    return float(core.log_prob({"x": grid}).exp().sum() * (2 * reach / (side - 1)) ** 2)


@check(
    *FLOWS,
    seconds=3,
    broken_by=[
        Mutation(
            "the scales' determinant is forgotten",
            f"{BIJECTIONS}:Diagonal.forward",
            make=lambda f: lambda self, x, context=None: (f(self, x, context)[0], torch.zeros(len(x))),
        ),
        Mutation(
            "the codec's volume is forgotten",
            "sozai.generators.codec:VectorCodec.log_volume",
            lambda self: torch.zeros(()),
        ),
    ],
)  # fmt: skip
def densities_have_mass_one() -> Iterator[Finding]:
    """After some steps of training the density in the data's units still integrates to 1, for every flow."""
    for name in FLOWS:
        continuous = name in ("cnf", "ffjord")
        core = fitted(name, 6 if continuous else 40, depth=4)
        tolerance = 0.05 if name == "ffjord" else 0.01
        why = "a grid of 0.15; the estimate's noise averages out" if name == "ffjord" else "a grid of 0.15"
        yield near(f"{name}: integral of p", 1.0, mass(core), tolerance, why)


@check(
    *FLOWS,
    seconds=15,
    broken_by=[
        Mutation(
            "the log determinant is left out of the loss",
            f"{FLOW}:Flow.log_density",
            lambda self, x, context=None: flow.base_log_prob(self.base, self.bijection(x, context)[0]).sum(1),
        ),
    ],
)  # fmt: skip
def likelihood_reaches_the_entropy() -> Iterator[Finding]:
    """Trained on fresh draws of a known mixture, the test log-likelihood comes close to the exact one."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        x, exact = mixture(4000)
    within = {  # steps, rate, nats
        "nice": (300, 5e-3, 0.4), "realnvp": (300, 5e-3, 0.25), "glow": (300, 5e-3, 0.15), "maf": (300, 5e-3, 0.2),
        "spline-flow": (200, 5e-3, 0.04), "cnf": (100, 1e-2, 0.08), "ffjord": (100, 1e-2, 0.1),
    }  # fmt: skip
    for name, (steps, rate, bound) in within.items():
        core = fitted(name, steps, rate, width=48)
        gap = float((exact - core.log_prob({"x": x})).mean())
        yield at_most(f"{name}: nats short of the exact log-likelihood", bound, gap, "about twice what seed 0 gives")
        yield at_least(f"{name}: nats short (not beyond it)", -0.02, gap, "a density of mass 1 cannot win")
