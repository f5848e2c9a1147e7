"""The evidence lower bound, its parts, and what the variants of the VAE change in it.

::

    log p(x) >= E_q(z|x) log p(x|z) - KL(q(z|x) || p(z))     -distortion - rate       (arXiv 1312.6114, eq. 3)
    E_x KL(q(z|x) || p(z)) = I(x; z) + TC(z) + sum_j KL(q(z_j) || p(z_j))             (arXiv 1802.04942, eq. 2)

with the aggregate posterior q(z) = mean_n q(z|x_n) and the total correlation TC(z) = KL(q(z) || prod_j q(z_j)).
Terms are nats. Gaussians are given as mean and log standard deviation, ``(batch, latent)``; divergences come
back element by element, so that capacities and free bits can act on each.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LOG_TAU = math.log(2 * math.pi)


def gaussian_log_prob(z: Tensor, mean: Tensor | float = 0.0, log_scale: Tensor | float = 0.0) -> Tensor:
    """Log-density of each element under N(mean, exp(log_scale)^2)."""
    log_scale = torch.as_tensor(log_scale, device=z.device)
    return -0.5 * (LOG_TAU + ((z - mean) * torch.exp(-log_scale)) ** 2) - log_scale


def gaussian_kl(
    mean: Tensor, log_scale: Tensor, prior_mean: Tensor | float = 0.0, prior_log_scale: Tensor | float = 0.0
) -> Tensor:
    """KL(N(mean, scale) || N(prior_mean, prior_scale)) of each element, by default from the standard normal."""
    prior_log_scale = torch.as_tensor(prior_log_scale, device=mean.device)
    shift = (mean - prior_mean) * torch.exp(-prior_log_scale)
    ratio = log_scale - prior_log_scale
    return 0.5 * (shift**2 + torch.expm1(2 * ratio)) - ratio


def reparameterise(mean: Tensor, log_scale: Tensor) -> Tensor:
    """A draw from N(mean, scale) that gradients pass through."""
    return mean + log_scale.exp() * torch.randn_like(mean)


def categorical_kl(logits: Tensor) -> Tensor:
    """KL of a category's distribution (last axis) from the uniform one: log k - entropy."""
    log_q = F.log_softmax(logits, -1)
    return math.log(logits.shape[-1]) + (log_q.exp() * log_q).sum(-1)


def capacity(step: Tensor | int, final: float, steps: int) -> Tensor:
    """C(t) of arXiv 1804.03599 and 1804.00104: from 0 to ``final`` nats linearly within ``steps``, then held."""
    return final * torch.clamp(torch.as_tensor(step) / max(steps, 1), max=1.0)


def capacity_penalty(rate: Tensor, target: Tensor | float, weight: float) -> Tensor:
    """gamma |KL - C|: the rate is pulled to its capacity from both sides (arXiv 1804.00104, eq. 7)."""
    return weight * (rate - target).abs()


def importance_bound(log_weights: Tensor) -> Tensor:
    """IWAE (arXiv 1509.00519, eq. 8): log-mean of K weights p(x, z) / q(z|x), ``(K, batch)`` to ``(batch,)``.

    K = 1 is the ELBO; in expectation it rises with K to log p(x).
    """
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))


def minibatch_log_weights(batch: int, rows: int, sampling: str, device: torch.device | str = "cpu") -> Tensor:
    """Log of w_ij in q(z_i) ~ sum_j w_ij q(z_i | x_j), where z_i is drawn from q(z | x_i); ``(batch, batch)``.

    ``"weighted"``: 1 / (rows * batch) for all (arXiv 1802.04942, eq. 5): biased, a lower bound in expectation.
    ``"stratified"``: 1 / rows for j = i, (rows - 1) / (rows (batch - 1)) for others: without bias. It is the
    paper's appendix C.2 averaged over the order of the batch, which alone decides there which row closes the
    stratum: same expectation, less variance, and exact when the batch is all the data.
    """
    if sampling == "weighted":
        return torch.full((batch, batch), -math.log(rows * batch), device=device)
    others = (rows - 1) / (rows * max(batch - 1, 1))
    weights = torch.full((batch, batch), max(others, 1e-30), device=device)
    return weights.fill_diagonal_(1 / rows).log()


def decompose(
    z: Tensor, mean: Tensor, log_scale: Tensor, rows: int, sampling: str = "stratified"
) -> tuple[Tensor, Tensor, Tensor]:
    """One-draw estimates of I(x; z), TC(z) and sum_j KL(q(z_j) || p(z_j)), each ``(batch,)``.

    They add to log q(z|x) - log p(z) for each draw, whatever the weights.

    Args:
        z: draws from q(z | x_i), (batch, latent).
        mean: of q(z | x_i).
        log_scale: of q(z | x_i).
        rows: number of training rows, of which this batch is a sample.
        sampling: see ``minibatch_log_weights``.
    """
    pairs = gaussian_log_prob(z[:, None], mean[None], log_scale[None])  # (draw i, posterior j, latent)
    log_weights = minibatch_log_weights(len(z), rows, sampling, z.device)
    log_conditional = gaussian_log_prob(z, mean, log_scale).sum(1)
    log_joint = torch.logsumexp(log_weights + pairs.sum(2), 1)
    log_marginals = torch.logsumexp(log_weights[..., None] + pairs, 1).sum(1)
    log_prior = gaussian_log_prob(z).sum(1)
    return log_conditional - log_joint, log_joint - log_marginals, log_marginals - log_prior


def permute_dimensions(z: Tensor) -> Tensor:
    """Each column shuffled by itself: draws of q(z) become draws of prod_j q(z_j) (arXiv 1802.05983, alg. 1)."""
    order = torch.rand_like(z).argsort(0)
    return z.gather(0, order)


def density_ratio_loss(joint: Tensor, independent: Tensor) -> Tensor:
    """What the density-ratio network minimises: cross-entropy of telling draws of q(z) from permuted ones."""
    return 0.5 * (F.softplus(-joint).mean() + F.softplus(independent).mean())


def density_ratio_tc(joint: Tensor) -> Tensor:
    """TC(z) = E_q(z) log D / (1 - D): the mean logit on draws of q(z) (arXiv 1802.05983, eq. 3)."""
    return joint.mean()
