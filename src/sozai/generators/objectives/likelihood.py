"""Likelihood as a loss and as a figure to compare."""

from __future__ import annotations

import math

from torch import Tensor


def negative_log_likelihood(log_prob: Tensor, dimensions: int) -> Tensor:
    """Mean over rows of -log p, in nats a dimension: a loss of order one whatever the size of the data."""
    return -log_prob.mean() / dimensions


def bits_per_dimension(log_prob: Tensor, dimensions: int) -> Tensor:
    """-log2 p / dimensions (batch,); of images with ``levels`` comparable with the literature's."""
    return -log_prob / (dimensions * math.log(2))
