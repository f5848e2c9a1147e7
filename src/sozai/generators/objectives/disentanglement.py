"""How far latents are one for one with known causes of the data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sozai.generators.objectives import elbo


def mutual_information(mean: Tensor, log_scale: Tensor, factors: Tensor, draws: int = 1000) -> Tensor:
    """I(z_j; v_k) of each latent and factor in nats, ``(latent, factors)`` (arXiv 1802.04942, eq. 6).

    From q(z_j, v_k) = mean over the rows that have v_k, of q(z_j | x_n); all rows are in the mixtures, and the
    expectation is over ``draws`` rows, one draw each.

    Args:
        mean: of q(z|x) for all rows, (rows, latent).
        log_scale: of q(z|x).
        factors: of all rows, (rows, factors), whole numbers; all combinations equally often.
        draws: rows in the expectation.
    """
    picked = torch.randperm(len(mean))[:draws]
    z = elbo.reparameterise(mean[picked], log_scale[picked])
    out = torch.zeros(mean.shape[1], factors.shape[1])
    for j in range(mean.shape[1]):
        pairs = elbo.gaussian_log_prob(z[:, j, None], mean[:, j], log_scale[:, j])  # (draw, row)
        log_marginal = torch.logsumexp(pairs, 1) - math.log(len(mean))
        for k in range(factors.shape[1]):
            same = factors[picked, k, None] == factors[:, k]
            log_given = torch.logsumexp(pairs.masked_fill(~same, -torch.inf), 1) - same.sum(1).log()
            out[j, k] = (log_given - log_marginal).mean()
    return out


def entropies(factors: Tensor) -> Tensor:
    """H(v_k) in nats, (factors,); of dSprites' grid log 3, log 6, log 40, log 32, log 32."""
    shares = [torch.unique(column, return_counts=True)[1] / len(factors) for column in factors.T]
    return torch.stack([-(share * share.log()).sum() for share in shares])


def mutual_information_gap(mean: Tensor, log_scale: Tensor, factors: Tensor, draws: int = 1000) -> Tensor:
    """MIG: how much more the best latent knows of a factor than the second best, over H(v_k), averaged; 0 to 1."""
    information = mutual_information(mean, log_scale, factors, draws).sort(0, descending=True).values
    return ((information[0] - information[1]) / entropies(factors)).mean()
