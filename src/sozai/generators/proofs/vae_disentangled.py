"""Proofs of beta-TCVAE, FactorVAE and JointVAE."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sozai.fields import image, number
from sozai.generators.core import Core
from sozai.generators.families.disentangled import FactorVAE, JointVAE, TotalCorrelationVAE
from sozai.generators.objectives import disentanglement, elbo
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.proofs.sprites import sprites
from sozai.generators.tensors import Batch, seeded

FAMILIES = "sozai.generators.families"
ELBO = "sozai.generators.objectives.elbo"


def descend(
    core: Core, batch: Batch, steps: int, rate: float = 0.02, player: str = "", rows: int = 0, clock: bool = True
) -> None:
    """Adam on one player with a cosine schedule, on all rows or ``rows`` random ones a step, and nothing else."""
    player = player or core.players[0].name
    optimizer = torch.optim.Adam(core.parameters_of(player), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    total = len(next(iter(batch.values())))
    for _ in range(steps):
        index = torch.randint(total, (rows,)) if rows else slice(None)
        optimizer.zero_grad()
        core.loss({name: values[index] for name, values in batch.items()}, player)["loss"].backward()
        optimizer.step()
        core.after_step(player)
        schedule.step()


def exactly(rows: int, covariance: Tensor) -> Tensor:
    """Normal numbers whose sample has exactly mean 0 and this covariance."""
    white = torch.randn(rows, len(covariance), dtype=torch.float64)
    white = white - white.mean(0)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(white.T @ white / rows)).T
    return (white @ torch.linalg.cholesky(covariance.double()).T).float()


def gaussian_pair(rows: int, correlation: float) -> Tensor:
    """Draws of two standard normals with this correlation; TC = -log(1 - correlation^2) / 2."""
    first, second = torch.randn(2, rows)
    return torch.stack([first, correlation * first + math.sqrt(1 - correlation**2) * second], 1)


def _shifted_marginals(real):
    return lambda z, mean, log_scale, rows, sampling="stratified": (
        lambda mi, tc, marginal: (mi, -tc, marginal + 2 * tc)
    )(*real(z, mean, log_scale, rows, sampling))


@check(
    "beta-tcvae",
    seconds=0.2,
    broken_by=[
        Mutation("the total correlation has the wrong sign, made up for elsewhere", f"{ELBO}:decompose",
                 make=_shifted_marginals),
        Mutation("the batch stands for a larger set", f"{ELBO}:decompose",
                 make=lambda real: lambda z, m, s, rows, sampling="stratified": real(z, m, s, 2 * rows, sampling)),
        Mutation("the divergence from the prior is left out", f"{ELBO}:decompose",
                 make=lambda real: lambda *given: (*real(*given)[:2], torch.zeros(len(given[0])))),
    ],
)  # fmt: skip
def rate_is_information_correlation_and_marginals() -> Iterator[Finding]:
    """On a full pass the three terms are the integrals they stand for, and add to the analytic KL."""
    rows = 10
    mean, log_scale = torch.randn(rows, 2) @ torch.tensor([[1.0, 0.8], [0.0, 0.6]]), torch.randn(rows, 2) * 0.2 - 0.5
    nodes, weights = _hermite(24)
    terms = torch.zeros(3, rows)
    for (first, a), (second, b) in itertools.product(zip(nodes, weights, strict=True), repeat=2):
        z = mean + log_scale.exp() * torch.stack([first, second])
        terms += a * b * torch.stack(elbo.decompose(z, mean, log_scale, rows))
    information, correlation, marginal = (float(term.mean()) for term in terms)
    total = float(elbo.gaussian_kl(mean, log_scale).sum(1).mean())
    why = "24 x 24 Gauss-Hermite nodes for each row"
    yield near("MI + TC + marginals against the analytic KL", total, information + correlation + marginal, 1e-4, why)
    line = torch.linspace(-8, 8, 321)
    cell, grid = 0.05, torch.cartesian_prod(line, line)
    joint = elbo.gaussian_log_prob(grid[:, None], mean, log_scale).sum(2).exp().mean(1).reshape(321, 321)
    one, other = joint.sum(1) * cell, joint.sum(0) * cell
    tiny = 1e-30
    expected = (joint * (joint.clamp_min(tiny) / torch.outer(one, other).clamp_min(tiny)).log()).sum() * cell**2
    yield near("TC against its integral on a grid", float(expected), correlation, 2e-3, "cells of 0.05")
    expected_marginal = sum(
        float((each * (each.clamp_min(tiny).log() - elbo.gaussian_log_prob(line))).sum() * cell)
        for each in (one, other)
    )
    yield near("dimension-wise KL against its integral", expected_marginal, marginal, 2e-3, "cells of 0.05")


def _hermite(count: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights for the expectation under N(0, 1), from the Jacobi matrix (Golub and Welsch 1969)."""
    band = torch.arange(1, count, dtype=torch.float64).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(band, 1) + torch.diag(band, -1))
    return nodes.float(), vectors[0].square().float()


