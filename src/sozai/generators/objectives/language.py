"""What a language model is trained and measured by: the surprise of each token, given those before it."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def token_log_prob(logits: Tensor, tokens: Tensor, legal: Tensor | None = None) -> Tensor:
    """log p of each token (nats), ``(batch, n)``, renormalised over the legal ones.

    Args:
        logits: ``(batch, n, vocabulary)``.
        tokens: ``(batch, n)``.
        legal: may be chosen at all, ``(n, vocabulary)`` or ``(batch, n, vocabulary)``.
    """
    if legal is not None:
        logits = logits.masked_fill(~legal, -math.inf)
    return logits.float().log_softmax(-1).gather(-1, tokens[..., None])[..., 0]


def cross_entropy(log_prob: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean surprise in nats a token: -1/n sum log p(t_i | t_<i), over those that count."""
    if counted is None:
        return -log_prob.mean()
    # not log_prob * counted: what does not count may be minus infinity, and 0 times that is no number
    return -torch.where(counted, log_prob, 0.0).sum() / counted.sum().clamp(min=1)


def bits(nats: Tensor, per: float = 1.0) -> Tensor:
    """Nats as bits; ``per``: what they are shared by, e.g. characters a token for bits per character."""
    return nats / math.log(2) / per
