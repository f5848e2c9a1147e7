"""Diffusion over categories: transition matrices, posteriors, bound.

J. Austin et al., Structured denoising diffusion models in discrete state-spaces, NeurIPS 2021 (arXiv 2107.03006);
uniform noise as in E. Hoogeboom et al. (arXiv 2102.05379). Rows of Q are the state before, columns that after::

    q(x_t | x_s) = Cat(x_s Q_{t|s}),   q(x_s | x_t, x_0) ~ Q_{t|s}[., x_t] * Qbar_s[x_0, .]            (eq. 3)
    p(x_s | x_t) ~ Q_{t|s}[., x_t] * (p(x_0 | x_t) Qbar_s): the network predicts x_0                    (eq. 4)
    loss = sum_t KL(q(x_s | x_t, x_0) || p(x_s | x_t)) + lambda CE(x_0)                                 (eq. 5)

No matrix is ever made for uniform and absorbing noise: Q = r I + (1 - r) 1 pi' for a stationary law pi, and the
cumulative one likewise, with the product of the r. Only the discretised Gaussian has tables.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.fields import Field
from sozai.generators.processes import gaussian
from sozai.generators.processes.corruption import Corruption

TINY = 1e-30


class Transition(nn.Module):
    """Base: what corrupts categories.

    Attributes:
        states: how many there are; the absorbing one is the last.
        law: the stationary distribution, ``(states,)``.
    """

    states: int
    law: Tensor

    def push(self, p: Tensor, t: Tensor) -> Tensor:
        """p Qbar_t for distributions of x_0 ``(batch, ..., states)``."""
        raise NotImplementedError

    def pull(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """The columns Q_{t|s}[., x_t] for x_t ``(batch, ...)``: likelihoods of each x_s, ``(batch, ..., states)``."""
        raise NotImplementedError


class Towards(Transition):
    """With probability 1 - r a state is replaced by one drawn from ``law``: uniform, or absorbing.

    Args:
        law: all equal for uniform noise, all on one state for absorbing noise.
        schedule: ``"cosine"`` (arXiv 2102.09672) or ``"linear"``: the share of x_0 that is kept falls as 1 - t, that
            is beta_t = 1 / (T - t + 1).
    """

    def __init__(self, law: Tensor, schedule: str):
        super().__init__()
        self.states, self.schedule = len(law), schedule
        self.register_buffer("law", law, persistent=False)

    def kept(self, t: Tensor) -> Tensor:
        """Probability that x_0 was never replaced up to t; 1 at 0 and 0 at 1."""
        if self.schedule == "linear":
            return 1 - t
        offset = 0.008
        angle = (t + offset) / (1 + offset) * torch.pi / 2
        start = torch.cos(torch.tensor(offset / (1 + offset) * torch.pi / 2, dtype=t.dtype))
        return torch.where(t >= 1, torch.zeros_like(t), (torch.cos(angle) / start) ** 2)

    def push(self, p: Tensor, t: Tensor) -> Tensor:
        """Kept, or drawn anew."""
        kept = gaussian.spread(self.kept(t), p)
        return kept * p + (1 - kept) * self.law

    def pull(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Whence x_t can have come."""
        ratio = gaussian.spread(self.kept(t) / self.kept(s), x)[..., None]
        same = F.one_hot(x, self.states).to(ratio.dtype)
        return ratio * same + (1 - ratio) * self.law[x][..., None]


