"""Proofs of NVAE and LSGM; importing it registers those of the VQ-VAEs too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sozai.fields import Field, category, image, number
from sozai.generators.families import hierarchical, latent
from sozai.generators.families.hierarchical import Hierarchical
from sozai.generators.families.latent import LatentDiffusion, MixedScore
from sozai.generators.networks.cells import SpectralPenalty
from sozai.generators.objectives import elbo
from sozai.generators.processes import schedules
from sozai.generators.processes.gaussian import Denoiser
from sozai.generators.proofs import mixture
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.proofs.vae_codes import learn

NVAE = "sozai.generators.families.hierarchical"
CELLS = "sozai.generators.networks.cells"
LSGM = "sozai.generators.families.latent"


# --- NVAE ------------------------------------------------------------------------------------------------


@check(
    "nvae",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the stretch's logarithm is added",
            f"{NVAE}:residual_kl",
            lambda shift, stretch, scale: 0.5 * ((shift / scale.exp()) ** 2 + (2 * stretch).expm1()) + stretch,
        ),
        Mutation(
            "the shift is not measured by the prior's scale",
            f"{NVAE}:residual_kl",
            lambda shift, stretch, scale: 0.5 * (shift**2 + (2 * stretch).expm1()) - stretch,
        ),
        Mutation(
            "densities forget their scale",
            "sozai.generators.objectives.elbo:gaussian_log_prob",
            make=lambda density: lambda z, mean=0.0, scale=0.0: density(z, mean, scale) + scale,
        ),
    ],
)
def the_residual_posterior_has_its_divergence() -> Iterator[Finding]:
    """Eq. 2 is torch's KL; it is 0 for no shift and no stretch; in the network, its draws cost it on average."""
    mean, scale, shift, stretch = torch.randn(4, 1000, dtype=torch.float64)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(
        normal(mean + shift, (scale + stretch).exp()), normal(mean, scale.exp())
    )
    gap = (hierarchical.residual_kl(shift, stretch, scale) - expected).abs() / (1 + expected)
    yield near("residual KL against torch.distributions", 0.0, float(gap.max()), 1e-12, "double precision")
    zero = hierarchical.residual_kl(torch.zeros(()), torch.zeros(()), torch.tensor(0.7))
    yield near("residual KL at (0, 1)", 0.0, float(zero), 0.0, "exactly")

    core: Any = Hierarchical({"x": number(2)}, groups=3, width=8, latent=2, scale=0.3).eval()
    x = torch.randn(1, 2).expand(3000, 2)
    with torch.no_grad():
        for group in core.groups:
            group.posterior[-1].bias.copy_(0.5 * torch.randn_like(group.posterior[-1].bias))
        _, steps = core.infer(x, {})
        for index, step in enumerate(steps):
            difference = step.kl + step.log_ratio
            error = float(difference.std() / math.sqrt(len(x)))
            yield near(
                f"KL of group {index + 1} less log q - log p of its draws", 0.0, float(difference.mean()), 4 * error,
                "four standard errors",
            )  # fmt: skip
        for group in core.groups:
            group.posterior[-1].weight.zero_()
            group.posterior[-1].bias.zero_()
        _, steps = core.infer(x, {})
        cost = max(float(step.kl.abs().max() + step.log_ratio.abs().max()) for step in steps)
        yield near("cost of all groups where shift and stretch are zero", 0.0, cost, 1e-5, "the posterior is the prior")


