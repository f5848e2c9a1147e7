"""Games between a critic D and a generator G, and distances between samples.

With r = D(real) and f = D(G(z)), the critic minimises and the generator minimises::

    non-saturating   E softplus(-r) + E softplus(f)     E softplus(-f)     I. Goodfellow et al. 2014, arXiv 1406.2661
    least-squares    E (r - 1)^2 / 2 + E f^2 / 2        E (f - 1)^2 / 2    X. Mao et al. 2016, arXiv 1611.04076
    wasserstein      E f - E r                          -E f               M. Arjovsky et al. 2017, arXiv 1701.07875

In the first, sigmoid(D) is the probability of "real": at the optimum D = log p_data - log p_G, and minus the
critic's loss is 2 JSD(p_data, p_G) - log 4. The last needs D to be 1-Lipschitz, by clipped weights or by the penalty
of WGAN-GP (I. Gulrajani et al. 2017, arXiv 1704.00028).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OBJECTIVES = ("non-saturating", "least-squares", "wasserstein")


def critic_loss(real: Tensor, fake: Tensor, objective: str) -> Tensor:
    """What the critic minimises, from its scores of real and generated rows."""
    if objective == "non-saturating":
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    if objective == "least-squares":
        return ((real - 1).square().mean() + fake.square().mean()) / 2
    return fake.mean() - real.mean()


def generator_loss(fake: Tensor, objective: str) -> Tensor:
    """What the generator minimises, from the critic's scores of its rows."""
    if objective == "non-saturating":
        return F.softplus(-fake).mean()
    if objective == "least-squares":
        return (fake - 1).square().mean() / 2
    return -fake.mean()


def slopes(critic: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Norm of the critic's gradient at each row of x, differentiable in the critic's weights."""
    with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        x = x.detach().float().requires_grad_(True)
        gradient = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
    return gradient.flatten(1).square().sum(1).add(1e-12).sqrt()  # the root's own slope is infinite at zero


def between(real: Tensor, fake: Tensor) -> Tensor:
    """A random point on the line from each real row to a generated one (1704.00028, algorithm 1)."""
    share = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    return share * real + (1 - share) * fake


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """E (|grad D(x)| - 1)^2 for x between real and generated rows (1704.00028, eq. 3)."""
    return (slopes(critic, between(real, fake)) - 1).square().mean()


def zero_centred_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """R1: E |grad D(x)|^2 / 2 at real rows (L. Mescheder et al. 2018, arXiv 1801.04406, eq. 9)."""
    return slopes(critic, real).square().mean() / 2


def clip_weights(module: nn.Module, bound: float) -> None:
    """All weights into [-bound, bound] (1701.07875, algorithm 1)."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.clamp_(-bound, bound)


def pack(x: Tensor, pac: int) -> Tensor:
    """``pac`` rows side by side as one: ``(batch, first, ...)`` to ``(batch / pac, pac * first, ...)``.

    A critic that sees several rows at once sees a lack of diversity (PacGAN: Z. Lin et al. 2017, arXiv 1712.04086).
    """
    return x.reshape(len(x) // pac, pac * x.shape[1], *x.shape[2:])


def cycle_loss(x: Tensor, back: Tensor) -> Tensor:
    """E |F(G(x)) - x|_1, a mean over entries (CycleGAN: J.-Y. Zhu et al. 2017, arXiv 1703.10593, eq. 2)."""
    return (back - x).abs().mean()


def energy_distance(one: Tensor, other: Tensor) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'| of two samples ``(rows, columns)``, unbiased: zero only for equal laws.

    G. Szekely and M. Rizzo 2013, J. Stat. Plan. Inference 143:1249. Divided by sqrt(columns), so that numbers of
    order one give distances of order one whatever the dimension.
    """
    rows, others = len(one), len(other)
    across = torch.cdist(one, other).mean()
    within = torch.cdist(one, one).sum() / (rows * max(1, rows - 1))
    without = torch.cdist(other, other).sum() / (others * max(1, others - 1))
    return (2 * across - within - without) / one.shape[1] ** 0.5
