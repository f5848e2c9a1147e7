"""Proofs of DDPM and Improved DDPM, most on a mixture whose noised densities and scores are known exactly."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sozai.fields import number
from sozai.generators.families import diffusion
from sozai.generators.objectives import denoising, nelbo
from sozai.generators.processes import gaussian
from sozai.generators.processes.gaussian import noised
from sozai.generators.proofs import guidance as guidance  # more checks of this family
from sozai.generators.proofs import mixture
from sozai.generators.proofs.bounds import Scaled, scaled
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.proofs.training import learn

HERE = "sozai.generators"
DOUBLE = torch.float64


class Fixed(denoising.LearningDenoiser):
    """The exact denoiser of a mixture with a learnable variance, a function of the noise level alone."""

    def __init__(self, exact: mixture.Mixture, steps: int):
        super().__init__()
        self.exact, self.steps = exact, steps
        self.schedule, self.event = exact.schedule, exact.event
        self.curve = nn.Parameter(torch.zeros(steps + 1, dtype=DOUBLE))

    def eps_and_share(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Exact noise; the variance's place from a table of times."""
        share = torch.sigmoid(self.curve[(t * self.steps).round().long()])
        return self.exact.eps(x, t), share[:, None].expand_as(x)

    def eps(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Exact."""
        return self.exact.eps(x, t)

    def variance(self, x: Tensor, s: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Learned."""
        return denoising.learned_log_variance(self.schedule, s, t, self.eps_and_share(x, t)[1]).exp()


# --- DDPM -----------------------------------------------------------------------------------------------------


@check(
    "ddpm",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the variance is that of the forward step",
            f"{HERE}.processes.gaussian:posterior",
            make=lambda f: lambda c, s, t: (*f(c, s, t)[:2], f(c, s, t)[2] * c.sigma(t) ** 2 / c.sigma(s) ** 2),
        ),
        Mutation(
            "the weights of x_t and x_0 are swapped",
            f"{HERE}.processes.gaussian:posterior",
            make=lambda f: lambda c, s, t: tuple(f(c, s, t)[i] for i in (1, 0, 2)),
        ),
        Mutation(
            "beta does not rise",
            f"{HERE}.processes.gaussian:LinearSchedule.log_snr",
            make=lambda f: lambda self, t: -torch.log(torch.expm1(10 * t.clamp(min=1e-5))),
        ),
    ],
)
def ddpm_posterior() -> Iterator[Finding]:
    """q(x_s | x_t, x_0) is what Bayes' rule makes of q(x_t | x_s) and q(x_s | x_0); the chain is DDPM's."""
    schedule = gaussian.LinearSchedule()
    s = torch.rand(1000, dtype=DOUBLE) * 0.98
    t = s + (1 - s) * torch.rand(1000, dtype=DOUBLE).clamp(min=0.01)
    alpha_s, sigma_s, alpha_t, sigma_t = schedule.alpha(s), schedule.sigma(s), schedule.alpha(t), schedule.sigma(t)
    step = alpha_t / alpha_s
    spread = sigma_t**2 - step**2 * sigma_s**2
    variance = 1 / (step**2 / spread + 1 / sigma_s**2)  # precisions add
    expected = (variance * step / spread, variance * alpha_s / sigma_s**2, variance)
    names = ("weight of x_t", "weight of x_0", "variance")
    for name, wanted, got in zip(names, expected, gaussian.posterior(schedule, s, t), strict=True):
        yield at_most(f"relative error of the {name}", 1e-6, float((got / wanted - 1).abs().max()), "rounding")
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=DOUBLE)
    kept = torch.cumprod(1 - beta, 0)
    grid = torch.arange(1, 1001, dtype=DOUBLE) / 1000
    away = (schedule.alpha(grid) ** 2 - kept).abs().max()
    yield at_most("alpha^2 against DDPM's product over 1,000 betas", 2e-3, float(away), "O(1/T)")


