"""Proofs of preference learning: where each method comes to rest, exactly and by sampling, and on a real rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sozai.fields import MASK, sequence
from sozai.generators.families.autoregressive import Autoregressive
from sozai.generators.families.preference import DPO, RewardModel, pairs
from sozai.generators.families.reinforcement import GRPO, PPO
from sozai.generators.objectives import preference
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.tensors import Batch, take
from sozai.generators.train import train

OBJECTIVES, CORES = "sozai.generators.objectives.preference", "sozai.generators.families.reinforcement"
BETA = 0.7


def divergence(log_p: Tensor, log_q: Tensor) -> float:
    """KL(p || q) over enumerated outcomes, nats."""
    return float((log_p.exp() * (log_p - log_q)).sum())


def bandit() -> tuple[Tensor, Tensor, Tensor]:
    """Eight outcomes: log of the reference, reward, log of the tilted reference."""
    reference, reward = torch.randn(2, 8, dtype=torch.float64)
    reference = (0.7 * reference).log_softmax(0)
    return reference, reward, preference.tilted(reference, reward, BETA)


def rest(reference: Tensor, loss: Callable[[Tensor, Tensor], Tensor], turns: int = 300, updates: int = 2) -> Tensor:
    """Where a policy of free logits rests; ``loss(now, old)`` is an exact mean, old the policy at the turn's start."""
    logits = reference.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([logits], 0.05)
    for turn in range(turns):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - turn / turns)
        old = logits.detach().log_softmax(0)
        for _ in range(updates):
            optimizer.zero_grad()
            loss(logits.log_softmax(0), old).backward()
            optimizer.step()
    return logits.detach().log_softmax(0)


@check(
    "dpo", seconds=0.3,
    broken_by=[
        Mutation("the reference is left out", f"{OBJECTIVES}:dpo",
                 make=lambda dpo: lambda w, o, rw, ro, beta: dpo(w, o, 0 * rw, 0 * ro, beta)),
        Mutation("beta at 1", f"{OBJECTIVES}:dpo", make=lambda dpo: lambda w, o, rw, ro, beta: dpo(w, o, rw, ro, 1.0)),
        Mutation("the wrong one wins", f"{OBJECTIVES}:bradley_terry", make=lambda f: lambda w, o: f(o, w)),
    ],
)  # fmt: skip
def dpo_rests_at_the_tilted_reference() -> Iterator[Finding]:
    """The exact mean of DPO's loss over all pairs, preferred by Bradley and Terry's odds, is least at pi*."""
    reference, reward, star = bandit()
    odds = torch.sigmoid(reward[:, None] - reward) * (reference[:, None] + reference).exp()

    def loss(now: Tensor, old: Tensor) -> Tensor:
        return (odds * preference.dpo(now[:, None], now, reference[:, None], reference, BETA)).sum()

    yield at_least("KL(reference || pi*)", 0.1, divergence(reference, star), "or the toy would be idle")
    yield at_most("KL(pi || pi*)", 1e-3, divergence(rest(reference, loss), star), "exact gradients, 600 steps")


@check(
    "ppo", seconds=0.3,
    broken_by=[
        Mutation("advantages with the wrong sign", f"{OBJECTIVES}:clipped",
                 make=lambda f: lambda ratio, advantage, clip=0.2: f(ratio, -advantage, clip)),
        Mutation("the ratio is not clipped", f"{OBJECTIVES}:clipped",
                 lambda ratio, advantage, clip=0.2: -ratio.exp() * advantage),
        Mutation("V of the next state is forgotten", f"{OBJECTIVES}:gae",
                 make=lambda f: lambda rewards, values, decay=0.95: f(rewards - values, 0 * values, decay) + values),
    ],
)  # fmt: skip
def ppo_rests_at_the_tilted_reference() -> Iterator[Finding]:
    """The clipped surrogate with the KL in the reward rests at pi*; clip and advantages are their formulas."""
    reference, reward, star = bandit()

    def loss(now: Tensor, old: Tensor) -> Tensor:
        worth = reward - BETA * (old - reference)
        advantage = worth - (old.exp() * worth).sum()
        return (old.exp() * preference.clipped(now - old, advantage)).sum()

    yield at_most("KL(pi || pi*)", 1e-3, divergence(rest(reference, loss), star), "exact gradients, 600 steps")
    ratio = torch.tensor([0.5, 0.9, 1.1, 1.5]).log().requires_grad_(True)
    for advantage, expected in ((1.0, [-0.5, -0.9, -1.1, 0.0]), (-1.0, [0.0, 0.9, 1.1, 1.5])):
        (slope,) = torch.autograd.grad(preference.clipped(ratio, torch.full((4,), advantage)).sum(), ratio)
        gap = float((slope - torch.tensor(expected)).abs().max())
        yield at_most(f"gradient at ratios 0.5, 0.9, 1.1, 1.5 for A = {advantage:g}: error", 1e-6, gap, "by hand")
    rewards, values = torch.randn(2, 3, 6, dtype=torch.float64)
    onward = torch.cat([values[:, 1:], torch.zeros(3, 1)], 1)
    for decay in (0.0, 0.6, 1.0):  # the lambda-return is a geometric mean of all n-step returns
        expected_gae = torch.zeros(3, 6, dtype=torch.float64)
        for t in range(6):
            steps = [rewards[:, t : t + n].sum(1) + onward[:, t + n - 1] for n in range(1, 7 - t)]
            weights = [(1 - decay) * decay**n for n in range(5 - t)] + [decay ** (5 - t)]
            expected_gae[:, t] = sum(w * s for w, s in zip(weights, steps, strict=True)) - values[:, t]
        gap = float((preference.gae(rewards, values, decay) - expected_gae).abs().max())
        yield at_most(f"lambda-return minus value, lambda {decay:g}: error", 1e-12, gap, "sum of n-step returns")


