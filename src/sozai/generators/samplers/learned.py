"""DDSS (arXiv 2202.05830): a sampler of few steps learned by gradient through its own samples.

The family is that of generalised Gaussian diffusion models (GGDM), in which a step sees all that came before::

    x_{k-1} = sum_{j >= k} (a_kj x_j + b_kj x0_hat(x_j, t_j)) + s_k z

with the times t_K > ... > t_1, all a, b and s free. DDIM (where learning starts), DDPM and linear multistep
methods are members. What is minimised is the squared maximum mean discrepancy between samples and data (the
paper's KID is one, with a cubic kernel on Inception's features), unbiased, by back-propagation through the unrolled
sampler, each step of which is computed again on the way back instead of stored (rematerialisation).
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sozai.errors import UserError
from sozai.generators.processes.gaussian import Denoiser
from sozai.generators.samplers.base import Condition, Sampler
from sozai.generators.tensors import seeded

KERNELS = ("rbf", "kid")
WIDTHS = (1 / 64, 1 / 16, 1 / 4, 1.0, 4.0)
"""Of the Gaussian kernels, in shares of the median squared distance."""


class Learned(Sampler):
    """DDSS.

    Args:
        steps: of the sampler that is learned; a draw can take no other number.
        kernel: ``"rbf"``: Gaussians of five widths around the data's own; sees every difference in low dimensions.
            ``"kid"``: (f'g / d + 1)^3 on fixed random features.
        fit_steps, batch_size: of the search.
        rate: of Adam, shared by the steps: more steps need finer changes.
        settings: of ``Sampler``; its path is where learning starts.
    """

    scale: Tensor
    projection: Tensor
    start: Tensor
    gaps: nn.Parameter
    of_x: nn.Parameter
    of_x0: nn.Parameter
    noise: nn.Parameter

    def __init__(
        self,
        event: tuple[int, ...],
        steps: int = 5,
        kernel: str = "rbf",
        fit_steps: int = 150,
        batch_size: int = 256,
        rate: float = 0.15,
        **settings: Any,
    ):
        super().__init__(event, steps=steps, **settings)
        if kernel not in KERNELS:
            raise UserError(f"there is no kernel '{kernel}'", "sampler ddss", f"use one of {', '.join(KERNELS)}")
        self.kernel, self.fit_steps, self.batch_size, self.rate = kernel, fit_steps, batch_size, rate
        for name, shape in (
            ("gaps", (steps,)),
            ("of_x", (steps, steps)),
            ("of_x0", (steps, steps)),
            ("noise", (steps,)),
        ):
            self.register_parameter(name, nn.Parameter(torch.zeros(shape), requires_grad=False))
        size = math.prod(self.event)
        self.register_buffer("start", torch.full((steps,), torch.nan))  # logs of the gaps of the first path
        self.register_buffer("scale", torch.ones(()))
        draw = torch.Generator().manual_seed(0)  # fixed features: the same in every copy of this sampler
        self.register_buffer("projection", torch.randn(size if kernel == "kid" else 0, 256, generator=draw))

    def fit(self, denoiser: Denoiser, x: Tensor, condition: Condition = None) -> None:
        """Search from DDIM on the path; the denoiser is not changed."""
        super().fit(denoiser, x, condition)
        self.begin(denoiser)
        some = x[torch.randperm(len(x), device=x.device)[:1000]].flatten(1)
        self.scale.copy_(torch.pdist(some).median() ** 2)
        before = self.score(denoiser, x, condition)
        frozen = [parameter for parameter in denoiser.parameters() if parameter.requires_grad]
        own = [self.gaps, self.of_x, self.of_x0, self.noise]
        optimizer = torch.optim.Adam([parameter.requires_grad_(True) for parameter in own], self.rate / self.steps)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.fit_steps)
        try:
            with torch.enable_grad():
                for parameter in frozen:
                    parameter.requires_grad_(False)
                for _ in range(self.fit_steps):
                    rows = torch.randint(len(x), (min(self.batch_size, len(x)),), device=x.device)
                    optimizer.zero_grad()
                    self.discrepancy(denoiser, x[rows], None if condition is None else condition[rows]).backward()
                    nn.utils.clip_grad_norm_(own, 1.0)
                    optimizer.step()
                    decay.step()
        finally:
            for parameter in own:
                parameter.requires_grad_(False)
                parameter.grad = None
            for parameter in frozen:
                parameter.requires_grad_(True)
        if not self.score(denoiser, x, condition) < before:
            self.begin(denoiser)  # so many steps of DDIM are hard to beat

    @torch.no_grad()
    def score(self, denoiser: Denoiser, x: Tensor, condition: Condition) -> float:
        """Discrepancy from up to 1,000 rows of data, always with the same noise."""
        with seeded(0):
            rows = torch.randperm(len(x), device=x.device)[:1000]
            return float(self.discrepancy(denoiser, x[rows], None if condition is None else condition[rows]))

    def begin(self, denoiser: Denoiser) -> None:
        """Be DDIM (eta = 0) on the path, nothing learned yet."""
        times = super().times(denoiser)
        self.start.copy_((times[:-1] - times[1:]).log())
        for parameter in (self.gaps, self.of_x, self.of_x0, self.noise):
            nn.init.zeros_(parameter)

    def discrepancy(self, denoiser: Denoiser, x: Tensor, condition: Condition = None) -> Tensor:
        """Unbiased MMD^2 between data and as many new samples (with the same conditions), to differentiate."""
        made = self.unroll(denoiser, torch.randn_like(x), condition)
        first, second = self.features(made, condition), self.features(x, condition)
        return mmd(first, second, self.kernel, self.scale)

    def features(self, x: Tensor, condition: Condition) -> Tensor:
        """What the kernel sees, (batch, features): x, or fixed random features of it, beside the condition."""
        flat = x.flatten(1)
        if self.kernel == "kid":
            flat = torch.relu(flat @ self.projection.to(x) / flat.shape[1] ** 0.5)
        if condition is None:
            return flat
        weight = (self.scale / (2 * condition.var(0).sum().clamp(min=1e-12))).sqrt()  # as wide as x is
        return torch.cat([flat, weight * condition], 1)

    def times(self, denoiser: Denoiser, steps: int | None = None) -> Tensor:
        """The learned times: falling, whatever the parameters are, by a running sum of a softmax."""
        if steps is not None and steps != self.steps:
            raise UserError(f"this sampler was learned for {self.steps} steps", f"sampler ddss, {steps} steps")
        if bool(self.start.isnan().any()):
            raise UserError("it has not been fitted", "sampler", "call fit with the denoiser and training data")
        gone = torch.softmax(self.start + self.gaps, 0).cumsum(0)
        return torch.cat([gone.new_ones(1), (1 - gone[:-1]).clamp(min=0), gone.new_zeros(1)])

    def draw(self, denoiser: Denoiser, count: int, condition: Condition = None, steps: int | None = None) -> Tensor:
        """As many looks as it was learned for."""
        self.times(denoiser, steps)
        with torch.no_grad():
            like = next(chain(denoiser.parameters(), denoiser.buffers()), self.low)
            start = torch.randn(count, *self.event, device=like.device, dtype=like.dtype)
            return self.unroll(denoiser, start, condition)

    def unroll(self, denoiser: Denoiser, x: Tensor, condition: Condition = None) -> Tensor:
        """x_0 from x_1 by the learned family, differentiable in times, coefficients and noise."""
        times = self.times(denoiser).to(x)
        seen, guesses = [x], []
        for k in range(self.steps):
            weights = coefficients(denoiser, times, k)
            t = times[k].expand(len(x))
            arguments = (seen[-1], t)

            def look(x: Tensor, t: Tensor) -> Tensor:
                return self.predict(denoiser, x, t, condition)[0]

            guess = checkpoint(look, *arguments, use_reentrant=False) if torch.is_grad_enabled() else look(*arguments)
            guesses.append(guess)
            of_x, of_x0 = self.of_x[k, : k + 1].to(x), self.of_x0[k, : k + 1].to(x)
            x = weights[0] * seen[-1] + weights[1] * guess + self.noise[k].to(x) * torch.randn_like(x)
            for j in range(k + 1):
                x = x + of_x[j] * seen[j] + of_x0[j] * guesses[j]
            seen.append(x)
        return x


def coefficients(denoiser: Denoiser, times: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """DDIM's weights of x_t and x0_hat in step k, to which what is learned is added; the last hands over x0_hat."""
    if k == len(times) - 2:
        return torch.zeros_like(times[0]), torch.ones_like(times[0])
    schedule, t, s = denoiser.schedule, times[k : k + 1], times[k + 1 : k + 2]
    ratio = schedule.sigma(s) / schedule.sigma(t)
    return ratio[0], (schedule.alpha(s) - ratio * schedule.alpha(t))[0]


def mmd(first: Tensor, second: Tensor, kernel: str, scale: Tensor) -> Tensor:
    """Unbiased estimate of the squared maximum mean discrepancy of two sets of features (arXiv 1801.01401, eq. 4).

    Args:
        scale: typical squared distance, for ``"rbf"``.
    """

    def similarity(a: Tensor, b: Tensor) -> Tensor:
        if kernel == "kid":
            return (a @ b.mT / a.shape[1] + 1) ** 3
        square = ((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.mT).clamp(min=0)
        return torch.stack([torch.exp(-square / (scale.to(a) * width)) for width in WIDTHS]).mean(0)

    n, m = len(first), len(second)
    within_first, within_second = similarity(first, first), similarity(second, second)
    inside = (within_first.sum() - within_first.diagonal().sum()) / (n * (n - 1))
    inside = inside + (within_second.sum() - within_second.diagonal().sum()) / (m * (m - 1))
    return inside - 2 * similarity(first, second).mean()
