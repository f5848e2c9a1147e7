"""A decoder-only transformer, whole: the original one, GPT and GPT-2 differ in four choices.

Each token is a vector; in each of N layers every token gathers from itself and earlier ones what its query asks
for (arXiv 1706.03762, eq. 1), then passes through a small network of its own::

    attention(Q, K, V) = softmax(Q K^T / sqrt(d) + mask) V        mask: minus infinity where a token lies ahead

==============================  ===============  ===============  ===============================
choice                          transformer      GPT              GPT-2
==============================  ===============  ===============  ===============================
layer norm                      after the sum    after the sum    before each part, and at the end
positions                       sinusoidal       learned          learned
activation                      ReLU             GELU             GELU
start of weights                Xavier           Xavier           0.02; residual ones / sqrt(2 N)
==============================  ===============  ===============  ===============================

A. Vaswani et al., Attention is all you need, 2017, arXiv 1706.03762 (of which this is the decoder without an
encoder); A. Radford et al., Improving language understanding by generative pre-training, 2018; A. Radford et al.,
Language models are unsupervised multitask learners, 2019. GELU in its tanh form (arXiv 1606.08415), as in GPT.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.errors import UserError

Cache = dict[int, tuple[Tensor, Tensor]]
"""Keys and values ``(batch, heads, tokens, width of a head)`` of the tokens so far, by layer; starts as ``{}``."""

ACTIVATIONS = {"gelu": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu}


def causal_mask(new: int, total: int, device: Any = None) -> Tensor:
    """``(new, total)``: which of all tokens each of the last ``new`` ones sees: itself and those before it."""
    return torch.ones(new, total, dtype=torch.bool, device=device).tril(total - new)


def attend(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.0) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V under the causal mask; ``(batch, heads, tokens, d)`` each."""
    if q.shape[-2] == k.shape[-2]:
        return F.scaled_dot_product_attention(q, k, v, None, dropout, is_causal=True)
    return F.scaled_dot_product_attention(q, k, v, causal_mask(q.shape[-2], k.shape[-2], q.device), dropout)


def residual_scale(layers: int) -> float:
    """GPT-2's factor on the start of each of the 2 N projections that are summed up in the residual stream."""
    return 1 / math.sqrt(2 * layers)


def sinusoids(length: int, width: int) -> Tensor:
    """Fixed positions ``(length, width)``: sines in even columns, cosines in odd (arXiv 1706.03762, 3.5)."""
    angle = torch.arange(length)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width]


class Block(nn.Module):
    """One layer: attention over earlier tokens and a network on each token, both added to the stream."""

    def __init__(self, width: int, heads: int, norm: str, activation: str, dropout: float, epsilon: float = 1e-5):
        super().__init__()
        self.heads, self.norm_first, self.dropout = heads, norm == "pre", dropout
        self.activation = activation
        self.norm_attention, self.norm_feed = nn.LayerNorm(width, epsilon), nn.LayerNorm(width, epsilon)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.grow, self.shrink = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, layer: int = 0, cache: Cache | None = None) -> Tensor:
        """x (batch, tokens, width); with a cache these are the next tokens after those in it."""
        if self.norm_first:
            x = x + self.attention(self.norm_attention(x), layer, cache)
            return x + self.feed(self.norm_feed(x))
        x = self.norm_attention(x + self.attention(x, layer, cache))
        return self.norm_feed(x + self.feed(x))

    def attention(self, x: Tensor, layer: int, cache: Cache | None) -> Tensor:
        """What each token gathers."""
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        if cache is not None:
            if layer in cache:
                k, v = (torch.cat([old, new], 2) for old, new in zip(cache[layer], (k, v), strict=True))
            cache[layer] = k, v
        y = attend(q, k, v, self.dropout if self.training else 0.0)
        return F.dropout(self.out(y.transpose(1, 2).reshape(batch, tokens, width)), self.dropout, self.training)

    def feed(self, x: Tensor) -> Tensor:
        """What each token makes of itself."""
        return F.dropout(self.shrink(ACTIVATIONS[self.activation](self.grow(x))), self.dropout, self.training)