@check(
    "nvae",
    seconds=2.0,
    broken_by=[
        Mutation(
            "the cost of the draws counts the wrong way",
            f"{NVAE}:Group.infer",
            make=lambda infer: (
                lambda self, *args: (lambda step: step._replace(log_ratio=-step.log_ratio))(infer(self, *args))
            ),
        ),
        Mutation(
            "the bound leaves out a group",
            f"{NVAE}:Group.infer",
            make=lambda infer: (
                lambda self, *args: (lambda step: step._replace(log_ratio=step.log_ratio * self.first))(
                    infer(self, *args)
                )
            ),
        ),
        Mutation(
            "the mean of weights is their sum",
            "sozai.generators.objectives.elbo:importance_bound",
            lambda log_weights: torch.logsumexp(log_weights, 0),
        ),
    ],
)
def the_hierarchy_bounds_its_likelihood() -> Iterator[Finding]:
    """ELBO <= importance-weighted bounds, which rise with their draws to a density that integrates to one."""
    core: Any = Hierarchical({"x": number()}, groups=2, width=8, latent=2, tokens=1, scale=0.5)
    rows = torch.cat([torch.randn(300) * 0.3 - 2, torch.randn(300) * 0.3 + 2])
    learn(core, {"x": rows}, 60)
    grid, some = {"x": torch.linspace(-8, 8, 81)}, {"x": rows[::4]}
    draws = torch.stack([core.log_prob(grid, 1) for _ in range(10)])
    yield at_most("integral of exp(ELBO)", 1.0, float(draws.mean(0).exp().sum() * 0.2), "a lower bound")
    integral = float(core.log_prob(grid, 60).exp().sum() * 0.2)
    yield near("integral of exp(bound of 60 draws)", 1.0, integral, 0.15, "without bias; noise of the draws")
    means = [float(core.log_prob(some, samples).mean()) for samples in (1, 5, 25)]
    yield holds("bounds of 1, 5, 25 draws rise", means[0] < means[1] < means[2], ", ".join(f"{m:.3f}" for m in means))
    by_draws = float(torch.stack([core.log_prob(some, 1) for _ in range(15)]).mean())
    with torch.no_grad():
        by_kl = -float(torch.stack([core.loss(some)["loss"] for _ in range(15)]).mean() + core.codec.scale.log())
    yield near("the ELBO by KL, against that by draws", by_draws, by_kl, 0.1, "2,000 draws each")


@check(
    "nvae",
    seconds=0.1,
    broken_by=[
        Mutation(
            "singular values are replaced by sums of squares",
            f"{CELLS}:SpectralPenalty.forward",
            lambda self, rounds=1: sum(weight.norm() for weight in self._weights),
        ),
        Mutation(
            "the balance multiplies by the map's size",
            f"{NVAE}:balance",
            lambda divergences, places: divergences * places / (divergences * places).mean(),
        ),
        Mutation(
            "the balance favours groups that cost nothing",
            f"{NVAE}:balance",
            lambda divergences, places: (1 / divergences.clamp(min=1e-3)) / (1 / divergences.clamp(min=1e-3)).mean(),
        ),
    ],
)
def penalty_and_balance() -> Iterator[Finding]:
    """The penalty is the sum of the largest singular values; groups that cost more weigh more while they compete."""
    net: Any = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8), nn.Linear(6, 5))
    net[1].weight.data.uniform_(-2, 2)
    expected = [torch.linalg.matrix_norm(net[index].weight.flatten(1), 2) for index in (0, 3)]
    expected += [net[1].weight.abs().max(), max(torch.linalg.vector_norm(kernel) for kernel in net[2].weight)]
    penalty = SpectralPenalty(net)
    value = penalty(300)
    yield near("spectral penalty", float(sum(expected)), float(value), 1e-3, "against exact singular values")
    value.backward()
    left, _, right = torch.linalg.svd(net[3].weight, full_matrices=False)
    gap = (net[3].weight.grad - torch.outer(left[:, 0], right[0])).abs().max()
    yield near("its gradient", 0.0, float(gap), 0.02, "u v' of the first singular vectors; power iteration is slow")
    weights = hierarchical.balance(torch.tensor([1.0, 4.0, 9.0]), torch.tensor([1.0, 1.0, 2.0]))
    yield near("mean weight of the groups", 1.0, float(weights.mean()), 1e-5)
    yield near("weight of the second group over the first's", 4.0, float(weights[1] / weights[0]), 0.01, "their KLs")
    yield near("weight of the third group over the first's", 4.5, float(weights[2] / weights[0]), 0.01, "KL a place")