@check(
    "ddpm",
    seconds=0.4,
    broken_by=[
        Mutation(
            "noise is scaled by its variance",
            f"{HERE}.objectives.nelbo:noised",
            make=lambda f: (
                lambda c, x, t, n: gaussian.spread(c.alpha(t), x) * x + gaussian.spread(c.sigma(t) ** 2, x) * n
            ),
        ),
        Mutation("terms are weighted by SNR", f"{HERE}.objectives.denoising:nelbo.denoising_error", make=scaled(0.9)),
        Mutation(
            "late times are never drawn",
            f"{HERE}.objectives.denoising:grid_times",
            make=lambda f: lambda x, steps: torch.randint(1, steps, (len(x),)).to(x.dtype) / steps,
        ),
    ],
)
def ddpm_loss_at_the_optimum() -> Iterator[Finding]:
    """The exact denoiser's loss is its closed form, and any other denoiser's is larger by its squared error."""
    exact, steps, rows = mixture.Mixture(), 10, 100_000
    grid = torch.arange(1, steps + 1, dtype=DOUBLE) / steps
    snr = torch.exp(exact.schedule.log_snr(grid))
    expected = float((snr * exact.mse(grid, 20_000)).mean() / 2)
    x = exact.sample(rows)
    got = float(denoising.simple(exact, x, steps=steps)["loss"])
    yield near("mean over t of SNR E||x_0 - E[x_0|x_t]||^2 / d", expected, got, 0.03 * expected, "100,000 draws")
    wrong = float(denoising.simple(Scaled(exact, 0.8), x, steps=steps)["loss"])
    told = 1 - expected  # E||eps_hat||^2 / d, eps_hat being a projection of eps
    yield near(
        "loss of 0.8 eps_hat", expected + 0.04 * told, wrong, 0.03 * expected, "orthogonal: + 0.2^2 E||eps_hat||^2"
    )


@check(
    "ddpm",
    seconds=1.3,
    broken_by=[
        Mutation(
            "the network is not told the time",
            f"{HERE}.families.diffusion:GaussianDiffusion.predict",
            make=lambda f: lambda self, x, t, c: self.net(x, torch.full_like(t, 0.1), c),
        ),
        Mutation(
            "the noise that is told has the wrong sign",
            f"{HERE}.families.diffusion:GaussianDiffusion._noise_of",
            make=lambda f: lambda self, raw, x, t: raw if self.net.training else -raw,
        ),
    ],
)
def ddpm_learns_the_exact_noise() -> Iterator[Finding]:
    """After a short training on samples of a mixture the core's noise is near the exact denoiser's."""
    exact = mixture.Mixture()
    core = diffusion.GaussianDiffusion({"x": number(2)}, width=64, layers=2)
    learn(core, lambda: {"x": exact.sample(128).float()}, 300, rate=2e-3)
    x, t = exact.sample(4000), torch.linspace(0.1, 1, 4000, dtype=DOUBLE)
    x_t = noised(exact.schedule, x, t, torch.randn_like(x))
    with torch.no_grad():
        error = (core.eps(x_t.float(), t.float()) - exact.eps(x_t, t)).square().mean(1)
    spread = exact.eps(x_t, t).square().mean()
    yield at_most("share of the exact noise's variance that is missed", 0.04, float(error.mean() / spread), "300 steps")


# --- Improved DDPM --------------------------------------------------------------------------------------------


@check(
    "improved-ddpm",
    seconds=0.1,
    broken_by=[
        Mutation("the mean is not held", f"{HERE}.objectives.denoising:held", lambda eps: eps),
        Mutation(
            "the bound is left out",
            f"{HERE}.objectives.denoising:step_bound",
            make=lambda f: lambda *a: f(*a).detach(),
        ),
    ],
)
def hybrid_gradients() -> Iterator[Finding]:
    """The bound's gradient reaches the variance and not the mean."""
    core = diffusion.GaussianDiffusion({"x": number(2)}, objective="hybrid", variance="learned", width=16, layers=1)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x, last = torch.randn(64, 2), list(core.net.leave.children())[-1]  # type: ignore[operator, union-attr]
    gradients = []
    for weight in (0.0, 1.0):
        torch.manual_seed(1)
        core.zero_grad()
        denoising.hybrid(core, x, weight=weight)["loss"].backward()
        gradients.append(last.weight.grad.clone())
    of_mean, of_variance = (gradients[1] - gradients[0]).abs().split(2)
    yield at_most("gradient of the bound in the mean's outputs", 1e-6, float(of_mean.max()), "exactly none, rounding")
    yield at_least("gradient of the bound in the variance's outputs", 1e-3, float(of_variance.max()))
    yield at_most("gradient of L_simple in the variance's outputs", 0.0, float(gradients[0][2:].abs().max()), "none")


