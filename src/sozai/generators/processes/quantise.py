"""Vectors to the nearest of a codebook and back: what makes a latent discrete.

A. van den Oord, O. Vinyals, K. Kavukcuoglu, Neural Discrete Representation Learning, NeurIPS 2017 (arXiv
1711.00937). An encoder's vector z becomes its nearest code e; with sg the gradient's stop::

    q    = z + sg(e - z)                      straight through: the value is e, the gradient of q reaches z as it is
    loss = ||sg(z) - e||^2 + beta ||z - sg(e)||^2                                                       (eq. 3)

The first term moves codes to what is assigned to them. With a ``decay`` gamma running means do it instead
(appendix A.1): for n_k vectors assigned to code k in a batch, ::

    N_k <- gamma N_k + (1 - gamma) n_k,   m_k <- gamma m_k + (1 - gamma) sum z,   e_k = m_k / N_k

which is a step of k-means when gamma is 0. Codes start by k-means on the first batch, and those hardly ever used
start again at a vector of the batch (W. Williams et al., arXiv 2002.08111), so that the codebook does not collapse.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.generators import distributed


@dataclass(frozen=True)
class Quantised:
    """What a quantiser found.

    Args:
        values: (..., width) the codes' vectors, with the gradient of the input.
        codes: (...) which codes, int64.
        loss: commitment (and, without running means, codebook) loss, a mean over all entries.
        perplexity: exp of the entropy of the codes' use in this batch; at most the number of codes.
    """

    values: Tensor
    codes: Tensor
    loss: Tensor
    perplexity: Tensor


class VectorQuantiser(nn.Module):
    """A codebook.

    Args:
        codes: number of codes.
        width: columns of a code.
        commitment: beta.
        decay: gamma of the running means, in [0, 1); ``None``: codes are learned by gradient.
        restart: a code starts again when its running share of use falls below this part of 1 / codes.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    started: Tensor

    def __init__(
        self, codes: int, width: int, commitment: float = 0.25, decay: float | None = 0.99, restart: float = 0.1
    ):
        super().__init__()
        if codes < 2:
            raise UserError(f"a codebook needs at least 2 codes, not {codes}", "setting 'codes'")
        if decay is not None and not 0 <= decay < 1:
            raise UserError(f"the decay of a codebook lies in [0, 1), {decay} does not", "setting 'decay'")
        self.commitment, self.decay, self.restart = commitment, decay, restart
        if decay is None:
            self.codebook = nn.Parameter(torch.randn(codes, width) / width**0.5)
        else:
            self.register_buffer("codebook", torch.randn(codes, width) / width**0.5)
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", self.codebook.detach().clone())
        self.register_buffer("started", torch.tensor(False))
        self._seen: tuple[Tensor, Tensor] | None = None

    def nearest(self, z: Tensor) -> Tensor:
        """Codes (...) of vectors (..., width), by Euclidean distance."""
        distances = self.codebook.square().sum(1) - 2 * z.detach() @ self.codebook.detach().T  # + |z|^2, same for all
        return distances.argmin(-1)

    def look_up(self, codes: Tensor) -> Tensor:
        """Vectors (..., width) of codes (...)."""
        return F.embedding(codes, self.codebook)

    def forward(self, z: Tensor) -> Quantised:
        """Quantise (..., width). In training mode, with gradients on, the vectors are kept for ``update``."""
        with torch.autocast(z.device.type, enabled=False):
            z = z.float()
            learns = self.training and torch.is_grad_enabled()
            if learns and not self.started:
                self.start(z.detach().reshape(-1, z.shape[-1]))
            codes = self.nearest(z)
            chosen = self.look_up(codes)
            loss = self.commitment * F.mse_loss(z, chosen.detach())
            if self.decay is None:
                loss = loss + F.mse_loss(chosen, z.detach())
            if learns:
                self._seen = z.detach().reshape(-1, z.shape[-1]), codes.reshape(-1)
            use = torch.bincount(codes.reshape(-1), minlength=len(self.codebook)) / codes.numel()
            return Quantised(straight_through(z, chosen), codes, loss, torch.special.entr(use).sum().exp())

    @torch.no_grad()
    def start(self, z: Tensor, rounds: int = 10) -> None:
        """Codes from the vectors (count, width): random ones, far from each other first, then k-means."""
        chosen = z[torch.randint(len(z), (1,), device=z.device)]
        distance = (z - chosen).square().sum(1)
        for _ in range(1, len(self.codebook)):  # k-means++: the next one with probability ~ distance^2
            weights = distance.clamp(min=0) + 1e-12
            pick = z[torch.multinomial(weights, 1)]
            chosen = torch.cat([chosen, pick])
            distance = torch.minimum(distance, (z - pick).square().sum(1))
        self.codebook.data.copy_(chosen)
        for _ in range(rounds):
            counts, sums = self.assigned(z, self.nearest(z))
            means = sums / counts.clamp(min=1)[:, None]
            self.codebook.data.copy_(torch.where(counts[:, None] > 0, means, self.codebook))
        counts, _ = self.assigned(z, self.nearest(z))
        self.counts.copy_(counts.clamp(min=1))
        self.sums.copy_(self.codebook * self.counts[:, None])
        self.started.fill_(True)
        distributed.share_weights(self)  # of many processes all go on from the first one's

    def assigned(self, z: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """How many of the vectors (count, width) each code got, (codes,), and their sums (codes, width)."""
        chosen = F.one_hot(codes, len(self.codebook)).to(z.dtype)
        return chosen.sum(0), chosen.T @ z

    @torch.no_grad()
    def update(self) -> None:
        """Move the codebook by what was seen since the last update; call it once after each step."""
        if self._seen is None:
            return
        (z, codes), self._seen = self._seen, None
        counts, sums = self.assigned(z, codes)
        decay = 0.99 if self.decay is None else self.decay
        self.counts.mul_(decay).add_(counts, alpha=1 - decay)
        self.sums.mul_(decay).add_(sums, alpha=1 - decay)
        if self.decay is not None:
            used = self.counts[:, None] > 1e-5
            self.codebook.copy_(torch.where(used, self.sums / self.counts.clamp(min=1e-5)[:, None], self.codebook))
        self.revive(z)
        distributed.share_weights(self)

    def revive(self, z: Tensor) -> None:
        """Codes that hardly any vector chooses start again at random vectors (count, width)."""
        dead = self.counts < self.restart * self.counts.mean()
        fresh = z[torch.randint(len(z), (int(dead.sum()),), device=z.device)]
        self.codebook.data[dead] = fresh
        self.counts[dead] = self.counts.mean()  # a full share, so that it is not judged again at once
        self.sums[dead] = fresh * self.counts[dead][:, None]


def straight_through(z: Tensor, chosen: Tensor) -> Tensor:
    """The value of ``chosen``; the gradient goes to ``z`` unchanged."""
    return z + (chosen - z).detach()
