"""Losses of Gaussian diffusion: what a denoiser is trained by. Each is a mean over rows, in nats a dimension.

=============  ===============================================================================================
simple         E_t ||eps - eps_hat||^2 (DDPM, arXiv 2006.11239, eq. 14), t on the grid of the chain
hybrid         simple + 0.001 T E_t KL_t(mean detached): the second part trains the variance alone
               (Improved DDPM, 2102.09672, eq. 16)
vlb            T E_t KL_t with t drawn by its second moment (2102.09672, section 3.3)
continuous     prior + reconstruction - 1/2 E_t lambda'(t) ||eps - eps_hat||^2 (VDM, 2107.00630, eq. 17), t
               stratified over the batch; trains the schedule too
likelihood     the same bound with t drawn in proportion to g^2 / sigma^2 = -lambda' (ScoreFlow, 2101.09258,
               section 4.1: weight g(t)^2 of the score matching loss, importance sampled)
velocity       E_t ||u - u_hat||^2, u = alpha' x_0 + sigma' eps, t even (flow matching, 2210.02747, eq. 9)
=============  ===============================================================================================
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.generators.codec import Codec
from sozai.generators.objectives import nelbo
from sozai.generators.processes.gaussian import Denoiser, Schedule, noised, spread
from sozai.generators.processes.schedules import LearnedSchedule


def grid_times(x: Tensor, steps: int) -> Tensor:
    """Uniform over 1/T ... 1, (batch,)."""
    return torch.randint(1, steps + 1, (len(x),), device=x.device).to(x.dtype) / steps


def stratified_times(x: Tensor) -> Tensor:
    """One random offset, then evenly spread over [0, 1]: each t alone is uniform (arXiv 2107.00630, app. I.1)."""
    offset = torch.rand(1, device=x.device, dtype=x.dtype)
    return (offset + torch.arange(len(x), device=x.device, dtype=x.dtype) / len(x)) % 1


def simple(denoiser: Denoiser, x: Tensor, condition: Tensor | None = None, steps: int = 1000) -> dict[str, Tensor]:
    """DDPM's loss."""
    return {"loss": nelbo.denoising_error(denoiser, x, grid_times(x, steps), condition).mean() / x[0].numel()}


def hybrid(
    denoiser: LearningDenoiser, x: Tensor, condition: Tensor | None = None, weight: float = 1e-3
) -> dict[str, Tensor]:
    """Improved DDPM's: the bound's gradient reaches the variance and not the mean."""
    steps = denoiser.steps
    t = grid_times(x, steps)
    noise = torch.randn_like(x)
    x_t = noised(denoiser.schedule, x, t, noise)
    eps, share = denoiser.eps_and_share(x_t, t, condition)
    plain = (noise - eps).square().mean()
    bound = steps * step_bound(denoiser.schedule, x, x_t, t - 1 / steps, t, held(eps), share).mean()
    return {"loss": plain + weight * bound, "simple": plain.detach(), "vlb": bound.detach()}


def held(eps: Tensor) -> Tensor:
    """The mean as a constant: the stop-gradient of L_hybrid."""
    return eps.detach()


