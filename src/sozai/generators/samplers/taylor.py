"""GENIE (arXiv 2210.05475): the second truncated Taylor method on the probability flow.

With xbar = x / alpha, gamma = sigma / alpha and dxbar/dgamma = eps_hat, a step of length h in gamma is::

    xbar_s = xbar_t + h eps_hat + h^2 / 2 d_gamma eps_hat
    d_gamma eps_hat = (d eps_hat / dx) dx/dgamma + (d eps_hat / dt) dt/dgamma          (total derivative: one JVP)
    dx/dgamma = alpha (eps_hat - sigma x),   dt/dgamma = -2 / (gamma lambda'(t))

To save the JVP, a small head on top of the denoiser learns it, parametrised as::

    k = -k1 / gamma + gamma / (1 + gamma^2) k2 + k3 / (gamma (1 + gamma^2))

(since d_gamma eps_hat = -1/gamma d_gamma x0_hat, k1 is the derivative of x0_hat), and trained on
gamma^2 ||k - d_gamma eps_hat||^2, which keeps all that it must learn of order one at every gamma.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sozai.generators.networks.mlp import ResidualMLP
from sozai.generators.processes.gaussian import Denoiser, Schedule, noised, spread
from sozai.generators.samplers import analytic, ode
from sozai.generators.samplers.base import Condition, Sampler


def total_derivative(
    denoiser: Denoiser,
    x: Tensor,
    t: Tensor,
    condition: Condition,
    function: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """eps_hat and d_gamma eps_hat along the flow, (batch, *event) each.

    Args:
        function: ``(x, t) -> eps``, by default the denoiser's own.
    """
    schedule = denoiser.schedule
    predict = function if function is not None else (lambda x, t: denoiser.eps(x, t, condition))
    with torch.no_grad():
        eps = predict(x, t)
    alpha, sigma = spread(schedule.alpha(t), x), spread(schedule.sigma(t), x)
    with torch.enable_grad():
        time = t.detach().requires_grad_(True)
        slope = torch.autograd.grad(schedule.log_snr(time).sum(), time)[0]
    of_x, of_t = alpha * (eps - sigma * x), -2 / (ode.gamma(schedule, t) * slope)
    return ode.directional(predict, (x, t.clone()), (of_x, of_t))


def blend(parts: Tensor, gamma: Tensor) -> Tensor:
    """The paper's mixture of the head's three outputs (batch, 3, *event); gamma is (batch,)."""
    first, second, third = parts.unbind(1)
    g = spread(gamma, first)
    return -first / g + second * g / (1 + g**2) + third / (g * (1 + g**2))


class Head(nn.Module):
    """Predicts d_gamma eps_hat from x and eps_hat (which carries the condition), without a JVP.

    Small on purpose: it also smooths the derivative of a trained network, which at few steps is better than exact.
    """

    def __init__(self, event: tuple[int, ...], width: int = 64, layers: int = 2):
        super().__init__()
        self.event = tuple(event)
        self.image = len(self.event) > 2
        size = int(torch.Size(self.event).numel())
        if self.image:
            from sozai.generators.networks.unet import UNet

            self.net: nn.Module = UNet((2 * event[0], *event[1:]), width=max(8, width // 4), outputs=3 * event[0])
        else:
            self.net = ResidualMLP(2 * size, 3 * size, width=width, layers=layers, timed=True)
            for parameter in list(self.net.leave.children())[-1].parameters():
                nn.init.zeros_(parameter)  # an unlearned head is DDIM (and the derivative is near 0 for large gamma)

    def forward(self, x: Tensor, eps: Tensor, t: Tensor, gamma: Tensor) -> Tensor:
        """All of (batch, *event) but t and gamma, (batch,)."""
        joined = torch.cat([x, eps], 1) if self.image else torch.cat([x.flatten(1), eps.flatten(1)], 1)
        kind = next(self.parameters()).dtype
        return blend(self.net(joined.to(kind), t.to(kind)).to(x).reshape(len(x), 3, *self.event), gamma)


class Genie(Sampler):
    """GENIE.

    Args:
        head: distil the derivative in ``fit``: one look at the denoiser a step. Without it the derivative is a
            JVP at each step, which costs about two looks more and needs no fit.
        width, layers: of the head.
        fit_steps, batch_size, rate: of its training.
        settings: of ``Sampler``.
    """

    def __init__(
        self,
        event: tuple[int, ...],
        head: bool = False,
        width: int = 64,
        layers: int = 2,
        fit_steps: int = 500,
        batch_size: int = 128,
        rate: float = 2e-3,
        **settings: Any,
    ):
        super().__init__(event, **settings)
        self.head = Head(event, width, layers).requires_grad_(False) if head else None
        self.fit_steps, self.batch_size, self.rate = fit_steps, batch_size, rate

    def fit(self, denoiser: Denoiser, x: Tensor, condition: Condition = None) -> None:
        """Distil the head, where there is one."""
        super().fit(denoiser, x, condition)
        if self.head is None:
            return
        head = self.head.requires_grad_(True)
        optimizer = torch.optim.Adam(head.parameters(), self.rate)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.fit_steps)
        places = super().times(denoiser, 1000)[:-1].flip(0).to(x)
        with torch.enable_grad():
            for _ in range(self.fit_steps):
                rows = torch.randint(len(x), (self.batch_size,), device=x.device)
                t = analytic.interpolate(places, torch.rand(self.batch_size, device=x.device, dtype=x.dtype))
                loss = self.head_loss(denoiser, x[rows], t, None if condition is None else condition[rows])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(head.parameters(), 1.0)
                optimizer.step()
                decay.step()
        head.requires_grad_(False)

    def head_loss(self, denoiser: Denoiser, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """gamma^2 ||head - d_gamma eps_hat||^2 at noised data."""
        assert self.head is not None
        x = noised(denoiser.schedule, x, t, torch.randn_like(x))
        eps, exact = total_derivative(denoiser, x, t, condition)
        gamma = ode.gamma(denoiser.schedule, t)
        return ((spread(gamma, x) * (self.head(x, eps, t, gamma) - exact)) ** 2).mean()

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, condition: Condition) -> Tensor:
        """Eq. 8: Euler's step and the term of second order."""
        schedule = denoiser.schedule
        gamma = ode.gamma(schedule, t)
        if self.head is None:
            eps, change = total_derivative(
                denoiser, x, t, condition, lambda x, t: self.predict(denoiser, x, t, condition)[1]
            )
        else:
            eps = self.predict(denoiser, x, t, condition)[1]
            change = self.head(x, eps, t, gamma)
        return taylor_step(schedule, x, t, s, eps, self.bounded(change, eps, gamma))

    def bounded(self, change: Tensor, eps: Tensor, gamma: Tensor) -> Tensor:
        """The derivative, no longer than it can be for data of the range seen in ``fit``.

        gamma d_gamma eps_hat = -d_gamma x0_hat is of the order of Cov[x_0 | x_t] eps / gamma^2 (by Tweedie's
        formula), and a variance is at most the square of half the range. For large gamma that is tiny, yet a step
        multiplies the error of a learned derivative by up to gamma^2 / 2.
        """
        half = (((self.high - self.low) / 2) ** 2).mean().to(change).sqrt()
        if not self.clip or not bool(torch.isfinite(half)):
            return change
        length = change.flatten(1).norm(dim=1) * gamma
        most = 3 * half**2 / gamma**2 * (eps.flatten(1).norm(dim=1) + change[0].numel() ** 0.5 * (1 + half / gamma))
        return change * spread((most / length.clamp(min=1e-12)).clamp(max=1), change)


def taylor_step(schedule: Schedule, x: Tensor, t: Tensor, s: Tensor, eps: Tensor, change: Tensor) -> Tensor:
    """x_s from x_t, eps_hat and d_gamma eps_hat."""
    h = spread(ode.gamma(schedule, s) - ode.gamma(schedule, t), x)
    return spread(schedule.alpha(s), x) * (x / spread(schedule.alpha(t), x) + h * eps + h**2 / 2 * change)
