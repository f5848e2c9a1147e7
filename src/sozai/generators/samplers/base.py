"""What a sampler is: a way from noise to data for any denoiser, none of which it changes.

A sampler walks down a *path* of times t_K = 1 > ... > t_1 > t_0 = 0 with one look at the denoiser a step. The last
step hands over E[x_0 | x_t1] itself, as all of the papers' discrete chains do (sigma_0 = 0 there)::

    sampler = catalog.make("genie", event=(2,))
    sampler.fit(denoiser, x)               # only what the sampler itself needs; the denoiser stays as it is
    new = sampler.draw(denoiser, 100, steps=10)

What ``fit`` finds lives in buffers and parameters whose shapes follow from the settings.
"""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Self

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.generators.processes.gaussian import Denoiser, noised, spread
from sozai.generators.samplers import guidance, paths

Condition = Tensor | None


class Sampler(nn.Module):
    """Base of all samplers; a kind of sampler is its ``step``.

    Args:
        event: shape of x without its batch axis.
        steps: how many looks at the denoiser a draw takes, unless ``draw`` is told otherwise.
        path: how the times are spaced: see ``paths.PATHS``, or ``"dp"``.
        clip: keep the predicted x_0 within the range of the training data (with a margin of a tenth).
            E[x_0 | x_t] is a mean of data and so always lies there: this corrects nothing but errors.
        grid: length of the discrete chain on which errors of the denoiser are measured, where they are needed.
        rows: training rows they are measured on.
    """

    low: Tensor
    high: Tensor
    residual: Tensor

    def __init__(
        self,
        event: tuple[int, ...],
        steps: int = 20,
        path: str = "quadratic",
        clip: bool = True,
        grid: int = 200,
        rows: int = 256,
    ):
        super().__init__()
        if path not in (*paths.PATHS, "dp"):
            raise UserError(f"there is no path '{path}'", "sampler", f"use one of {', '.join((*paths.PATHS, 'dp'))}")
        if steps < 1 or grid < 2 or rows < 2:
            raise UserError("steps must be 1 or more, grid and rows 2 or more", "sampler")
        self.event, self.steps, self.path = tuple(event), int(steps), path
        self.clip, self.grid, self.rows = clip, int(grid), int(rows)
        self.register_buffer("low", torch.full(self.event, -torch.inf))
        self.register_buffer("high", torch.full(self.event, torch.inf))
        self.register_buffer("residual", torch.full((self.grid,), torch.nan))

    @property
    def measures(self) -> bool:
        """Whether ``fit`` must measure the denoiser's error at the times of the grid."""
        return self.path == "dp"

    def fit(self, denoiser: Denoiser, x: Tensor, condition: Condition = None) -> None:
        """Take from encoded training data (rows, *event) what this sampler needs beside the denoiser.

        Args:
            condition: (rows, width), of the same rows.
        """
        low, high = x.amin(0), x.amax(0)
        margin = 0.1 * (high - low)
        self.low.copy_(low - margin)
        self.high.copy_(high + margin)
        if self.measures:
            self.residual.copy_(residuals(denoiser, x, condition, self.grid, self.rows))

    def within(self, other: Sampler) -> Self:
        """With the range of the data that another sampler of the same denoiser has taken; itself."""
        self.low.copy_(other.low)
        self.high.copy_(other.high)
        return self

    def times(self, denoiser: Denoiser, steps: int | None = None) -> Tensor:
        """The path, (steps + 1,), from 1 down to 0."""
        steps = self.steps if steps is None else int(steps)
        if steps < 1:
            raise UserError("steps must be 1 or more", "sampler")
        schedule = denoiser.schedule
        if self.path != "dp":
            return paths.times(self.path, schedule, steps, self.low)
        if steps > self.grid:
            raise UserError(f"it has a grid of only {self.grid} times", f"sampler, {steps} steps", "use a finer grid")
        return paths.optimal(schedule, self.residual_on_grid(), steps).to(self.low.device)

    def residual_on_grid(self) -> Tensor:
        """What ``fit`` measured, (grid,); see ``residuals``.

        Raises:
            UserError: it has not been fitted.
        """
        if bool(self.residual.isnan().any()):
            raise UserError("it has not been fitted", "sampler", "call fit with the denoiser and training data")
        return self.residual

    def draw(self, denoiser: Denoiser, count: int, condition: Condition = None, steps: int | None = None) -> Tensor:
        """``count`` samples of x_0, (count, *event), from torch's global random source.

        Args:
            condition: (count, width).
            steps: looks at the denoiser; by default what the sampler was made for.
        """
        with torch.no_grad():
            like = next(chain(denoiser.parameters(), denoiser.buffers()), self.low)
            x = torch.randn(count, *self.event, device=like.device, dtype=like.dtype)
            times = self.times(denoiser, steps)
            x = self.run(denoiser, x, times[:-1], condition)
            return self.predict(denoiser, x, times[-2].to(x).expand(count), condition)[0]

    def run(self, denoiser: Denoiser, x: Tensor, times: Tensor, condition: Condition = None) -> Tensor:
        """x at the last of the times, from x at the first."""
        for t, s in pairwise(times.to(x)):
            x = self.step(denoiser, x, t.expand(len(x)), s.expand(len(x)), condition)
        return x

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, condition: Condition) -> Tensor:
        """x_s from x_t for s < t, both (batch,) and above 0."""
        raise NotImplementedError

    def predict(self, denoiser: Denoiser, x: Tensor, t: Tensor, condition: Condition) -> tuple[Tensor, Tensor]:
        """E[x_0 | x_t], within bounds, and the noise that fits it."""
        eps = denoiser.eps(x, t, condition)
        alpha, sigma = spread(denoiser.schedule.alpha(t), x), spread(denoiser.schedule.sigma(t), x)
        x0 = (x - sigma * eps) / alpha
        if not self.clip or _is_ruled(denoiser):
            return x0, eps
        bounded = torch.minimum(torch.maximum(x0, self.low.to(x)), self.high.to(x))
        return bounded, eps + (x0 - bounded) * (alpha / sigma)


