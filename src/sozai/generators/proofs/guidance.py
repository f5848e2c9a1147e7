"""Proofs of guidance and of flow matching, on Gaussians and mixtures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import torch

from sozai.fields import category, number
from sozai.generators.families import diffusion, flow_matching
from sozai.generators.objectives import denoising
from sozai.generators.processes import schedules
from sozai.generators.processes.gaussian import noised, spread
from sozai.generators.proofs import mixture
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.samplers import catalog, guidance
from sozai.generators.samplers import completion as completing

HERE = "sozai.generators"
DOUBLE = torch.float64


@check(
    "ddpm",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the weights do not add to one",
            f"{HERE}.samplers.guidance:ClassifierFree.eps",
            make=lambda f: lambda self, x, t, c: f(self, x, t, c) - self.denoiser.eps(x, t, c),
        ),
        Mutation(
            "away from the condition",
            f"{HERE}.samplers.guidance:ClassifierFree.eps",
            make=lambda f: lambda self, x, t, c: f(self, x, t, self.nothing.expand_as(c)) * 2 - f(self, x, t, c),
        ),
    ],
)
def classifier_free_guidance() -> Iterator[Finding]:
    """The guided score is that of p_t(x | c)^(1+w) / p_t(x)^w."""
    exact = mixture.Mixture()
    t = torch.rand(200, dtype=DOUBLE) * 0.98 + 0.01
    x = exact.sample(200, t).requires_grad_()
    given = torch.tensor([0.0, -1.0, -2.0, -30.0, 0.5], dtype=DOUBLE).expand(200, -1)
    nothing = torch.zeros(5, dtype=DOUBLE)
    for weight in (0.0, 0.5, 3.0):
        guided = guidance.ClassifierFree(exact, nothing, weight)
        tempered = (1 + weight) * exact.log_prob(x, t, given) - weight * exact.log_prob(x, t)
        wanted = torch.autograd.grad(tempered.sum(), x)[0]
        away = (guided.score(x, t, given) - wanted).detach().abs().max() / wanted.abs().max()
        yield at_most(f"relative error of the score, w = {weight}", 1e-9, float(away), "rounding")


@check(
    "ddpm",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the noise is not changed with the data",
            f"{HERE}.samplers.guidance:Projected.eps",
            make=lambda f: lambda self, x, t, c=None: self.denoiser.eps(x, t, c),
        ),
        Mutation(
            "half way to the plane",
            f"{HERE}.samplers.guidance:onto_plane",
            make=lambda f: lambda a, b: lambda x: (f(a, b)(x) + x) / 2,
        ),
    ],
)
def hard_rules() -> Iterator[Finding]:
    """A linear rule on white Gaussian data gives the exact conditional denoiser; on any data it holds in the end."""
    mean, variance = torch.tensor([0.4, -0.2, 0.7], dtype=DOUBLE), 0.3
    exact = mixture.gaussian(None, mean, variance * torch.eye(3, dtype=DOUBLE))
    normal, value = torch.tensor([[1.0, 2.0, -1.0]], dtype=DOUBLE), torch.tensor([0.5], dtype=DOUBLE)
    ruled = guidance.Projected(exact, guidance.onto_plane(normal, value))
    unit = normal[0] / normal[0].norm()
    on_plane = mean - unit * (unit @ mean - value[0] / normal[0].norm())
    covariance = variance * (torch.eye(3, dtype=DOUBLE) - torch.outer(unit, unit))  # degenerate across the plane
    wanted = mixture.gaussian(None, on_plane, covariance + 1e-12 * torch.eye(3, dtype=DOUBLE))
    t = torch.rand(200, dtype=DOUBLE) * 0.95 + 0.05
    x = 2 * torch.randn(200, 3, dtype=DOUBLE)
    away = (ruled.eps(x, t) - wanted.eps(x, t)).abs().max()
    yield at_most("noise against that of the Gaussian on the plane", 1e-6, float(away), "conditioning is projection")

    data = mixture.Mixture()
    rule = guidance.onto_plane(torch.tensor([[1.0, 1.0]]), torch.tensor([0.8]))
    sampler = catalog.make("ddim", (2,), steps=10)
    new = sampler.draw(guidance.Projected(data, rule), 500)
    yield at_most("largest breach in samples of a mixture", 1e-6, float((new.sum(1) - 0.8).abs().max()), "rounding")
    yield at_least("and they still vary", 0.1, float(new[:, 0].std()))
    known = guidance.Known(data, torch.tensor([[0.7, 0.0]], dtype=DOUBLE), torch.tensor([True, False]))
    new = sampler.draw(known, 500)
    yield at_most("known entries stay under replacement", 1e-9, float((new[:, 0] - 0.7).abs().max()), "rounding")


@check(
    "ddpm",
    seconds=0.5,
    broken_by=[
        Mutation(
            "chains are not weighted: mere replacement",
            f"{HERE}.samplers.completion:log_weight",
            make=lambda f: lambda *a: 0 * f(*a),
        ),
        Mutation(
            "the worst foretellers go on", f"{HERE}.samplers.completion:log_weight", make=lambda f: lambda *a: -f(*a)
        ),
    ],
)
def completion() -> Iterator[Finding]:
    """Given the first number, the second comes from the mixture's conditional law."""
    data = mixture.Mixture()
    for value in (0.7, -1.0):
        values = torch.tensor([[value, 0.0]], dtype=DOUBLE).expand(300, -1)
        new = completing.Completion(values, torch.tensor([True, False])).draw(data, 300)
        line = torch.linspace(-4, 4, 4001, dtype=DOUBLE)
        density = data.data_log_prob(torch.stack([torch.full_like(line, value), line], 1)).exp()
        wanted = float((density * line).sum() / density.sum())
        deviation = float(((density * (line - wanted) ** 2).sum() / density.sum()).sqrt())
        yield near(
            f"mean of the second where the first is {value}",
            wanted,
            float(new[:, 1].mean()),
            0.1 + 0.1 * deviation,
            "300 rows of 16 chains",
        )
    yield at_most("known entries stay", 1e-9, float((new[:, 0] + 1.0).abs().max()), "put back")