@check(
    "nvae",
    seconds=1.5,
    broken_by=[
        Mutation(
            "latents do not enter the way down",
            f"{NVAE}:Group.forward",
            make=lambda forward: lambda self, hidden, z: forward(self, hidden, 0 * z),
        ),
        Mutation(
            "the posterior does not see the features",
            f"{NVAE}:Group.infer",
            make=lambda infer: lambda self, hidden, features, t: infer(self, hidden, 0 * features, t),
        ),
    ],
)
def all_groups_are_in_use() -> Iterator[Finding]:
    """After a short training each group of latents, on either scale, carries something of x."""
    core: Any = Hierarchical({"image": image(1, 8, 8)}, groups=1, width=16, latent=2, warm_up=30)
    angle, side = 2 * math.pi * torch.rand(512, 1, 1, 1), torch.linspace(-1, 1, 8)
    waves = torch.sin(3 * (side * angle.cos() + side[:, None] * angle.sin()) + 6 * torch.rand(512, 1, 1, 1))
    learn(core, {"image": waves}, 60)
    active = core.active_units({"image": waves})
    yield at_least("active units of the group that has fewest", 1, min(active), f"of {active} by group")


# --- LSGM ------------------------------------------------------------------------------------------------


def _corners(size: int) -> Tensor:
    """Points (2 size, size) with the mean and covariance of N(0, 1): averages of quadratics over them are exact."""
    axes = math.sqrt(size) * torch.eye(size, dtype=torch.float64)
    return torch.cat([axes, -axes])


def _mean_cross_entropy(denoiser: Denoiser, mean: Tensor, scale: Tensor, times: int = 3000) -> tuple[float, Tensor]:
    """E_z,eps,t of LSGM's cross entropy for z ~ N(mean, scale^2), and its mean at each of the times.

    Exact in z and eps for denoisers that are affine in z_t, by the midpoint rule in the times.
    """
    corners = _corners(len(mean))
    z = (mean + scale * corners).repeat_interleave(len(corners), 0)
    noise = corners.repeat(len(corners), 1)
    even = (torch.arange(times, dtype=torch.float64) + 0.5) / times
    t = latent.importance_times(denoiser.schedule, even)
    with torch.no_grad():
        values = latent.cross_entropy(
            denoiser, z.repeat(times, 1), None, t.repeat_interleave(len(z)), noise.repeat(times, 1)
        ).reshape(times, -1)
    return float(values.mean()), values.mean(1)


_LSGM_MUTATIONS = [
    Mutation(
        "times are not importance sampled, but weighted as if",
        f"{LSGM}:importance_times",
        lambda schedule, even: even**1.5,
    ),
    Mutation(
        "the weight lacks 1 / (1 - sigma^2)",
        f"{LSGM}:weight",
        make=lambda weight: lambda schedule, t: weight(schedule, t) * schedule.alpha(t) ** 2,
    ),
    Mutation(
        "half the cross entropy",
        f"{LSGM}:weight",
        make=lambda weight: lambda schedule, t: weight(schedule, t) / 2,
    ),
]