def _is_ruled(denoiser: nn.Module | None) -> bool:
    """Whether a rule or given values decide on x_0, which clipping must not undo."""
    while isinstance(denoiser, guidance.Guidance):
        if isinstance(denoiser, guidance.Projected):
            return True
        denoiser = denoiser.denoiser
    return False


@torch.no_grad()
def residuals(denoiser: Denoiser, x: Tensor, condition: Condition, grid: int, rows: int) -> Tensor:
    """Share of the noise's variance that the denoiser leaves unexplained, at the times 1/grid ... 1: (grid,).

    E ||eps - eps_hat||^2 / d = E ||x_0 - x0_hat||^2 alpha^2 / (sigma^2 d), which for the exact denoiser is
    1 - Gamma with Analytic-DPM's Gamma = E ||eps_hat||^2 / d. Gamma itself is near 1 for most times, so that
    taking one minus its estimate would leave nothing but Monte Carlo noise; the error is measured as such.
    The same rows and noise (and its mirror image) serve all times, which makes the curve smooth.
    """
    pick = torch.randperm(len(x), device=x.device)[:rows] if len(x) > rows else torch.arange(len(x), device=x.device)
    noise = torch.randn_like(x[pick])
    x, noise = torch.cat([x[pick]] * 2), torch.cat([noise, -noise])
    condition = None if condition is None else torch.cat([condition[pick]] * 2)
    out = []
    for time in torch.arange(1, grid + 1, device=x.device) / grid:
        t = time.to(x).expand(len(x))
        error = noise - denoiser.eps(noised(denoiser.schedule, x, t, noise), t, condition)
        out.append((error**2).mean())
    return torch.stack(out)