@check(
    "beta-tcvae",
    seconds=0.4,
    broken_by=[
        Mutation("a row's own weight is that of the others", f"{ELBO}:minibatch_log_weights",
                 lambda batch, rows, sampling, device="cpu": torch.full((batch, batch), -math.log(batch))),
        Mutation("weights ignore the kind of sampling", f"{ELBO}:minibatch_log_weights",
                 make=lambda real: lambda batch, rows, sampling, device="cpu": real(batch, rows, "stratified")),
        Mutation("beta weighs nothing", f"{FAMILIES}.disentangled:TotalCorrelationVAE.regulariser",
                 make=lambda real: lambda self, posterior, z, rate: (rate.mean(), real(self, posterior, z, rate)[1])),
    ],
)  # fmt: skip
def aggregate_posterior_is_estimated_from_batches() -> Iterator[Finding]:
    """Stratified sampling is without bias over all batches; TC of a Gaussian is -log det R / 2; weights act."""
    rows, batch = 7, 3
    mean, log_scale, z = torch.randn(rows, 1), torch.zeros(rows, 1), torch.tensor([0.4])
    density = elbo.gaussian_log_prob(z, mean, log_scale).exp().squeeze(1)
    estimates = []
    for others in itertools.combinations(range(1, rows), batch - 1):  # every batch that holds row 0
        weights = elbo.minibatch_log_weights(batch, rows, "stratified")[0].exp()
        estimates.append(float((weights * density[[0, *others]]).sum()))
    exact, got = float(density.mean()), sum(estimates) / len(estimates)
    yield near("mean of q(z) over all batches, stratified", exact, got, 1e-6, "an exact enumeration; float32")
    weighted = float(elbo.minibatch_log_weights(batch, rows, "weighted").exp().sum())
    yield near("weighted: sum of a batch's weights", batch / rows, weighted, 1e-6, "1 / (N M) each, eq. 5")

    z = exactly(1000, torch.tensor([[1.0, 0.8], [0.8, 1.0]]))  # means of posteriors of variance 1/2
    log_scale = torch.full_like(z, -0.5 * math.log(2))
    draws = [elbo.decompose(elbo.reparameterise(z, log_scale), z, log_scale, len(z))[1].mean() for _ in range(10)]
    exact, got = -0.5 * math.log(1 - (0.8 / 1.5) ** 2), float(torch.stack(draws).mean())
    yield near("TC of a Gaussian: -log det R / 2", exact, got, 0.05 * exact, "5%: 1,000 rows, ten draws")

    losses = {}
    for alpha, beta, gamma in ((1.0, 1.0, 1.0), (1.0, 6.0, 1.0), (2.0, 1.0, 3.0)):
        with seeded(1), torch.no_grad():
            core = TotalCorrelationVAE({"x": number(3)}, alpha=alpha, beta=beta, gamma=gamma, latent=2, width=16).eval()
            core.prepare({"x": torch.randn(40, 3)})
            x = torch.randn(40, 3)
            parts = core.loss({"x": x})
            losses[alpha, beta, gamma] = float(parts["loss"] - parts["distortion"])
            terms = [float(parts[name]) for name in ("mutual information", "total correlation", "marginal")]
    with seeded(2), torch.no_grad():
        posterior = core.posterior(core.encode({"x": x}), None)
        z = core.draw(posterior)
        _, parts = core.regulariser(posterior, z, core.rate(posterior, z))
        log_ratio = elbo.gaussian_log_prob(z, *posterior).sum(1) - elbo.gaussian_log_prob(z).sum(1)
        got = sum(float(parts[name]) for name in ("mutual information", "total correlation", "marginal"))
    yield near("terms add to the draw's log q(z|x) - log p(z)", float(log_ratio.mean()), got, 1e-5, "float32")
    for (alpha, beta, gamma), loss in losses.items():
        expected = alpha * terms[0] + beta * terms[1] + gamma * terms[2]
        yield near(f"regulariser at {alpha:g}, {beta:g}, {gamma:g}", expected, loss, 1e-4, "float32")


