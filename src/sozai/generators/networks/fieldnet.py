"""One network for any set of fields: whole-material ones, sites in any number and order, sequences, image patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.generators.networks.mlp import ResidualMLP, TimeEmbedding
from sozai.generators.networks.transformer import AdaptiveBlock


@dataclass(frozen=True)
class Slot:
    """What the network sees and predicts of one field; see ``processes.corruption.Corruption``."""

    inputs: int
    outputs: int
    group: str
    places: int
    relative: bool = False


class FieldNet(nn.Module):
    """Joins noisy fields and predicts something for each of them.

    Fields of the whole material alone pass through a ``ResidualMLP``. With sites, sequences or patches there is a
    token for each place and one for the whole, and attention between all. Sites have no positions: permuting them
    permutes the result. Places outside the mask have no influence. Relative fields (fractional coordinates) enter as
    messages between pairs of sites, as in DiffCSP (arXiv 2309.04475, eq. 5-8): a shift of all sites changes nothing.

    Args:
        slots: by field, in order.
        width: of tokens and of the condition vector.
        layers: of the transformer or the perceptron.
        heads: of attention.
    """

    def __init__(
        self, slots: Mapping[str, Slot], width: int = 128, layers: int = 3, heads: int = 4, dropout: float = 0.0
    ):
        super().__init__()
        self.slots, self.width = dict(slots), width
        self.sited = any(slot.group == "sites" for slot in slots.values())
        self.flat = all(slot.group == "whole" for slot in slots.values())
        if self.flat:
            inputs, outputs = (sum(getattr(slot, side) for slot in slots.values()) for side in ("inputs", "outputs"))
            self.body: nn.Module = ResidualMLP(inputs, outputs, width, layers, timed=True, dropout=dropout)
            return
        if width % heads:
            raise UserError(f"a width of {width} does not divide into {heads} heads", "width")
        self.time = TimeEmbedding(width)
        self.count = nn.Linear(1, width)
        self.whole = nn.Parameter(0.1 * torch.randn(width))
        self.enter = nn.ModuleList(nn.Linear(slot.inputs, width) for slot in slots.values())
        self.leave = nn.ModuleList(nn.Linear(width, slot.outputs) for slot in slots.values())
        self.positions = nn.ParameterList(
            0.1 * torch.randn(slot.places if slot.group in ("sequence", "patches") else 0, width)
            for slot in slots.values()
        )
        self.blocks = nn.ModuleList(AdaptiveBlock(width, heads, dropout) for _ in range(layers))
        related = any(slot.relative for slot in slots.values())
        self.pairs = nn.ModuleList(_Pairs(width) for _ in range(layers if related else 0))
        self.norm = nn.LayerNorm(width)

    def real(self, name: str, rows: int, mask: Tensor | None) -> Tensor:
        """Which places of a field are real, ``(batch, places)``: the mask is of the sites, or else of sequences."""
        slot = self.slots[name]
        if mask is not None and (
            slot.group == "sites" or (slot.group == "sequence" and not self.sited and mask.shape[1] == slot.places)
        ):
            return mask
        device = next(self.parameters()).device if mask is None else mask.device
        return torch.ones(rows, slot.places, dtype=torch.bool, device=device)

    def forward(  # type: ignore[override]
        self, x: Mapping[str, Tensor], time: Tensor, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Features by field ``(batch, places, inputs)``, or ``(batch, sites, sites, inputs)`` of relative ones.

        Args:
            time: ``(batch,)``.
            condition: ``(batch, width)``.
            mask: ``(batch, sites)``; required with sites.
        """
        rows = len(time)
        if self.flat:
            out = self.body(torch.cat([x[name][:, 0] for name in self.slots], -1), time, condition)
            sizes = [slot.outputs for slot in self.slots.values()]
            return {name: part[:, None] for name, part in zip(self.slots, out.split(sizes, -1), strict=True)}
        steer = self.time(time) if condition is None else self.time(time) + condition
        if mask is not None:
            steer = steer + self.count(mask.sum(1, keepdim=True).float().log1p())
        tokens: dict[str, Tensor] = {}  # by group: sites share theirs, each sequence or image has its own
        difference: Tensor | None = None
        for name, enter, position in zip(self.slots, self.enter, self.positions, strict=True):
            slot = self.slots[name]
            embedded = enter(x[name])
            if slot.relative:
                difference = embedded if difference is None else difference + embedded
                embedded = torch.zeros(rows, x[name].shape[1], self.width, device=embedded.device)
            key = slot.group if slot.group in ("whole", "sites") else name
            if len(position):
                embedded = embedded + position
            tokens[key] = tokens[key] + embedded if key in tokens else embedded
        if "whole" in tokens:
            steer = steer + tokens["whole"][:, 0]
        tokens["whole"] = tokens.get("whole", 0) + self.whole.expand(rows, 1, -1)
        owner = {key: next((n for n, s in self.slots.items() if key in (n, s.group)), key) for key in tokens}
        masks = [
            torch.ones(rows, 1, dtype=torch.bool, device=time.device) if key == "whole" else
            self.real(owner[key], rows, mask)
            for key in tokens
        ]  # fmt: skip
        hidden, seen = torch.cat(list(tokens.values()), 1), torch.cat(masks, 1)
        attend = seen[:, None, None, :].expand(-1, 1, hidden.shape[1], -1)
        places, start = {}, 0
        for key, value in tokens.items():
            places[key] = slice(start, start := start + value.shape[1])
        for number, block in enumerate(self.blocks):
            if difference is not None:
                message = self.pairs[number](hidden[:, places["sites"]], difference, steer, mask)
                at = places["sites"]
                hidden = torch.cat([hidden[:, : at.start], hidden[:, at] + message, hidden[:, at.stop :]], 1)
            hidden = block(hidden, steer, attend)
        hidden = self.norm(hidden)
        return {
            name: leave(hidden[:, places[slot.group if slot.group in ("whole", "sites") else name]])
            for (name, slot), leave in zip(self.slots.items(), self.leave, strict=True)
        }


class _Pairs(nn.Module):
    """The mean of messages from all real sites, made of both sites, their difference and the condition."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.target, self.source = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.steer, self.middle, self.out = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, difference: Tensor, steer: Tensor, mask: Tensor | None) -> Tensor:
        """x (batch, sites, width), difference (batch, sites, sites, width) to (batch, sites, width)."""
        y = self.norm(x)
        to = self.target(y) + self.steer(F.silu(steer))[:, None]
        message = F.silu(self.middle(F.silu(to[:, :, None] + self.source(y)[:, None] + difference)))
        if mask is None:
            return self.out(message.mean(2))
        real = mask[:, None, :, None].to(message.dtype)
        return self.out((message * real).sum(2) / real.sum(2).clamp(min=1))