def published_rest(reference: Tensor, reward: Tensor, beta: float, normalise: bool) -> Tensor:
    """GRPO's fixed point pi = pi_ref / (1 - A / beta), where p A + beta (pi_ref - p) vanishes."""
    p = reference.exp()
    for _ in range(2_000):
        mean = (p * reward).sum()
        deviation = (p * (reward - mean) ** 2).sum().sqrt() if normalise else 1.0
        advantage = (reward - mean) / deviation
        step = p * advantage + beta * (reference.exp() - p)
        p = (p + 0.1 * step).clamp(min=1e-12)
        p = p / p.sum()
    return p.log()


@check(
    "grpo", seconds=0.8,
    broken_by=[
        Mutation("the drift is that of KL(pi || pi_ref)", f"{OBJECTIVES}:drift",
                 lambda now, reference: (now.exp() / now.exp().detach()) * (now - reference).detach()),
        Mutation("advantages are not divided by the deviation", f"{OBJECTIVES}:group_advantages",
                 make=lambda f: lambda rewards, normalise=True: f(rewards, False)),
        Mutation("no drift", f"{OBJECTIVES}:drift", lambda now, reference: 0 * now),
    ],
)  # fmt: skip
def grpo_rests_where_it_says() -> Iterator[Finding]:
    """GRPO as published rests at pi_ref / (1 - A / beta), not at pi*; with the KL in the reward it rests at pi*."""
    reference, reward, star = bandit()

    def loss_of(normalise: bool, kl: str) -> Callable[[Tensor, Tensor], Tensor]:
        def loss(now: Tensor, old: Tensor) -> Tensor:
            counts = (old.exp() * 4000).round().long()  # one group in which each outcome has its share
            rows = torch.arange(8).repeat_interleave(counts)
            worth = reward - BETA * (old - reference) if kl == "reward" else reward
            advantage = preference.group_advantages(worth[rows][None], normalise)[0]
            total = preference.clipped((now - old)[rows], advantage)
            if kl == "loss":
                total = total + BETA * preference.drift(now, reference)[rows]
            return total.mean()

        return loss

    for normalise in (True, False):
        found = rest(reference, loss_of(normalise, "loss"))
        expected = published_rest(reference, reward, BETA, normalise)
        name = "normalised" if normalise else "not normalised"
        yield at_most(f"KL in the loss, {name}: KL(pi || pi_ref / (1 - A / beta))", 1e-3, divergence(found, expected),
                      "4,000 rows a group round the shares")  # fmt: skip
        yield at_least(f"KL in the loss, {name}: KL(pi || pi*)", 0.01, divergence(found, star), "another point")
    found = rest(reference, loss_of(False, "reward"))
    yield at_most("KL in the reward: KL(pi || pi*)", 1e-3, divergence(found, star), "rounded shares")
    log_ratio = torch.randn(5, dtype=torch.float64)
    mean = (reference.exp() * preference.drift(reference, star)).sum()
    yield near("mean drift over pi is KL(pi || pi_ref)", divergence(reference, star), float(mean), 1e-12, "an identity")
    yield holds("drift is never negative", bool((preference.drift(log_ratio, 0 * log_ratio) >= 0).all()))
    groups = torch.randn(20_000, 4, dtype=torch.float64)
    gain = (preference.group_advantages(groups, False) * groups).mean()
    yield near("mean of A r, against the mean of the others", 1, float(gain), 0.03, "no bias: the reward's variance")


