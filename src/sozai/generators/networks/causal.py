"""An autoregressive network over a grid of tokens (a sequence, an image's codes, a volume's), in raster order.

p(c) = prod_i p(c_i | c_0 .. c_{i-1}, condition, context_i): a causal transformer (arXiv 1706.03762) whose input at
place i is the token before it, so that the output there may look at all earlier tokens and never at its own. A
``window`` narrows that to neighbours on the grid, for decoders that shall see only nearby values (arXiv 1611.02731).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.generators.networks.transformer import AdaptiveBlock


class CausalTransformer(nn.Module):
    """Logits of each token given the earlier ones.

    Args:
        grid: lengths of the axes; tokens are in raster order, the last axis fastest.
        categories: number of different tokens.
        width: of the hidden vectors, and of condition and context.
        layers: number of blocks.
        heads: of attention.
        window: how far a place may look back along each axis in each layer, in tokens given as input; 0: anywhere.
        dropout: in the blocks.
    """

    visible: Tensor

    def __init__(
        self,
        grid: Sequence[int],
        categories: int,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        window: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.grid, self.length, self.categories, self.width = tuple(grid), prod(grid), categories, width
        self.embedding = nn.Embedding(categories, width)
        self.place = nn.Parameter(0.02 * torch.randn(self.length, width))  # the first place's is the start token
        self.blocks = nn.ModuleList(AdaptiveBlock(width, heads, dropout) for _ in range(layers))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, categories))
        self.register_buffer("visible", visible(self.grid, window), persistent=False)

    def forward(
        self,
        x: Tensor,
        time: Tensor | None = None,
        condition: Tensor | None = None,
        mask: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """Tokens (batch, *grid) to logits (batch, length, categories).

        The condition is (batch, width), the context (batch, length, width).

        The condition steers all places; the context is known about each place to be predicted. Time and mask are
        not looked at.
        """
        tokens = x.reshape(len(x), self.length)
        before = F.pad(self.embedding(tokens[:, :-1]), (0, 0, 1, 0))
        hidden = before + self.place if context is None else before + self.place + context
        steer = self._steer(condition, len(x))
        for block in self.blocks:
            hidden = block(hidden, steer, self.visible)
        return self.leave(hidden)

    def log_prob(self, x: Tensor, condition: Tensor | None = None, context: Tensor | None = None) -> Tensor:
        """Log-probability (batch,) of tokens (batch, *grid), in nats."""
        logits = self(x, condition=condition, context=context)
        return -F.cross_entropy(logits.mT, x.reshape(len(x), -1), reduction="none").sum(1)

    @torch.no_grad()
    def sample(
        self,
        count: int,
        condition: Tensor | None = None,
        context: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Tokens (count, *grid), one place after the other; keys and values of earlier places are kept."""
        steer = self._steer(condition, count)
        memories: list[list[Tensor]] = [[] for _ in self.blocks]
        tokens = torch.zeros(count, self.length, dtype=torch.long, device=self.place.device)
        for index in range(self.length):
            hidden = self.place[index].expand(count, 1, -1)
            if index:
                hidden = hidden + self.embedding(tokens[:, index - 1 : index])
            if context is not None:
                hidden = hidden + context[:, index : index + 1]
            attend = self.visible[index : index + 1, : index + 1]
            for block, memory in zip(self.blocks, memories, strict=True):
                hidden = block(hidden, steer, attend, memory)
            probabilities = (self.leave(hidden[:, 0]).float() / temperature).softmax(-1)
            tokens[:, index] = torch.multinomial(probabilities, 1)[:, 0]
        return tokens.reshape(count, *self.grid)

    def _steer(self, condition: Tensor | None, rows: int) -> Tensor:
        return self.place.new_zeros(rows, self.width) if condition is None else condition


def visible(grid: Sequence[int], window: int = 0) -> Tensor:
    """(length, length) bool: which input places each place attends to: itself and earlier ones, in the window.

    Input i holds token i - 1, whose place is what counts for the window; input 0 holds none and is always seen,
    as is each place's own input (it carries place and context; with a window its token may lie in the row above).
    """
    length = prod(grid)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    if not window:
        return causal
    places = torch.cartesian_prod(*[torch.arange(side) for side in grid]).reshape(length, -1)
    shown = torch.cat([places[:1], places[:-1]])
    near = (places[:, None] - shown[None]).abs().amax(-1) <= window
    near[:, 0] = True
    return causal & (near | torch.eye(length, dtype=torch.bool))