class NearNeighbours(Transition):
    """The discretised Gaussian for ordered categories: small steps first (appendix A.2.3 there).

    [Q_t]_ij = exp(-4 (i - j)^2 / ((K - 1)^2 beta_t)) / Z_t off the diagonal, which takes what is left; Z_t sums over
    all differences. Q is symmetric, so its stationary law is uniform. beta_t is chosen so that the variance of a step
    rises linearly (for many categories this is the paper's linear beta) and the steps' sum, 1.5 K^2, mixes.

    Args:
        categories: K; two tables of steps * K^2 numbers are held.
        steps: T; times are rounded to t / T.
    """

    single: Tensor
    cumulative: Tensor

    def __init__(self, categories: int, steps: int, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.states, self.steps = categories, steps
        self.register_buffer("law", torch.full((categories,), 1 / categories, dtype=dtype), persistent=False)
        ramp = torch.linspace(0.005, 2.0, steps, dtype=torch.float64)
        wanted = ramp / ramp.sum() * 1.5 * categories**2
        low, high = torch.full_like(wanted, 1e-3), torch.full_like(wanted, 1e3 * categories)
        offsets = torch.arange(1 - categories, categories, dtype=torch.float64)
        for _ in range(80):  # bisection for the kernel's width, in categories
            width = (low * high).sqrt()
            kernel = torch.softmax(-((offsets / width[:, None]) ** 2), 1)
            small = (kernel * offsets**2).sum(1) < wanted
            low, high = torch.where(small, width, low), torch.where(small, high, width)
        single = torch.stack([torch.eye(categories, dtype=torch.float64), *(step_matrix(w, categories) for w in low)])
        products = [single[0]]
        for matrix in single[1:]:
            products.append(products[-1] @ matrix)
        self.register_buffer("single", single.to(dtype), persistent=False)
        self.register_buffer("cumulative", torch.stack(products).to(dtype), persistent=False)

    def index(self, t: Tensor) -> Tensor:
        """Steps taken at time t."""
        return (t * self.steps).round().long()

    def push(self, p: Tensor, t: Tensor) -> Tensor:
        """By the table of products."""
        flat = p.reshape(len(p), -1, self.states)
        return torch.bmm(flat, self.cumulative[self.index(t)].to(p.dtype)).reshape(p.shape)

    def pull(self, x: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Columns of one step, or of the product of the steps between s and t."""
        first, last = self.index(s), self.index(t)
        if bool((last - first == 1).all()):
            return self.single[last.view(-1, *[1] * (x.dim() - 1)), x]  # symmetric: a row is the column
        out = torch.empty(*x.shape, self.states, dtype=self.law.dtype, device=x.device)
        for low, high in torch.unique(torch.stack([first, last], 1), dim=0).tolist():
            rows = (first == low) & (last == high)
            between = torch.linalg.multi_dot([*self.single[[0, 0]], *self.single[low + 1 : high + 1]])
            out[rows] = between.T[x[rows]]
        return out


def step_matrix(width: Tensor, categories: int) -> Tensor:
    """One step of the discretised Gaussian, ``(K, K)``; width = (K - 1) sqrt(beta) / 2 in categories."""
    place = torch.arange(categories, device=width.device, dtype=width.dtype)
    offsets = torch.arange(1 - categories, categories, device=width.device, dtype=width.dtype)
    total = torch.exp(-((offsets / width) ** 2)).sum()
    matrix = torch.exp(-(((place[:, None] - place) / width) ** 2)) / total
    matrix = matrix - torch.diag(matrix.diagonal())
    return matrix + torch.diag(1 - matrix.sum(1))


def transition(name: str, categories: int, steps: int, dtype: torch.dtype = torch.float32) -> Transition:
    """``"uniform"``, ``"absorbing"`` (one state more) or ``"gaussian"``.

    Raises:
        UserError: no such transition.
    """
    if name == "uniform":
        return Towards(torch.full((categories,), 1 / categories, dtype=dtype), "cosine")
    if name == "absorbing":
        return Towards(F.one_hot(torch.tensor(categories), categories + 1).to(dtype), "linear")
    if name == "gaussian":
        return NearNeighbours(categories, steps, dtype)
    raise UserError(f"there is no transition '{name}'", "transition", "use uniform, absorbing or gaussian")


def posterior(noise: Transition, p0: Tensor, xt: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """p(x_s | x_t) for a distribution of x_0; the exact q(x_s | x_t, x_0) when that is one-hot.

    Args:
        p0: ``(batch, ..., states)``.
        xt: ``(batch, ...)``.
    """
    return _normalised(noise.pull(xt, s, t) * noise.push(p0, s))


def _normalised(joint: Tensor) -> Tensor:
    return joint / joint.sum(-1, keepdim=True).clamp(min=TINY)


def divergence(noise: Transition, logits: Tensor, x0: Tensor, xt: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """KL(q(x_s | x_t, x_0) || p(x_s | x_t)); where s = 0 that is -log p(x_0 | x_1). Nats, of the shape of x0."""
    pulled = noise.pull(xt, s, t)
    true = _normalised(pulled * noise.push(F.one_hot(x0, noise.states).to(logits.dtype), s))
    model = _normalised(pulled * noise.push(to_states(noise, logits.softmax(-1)), s))
    return (true * (true.clamp(min=TINY).log() - model.clamp(min=TINY).log())).sum(-1)


def to_states(noise: Transition, p: Tensor) -> Tensor:
    """Data are never in the absorbing state: its column is zero."""
    return F.pad(p, (0, noise.states - p.shape[-1]))


class Categories(Corruption):
    """The corruption of a categorical or sequence field, or of the levels of an image.

    Args:
        noise: ``"uniform"``, ``"absorbing"`` or ``"gaussian"``.
        steps: T of the bound.
        cross_entropy: the paper's lambda, the weight of -log p(x_0 | x_t) beside a step's divergence.
    """

    def __init__(self, field: Field, noise: str, steps: int, cross_entropy: float):
        super().__init__(field)
        self.categories = field.categories if field.discrete else field.levels
        self.noise = transition(noise, self.categories, steps)
        self.steps, self.cross_entropy = steps, cross_entropy
        self.inputs, self.outputs = self.unit * self.noise.states, self.unit * self.categories

    def encode(self, values: Tensor) -> Tensor:
        """Categories, (batch, places, unit)."""
        if self.field.discrete:
            return self.arrange(values)
        return ((self.arrange(values) + 1) / 2 * (self.categories - 1)).round().long().clamp(0, self.categories - 1)

    def decode(self, z: Tensor) -> Tensor:
        """Categories, or an image's levels."""
        return self.restore(z if self.field.discrete else z.float() / (self.categories - 1) * 2 - 1)

    def prior(self, rows: int, places: int, device: torch.device) -> Tensor:
        """The stationary law."""
        law = self.noise.law.to(device)
        return torch.multinomial(law, rows * places * self.unit, replacement=True).view(rows, places, self.unit)

    def corrupt(self, z0: Tensor, t: Tensor) -> Tensor:
        """A draw of q(x_t | x_0)."""
        return draw(self.noise.push(F.one_hot(z0, self.noise.states).float(), t))

    def features(self, z: Tensor, t: Tensor) -> Tensor:
        """One-hot."""
        return F.one_hot(z, self.noise.states).float().flatten(2)

    def logits(self, prediction: Tensor) -> Tensor:
        """``(batch, places, unit, categories)``."""
        return prediction.unflatten(-1, (self.unit, self.categories))

    def loss(self, prediction: Tensor, z0: Tensor, zt: Tensor, s: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """T times a step's divergence (so that its mean is the bound, nats a value) and lambda CE."""
        logits = self.logits(prediction)
        step = divergence(self.noise, logits, z0, zt, s, t)
        entropy = -logits.log_softmax(-1).gather(-1, z0[..., None])[..., 0]
        return self.steps * (step + self.cross_entropy * entropy).mean(-1)

    def reverse(self, z: Tensor, prediction: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """A draw of p(x_s | x_t)."""
        p0 = to_states(self.noise, self.logits(prediction).softmax(-1))
        return draw(posterior(self.noise, p0, z, s, t))

    def divergence(self, prediction: Tensor, z0: Tensor, zt: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Sum over the place's values."""
        return divergence(self.noise, self.logits(prediction), z0, zt, s, t).sum(-1)

    def ends(self, z0: Tensor) -> Tensor:
        """KL of q(x_T | x_0) from the stationary law; the reconstruction is the first step's divergence."""
        last = self.noise.push(F.one_hot(z0, self.noise.states).float(), torch.ones(len(z0), device=z0.device))
        law = self.noise.law.clamp(min=TINY)
        return (last * (last.clamp(min=TINY).log() - law.log())).sum((-1, -2))


def draw(p: Tensor) -> Tensor:
    """Categories with probabilities ``(..., states)``."""
    return torch.multinomial(p.flatten(0, -2), 1).view(p.shape[:-1])
