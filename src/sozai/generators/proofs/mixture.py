"""A Gaussian mixture, whose diffusion is known exactly: what samplers, bounds and likelihoods are proven on.

With data sum_k w_k N(mu_k, S_k) the noised density is again a mixture, p_t = sum_k w_k N(alpha mu_k, C_k) with
C_k = alpha^2 S_k + sigma^2 1, so that with responsibilities r_k(x) and u_k = C_k^-1 (x - alpha mu_k)::

    score   = -sum_k r_k u_k                     eps = -sigma score
    E[x_0|x] = sum_k r_k (mu_k + alpha S_k u_k)  (the mean of x_0 within component k)
    Hessian of log p_t = sum_k r_k (u_k u_k' - C_k^-1) - score score'
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sozai.generators.processes.gaussian import Denoiser, LinearSchedule, Schedule, noised, spread
from sozai.generators.tensors import seeded


class Mixture(Denoiser):
    """Exact denoiser of a mixture, in double precision.

    Args:
        schedule: any; DDPM's by default.
        means: (components, size); without them see ``default_parts``.
        covariances: (components, size, size), or (components,) variances.
        weights: (components,), equal by default.
        event: shape of x; ``(size,)`` by default. An image mixture is a mixture of its flattened pixels.

    A condition is (batch, components): added to the log weights, so that conditional laws are exact too
    (log of a one-hot picks one component, zeros change nothing).
    """

    means: Tensor
    axes: Tensor
    variances: Tensor
    log_weights: Tensor

    def __init__(
        self,
        schedule: Schedule | None = None,
        means: Tensor | None = None,
        covariances: Tensor | None = None,
        weights: Tensor | None = None,
        event: tuple[int, ...] | None = None,
    ):
        super().__init__()
        self.schedule = LinearSchedule() if schedule is None else schedule
        if means is None or covariances is None:
            means, covariances, weights = default_parts()
        means, covariances = means.double(), covariances.double()
        if covariances.dim() == 1:
            covariances = covariances[:, None, None] * torch.eye(means.shape[1], dtype=torch.float64)
        variances, axes = torch.linalg.eigh(covariances)
        weights = torch.ones(len(means), dtype=torch.float64) if weights is None else weights.double()
        self.register_buffer("means", means)
        self.register_buffer("variances", variances)  # (components, size), along the columns of axes
        self.register_buffer("axes", axes)
        self.register_buffer("log_weights", (weights / weights.sum()).log())
        self.event = (means.shape[1],) if event is None else tuple(event)
        self.size = means.shape[1]

    def eps(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """E[noise | x_t]."""
        return -spread(self.schedule.sigma(t), x) * self.score(x, t, condition)

    def score(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Gradient of log p_t."""
        shares, pulls, _ = self._parts(x, t, condition)
        return -torch.einsum("bk,bkd->bd", shares, pulls).reshape(x.shape)

    def x0(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """E[x_0 | x_t], without the division by alpha of the base class."""
        shares, pulls, _ = self._parts(x, t, condition)
        return torch.einsum("bk,bkd->bd", shares, self._inner_means(pulls, t)).reshape(x.shape)

    def log_prob(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """log p_t(x), (batch,)."""
        return self._parts(x, t, condition)[2]

    def data_log_prob(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """log p(x_0), (batch,)."""
        return self._densities(x, torch.ones(len(x)).to(self.means), self.variances[None], condition)[2]

    def sample(self, count: int, t: Tensor | None = None, condition: Tensor | None = None) -> Tensor:
        """x_0 (or x_t at times t, (count,)) from torch's global random source."""
        logits = self.log_weights.expand(count, -1) if condition is None else self.log_weights + condition
        which = torch.distributions.Categorical(logits=logits).sample()
        z = torch.randn(count, self.size, dtype=self.means.dtype, device=self.means.device)
        x = self.means[which] + torch.einsum("bij,bj->bi", self.axes[which], self.variances[which].sqrt() * z)
        x = x.reshape(count, *self.event)
        return x if t is None else noised(self.schedule, x, t, torch.randn_like(x))

    def hessian(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Second derivatives of log p_t, (batch, size, size)."""
        shares, pulls, _ = self._parts(x, t, condition)
        inverse = torch.einsum("kij,bkj,klj->bkil", self.axes, 1 / self._spreads(t), self.axes)
        second = torch.einsum("bk,bkij->bij", shares, pulls[..., :, None] * pulls[..., None, :] - inverse)
        mean = torch.einsum("bk,bkd->bd", shares, pulls)
        return second - mean[:, :, None] * mean[:, None, :]

    def jvp(self, x: Tensor, t: Tensor, direction: Tensor, condition: Tensor | None = None) -> Tensor:
        """Derivative of eps along a direction of x: -sigma H v."""
        product = torch.einsum("bij,bj->bi", self.hessian(x, t, condition), direction.flatten(1))
        return -spread(self.schedule.sigma(t), x) * product.reshape(x.shape)

    def mse(self, t: Tensor, count: int = 20_000, seed: int = 0) -> Tensor:
        """E ||x_0 - E[x_0|x_t]||^2 at each of the times (times,): a smooth, repeatable Monte Carlo value.

        The same draws serve all times, and the square is averaged over x_0 given x_t exactly
        (tr Cov[x_0 | x_t]), which leaves about 1% of noise at 20,000 draws.
        """
        with seeded(seed):
            x = self.sample(count)
            noise = torch.randn_like(x)
        out = []
        for time in t.flatten().double():
            times = time.expand(count)
            shares, pulls, _ = self._parts(noised(self.schedule, x, times, noise), times, None)
            inner = self._inner_means(pulls, times)
            sigma = self.schedule.sigma(times)[:, None]
            within = (self.variances / self._spreads(times)).sum(-1) * sigma**2  # tr Cov within each component
            mean = torch.einsum("bk,bkd->bd", shares, inner)
            out.append((shares * (within + ((inner - mean[:, None]) ** 2).sum(-1))).sum(1).mean())
        return torch.stack(out)

    def entropy(self, count: int = 200_000, seed: int = 0) -> float:
        """-E log p(x_0) by Monte Carlo: the least negative log-likelihood."""
        with seeded(seed):
            return -float(self.data_log_prob(self.sample(count)).mean())

    def _spreads(self, t: Tensor) -> Tensor:
        alpha, sigma = self.schedule.alpha(t)[:, None, None], self.schedule.sigma(t)[:, None, None]
        return alpha**2 * self.variances + sigma**2  # (batch, components, size): eigenvalues of C_k

    def _inner_means(self, pulls: Tensor, t: Tensor) -> Tensor:
        turned = torch.einsum("kij,bki->bkj", self.axes, pulls) * self.variances
        return self.means + self.schedule.alpha(t)[:, None, None] * torch.einsum("kij,bkj->bki", self.axes, turned)

    def _parts(self, x: Tensor, t: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        t = t.to(self.means.dtype)
        return self._densities(x, self.schedule.alpha(t), self._spreads(t), condition)

    def _densities(
        self, x: Tensor, alpha: Tensor, spreads: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Responsibilities (batch, components), u_k (batch, components, size) and log p (batch,)."""
        away = x.to(self.means.dtype).flatten(1)[:, None] - alpha[:, None, None] * self.means
        turned = torch.einsum("kij,bki->bkj", self.axes, away)
        logits = self.log_weights if condition is None else (self.log_weights + condition).log_softmax(1)
        logits = logits - 0.5 * (turned**2 / spreads + spreads.log() + math.log(2 * math.pi)).sum(-1)
        pulls = torch.einsum("kij,bkj->bki", self.axes, turned / spreads)
        return logits.softmax(1), pulls, logits.logsumexp(1)


def default_parts() -> tuple[Tensor, Tensor, Tensor]:
    """Means, covariances and weights of the usual test-bed: five unequal, partly elongated clusters in the plane.

    About unit variance in all, as encoded data have.
    """
    means = torch.tensor([[1.3, 0.6], [-0.9, 1.2], [-1.1, -0.8], [0.7, -1.2], [0.1, 0.1]], dtype=torch.float64)
    sizes = torch.tensor([[0.10, 0.30], [0.15, 0.15], [0.30, 0.08], [0.12, 0.12], [0.05, 0.20]], dtype=torch.float64)
    turn = torch.tensor([0.5, 0.0, -0.7, 0.0, 1.2], dtype=torch.float64)
    axes = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], 1).reshape(-1, 2, 2)
    covariances = axes @ torch.diag_embed(sizes**2) @ axes.mT
    return means, covariances, torch.tensor([0.3, 0.2, 0.25, 0.15, 0.1], dtype=torch.float64)


def ring(schedule: Schedule | None = None, modes: int = 8, radius: float = 1.3, deviation: float = 0.1) -> Mixture:
    """Equal round clusters on a circle: multimodal and symmetric."""
    angle = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    means = radius * torch.stack([angle.cos(), angle.sin()], 1)
    return Mixture(schedule, means, torch.full((modes,), deviation**2, dtype=torch.float64))


def gaussian(schedule: Schedule | None = None, mean: Tensor | None = None, covariance: Tensor | None = None) -> Mixture:
    """A single Gaussian, for which reverse conditionals are Gaussian and even more is in closed form."""
    mean = torch.tensor([0.5, -0.3]) if mean is None else mean
    covariance = torch.tensor([[0.6, 0.3], [0.3, 0.4]]) if covariance is None else covariance
    return Mixture(schedule, mean[None], covariance[None])