@check(
    "beta-tcvae",
    seconds=0.2,
    broken_by=[
        Mutation("the gap is to the average latent", "sozai.generators.objectives.disentanglement:mutual_information",
                 make=lambda real: lambda *given: real(*given).mean(0, keepdim=True).expand(5, -1)),
        Mutation("entropies are in bits", "sozai.generators.objectives.disentanglement:entropies",
                 make=lambda real: lambda factors: real(factors) / math.log(2)),
    ],
)  # fmt: skip
def gap_measures_disentanglement() -> Iterator[Finding]:
    """MIG is 1 for a latent a cause, 0 when each cause has two, and between for mixtures; H is log of the counts."""
    factors = sprites((3, 4, 4, 4, 6), side=4)[1]
    counts = torch.tensor([3, 4, 4, 4, 6])
    entropy = disentanglement.entropies(factors)
    yield near("H of the causes", 0, float((entropy - counts.log()).abs().max()), 1e-5, "a full grid")
    code = factors.float()
    narrow = torch.full_like(code, math.log(0.02))
    yield near(
        "MIG of one latent a cause", 1, float(disentanglement.mutual_information_gap(code, narrow, factors, 200)), 0.02
    )
    twice = torch.cat([code[:, :2], code[:, :2]], 1)
    gap = disentanglement.mutual_information_gap(twice, torch.full_like(twice, math.log(0.02)), factors[:, :2], 200)
    yield near("MIG of two latents a cause", 0, float(gap), 0.02)
    turn = torch.linalg.qr(torch.randn(5, 5))[0]
    mixed = disentanglement.mutual_information_gap((code - code.mean(0)) @ turn, narrow, factors, 200)
    yield at_most("MIG of a rotated code", 0.6, float(mixed))


def _pairs() -> Any:
    """A FactorVAE whose encoder hands two numbers on as they are."""
    core: Any = FactorVAE({"x": number(2)}, latent=2, layers=0, warm_up=0, gamma=7.0, ratio_width=32)
    with torch.no_grad():
        core.encoder.map.weight.copy_(torch.eye(4, 2))
        core.encoder.map.bias.copy_(torch.tensor([0.0, 0.0, -6.0, -6.0]))
    return core


@check(
    "factor-vae",
    seconds=1,
    broken_by=[
        Mutation("columns are not permuted", f"{ELBO}:permute_dimensions", lambda z: z),
        Mutation("columns are permuted together", f"{ELBO}:permute_dimensions", lambda z: z[torch.randperm(len(z))]),
        Mutation("the ratio is upside down", f"{ELBO}:density_ratio_tc", lambda joint: -joint.mean()),
        Mutation("gamma is at 0", f"{FAMILIES}.disentangled:FactorVAE.regulariser",
                 make=lambda real: lambda self, posterior, z, rate: (rate.mean(), real(self, posterior, z, rate)[1])),
    ],
)  # fmt: skip
def density_ratio_is_total_correlation() -> Iterator[Finding]:
    """The second player's estimate on a correlated Gaussian is -log det R / 2; it enters the loss times gamma."""
    core, correlation = _pairs(), 0.8
    exact = -0.5 * math.log(1 - correlation**2)
    descend(core, {"x": gaussian_pair(50_000, correlation)}, 350, 0.01, "ratio", rows=1000)
    core.eval()
    with torch.no_grad():
        batch = {"x": gaussian_pair(50_000, correlation)}
        parts = core.loss(batch)
        why = "5%: of a small network after 350 steps"
        yield near("TC against -log det R / 2", exact, float(parts["total correlation"]), 0.05 * exact, why)
        penalty = float(parts["loss"] - parts["distortion"] - parts["rate"])
        yield near("what is added to -ELBO: gamma TC", 7 * exact, penalty, 0.05 * 7 * exact, "the same estimate")
        z = batch["x"]
        shuffled = elbo.permute_dimensions(z)
        kept = bool(torch.equal(z.sort(0).values, shuffled.sort(0).values))
        yield holds("permuting keeps each column's values", kept)
        yield near("and leaves no correlation", 0, float(torch.corrcoef(shuffled.T)[0, 1]), 0.03, "50,000 rows")
    owners = {player: {id(each) for each in core.parameters_of(player)} for player in ("model", "ratio")}
    everything = {id(each) for each in core.parameters()}
    parted = not owners["model"] & owners["ratio"] and owners["model"] | owners["ratio"] == everything
    yield holds("the players share no weights and own all", parted)