@check(
    "improved-ddpm",
    seconds=1.1,
    broken_by=[
        Mutation(
            "the bounds are interpolated beyond the upper one",
            f"{HERE}.objectives.denoising:learned_log_variance",
            make=lambda f: lambda c, s, t, share: f(c, s, t, share + 0.5),
        ),
        Mutation(
            "the divergence has its log-variances swapped",
            f"{HERE}.objectives.nelbo:gaussian_kl",
            make=lambda f: lambda mq, vq, mp, vp: f(mq, vp, mp, vq),
        ),
        Mutation(
            "the bound's term ignores the error of the mean",
            f"{HERE}.objectives.nelbo:gaussian_kl",
            make=lambda f: lambda mq, vq, mp, vp: f(mq, vq, mq, vp),
        ),
    ],
)
def learned_variance() -> Iterator[Finding]:
    """The variance stays between its bounds, and learned by L_vlb it makes the few-step bound the best it can be."""
    steps = 8
    model = Fixed(mixture.Mixture(gaussian.CosineSchedule()), steps)
    times = torch.linspace(1, 0, steps + 1, dtype=DOUBLE)
    t, s = times[:-1], times[1:]
    narrow, wide = nelbo.variance_bounds(model.schedule, s, t)
    ends = [denoising.learned_log_variance(model.schedule, s, t, torch.full((steps, 1), v)).exp()[:, 0] for v in (0, 1)]
    yield at_most("v = 0 is beta~ (relative)", 1e-9, float((ends[0] / narrow - 1).abs().max()), "rounding")
    yield at_most("v = 1 is beta (relative)", 1e-9, float((ends[1] / wide - 1).abs().max()), "rounding")
    optimizer = torch.optim.Adam([model.curve], lr=0.2)
    for _ in range(120):
        x = model.exact.sample(512)
        loss = denoising.hybrid(model, x)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        learned = model.variance(torch.zeros(steps, 2, dtype=DOUBLE), s, t)[:, 0]
        inside = bool(((learned >= narrow) & (learned <= wide)).all())
        yield holds("the learned variance lies between its bounds", inside)
        x = model.exact.sample(20_000)
        bounds = {v: float(nelbo.discrete(model, x, times, variance=v).mean()) for v in nelbo.VARIANCES}
    error = gaussian.posterior(model.schedule, s, t)[1] ** 2 * model.exact.mse(t) / 2
    best = torch.minimum(narrow + error, wide)  # the optimum over one number a step (arXiv 2201.06503, theorem 1)
    cost = 0.5 * (narrow / best - 1 - torch.log(narrow / best) + error / best)
    least = float(cost.sum() * 2) + float(
        (nelbo.prior_kl(model.schedule, x) + nelbo.reconstruction(model.schedule, x)).mean()
    )
    yield near(
        "bound at 8 steps with the learned variance, nats", least, bounds["learned"], 0.08, "optimum; 120 updates"
    )
    fixed = min(bounds["beta"], bounds["beta~"])
    yield at_least("nats better than with either fixed variance", 0.3, fixed - bounds["learned"])


@check(
    "improved-ddpm",
    seconds=0.1,
    broken_by=[
        Mutation(
            "terms are not weighted back",
            f"{HERE}.objectives.denoising:SecondMoments.draw",
            make=lambda f: lambda self, x: (f(self, x)[0], torch.ones(len(x))),
        ),
        Mutation(
            "terms are drawn by their second moment, not its root",
            f"{HERE}.objectives.denoising:SecondMoments.probabilities",
            make=lambda f: lambda self: self.squares.mean(1) / self.squares.mean(1).sum(),
        ),
    ],
)
def second_moment_sampling() -> Iterator[Finding]:
    """Drawn by the root of its second moment and weighted back, the mean stays and the variance falls."""
    sampling, rows = denoising.SecondMoments(20), torch.zeros(50_000)
    size = torch.linspace(-3, 3, 20).exp()
    for _ in range(10):
        sampling.note(torch.arange(1, 21) / 20, size)
    t, weights = sampling.draw(rows)
    drawn = weights * size[(t * 20).round().long() - 1]
    yield near("mean of the weighted terms", float(size.mean()), float(drawn.mean()), 0.02, "exact for p ∝ |L|")
    yield at_most(
        "their spread over that of uniform draws", 0.05, float(drawn.std() / size.std()), "0 but for the 0.1%"
    )
    share = sampling.probabilities()[:3].sum()
    yield near("chance of the three smallest", float(0.999 * size[:3].sum() / size.sum() + 1.5e-4), float(share), 1e-6)