@check(
    "lsgm",
    seconds=0.4,
    broken_by=[
        *_LSGM_MUTATIONS,
        Mutation(
            "the posterior's entropy is left out", f"{LSGM}:entropy", lambda schedule, log_scale: log_scale[:, 0] * 0
        ),
        Mutation(
            "the normal's part of the score has the wrong sign",
            f"{LSGM}:MixedScore.eps",
            make=lambda eps: lambda self, x, t, condition=None: -eps(self, x, t, condition),
        ),
        Mutation(
            "the scores are mixed the other way round",
            f"{LSGM}:MixedScore.share",
            make=lambda share: lambda self: 1 - share(self),
        ),
    ],
)
def without_mixing_it_is_the_vae() -> Iterator[Finding]:
    """Where a = 0 the prior is N(0, 1), and cross entropy less entropy is the VAE's KL, whatever the schedule."""
    mean, log_scale = torch.tensor([0.8, -1.5], dtype=torch.float64), torch.tensor([-1.2, -0.3], dtype=torch.float64)
    for name in ("geometric", "linear"):
        schedule = schedules.make(name)
        prior = MixedScore(2, schedule, 16, 1).double()
        prior.raw_share.data.fill_(-torch.inf)
        start = torch.zeros(1, dtype=torch.float64)
        alpha, sigma = schedule.alpha(start), schedule.sigma(start)
        variance = alpha**2 * (2 * log_scale).exp() + sigma**2  # of z_0
        expected = float(elbo.gaussian_kl(alpha * mean, variance.log() / 2).sum())
        value, _ = _mean_cross_entropy(prior, mean, log_scale.exp())
        rate = value - float(latent.entropy(schedule, log_scale[None])[0])
        yield near(f"rate under the {name} schedule, nats", expected, rate, 1e-5, "quadrature over t, exact otherwise")
        _, curve = _mean_cross_entropy(prior, torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
        yield at_most(
            f"spread over t of the integrand for q = p, {name}", 1e-6, float(curve.std() / curve.mean().abs()),
            "importance sampling leaves no variance (appendix B)",
        )  # fmt: skip
    core: Any = LatentDiffusion(
        {"x": number(3)}, latent=2, width=16, layers=1, prior_width=16, prior_layers=1, warm_up=0
    )
    core.prior.raw_share.data.fill_(-torch.inf)
    x = torch.randn(1, 3).expand(20_000, 3)
    with torch.no_grad():
        loss = core.eval().loss({"x": x})
        posterior = core.posterior(x[:1], None)
        kl = float(elbo.gaussian_kl(*posterior).sum())
    yield near("rate of the core itself", kl, float(loss["rate"]), 0.05, "20,000 draws; sigma_0 is 0.005")


@check("lsgm", seconds=0.1, broken_by=_LSGM_MUTATIONS)
def cross_entropy_of_gaussians() -> Iterator[Finding]:
    """For a prior whose score is known, N(m, S), denoising score matching gives the closed-form cross entropy."""
    mean, scale = torch.tensor([0.4, -0.9], dtype=torch.float64), torch.tensor([0.5, 0.2], dtype=torch.float64)
    centre = torch.tensor([0.5, -0.3], dtype=torch.float64)
    covariance = torch.tensor([[0.6, 0.3], [0.3, 0.4]], dtype=torch.float64)
    for name in ("geometric", "linear", "cosine"):
        prior = mixture.gaussian(schedules.make(name), centre, covariance)
        end = torch.ones(1, dtype=torch.float64)

        def laws(t: Tensor, schedule: Any = prior.schedule) -> tuple[Any, Any]:
            alpha, sigma = schedule.alpha(t), schedule.sigma(t)
            normal = torch.distributions.MultivariateNormal
            q = normal(alpha * mean, torch.diag(alpha**2 * scale**2 + sigma**2))
            return q, normal(alpha * centre, alpha**2 * covariance + sigma**2 * torch.eye(2, dtype=torch.float64))

        q, p = laws(0 * end)
        kl = torch.distributions.kl_divergence
        expected = kl(q, p) + q.entropy()
        q, p = laws(end)  # what is assumed at t = 1 is N(0, 1), where p is that almost
        standard = torch.distributions.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
        expected = expected + kl(q, standard) - kl(q, p)
        value, _ = _mean_cross_entropy(prior, mean, scale)
        yield near(
            f"cross entropy, {name} schedule, nats", float(expected), value, 1e-4, "quadrature over t, exact otherwise"
        )


@check(
    "lsgm",
    seconds=2.0,
    broken_by=[
        Mutation("no score is mixed in", f"{LSGM}:MixedScore.share", lambda self: torch.zeros_like(self.raw_share)),
        Mutation(
            "the network does not learn",
            f"{LSGM}:MixedScore.eps",
            make=lambda eps: (
                lambda self, x, t, condition=None: eps(self, x, t, condition).detach() + 0 * self.raw_share.sum()
            ),
        ),
    ],
)
def the_prior_learns_the_latents() -> Iterator[Finding]:
    """Trained on latents of a known law in two clusters, the cross entropy falls to its entropy, and draws match."""
    law = mixture.Mixture(
        schedules.make("geometric"), torch.tensor([[-1.5, 0.0], [1.5, 0.5]]), torch.tensor([0.09, 0.09])
    )
    core: Any = LatentDiffusion({"x": number(2)}, latent=2, width=16, layers=1, prior_width=32, prior_layers=2)
    optimizer = torch.optim.Adam(core.parameters_of("prior"), lr=5e-3)
    steps = 500
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - step / steps)
        optimizer.zero_grad()
        z = law.sample(256).float()
        even = (torch.arange(256) + torch.rand(1)) / 256
        latent.cross_entropy(core.prior, z, None, latent.importance_times(core.prior.schedule, even)).mean().backward()
        nn.utils.clip_grad_norm_(core.parameters_of("prior"), 1.0)
        optimizer.step()
    with torch.no_grad():
        z = law.sample(20_000).float()
        even = (torch.arange(20_000) + 0.5) / 20_000
        bound = latent.cross_entropy(core.prior, z, None, latent.importance_times(core.prior.schedule, even)).mean()
        normal = -elbo.gaussian_log_prob(z).sum(1).mean()
        entropy = law.entropy(20_000)
        core.sampler.fit(core.prior, z)
        drawn = core.sampler.draw(core.prior, 2000)
    yield at_most(
        "excess of the cross entropy over the entropy, nats",
        0.25,
        float(bound) - entropy,
        f"N(0, 1): {normal - entropy:.2f}",
    )
    yield near("share of draws in the right cluster", 0.5, float((drawn[:, 0] > 0).double().mean()), 0.08)
    spread = drawn[drawn[:, 0] > 0].std(0)
    yield near("deviation within it", 0.3, float(spread.mean()), 0.06, "of 1.5 in all")