def vlb(denoiser: LearningDenoiser, x: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
    """The T-step bound itself, its terms drawn by importance; mean and variance both learn."""
    steps = denoiser.steps
    t, weights = denoiser.moments.draw(x)
    x_t = noised(denoiser.schedule, x, t, torch.randn_like(x))
    eps, share = denoiser.eps_and_share(x_t, t, condition)
    terms = steps * step_bound(denoiser.schedule, x, x_t, t - 1 / steps, t, eps, share)
    if denoiser.training:
        denoiser.moments.note(t, terms.detach())
    return {"loss": (weights * terms).mean()}


def step_bound(schedule: Schedule, x: Tensor, x_t: Tensor, s: Tensor, t: Tensor, eps: Tensor, share: Tensor) -> Tensor:
    """KL(q(x_s | x_t, x) || p(x_s | x_t)) / d with the learned variance, (batch,)."""
    x0 = (x_t - spread(schedule.sigma(t), x) * eps) / spread(schedule.alpha(t), x)
    _, of_x0, narrow = (spread(value, x) for value in nelbo.posterior(schedule, s, t))
    variance = learned_log_variance(schedule, s, t, share)
    return nelbo.gaussian_kl(of_x0 * x, narrow.log(), of_x0 * x0, variance).flatten(1).mean(1)


def learned_log_variance(schedule: Schedule, s: Tensor, t: Tensor, share: Tensor) -> Tensor:
    """v log beta + (1 - v) log beta~ with the network's share v (arXiv 2102.09672, eq. 15)."""
    narrow, wide = (spread(bound.log(), share) for bound in nelbo.variance_bounds(schedule, s, t))
    return share * wide + (1 - share) * narrow


def continuous(
    denoiser: Denoiser, x: Tensor, condition: Tensor | None = None, codec: Codec | None = None
) -> dict[str, Tensor]:
    """VDM's bound; with a learned schedule its gradient on the way between the ends is that of the variance."""
    schedule, size = denoiser.schedule, x[0].numel()
    t = stratified_times(x)
    rows = -0.5 * schedule.slope(t) * nelbo.denoising_error(denoiser, x, t, condition) / size
    if isinstance(schedule, LearnedSchedule):
        schedule.reduce_variance_of(rows)
    return _bound(rows, nelbo.prior_kl(schedule, x) / size, nelbo.reconstruction(schedule, x, codec) / size)


def likelihood(
    denoiser: Denoiser, x: Tensor, condition: Tensor | None = None, codec: Codec | None = None
) -> dict[str, Tensor]:
    """ScoreFlow's bound; with times drawn by -lambda' all of them weigh alike."""
    schedule, size = denoiser.schedule, x[0].numel()
    first, last = nelbo.ends(schedule, x)
    t = nelbo.snr_times(schedule, stratified_times(x))
    rows = 0.5 * (first - last) * nelbo.denoising_error(denoiser, x, t, condition) / size
    return _bound(rows, nelbo.prior_kl(schedule, x) / size, nelbo.reconstruction(schedule, x, codec) / size)


def _bound(diffusion: Tensor, prior: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
    parts = {"diffusion": diffusion.mean(), "prior": prior.mean(), "reconstruction": reconstruction.mean()}
    return {"loss": sum(parts.values(), torch.zeros_like(parts["prior"])), **{k: v.detach() for k, v in parts.items()}}


def velocity(
    denoiser: Denoiser, x: Tensor, condition: Tensor | None = None, noise: Tensor | None = None
) -> dict[str, Tensor]:
    """Conditional flow matching; ``noise`` may be coupled to x (see ``optimal_coupling``)."""
    schedule, noise = denoiser.schedule, torch.randn_like(x) if noise is None else noise
    t = stratified_times(x)
    target = path_velocity(schedule, x, t, noise)
    guess = denoiser.velocity(noised(schedule, x, t, noise), t, condition)
    return {"loss": F.mse_loss(guess, target)}


def path_velocity(schedule: Schedule, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """d x_t / dt along the path from x to this noise: alpha' x + sigma' eps."""
    of_x, of_noise = (spread(value, x) for value in schedule.velocities(t))
    return of_x * x + of_noise * noise


def optimal_coupling(x: Tensor, noise: Tensor) -> Tensor:
    """The same noise in the order that makes the paths of this batch shortest in all (arXiv 2302.00482)."""
    from scipy.optimize import linear_sum_assignment

    cost = torch.cdist(x.flatten(1), noise.flatten(1)) ** 2
    return noise[torch.as_tensor(linear_sum_assignment(cost.cpu().numpy())[1], device=noise.device)]


class SecondMoments(nn.Module):
    """Importance sampling of t by the root of E L_t^2 over the last losses (arXiv 2102.09672, eq. 18).

    Uniform until each of the T terms has been seen ``history`` times.
    """

    squares: Tensor
    seen: Tensor

    def __init__(self, steps: int, history: int = 10):
        super().__init__()
        self.steps, self.history = steps, history
        self.register_buffer("squares", torch.zeros(steps, history))
        self.register_buffer("seen", torch.zeros(steps, dtype=torch.long))

    def probabilities(self) -> Tensor:
        """Of each term, (T,)."""
        if bool((self.seen < self.history).any()):
            return torch.full_like(self.squares[:, 0], 1 / self.steps)
        root = self.squares.mean(1).sqrt()
        return 0.999 * root / root.sum() + 0.001 / self.steps

    def draw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Times and the weights 1 / (T p_t) that keep the mean, each (batch,)."""
        chances = self.probabilities()
        which = torch.multinomial(chances, len(x), replacement=True)
        return (which + 1).to(x.dtype) / self.steps, 1 / (self.steps * chances[which])

    def note(self, t: Tensor, losses: Tensor) -> None:
        """Remember the losses of these times."""
        place = (t * self.steps).round().long() - 1
        order = place.argsort(stable=True)
        place, losses = place[order], losses[order].float()
        rank = torch.arange(len(place), device=place.device) - torch.searchsorted(place, place)  # among its equals
        self.squares[place, (self.seen[place] + rank) % self.history] = losses**2
        self.seen.index_add_(0, place, torch.ones_like(place))


class LearningDenoiser(Denoiser):
    """What the losses above ask of a denoiser beside eps; see ``families.diffusion``."""

    steps: int
    moments: SecondMoments

    def eps_and_share(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Noise, and the learned variance's place between its bounds, in [0, 1]; both like x."""
        raise NotImplementedError