class GPT(nn.Module):
    """Tokens to the logits of the token after each.

    Args:
        vocabulary: number of tokens.
        block: most tokens in a row.
        width: of each token's vector, and of the condition.
        layers: N.
        heads: into which the width is divided.
        dropout: of embeddings, attention and both parts of a layer.
        norm: ``"pre"`` or ``"post"``.
        positions: ``"learned"`` or ``"sinusoidal"``.
        activation: ``"gelu"`` (tanh form) or ``"relu"``.

    The output layer shares its weights with the token embedding (arXiv 1608.05859).

    Raises:
        UserError: the width does not divide into the heads, or a choice is not one of those above.
    """

    position: Tensor

    def __init__(
        self, vocabulary: int, block: int, width: int = 128, layers: int = 4, heads: int = 4, dropout: float = 0.0,
        norm: str = "pre", positions: str = "learned", activation: str = "gelu",
    ):  # fmt: skip
        super().__init__()
        if heads < 1 or width % heads:
            raise UserError(f"a width of {width} does not divide into {heads} heads", "network")
        for name, value, known in (
            ("norm", norm, ("pre", "post")), ("positions", positions, ("learned", "sinusoidal")),
            ("activation", activation, tuple(ACTIVATIONS)),
        ):  # fmt: skip
            if value not in known:
                raise UserError(f"there is no {name} '{value}'", "network", f"use one of {', '.join(known)}")
        self.block, self.dropout = block, dropout
        fixed = positions == "sinusoidal"
        self.scale = math.sqrt(width) if fixed else 1.0  # of embeddings, so that they are as large as sinusoids
        self.token = nn.Embedding(vocabulary, width)
        if fixed:
            self.register_buffer("position", sinusoids(block, width), persistent=False)
        else:
            self.position = nn.Parameter(0.02 * torch.randn(block, width))
        self.blocks = nn.ModuleList(Block(width, heads, norm, activation, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                # Where the norm comes after the sum: Xavier's start. GPT's 0.02 is near it at a width of 768, but
                # in narrow networks what attention adds would vanish beside the stream, and nothing be learned.
                nn.init.normal_(module.weight, std=0.02) if norm == "pre" else nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.token.weight, std=0.02)
        with torch.no_grad():
            if fixed:
                self.token.weight.normal_(std=1 / self.scale)
            for name, weight in self.named_parameters():
                if norm == "pre" and name.endswith(("out.weight", "shrink.weight")):
                    weight.mul_(residual_scale(layers))

    def hidden(
        self, x: Tensor, condition: Tensor | None = None, mask: Tensor | None = None, cache: Cache | None = None
    ) -> Tensor:
        """The last layer's vectors, ``(batch, tokens, width)``; arguments as in ``forward``."""
        first = cache[0][0].shape[2] if cache else 0
        if first + x.shape[1] > self.block:
            raise UserError(f"{first + x.shape[1]} tokens are more than the network's {self.block}", "network")
        y = self.scale * self.token(x) + self.position[first : first + x.shape[1]]
        if condition is not None:
            y = y + condition[:, None]
        y = F.dropout(y, self.dropout, self.training)
        for layer, block in enumerate(self.blocks):
            y = block(y, layer, cache)
        return self.norm(y)

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:  # fmt: skip
        """Logits ``(batch, tokens, vocabulary)`` of the token after each of x ``(batch, tokens)``.

        Args:
            x: tokens; padding goes at the end, where no earlier token sees it, so that no mask is looked at.
            time: not used.
            condition: ``(batch, width)``, added to every token's vector.
            mask: not used.
            cache: keys and values of earlier tokens, to which those of x are added in place.
        """
        return F.linear(self.hidden(x, condition, mask, cache), self.token.weight)

    @classmethod
    def from_gpt2(cls, state: Mapping[str, Tensor], heads: int) -> GPT:
        """The network with the weights of ``transformers``' ``GPT2LMHeadModel`` (``.state_dict()``): equal logits.

        Args:
            state: with or without the prefix ``transformer.``; linear weights are (inputs, outputs) there.
            heads: not to be told from the weights; 12 in the smallest published GPT-2.
        """
        state = {name.removeprefix("transformer."): value for name, value in state.items()}
        layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("h."))
        (vocabulary, width), block = state["wte.weight"].shape, state["wpe.weight"].shape[0]
        network = cls(vocabulary, block, width, layers, heads)
        names = {"token.weight": "wte.weight", "position": "wpe.weight"}
        names |= {f"norm.{end}": f"ln_f.{end}" for end in ("weight", "bias")}
        parts = {
            "norm_attention": "ln_1", "qkv": "attn.c_attn", "out": "attn.c_proj", "norm_feed": "ln_2",
            "grow": "mlp.c_fc", "shrink": "mlp.c_proj",
        }  # fmt: skip
        for i in range(layers):
            for ours, theirs in parts.items():
                names |= {f"blocks.{i}.{ours}.{end}": f"h.{i}.{theirs}.{end}" for end in ("weight", "bias")}
        turned = ("qkv.weight", "out.weight", "grow.weight", "shrink.weight")
        network.load_state_dict({o: state[t].T if o.endswith(turned) else state[t] for o, t in names.items()})
        return network.eval()