@check(
    "lsgm",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the prior's step also trains the encoder",
            f"{LSGM}:LatentDiffusion.parameters_of",
            lambda self, player: list(self.parameters()),
        ),
    ],
)
def players_keep_to_themselves() -> Iterator[Finding]:
    """With one loss the encoder learns through the prior; with two players neither touches the other's weights."""
    data = {"x": torch.randn(64, 3), "kind": torch.randint(2, (64,))}
    fields: dict[str, Field] = {"x": number(3)}
    settings: dict[str, Any] = {"latent": 2, "width": 16, "prior_width": 16}
    core: Any = LatentDiffusion(fields, {"kind": category(2)}, weighting="uniform", **settings)
    vae, prior = ({id(p) for p in core.parameters_of(player)} for player in ("vae", "prior"))
    yield holds("the players share no parameter", not vae & prior)
    yield holds("together they have all", vae | prior == {id(p) for p in core.parameters()})
    core.loss(data, "prior")["loss"].backward()
    reached = {
        name.split(".")[0] for name, p in core.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    }
    yield holds(
        "the prior's loss reaches only the prior", reached <= {"prior", "prior_given"}, ", ".join(sorted(reached))
    )
    core.zero_grad()
    core.loss(data, "vae")["loss"].backward()
    reached = {
        name.split(".")[0] for name, p in core.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    }
    yield holds(
        "the VAE's reaches encoder, decoder and, through z, the score", {"encoder", "decoder", "prior"} <= reached
    )
