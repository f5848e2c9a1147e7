"""A transformer whose layers are steered by a condition vector (adaptive layer norm)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class AdaptiveBlock(nn.Module):
    """Pre-norm attention and feed-forward, each scaled, shifted and gated by the condition.

    Adaptive layer norm with zero-initialised gates: W. Peebles and S. Xie, Scalable Diffusion Models with
    Transformers, ICCV 2023 (arXiv 2212.09748).
    """

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"a width of {width} does not divide into {heads} heads")
        self.heads = heads
        self.dropout = dropout
        self.norm_attention = nn.LayerNorm(width, elementwise_affine=False)
        self.norm_feed = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        with torch.no_grad():  # gates start open: the plain transformer is the starting point
            self.modulation.bias.view(6, width)[[2, 5]] = 1.0

    def forward(self, x: Tensor, condition: Tensor, attend: Tensor, memory: list[Tensor] | None = None) -> Tensor:
        """x (batch, tokens, width), condition (batch, width), attend (batch, 1, tokens, tokens) bool.

        Args:
            memory: keys and values of the tokens before x, to which those of x are added in place; ``attend`` then
                covers earlier tokens too. Start with an empty list.
        """
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = self.modulation(F.silu(condition))[:, None].chunk(6, -1)
        batch, tokens, width = x.shape
        y = self.norm_attention(x) * (1 + scale_a) + shift_a
        q, k, v = self.qkv(y).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if memory is not None:
            if memory:
                k, v = torch.cat([memory[0], k], 2), torch.cat([memory[1], v], 2)
            memory[:] = [k, v]
        y = F.scaled_dot_product_attention(q, k, v, attend, self.dropout if self.training else 0.0)
        y = self.out(y.transpose(1, 2).reshape(batch, tokens, width))
        x = x + gate_a * F.dropout(y, self.dropout, self.training)
        y = self.feed(self.norm_feed(x) * (1 + scale_f) + shift_f)
        return x + gate_f * F.dropout(y, self.dropout, self.training)


class Transformer(nn.Module):
    """A stack of adaptive blocks.

    Args:
        causal: each token sees itself and earlier ones (a decoder); otherwise all real tokens (an encoder).
    """

    def __init__(self, width: int, layers: int, heads: int, dropout: float = 0.0, causal: bool = True):
        super().__init__()
        self.causal = causal
        self.blocks = nn.ModuleList(AdaptiveBlock(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        """x (batch, tokens, width), condition (batch, width), mask (batch, tokens) true for real tokens."""
        tokens = x.shape[1]
        attend = mask[:, None, None, :].expand(-1, 1, tokens, -1)
        if self.causal:
            attend = attend & torch.ones(tokens, tokens, dtype=torch.bool, device=x.device).tril()
        for block in self.blocks:
            x = block(x, condition, attend)
        return self.norm(x)