def every_text() -> Batch:
    """All fifteen texts of up to three tokens out of two."""
    from sozai.generators.proofs.language import sequences

    return sequences(3, 2)


def place_of(texts: Batch) -> Tensor:
    """Which of ``every_text`` each is."""
    size = texts[MASK].sum(1)
    digits = texts["x"] * 2 ** (size[:, None] - 1 - torch.arange(3)).clamp(min=0) * texts[MASK]
    return 2**size - 1 + digits.sum(1)


def writer() -> tuple[Autoregressive, Tensor]:
    """A small model of texts, and a reward of each."""
    from sozai.generators.proofs.language import varied

    torch.manual_seed(3)
    core = varied(Autoregressive({"x": sequence(3, 2)}, width=32, layers=1, heads=2), 0.15)
    return core, torch.randn(15)


def judged(first: Batch, second: Batch, reward: Tensor) -> Batch:
    """Pairs of these texts, judged by Bradley and Terry's odds."""
    wins = torch.rand(len(first["x"])) < torch.sigmoid(reward[place_of(first)] - reward[place_of(second)])
    sides = [{name: torch.where(w[:, None], first[name], second[name]) for name in first} for w in (wins, ~wins)]
    return pairs(*sides)


@check(
    "reward-model", seconds=1.5,
    broken_by=[
        Mutation("the wrong one wins", f"{OBJECTIVES}:bradley_terry", make=lambda f: lambda w, o: f(o, w)),
        Mutation("squares of differences", f"{OBJECTIVES}:bradley_terry", lambda w, o: (w - o - 1) ** 2),
    ],
)  # fmt: skip
def reward_model_recovers_the_order() -> Iterator[Finding]:
    """From noisy judgements the scores of texts come out in their true order, and by their true distances."""
    core, reward = writer()
    model = RewardModel.wrap(core, rate=6e-3)
    first, second = (take(every_text(), torch.randint(0, 15, (8000,))) for _ in range(2))
    train(model, judged(first, second, reward), steps=300, batch_size=128, ema=0.97)
    score = model.score(every_text()).detach()
    score = score - score.mean() + reward.mean()
    clear = (reward[:, None] - reward) > 0.3
    right = ((score[:, None] - score) > 0)[clear].float().mean()
    yield near("pairs at least 0.3 apart that are ordered right", 1, float(right), 0.01, "1,000 judgements a text")
    yield at_most("rms error of the scores", 0.12, float((score - reward).square().mean().sqrt()), "noise: about 0.06")
    best = reward[place_of(model.sample(2000, best_of=8))].mean() - reward[place_of(core.sample(2000))].mean()
    yield at_least("reward that the best of 8 gain", 0.5, float(best), "deviation of the reward: about 1")


@check(
    "dpo", "ppo", "grpo", seconds=11,
    broken_by=[
        Mutation("what was rejected is not looked at", f"{OBJECTIVES}:dpo",
                 make=lambda dpo: lambda w, o, rw, ro, beta: dpo(w, rw, 0 * w, 0 * w, beta)),
        Mutation("the reference moves along", f"{CORES}:RewardDriven.write",
                 make=lambda write: lambda self, *a: {**(r := write(self, *a)), ":reference": r[":old"]}),
    ],
)  # fmt: skip
def sampled_training_reaches_the_tilted_reference() -> Iterator[Finding]:
    """On all fifteen texts the policies become pi_ref exp(r / beta) / Z: DPO from pairs, PPO and GRPO by writing."""
    core, reward = writer()
    texts, before = every_text(), core.log_prob(every_text())
    star = preference.tilted(before, reward, BETA)
    yield at_least("KL(reference || pi*)", 0.1, divergence(before, star), "or the toy would be idle")
    rewarded = [
        PPO.wrap(core, reward=lambda rows: reward[place_of(rows)], beta=BETA, rate=3e-3, value_rate=5e-3),
        GRPO.wrap(core, reward=lambda rows: reward[place_of(rows)], beta=BETA, rate=3e-3, normalise=False, kl="reward"),
    ]
    for policy in rewarded:
        train(policy, core.sample(256), steps=80, ema=0.95, warmup=5)
        after = policy.log_prob(texts)
        yield at_most(f"{type(policy).__name__}: KL(pi || pi*)", 0.02, divergence(after, star), "256 rows a turn")
    direct = DPO.wrap(core, beta=BETA, rate=6e-3)
    first, second = (take(texts, torch.randint(0, 15, (20_000,))) for _ in range(2))
    train(direct, judged(first, second, reward), steps=300, batch_size=256, ema=0.97)
    yield at_most("DPO: KL(pi || pi*)", 0.02, divergence(direct.log_prob(texts), star), "20,000 judgements")


