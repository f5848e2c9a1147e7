"""Bounds on the likelihood of a Gaussian diffusion, for any denoiser: -log p(x) <= prior + reconstruction + diffusion.

In T steps (arXiv 2006.11239, eq. 5; 2107.00630, eq. 11) the diffusion part is a sum of divergences between
q(x_s | x_t, x_0) and p(x_s | x_t), both Gaussian. In continuous time (2107.00630, eq. 17)::

    diffusion = -1/2 E_t lambda'(t) ||eps - eps_hat(x_t, t)||^2
              = 1/2 integral over lambda of E ||eps - eps_hat||^2,

which depends on the schedule through its ends alone. The prior part is KL(q(x_1 | x) || N(0, 1)); the
reconstruction is log p(x | x_0): N(x; x_0 / alpha_0, sigma_0^2 / alpha_0^2) for numbers, and the same restricted to
the possible values for what has levels or categories. All in nats a row, in the tensor's own units.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from sozai.generators.codec import Codec, Span, VectorCodec
from sozai.generators.processes.dequantise import field_of
from sozai.generators.processes.gaussian import Denoiser, Schedule, noised, posterior, spread

VARIANCES = ("beta", "beta~", "learned")
"""Of the reverse step: DDPM's upper choice (best for white data), its lower one (for a point), or learned."""


def gaussian_kl(mean_q: Tensor, log_var_q: Tensor, mean_p: Tensor, log_var_p: Tensor) -> Tensor:
    """KL(N(mean_q, var_q) || N(mean_p, var_p)), elementwise."""
    ratio = log_var_q - log_var_p
    return 0.5 * (ratio.exp() - 1 - ratio + (mean_q - mean_p) ** 2 / log_var_p.exp())


def prior_kl(schedule: Schedule, x: Tensor) -> Tensor:
    """KL(q(x_1 | x) || N(0, 1)), (batch,)."""
    end = torch.ones(1, device=x.device, dtype=x.dtype)
    variance = schedule.sigma(end) ** 2
    return 0.5 * (variance - 1 - variance.log() + (schedule.alpha(end) * x.flatten(1)) ** 2).sum(1)


def step_variance(
    denoiser: Denoiser, x: Tensor, s: Tensor, t: Tensor, condition: Tensor | None, variance: str
) -> Tensor:
    """Variance of p(x_s | x_t), to multiply with x; ``beta`` is that of q(x_t | x_s)."""
    if variance == "learned":
        return denoiser.variance(x, s, t, condition)  # type: ignore[operator]  # of those that have learned one
    narrow, wide = variance_bounds(denoiser.schedule, s, t)
    return spread(wide if variance == "beta" else narrow, x)


