"""Proofs of CycleGAN."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sozai.fields import number
from sozai.generators.proofs.games import OBJECTIVES, build
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, near
from sozai.generators.train import train

CYCLE = "sozai.generators.families.cyclegan"


def _domains(count: int) -> tuple[dict[str, Tensor], Tensor]:
    """Three clusters of different weight, and the second domain as a rotation of other rows; with the true partners."""
    centres = torch.tensor([[-2.0, -1.0], [0.5, 1.5], [2.0, -0.5]])
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])

    def draw() -> Tensor:
        kind = torch.multinomial(torch.tensor([0.55, 0.3, 0.15]), count, replacement=True)
        return centres[kind] + torch.tensor([0.5, 0.15]) * torch.randn(count, 2)

    a = draw()
    return {"a": a, "b": draw() @ turn.T + 1}, a @ turn.T + 1


@check(
    "cyclegan",
    seconds=0.1,
    broken_by=[
        Mutation("no cycle", f"{OBJECTIVES}:cycle_loss", lambda x, back: 0 * x.sum()),
        Mutation("the cycle is squared", f"{OBJECTIVES}:cycle_loss", lambda x, back: (back - x).square().mean()),
        Mutation("no pool", f"{CYCLE}:CycleGAN.pooled", lambda self, fake, target: fake),
        Mutation(
            "the pool is never renewed",
            f"{CYCLE}:CycleGAN.pooled",
            make=lambda original: (
                lambda self, fake, target: torch.where(
                    torch.rand(len(fake), 1) < 0.5, original(self, fake, target), self.pools[target, : len(fake)]
                )
            ),
        ),
    ],
)
def the_cycle_and_the_pool() -> Iterator[Finding]:
    """Exact losses of known translators, and which translations the critics are shown."""
    core = build("cyclegan", {"a": number(2), "b": number(2)}, width=8)
    rows = {"a": torch.randn(16, 2), "b": torch.randn(16, 2)}
    core.generators = nn.ModuleList([_Shift(-1.0 + 0.3), _Shift(1.0)])
    parts = core.loss(rows, "generators")
    yield near("10 E |F G a - a|_1, where back again misses by 0.3", 3.0, parts["cycle b"].item(), 1e-4, "closed form")
    yield near("10 E |G F b - b|_1", 3.0, parts["cycle a"].item(), 1e-4, "closed form")
    score = core.critics[1](rows["a"] + 1)
    expected = (score - 1).square().mean().item()
    yield near("E (D_b(G a) - 1)^2", expected, parts["generator b"].item(), 1e-5, "closed form")
    core.cycle = 0.0
    shown, seen = [], set()
    for turn in range(200):
        fakes = 10.0 * turn + torch.arange(10.0)[:, None].repeat(1, 2)
        out = core.pooled(fakes, 0)[:, 0]
        old = [float(v) for v in out if v < 10 * turn]
        shown.append(len(old))
        seen |= set(old)
    yield near("share of past translations once the pool is full", 0.5, sum(shown) / 1950, 0.05, "1,950 coin tosses")
    yield at_least(
        "different past translations shown", 500, len(seen), "each that is swapped in can be swapped out once"
    )
    yield at_most("past translations shown twice", 0.0, sum(shown) - len(seen), "they leave the pool when shown")


class _Shift(nn.Module):
    """Adds a number."""

    def __init__(self, by: float):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


@check(
    "cyclegan",
    seconds=3,
    broken_by=[Mutation("no cycle", f"{OBJECTIVES}:cycle_loss", lambda x, back: 0 * back.sum())],
)
def unpaired_domains_are_aligned() -> Iterator[Finding]:
    """From unpaired rows a rotation is learned: there and back is the start, and partners are found."""
    torch.set_num_threads(1)
    core = build("cyclegan", {"a": number(2), "b": number(2)}, width=64, layers=2)
    rows, _ = _domains(1000)
    train(core, rows, device="cpu", steps=350, batch_size=64, ema=0.98)
    held_out, partner = _domains(500)
    there = core.sample(500, {"a": held_out["a"]})
    back = core.sample(500, {"b": there["b"]})["a"]
    deviation = held_out["a"].std(0)
    cycle = ((back - held_out["a"]) / deviation).abs().mean().item()
    error, identity = (((x - partner) / partner.std(0)).abs().mean().item() for x in (there["b"], held_out["a"]))
    yield at_most("there and back, L1 in standard deviations", 0.15, cycle, "short training")
    yield at_most(
        "error against the true partner, in that of the identity map",
        0.8,
        error / identity,
        "clusters fall on their images",
    )