CHARGES = (1, 1, 2, 3, -1, -2, -3)
"""Of Na, K, Mg, Al, F, O, N in salts."""


def charge(formulas: Batch) -> Tensor:
    """Total charge of formulas written as element, count (1 to 4), element, count ..."""
    tokens, real = formulas["formula"], formulas[MASK]
    charges = torch.tensor([*CHARGES, 0, 0, 0, 0])[tokens[:, 0::2].clamp(max=10)]
    return (charges * (tokens[:, 1::2] - 6) * real[:, 1::2]).sum(1)


def well_formed(formulas: Batch) -> Tensor:
    """Whether each is pairs of an element and a count, elements in order, two of them or more."""
    tokens, real = formulas["formula"], formulas[MASK]
    elements, counts = tokens[:, 0::2], tokens[:, 1::2]
    pairs_real = real[:, 0::2] & real[:, 1::2]
    right = ((elements < 7) & (counts >= 7)) | ~pairs_real
    rising = (elements[:, 1:] > elements[:, :-1]) | ~pairs_real[:, 1:]
    return right.all(1) & rising.all(1) & (real[:, 0::2] == real[:, 1::2]).all(1) & (pairs_real.sum(1) > 1)


def salts(rows: int) -> Batch:
    """Formulas of two or three elements with random counts, a third of them chosen to be neutral."""
    size = torch.randint(2, 4, (20 * rows,))
    elements = torch.rand(20 * rows, 7).argsort(1)[:, :3]
    elements = torch.where(torch.arange(3) < size[:, None], elements, 99).sort(1).values
    tokens = torch.stack([elements, torch.randint(7, 11, (20 * rows, 3))], 2).flatten(1)
    real = (torch.arange(3) < size[:, None]).repeat_interleave(2, 1)
    formulas = {"formula": tokens * real, MASK: real}
    neutral = (charge(formulas) == 0).nonzero()[:, 0][: rows // 3]
    return take(formulas, torch.cat([neutral, torch.arange(rows - len(neutral))]))


@check(
    "grpo", "ppo", seconds=23,
    broken_by=[
        Mutation("advantages with the wrong sign", f"{OBJECTIVES}:clipped",
                 make=lambda f: lambda ratio, advantage, clip=0.2: f(ratio, -advantage, clip)),
    ],
)  # fmt: skip
def neutral_salts_become_common() -> Iterator[Finding]:
    """A rule that a program can check is learned: charges balance, and formulas stay well formed and various."""
    model = Autoregressive({"formula": sequence(6, 11)}, width=48, layers=2, rate=4e-3)
    train(model, salts(4000), steps=400, batch_size=64, ema=0.98)

    def reward(rows: Batch) -> Tensor:
        return ((charge(rows) == 0) & well_formed(rows)).float()

    beta, start = 0.2, float(reward(model.sample(4000)).mean())
    yield at_most(
        "share of neutral formulas before",
        0.2,
        start,
        "it learned which counts are common",
    )
    odds = start / (1 - start) * math.exp(1 / beta)
    best = odds / (1 + odds)  # of pi*, whose rows are the model's own, given whether they are neutral
    drift = best * math.log(best / start) + (1 - best) * math.log((1 - best) / (1 - start))
    for kind in (GRPO, PPO):
        policy = kind.wrap(model, reward=reward, beta=beta, rate=1e-3)
        torch.manual_seed(1)
        log = train(policy, salts(256), salts(64), steps=60, every=60, ema=0.9, schedule="constant")
        new = policy.sample(1000)
        name, end = kind.__name__, log["rounds"][-1]["held_out"]
        share, distance = float(reward(new).mean()), float(end["kl"])
        if kind is PPO:
            yield near("PPO: share of neutral formulas after", best, share, 0.12, "that of pi*; 60 turns of 256")
            yield near("PPO: KL to the start, nats", drift, distance, 0.6, "that of pi*, the least for its share")
        else:
            yield at_least("GRPO: share of neutral formulas after", 0.7, share, "60 turns; it rests elsewhere")
            yield at_most("GRPO: KL to the start, nats", drift + 1.5, distance, "heavier tails cost more")
        yield at_least(f"{name}: different formulas of 1,000", 60, len(new["formula"].unique(dim=0)), "no collapse")
