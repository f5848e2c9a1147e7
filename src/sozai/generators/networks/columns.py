"""Networks that write a table row column by column, and judge rows in the light of each other (TGAN, 1811.11264)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sozai.generators.codec import Span
from sozai.generators.networks.mlp import mlp


class ColumnLSTM(nn.Module):
    """An LSTM with attention: at each span it reads the noise, what it last wrote and a mix of its earlier states.

    Args:
        noise: columns of z.
        spans: of the codec, in order; ``"place"`` goes through tanh, ``"choice"`` through softmax.
        width: of the state; what is written next is read through a layer of the same width.
    """

    def __init__(self, noise: int, spans: Sequence[Span], width: int):
        super().__init__()
        self.spans, self.width = list(spans), width
        self.cell = nn.LSTMCell(noise + 2 * width, width)
        self.start = nn.Parameter(torch.zeros(width))
        self.attention = nn.ParameterList([torch.zeros(at) for at in range(len(self.spans))])
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in self.spans)
        self.write = nn.ModuleList(nn.Linear(width, span.stop - span.start) for span in self.spans)
        self.read = nn.ModuleList(nn.Linear(span.stop - span.start, width) for span in self.spans)

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Noise (batch, columns) to activated rows (batch, event)."""
        last = self.start.expand(len(x), -1)
        state = (x.new_zeros(len(x), self.width), x.new_zeros(len(x), self.width))
        before: list[Tensor] = []
        written = []
        for at, span in enumerate(self.spans):
            state = self.cell(torch.cat([x, self.attend(before, at, x), last], 1), state)
            before.append(state[0])
            raw = self.write[at](self.hidden[at](state[0]).tanh())
            out = raw.tanh() if span.kind == "place" else raw.softmax(1)
            written.append(out)
            last = self.read[at](out)
        return torch.cat(written, 1)

    def attend(self, before: Sequence[Tensor], at: int, like: Tensor) -> Tensor:
        """The earlier states mixed by this span's learned weights."""
        if not before:
            return like.new_zeros(len(like), self.width)
        weights = self.attention[at].softmax(0)
        return (torch.stack(list(before), -1) * weights).sum(-1)


class MinibatchCritic(nn.Module):
    """A perceptron that also sees how near each row's features are to those of the other rows of the batch.

    Minibatch discrimination: T. Salimans et al. 2016, arXiv 1606.03498, section 3.2.
    """

    def __init__(self, inputs: int, width: int, layers: int, kernels: int = 8, size: int = 5):
        super().__init__()
        self.features = nn.Sequential(mlp(inputs, width, width, layers - 1, nn.LeakyReLU), nn.LeakyReLU())
        self.kernels = nn.Parameter(0.1 * torch.randn(width, kernels, size))
        self.last = nn.Linear(width + kernels, 1)

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """(batch, inputs) to (batch, 1)."""
        features = self.features(x)
        return self.last(torch.cat([features, self.likeness(features)], 1))

    def likeness(self, features: Tensor) -> Tensor:
        """Sum over the other rows of exp(-L1 distance) by kernel, (batch, kernels)."""
        projected = torch.einsum("bw,wks->bks", features, self.kernels)
        distance = (projected[:, None] - projected[None]).abs().sum(-1)
        return (-distance).exp().mean(1)