def variance_bounds(schedule: Schedule, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """beta~, the variance of q(x_s | x_t, x_0), and beta, that of q(x_t | x_s); each (batch,)."""
    narrow = posterior(schedule, s, t)[2]
    return narrow, narrow * (schedule.sigma(t) / schedule.sigma(s)) ** 2


def step_kl(
    denoiser: Denoiser, x: Tensor, s: Tensor, t: Tensor, condition: Tensor | None = None, variance: str = "beta~"
) -> Tensor:
    """One term of the T-step bound, KL(q(x_s | x_t, x) || p(x_s | x_t)) at a random x_t, elementwise."""
    x_t = noised(denoiser.schedule, x, t, torch.randn_like(x))
    of_x_t, of_x_0, narrow = (spread(value, x) for value in posterior(denoiser.schedule, s, t))
    guess = of_x_t * x_t + of_x_0 * denoiser.x0(x_t, t, condition)
    chosen = step_variance(denoiser, x_t, s, t, condition, variance)
    return gaussian_kl(of_x_t * x_t + of_x_0 * x, narrow.log(), guess, chosen.log())


def discrete(
    denoiser: Denoiser,
    x: Tensor,
    times: Tensor,
    condition: Tensor | None = None,
    variance: str = "beta~",
    codec: Codec | None = None,
) -> Tensor:
    """The bound over the steps between ``times`` (descending from 1 to 0), (batch,)."""
    total = prior_kl(denoiser.schedule, x) + last_step(denoiser, x, times[-2], condition, variance, codec)
    for t, s in pairwise(times[:-1]):
        total = total + step_kl(denoiser, x, s.expand(len(x)), t.expand(len(x)), condition, variance).flatten(1).sum(1)
    return total


def last_step(
    denoiser: Denoiser,
    x: Tensor,
    time: Tensor,
    condition: Tensor | None = None,
    variance: str = "beta~",
    codec: Codec | None = None,
) -> Tensor:
    """Cost of going from this time to the data at once, (batch,).

    Numbers by way of x_0 at t = 0; levels and categories are told from the predicted x_0 itself, as the discretised
    decoder of 2006.11239 (eq. 13) does.
    """
    schedule, t = denoiser.schedule, time.expand(len(x))
    cost = step_kl(denoiser, x, torch.zeros_like(t), t, condition, variance) + number_cost(schedule, x)
    if codec is None or all(is_dense(codec, span) for span in codec.spans):
        return cost.flatten(1).sum(1)
    guess = denoiser.x0(noised(schedule, x, t, torch.randn_like(x)), t, condition)
    total = torch.zeros(len(x), device=x.device, dtype=x.dtype)
    for span in codec.spans:
        if is_dense(codec, span):
            total = total + cost[:, span.columns].flatten(1).sum(1)
        elif span.kind == "choice":  # the guess is a probability
            total = total - (guess[:, span.columns].clamp(min=1e-12).log() * x[:, span.columns]).sum(1)
        else:
            seen = guess[:, span.columns]
            total = total + level_cost(codec, span, x[:, span.columns], seen, spread(schedule.log_snr(t), seen).exp())
    return total


def snr_times(schedule: Schedule, share: Tensor, start: float = 0.0) -> Tensor:
    """Times at which lambda has gone this share of its way from ``start`` to 1: even in noise levels, not in t."""
    first, last = ends(schedule, share, start).detach()
    return schedule.time_of(first + (last - first) * share)


def ends(schedule: Schedule, like: Tensor, start: float = 0.0) -> Tensor:
    """lambda at ``start`` and at 1, (2,)."""
    return schedule.log_snr(torch.tensor([start, 1.0], device=like.device, dtype=like.dtype))


def continuous(
    denoiser: Denoiser,
    x: Tensor,
    condition: Tensor | None = None,
    draws: int = 64,
    codec: Codec | None = None,
    start: float = 0.0,
    variance: str = "beta~",
) -> Tensor:
    """The bound in continuous time, (batch,), estimated at ``draws`` stratified noise levels a row.

    Args:
        start: time down to which it is continuous; a denoiser that was trained on a chain of T steps knows nothing
            below 1/T, and takes the last step from there to 0 at once, with this ``variance``.
    """
    schedule = denoiser.schedule
    total = prior_kl(schedule, x)
    if start > 0:
        time = torch.tensor(start, device=x.device, dtype=x.dtype)
        total = total + last_step(denoiser, x, time, condition, variance, codec)
    else:
        total = total + reconstruction(schedule, x, codec)
    first, last = ends(schedule, x, start)
    for place in range(draws):
        share = (place + torch.rand(len(x), device=x.device, dtype=x.dtype)) / draws
        error = denoising_error(denoiser, x, snr_times(schedule, share, start), condition)
        total = total + 0.5 * (first - last) / draws * error
    return total


def denoising_error(denoiser: Denoiser, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
    """||eps - eps_hat(x_t, t)||^2 at a random x_t, (batch,)."""
    noise = torch.randn_like(x)
    x_t = noised(denoiser.schedule, x, t, noise)
    return (noise - denoiser.eps(x_t, t, condition)).flatten(1).square().sum(1)


def reconstruction(schedule: Schedule, x: Tensor, codec: Codec | None = None) -> Tensor:
    """-log p(x | x_0) at a random x_0, (batch,); for numbers its exact mean over x_0."""
    if codec is None:
        return number_cost(schedule, x) * torch.full_like(x.flatten(1)[:, 0], x[0].numel())
    snr = schedule.log_snr(torch.zeros(1, device=x.device, dtype=x.dtype)).exp()
    total = torch.zeros(len(x), device=x.device, dtype=x.dtype)
    for span in codec.spans:
        piece = x[:, span.columns]
        seen = piece + torch.randn_like(piece) / snr.sqrt()
        if is_dense(codec, span):
            total = total + number_cost(schedule, x) * piece[0].numel()
        elif span.kind == "choice":
            total = total - (F.log_softmax(seen * snr, 1) * piece).sum(1)
        else:
            total = total + level_cost(codec, span, piece, seen, snr)
    return total


def number_cost(schedule: Schedule, x: Tensor) -> Tensor:
    """-E log N(x; x_0 / alpha_0, sigma_0^2 / alpha_0^2) of one number, (1,)."""
    level = schedule.log_snr(torch.zeros(1, device=x.device, dtype=x.dtype))
    return 0.5 * (1 + math.log(2 * math.pi) - level)


def level_cost(codec: Codec, span: Span, x: Tensor, seen: Tensor, snr: Tensor) -> Tensor:
    """-log of the probability of x's levels under N(seen, 1 / snr) restricted to the levels, (batch,)."""
    grid = level_grid(codec, span)
    assert grid is not None
    grid = grid.to(x)
    logits = F.log_softmax(-0.5 * (seen[..., None] - grid) ** 2 * snr[..., None], -1)
    which = (x[..., None] - grid).abs().argmin(-1, keepdim=True)
    return -logits.gather(-1, which).flatten(1).sum(1)


def is_dense(codec: Codec, span: Span) -> bool:
    """Whether these columns have a density, not probabilities."""
    return span.kind != "choice" and level_grid(codec, span) is None


def level_grid(codec: Codec, span: Span) -> Tensor | None:
    """The values that a field with levels takes in the codec's tensor, broadcastable to (..., levels); else None."""
    if getattr(codec, "dequantise", False):
        return None
    field = field_of(codec, span.field)
    if field.kind != "image" or not field.levels:
        return None
    grid = torch.linspace(-1, 1, field.levels)
    if not isinstance(codec, VectorCodec):
        return grid
    grid = grid.to(codec.scale)
    return (grid - codec.mean[span.columns, None]) / codec.scale[span.columns, None]


def log_volume(codec: Codec) -> Tensor:
    """Log-determinant of d(tensor)/d(values) of what the bound counts as densities."""
    if not isinstance(codec, VectorCodec):
        return codec.log_volume()
    dense = [span for span in codec.spans if is_dense(codec, span)]
    return -sum((codec.scale[span.columns].log().sum() for span in dense), torch.zeros((), device=codec.scale.device))