@check(
    "joint-vae",
    seconds=1.2,
    broken_by=[
        Mutation("the rate is only pushed down", f"{ELBO}:capacity_penalty",
                 lambda rate, target, weight: weight * (rate - target)),
        Mutation("the capacity is final from the start", f"{ELBO}:capacity",
                 lambda step, final, steps: torch.tensor(final)),
        Mutation("categories are not charged", f"{FAMILIES}.disentangled:JointVAE.rates",
                 make=lambda real: lambda self, posterior: {
                     name: value * (name != "choice") for name, value in real(self, posterior).items()}),
    ],
)  # fmt: skip
def rates_track_their_capacities() -> Iterator[Finding]:
    """Both rates follow C(t); the categories' capacity stops at sum log k; unlabelled clusters become categories."""
    labels = torch.arange(400) % 4
    centres = torch.tensor([[3.0, 3.0], [3.0, -3.0], [-3.0, 3.0], [-3.0, -3.0]])
    batch = {"x": centres[labels] + 0.5 * torch.randn(400, 2)}
    for part, steps in ((0.5, 60), (1.0, 200)):
        core = JointVAE(
            {"x": number(2)}, categories=(4,), latent=2, width=24, layers=1, gamma=10.0, scale=0.2,
            capacity=1.0, choice_capacity=99.0, rise=120,
        )  # fmt: skip
        core.prepare(batch)
        descend(core, batch, steps, 0.01)
        parts, targets = core.loss(batch), core.capacities()
        for name, most in {"number": 1.0, "choice": math.log(4)}.items():  # asked for 99 nats of choices
            yield near(f"C of {name}s at {part:g} of the rise", part * most, float(targets[name]), 1e-5)
            got = float(parts[f"rate of {name}s"].detach())
            yield near(f"rate of {name}s there", part * most, got, 0.12 * part * most + 0.03, "gamma is finite")
    found = core.posterior(core.encode(batch), None)[2].argmax(1)
    pure = sum(int(torch.bincount(labels[found == each], minlength=4).max()) for each in found.unique()) / 400
    yield at_least("share of rows in their cluster's own category", 0.7, pure, "three of four clusters at least")


@check(
    "beta-tcvae",
    seconds=24,
    broken_by=[
        Mutation("the total correlation is charged like the rest",
                 f"{FAMILIES}.disentangled:TotalCorrelationVAE.regulariser",
                 make=lambda real: lambda self, posterior, z, rate: (rate.mean(), {})),
    ],
)  # fmt: skip
def sprites_come_apart() -> Iterator[Finding]:
    """On sprites the latents share far less than the VAE's, at little cost of information, and the gap widens."""
    pictures, factors = sprites((3, 4, 1, 8, 8))
    found = {}
    for beta in (1.0, 12.0):
        with seeded(0):
            core = TotalCorrelationVAE({"i": image(1, 16, 16)}, beta=beta, latent=6, width=16, scale=0.3, warm_up=100)
            core.prepare({"i": pictures})
            descend(core, {"i": pictures}, 800, 4e-3, rows=128)
            with torch.no_grad():
                posterior = core.eval().posterior(pictures, None)
                terms = elbo.decompose(core.draw(posterior), posterior[0], posterior[1], len(pictures))
                gap = disentanglement.mutual_information_gap(*posterior, factors[:, [0, 1, 3, 4]])
                found[beta] = [float(term.mean()) for term in terms[:2]] + [float(gap)]
    yield at_most("TC at beta 12 over TC at beta 1", 0.3, found[12.0][1] / found[1.0][1], "measured on a full pass")
    yield at_least("information kept", 0.75, found[12.0][0] / found[1.0][0], "of log 768 nats at most")
    yield at_least(
        "MIG at beta 12 over MIG at beta 1", 1.2, found[12.0][2] / found[1.0][2], "0.09 and 0.30 when written"
    )