@check(
    "ddpm",
    seconds=0.1,
    broken_by=[
        Mutation(
            "negative parts are cut and the rest left as it is",
            f"{HERE}.samplers.guidance:onto_simplex",
            lambda columns, total=1.0: lambda x: x.clamp(min=0) / x.clamp(min=0).sum(1, keepdim=True) * total,
        ),
        Mutation(
            "down the wish, not up",
            f"{HERE}.samplers.guidance:Steered.eps",
            make=lambda f: lambda self, x, t, c=None: 2 * self.denoiser.eps(x, t, c) - f(self, x, t, c),
        ),
    ],
)
def simplex_and_wishes() -> Iterator[Finding]:
    """The nearest composition is found; a log-linear wish on Gaussian data is followed exactly."""
    x = 2 * torch.randn(300, 4, dtype=DOUBLE)
    nearest = guidance.onto_simplex([0, 1, 2, 3], 1.0)(x)
    yield at_most("largest |sum - 1|", 1e-12, float((nearest.sum(1) - 1).abs().max()), "rounding")
    corners = torch.eye(4, dtype=DOUBLE)
    angle = torch.einsum("bd,bkd->bk", x - nearest, corners - nearest[:, None])
    yield at_most(
        "(x - p)(corner - p), not positive at the nearest point", 1e-9, float(angle.max()), "variational inequality"
    )
    yield at_least("least part", 0.0, float(nearest.min()))

    mean, variance, slope = torch.tensor([0.4, -0.2]), 0.3, torch.tensor([0.5, -1.0], dtype=DOUBLE)
    exact = mixture.gaussian(None, mean, variance * torch.eye(2))
    tilted = mixture.gaussian(None, mean + 2 * variance * slope, variance * torch.eye(2))
    steered = guidance.Steered(exact, lambda x0: x0 @ slope, weight=2.0)
    t, x = torch.rand(200, dtype=DOUBLE) * 0.9 + 0.1, torch.randn(200, 2, dtype=DOUBLE)
    away = (steered.eps(x, t) - tilted.eps(x, t)).abs().max()
    yield at_most("noise against that of p(x) exp(2 slope x)", 1e-6, float(away), "exact for a Gaussian")


@check(
    "scoreflow",
    seconds=0.3,
    broken_by=[
        Mutation(
            "the couplings' volume is left out",
            f"{HERE}.processes.dequantise:coupled",
            make=lambda f: lambda *a: (f(*a)[0], torch.zeros_like(f(*a)[1])),
        ),
        Mutation(
            "the sigmoid's volume is left out",
            f"{HERE}.processes.dequantise:log_logistic",
            lambda x: torch.zeros_like(x),
        ),
    ],
)
def variational_dequantisation() -> Iterator[Finding]:
    """The noise within bins has the density that it says, is uniform at first, and keeps every value."""
    core = diffusion.ProbabilityFlow({"x": number(), "k": category(5), "l": category(3)})
    rows = 50_000
    batch = {"x": torch.randn(rows), "k": torch.randint(5, (rows,)), "l": torch.randint(3, (rows,))}
    assert core.dequantiser is not None
    with torch.no_grad():
        plain = core.encode(batch)
        yield at_most("log q before training", 1e-5, float(core.dequantiser(plain)[1].abs().max()), "uniform")
        for parameter in core.dequantiser.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
        moved, log_q = core.dequantiser(plain)
    yield near("E[1 / q]: the volume of the bin", 1.0, float(torch.exp(-log_q).mean()), 0.1, "50,000 draws")
    yield at_least("spread of log q", 0.05, float(log_q.std()), "the noise is no longer uniform")
    back = core.codec.decode(moved)
    yield holds("every category survives", all(bool((back[name] == batch[name]).all()) for name in ("k", "l")))


