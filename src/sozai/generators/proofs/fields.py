"""Proofs of diffusion over categories; those of rows, curved spaces and sites are in the modules imported below."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from sozai.fields import sequence
from sozai.generators.families.field_diffusion import FieldDiffusion
from sozai.generators.processes import discrete, gaussian
from sozai.generators.processes.discrete import Categories, Transition
from sozai.generators.proofs import field_rows, field_spaces  # noqa: F401  their checks register themselves
from sozai.generators.proofs.field_tools import build, fit
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.tensors import Batch

ROUNDING = "float64 rounding"
KINDS = ("uniform", "absorbing", "gaussian")
K, T = 6, 12


def _time(k: int, rows: int = 1, steps: int = T) -> Tensor:
    return torch.full((rows,), k / steps, dtype=torch.float64)


def _step(noise: Transition, low: int, high: int) -> Tensor:
    """Q of the steps low + 1 to high as a matrix, by ``pull``."""
    states = torch.arange(noise.states)[None]
    return noise.pull(states, _time(low), _time(high))[0].T


def _paper(kind: str, k: int, width: Tensor | None = None) -> Tensor:
    """One step's matrix by the paper's formulas, entry by entry (appendix A.2 of arXiv 2107.03006)."""
    if kind == "absorbing":
        beta, blank = 1 / (T - k + 1), torch.zeros(K + 1, K + 1, dtype=torch.float64)
        blank[:, K] = 1
        return (1 - beta) * torch.eye(K + 1, dtype=torch.float64) + beta * blank
    if kind == "uniform":
        kept = [math.cos((j / T + 0.008) / 1.008 * math.pi / 2) ** 2 for j in (k - 1, k)]
        return kept[1] / kept[0] * torch.eye(K, dtype=torch.float64) + (1 - kept[1] / kept[0]) / K
    assert width is not None
    beta = 4 * float(width) ** 2 / (K - 1) ** 2
    total = sum(math.exp(-4 * n * n / ((K - 1) ** 2 * beta)) for n in range(1 - K, K))
    matrix = torch.zeros(K, K, dtype=torch.float64)
    for i in range(K):
        for j in range(K):
            if i != j:
                matrix[i, j] = math.exp(-4 * (i - j) ** 2 / ((K - 1) ** 2 * beta)) / total
        matrix[i, i] = 1 - matrix[i].sum()
    return matrix


def _not_left_over(original: Callable) -> Callable:
    """Rows divided by their sums, instead of what is left going to the diagonal."""

    def step_matrix(width: Tensor, categories: int) -> Tensor:
        place = torch.arange(categories, dtype=width.dtype)
        matrix = torch.exp(-(((place[:, None] - place) / width) ** 2))
        return matrix / matrix.sum(1, keepdim=True)

    return step_matrix


@check(
    "d3pm",
    "tabddpm",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the posterior takes the cumulative matrix of t instead of s",
            "sozai.generators.processes.discrete:posterior",
            make=lambda whole: lambda noise, p0, xt, s, t: discrete._normalised(
                noise.pull(xt, s, t) * noise.push(p0, t)
            ),
        ),
        Mutation(
            "a step keeps as much as all steps up to it",
            "sozai.generators.processes.discrete:Towards.pull",
            make=lambda pull: lambda self, x, s, t: pull(self, x, torch.zeros_like(s), t),
        ),
        Mutation(
            "replaced states vanish",
            "sozai.generators.processes.discrete:Towards.push",
            make=lambda push: lambda self, p, t: gaussian.spread(self.kept(t), p) * p,
        ),
        Mutation("the kernel is normalised by rows", "sozai.generators.processes.discrete:step_matrix",
                 make=_not_left_over),
    ],
)  # fmt: skip
def transition_matrices() -> Iterator[Finding]:
    """Every matrix is a law, cumulative ones are products of the paper's steps, posteriors are Bayes' rule."""
    for kind in KINDS:
        noise = discrete.transition(kind, K, T, torch.float64)
        size, eye = noise.states, torch.eye(noise.states, dtype=torch.float64)
        product, worst = eye, dict.fromkeys(("rows", "steps", "products", "skips", "law", "bayes"), 0.0)
        for k in range(1, T + 1):
            single = _step(noise, k - 1, k)
            width = None
            if kind == "gaussian":  # the off-diagonal ratio at distances 1 and 2 tells the kernel's width
                width = (3 / (single[0, 1] / single[0, 2]).log()).sqrt()
            before, product = product, product @ single
            together = noise.push(eye[None], _time(k))[0]
            joint = before[:, :, None] * single[None]  # x_0, x_s, x_t
            bayes = joint / joint.sum(1, keepdim=True).clamp(min=1e-300)
            possible = joint.sum(1) > 1e-12
            given = discrete.posterior(
                noise,
                eye[:, None].expand(size, size, size),
                torch.arange(size).expand(size, size),
                _time(k - 1, size),
                _time(k, size),
            )
            errors = {
                "rows": (single.sum(1) - 1).abs().max() + single.clamp(max=0).abs().max(),
                "steps": (single - _paper(kind, k, width)).abs().max(),
                "products": (together - product).abs().max(),
                "skips": (_step(noise, k // 2, k) @ eye - _chain(noise, k // 2, k)).abs().max(),
                "law": (noise.law @ single - noise.law).abs().max(),
                "bayes": ((given - bayes.mT).abs().sum(-1) * possible).max(),
            }
            worst = {name: max(worst[name], float(error)) for name, error in errors.items()}
        yield at_most(f"{kind}: rows sum to 1 and are not negative", 1e-12, worst["rows"], ROUNDING)
        yield at_most(f"{kind}: a step is the paper's matrix", 1e-9, worst["steps"], "the width is read off the matrix")
        yield at_most(f"{kind}: cumulative = product of steps", 1e-12, worst["products"], ROUNDING)
        yield at_most(f"{kind}: several steps at once = their product", 1e-12, worst["skips"], ROUNDING)
        yield at_most(f"{kind}: the stationary law stays", 1e-12, worst["law"], ROUNDING)
        yield at_most(f"{kind}: posterior = Bayes by enumeration", 1e-12, worst["bayes"], ROUNDING)
        yield at_most(f"{kind}: the end forgets the beginning", 0.02, float((product - noise.law).abs().max()),
                      "the discretised Gaussian mixes to 1% in T steps, the others exactly")  # fmt: skip
    first = _step(discrete.transition("gaussian", 30, T, torch.float64), 0, 1)
    far = sum(float(first.diagonal(n).sum() + first.diagonal(-n).sum()) for n in range(8, 30)) / 30
    yield at_most("gaussian, 30 categories: the first step goes further than 7", 1e-3, far, "a small step")
    yield holds("gaussian: nearer is likelier", bool((first[15, 15:].diff() <= 0).all()))


def _chain(noise: Transition, low: int, high: int) -> Tensor:
    product = torch.eye(noise.states, dtype=torch.float64)
    for k in range(low, high):
        product = product @ _step(noise, k, k + 1)
    return product


# two tokens of three kinds; correlated, so that revealing both at once costs something
LAW = torch.tensor([[0.30, 0.02, 0.08], [0.05, 0.25, 0.02], [0.03, 0.05, 0.20]], dtype=torch.float64)
ENTROPY = float(-(LAW * LAW.log()).sum())
INFORMATION = float((LAW * (LAW / (LAW.sum(1, keepdim=True) * LAW.sum(0))).log()).sum())


def _exact_bound(noise: Categories, logits: Callable[[Tensor, Tensor], Tensor], steps: int) -> float:
    """The bound of the two tokens, summed over all x_0, t and x_t; logits(x_t (n, 2, 1), t (n,)) (n, 2, 3)."""
    size = noise.noise.states
    pairs = torch.cartesian_prod(torch.arange(3), torch.arange(3))[:, :, None]
    noisy = torch.cartesian_prod(torch.arange(size), torch.arange(size))[:, :, None]
    weight = LAW.flatten()
    total = weight @ noise.ends(pairs).double().sum(1)
    for k in range(1, steps + 1):
        s, t = _time(k - 1, len(noisy), steps), _time(k, len(noisy), steps)
        out = logits(noisy, t)
        reach = noise.noise.push(F.one_hot(pairs, size).double(), _time(k, len(pairs), steps))[:, :, 0]
        for row, x0 in enumerate(pairs):
            chance = reach[row, 0][noisy[:, 0, 0]] * reach[row, 1][noisy[:, 1, 0]]
            step = noise.divergence(out, x0.expand(len(noisy), -1, -1), noisy, s, t).double().sum(1)
            total = total + weight[row] * (chance @ step)
    return float(total)


def _best_logits(xt: Tensor, t: Tensor) -> Tensor:
    """log p(x_0 | x_t) of each token under ``LAW`` for absorbing noise: given the other where it is seen."""
    left, right = xt[:, 0, 0], xt[:, 1, 0]
    blank = 3
    first = torch.where((right == blank)[:, None], LAW.sum(1), LAW.T[right.clamp(max=2)])
    second = torch.where((left == blank)[:, None], LAW.sum(0), LAW[left.clamp(max=2)])
    return torch.stack([first, second], 1).log()


@check(
    "d3pm",
    seconds=0.5,
    broken_by=[
        Mutation(
            "the reverse step does not know x_0's noise at s",
            "sozai.generators.processes.discrete:Towards.push",
            make=lambda push: lambda self, p, t: push(self, p, t.clamp(min=0.2)),
        ),
        Mutation(
            "a step's divergence lacks the entropy of the true posterior",
            "sozai.generators.processes.discrete:divergence",
            make=lambda kl: lambda noise, logits, x0, xt, s, t: -discrete.posterior(
                noise, discrete.to_states(noise, logits.softmax(-1)), xt, s, t
            ).clamp(min=1e-30).log().mul(
                discrete.posterior(noise, F.one_hot(x0, noise.states).to(logits.dtype), xt, s, t)
            ).sum(-1),
        ),
        Mutation(
            "a constant is added to the bound",
            "sozai.generators.processes.discrete:Categories.ends",
            make=lambda ends: lambda self, z0: ends(self, z0) + 0.1,
        ),
    ],
)  # fmt: skip
def exact_bound_of_two_tokens() -> Iterator[Finding]:
    """The bound, by enumeration of every x_0, t and x_t: never below the entropy, and its optimum in closed form."""
    field, steps = sequence(2, 3), 10
    generator = torch.Generator().manual_seed(1)
    table = 0.5 * torch.randn(16, 2, 3, dtype=torch.float64, generator=generator)
    for kind in KINDS:
        noise = Categories(field, kind, steps, 0.0)
        bound = _exact_bound(noise, lambda x, t: table[: len(x)], steps)
        yield at_least(f"{kind}: bound of some network", ENTROPY, bound, "the bound holds for any network")
    noise = Categories(field, "absorbing", steps, 0.0)
    best = ENTROPY + INFORMATION / steps
    yield near("absorbing, exact denoiser: entropy + mutual information / T", best,
               _exact_bound(noise, _best_logits, steps), 1e-9,
               "the two tokens appear in the same of T steps with probability 1/T")  # fmt: skip
    core = build("d3pm", {"x": field}, diffusion_steps=steps, width=16, layers=1, heads=2).eval()
    estimate = float(-core.log_prob(_tokens(3000), draws=steps).mean())
    yield near("log_prob of some network agrees with the enumeration", _bound_of(core), estimate, 0.08, "3,000 rows")


def _tokens(rows: int) -> Batch:
    flat = torch.multinomial(LAW.flatten(), rows, replacement=True)
    return {"x": torch.stack([flat // 3, flat % 3], 1)}


@torch.no_grad()
def _bound_of(core: FieldDiffusion) -> float:
    noise = core.noises[0]
    assert isinstance(noise, Categories)
    return _exact_bound(noise, lambda x, t: core.denoise({"x": x}, t.float(), None, None)["x"].double(), core.steps)


@check(
    "d3pm",
    seconds=15,
    broken_by=[
        Mutation(
            "the network is trained on the other token",
            "sozai.generators.processes.discrete:Categories.loss",
            make=lambda loss: lambda self, prediction, z0, *rest: loss(self, prediction, z0.flip(1), *rest),
        ),
        Mutation(
            "the reverse step draws from the estimate of x_0 itself",
            "sozai.generators.processes.discrete:Categories.reverse",
            make=lambda reverse: lambda self, z, prediction, s, t: discrete.draw(self.logits(prediction).softmax(-1)),
        ),
    ],
)
def trained_on_two_tokens() -> Iterator[Finding]:
    """Training comes close to the best bound, and samples follow the law."""
    for kind, steps, slack in (("absorbing", 10, 0.03), ("uniform", 40, 0.1), ("gaussian", 40, 0.12)):
        core = build("d3pm", {"x": sequence(2, 3)}, transition=kind, diffusion_steps=steps, width=32, layers=2)
        fit(core, _tokens(4000), 500)
        best = ENTROPY + (INFORMATION / steps if kind == "absorbing" else 0)
        trained = _bound_of(core)
        yield at_least(f"{kind}: not below the best", best - 1e-6, trained, "float32")
        yield near(f"{kind}: close to it", best, trained, slack,
                   "training on 4,000 rows; so few steps of the other kinds cost some .03 at best")  # fmt: skip
        drawn = core.sample(4000)["x"]
        counts = torch.bincount(drawn[:, 0] * 3 + drawn[:, 1], minlength=9).double() / 4000
        yield at_most(f"{kind}: samples' total variation from the law", 0.1,
                      float((counts - LAW.flatten()).abs().sum() / 2),
                      "0.02 for 4,000 exact draws, 0.41 for independent tokens; coarse steps, training")  # fmt: skip


@check(
    "d3pm",
    seconds=0.1,
    broken_by=[
        Mutation(
            "absorbing noise has the cosine schedule",
            "sozai.generators.processes.discrete:Towards.__init__",
            make=lambda init: lambda self, law, schedule: init(self, law, "cosine"),
        ),
        Mutation(
            "no cross-entropy is added",
            "sozai.generators.processes.discrete:Categories.__init__",
            make=lambda init: lambda self, field, noise, steps, cross_entropy: init(self, field, noise, steps, 0.0),
        ),
    ],
)
def absorbing_is_masked_language_model() -> Iterator[Finding]:
    """T times a step's divergence is the cross-entropy of blanks over their share; seen tokens cost nothing."""
    steps, mix = 50, 0.3
    noise = Categories(sequence(4, 5), "absorbing", steps, mix)
    logits, z0 = torch.randn(steps, 4, 5), torch.randint(5, (steps, 4, 1))
    k = torch.arange(1, steps + 1)
    s, t = (k - 1) / steps, k / steps
    blank = torch.rand(steps, 4, 1) < 0.5
    zt = torch.where(blank, torch.full_like(z0, 5), z0)
    entropy = F.cross_entropy(logits.flatten(0, 1), z0.flatten(), reduction="none").view(steps, 4)
    expected = blank[..., 0] * entropy / t[:, None] + steps * mix * entropy
    mask = torch.ones(steps, 4, dtype=torch.bool)
    error = (noise.loss(logits, z0, zt, s, t, mask) - expected).abs().max() / expected.max()
    yield at_most("T (divergence + lambda CE) against [blank] CE / t + T lambda CE", 1e-5, float(error), "float32")
    share = (noise.corrupt(z0.expand(-1, -1, 1).repeat(1, 500, 1), t) == 5).float().mean((1, 2))
    yield at_most("share of blanks at t against t", 0.05, float((share - t).abs().max()), "2,000 tokens: 4.5 sd")
