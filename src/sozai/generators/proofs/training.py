"""A bare loop over a core's players, for proofs: no averages, no early stop, nothing that could hide a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Draw = Callable[[], Mapping[str, Tensor]]


def learn(
    core: Any, draw: Draw, steps: int, *players: str, rate: float | None = None, scale: float = 1.0,
    clip: float | None = None,
) -> Any:  # fmt: skip
    """Train the named players (all by default), each with its own optimizer.

    Args:
        core: what learns; already prepared.
        draw: a batch at each call.
        steps: turns of all players.
        players: names.
        rate: learning rate, falling to zero linearly; by default each player's own, constant.
        scale: on the players' own rates.
        clip: norm of the gradients.
    """
    chosen = [player for player in core.players if not players or player.name in players]
    optimizers = {}
    for player in chosen:
        weights = core.parameters_of(player.name)
        own = player.rate * scale if rate is None else rate
        optimizers[player.name] = (
            torch.optim.RMSprop(weights, own)
            if player.optimizer == "rmsprop"
            else torch.optim.Adam(weights, own, betas=player.betas if rate is None else (0.9, 0.999))
        )
    core.train()
    for step in range(steps):
        for player in chosen:
            optimizer = optimizers[player.name]
            if rate is not None:
                optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            for _ in range(player.steps):
                optimizer.zero_grad()
                core.loss(draw(), player.name)["loss"].backward()
                if clip is not None:
                    nn.utils.clip_grad_norm_(core.parameters_of(player.name), clip)
                optimizer.step()
                core.after_step(player.name)
    return core.eval()


def rows_of(data: Mapping[str, Tensor], rows: int) -> Draw:
    """Random rows of a batch, drawn with replacement."""
    return partial(_rows_of, data, rows)


def _rows_of(data: Mapping[str, Tensor], rows: int) -> dict[str, Tensor]:
    chosen = torch.randint(len(next(iter(data.values()))), (rows,))
    return {name: values[chosen] for name, values in data.items()}