# --- flow matching --------------------------------------------------------------------------------------------


@check(
    "flow-matching",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the velocity points to the data",
            f"{HERE}.objectives.denoising:path_velocity",
            make=lambda f: lambda *a: -f(*a),
        ),
        Mutation(
            "the path is curved",
            f"{HERE}.processes.schedules:StraightPath.alpha",
            lambda self, t: torch.sqrt(1 - self.sigma(t) ** 2 + 1e-6),
        ),
    ],
)
def marginal_velocity() -> Iterator[Finding]:
    """On a Gaussian the mean velocity is its closed form, least squares finds it, and the loss there is known."""
    path, mean, variance = schedules.StraightPath(), 0.6, 0.25
    exact = mixture.gaussian(path, torch.full((1,), mean), torch.full((1, 1), variance))
    t = torch.linspace(0.02, 0.98, 200, dtype=DOUBLE)
    x = torch.randn(200, 1, dtype=DOUBLE)
    kept, noise = 1 - 0.999 * t, 0.001 + 0.999 * t
    total = kept**2 * variance + noise**2
    slope = 0.999 * (noise - kept * variance) / total  # Cov(u, x_t) / Var(x_t)
    wanted = -0.999 * mean + slope * (x[:, 0] - kept * mean)
    away = (exact.velocity(x, t)[:, 0] - wanted).abs().max()
    yield at_most("velocity against its closed form", 1e-6, float(away), "rounding")
    x = exact.sample(400_000)
    left = (0.999**2 * (1 + variance) - slope**2 * total).mean()  # Var(u | x_t), mean over t
    got = float(denoising.velocity(exact, x)["loss"])
    yield near("loss of the exact velocity", float(left), got, 0.01 * float(left) + 0.01, "400,000 draws")


@check(
    "flow-matching",
    seconds=1.9,
    broken_by=[
        Mutation(
            "velocity and noise are mistaken for each other",
            f"{HERE}.families.diffusion:GaussianDiffusion._noise_of",
            make=lambda f: lambda self, raw, x, t: raw,
        ),
        Mutation(
            "the midpoint is not looked at",
            f"{HERE}.samplers.velocity:Velocity.step",
            lambda self, d, x, t, s, c: x + spread(s - t, x) * self.velocity(d, x, t, c),
        ),
    ],
)
def flow_sampling() -> Iterator[Finding]:
    """Paths to a point are straight, the midpoint method is of order 2, and a short training finds the velocity."""
    path = schedules.StraightPath()
    point = mixture.gaussian(path, torch.tensor([0.5, -0.3]), 1e-12 * torch.eye(2))
    new = catalog.make("velocity", (2,), clip=False).draw(point, 50, steps=2)
    yield at_most("distance from the point after one step", 1e-4, float((new - point.means).abs().max()), "straight")

    exact = mixture.Mixture(path)
    start = torch.randn(300, 2, dtype=DOUBLE)
    ends = []
    for steps in (8, 16, 128):
        times = torch.linspace(1, 0.5, steps + 1, dtype=DOUBLE)
        ends.append(catalog.make("velocity", (2,), clip=False).run(exact, start, times))
    errors = [float((end - ends[-1]).norm()) for end in ends[:2]]
    order = torch.tensor(errors[0] / errors[1]).log2()
    yield near("order of the midpoint method", 2.0, float(order), 0.35, "8 against 16 steps")

    exact = mixture.gaussian(path)
    core = flow_matching.FlowMatching({"x": number(2)}, width=64, layers=2)
    optimizer = torch.optim.Adam(core.parameters_of("model"), lr=2e-3)
    for _ in range(120):
        loss = core.loss({"x": exact.sample(128).float()})["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    t = torch.linspace(0.1, 0.9, 2000, dtype=DOUBLE)
    x = exact.sample(2000)
    x = noised(path, x, t, torch.randn_like(x))
    with torch.no_grad():
        error = (core.velocity(x.float(), t.float()) - exact.velocity(x, t)).square().mean()
    yield at_most("mean square error of the learned velocity", 0.08, float(error), "120 updates; 1.5 for none")


@check(
    "flow-matching",
    seconds=0.3,
    broken_by=[
        Mutation(
            "noise is left as it was drawn",
            f"{HERE}.objectives.denoising:optimal_coupling",
            lambda x, noise: noise,
        ),
    ],
)
def optimal_coupling() -> Iterator[Finding]:
    """The coupling is the best of all permutations, by enumeration."""
    worst = 0.0
    for _ in range(5):
        x, noise = torch.randn(5, 3), torch.randn(5, 3)
        costs = [float(((x - noise[list(order)]) ** 2).sum()) for order in permutations(range(5))]
        worst = max(worst, float(((x - denoising.optimal_coupling(x, noise)) ** 2).sum()) - min(costs))
    yield at_most("cost above the least of 120", 1e-4, worst, "rounding")
