"""A fitted language model, improved by preferences (reward model, DPO) or by a reward (PPO, GRPO).

    policy = Autoregressive(fields); train(policy, rows)
    core = PPO.wrap(policy, reward=lambda batch: ..., beta=0.1)
    train(core, rows, steps=100)                    # rows: only their conditions are looked at
    core.sample(100)

Losses and their fixed points are in ``objectives.preference``. *Pairs* are a batch of ``pairs(chosen, rejected)``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.core import Core, Likelihood, Player
from sozai.generators.families.autoregressive import Autoregressive
from sozai.generators.objectives import language, preference
from sozai.generators.tensors import Batch, rows_of, seeded, take
from sozai.generators.token_codec import TokenCodec

Reward = Callable[[Batch], Any]
"""From rows (fields, mask and conditions) to a number for each."""


def pairs(chosen: Batch, rejected: Batch) -> Batch:
    """A batch of pairs: each row of ``chosen`` was preferred to that of ``rejected``, under the same conditions."""
    return {f"{side}:{name}": value for side, rows in (("chosen", chosen), ("rejected", rejected))
            for name, value in rows.items()}  # fmt: skip


def side_of(batch: Batch, side: str) -> Batch:
    """The chosen or the rejected rows of pairs.

    Raises:
        UserError: the batch holds no pairs.
    """
    rows = {name.removeprefix(f"{side}:"): value for name, value in batch.items() if name.startswith(f"{side}:")}
    if not rows:
        raise UserError("the data holds no pairs", "data", "make them by preference.pairs(chosen, rejected)")
    return rows


class Scorer(nn.Module):
    """A language model's network with one number instead of logits at each place: ``(batch, places + 1)``.

    The first is a score of nothing written yet, the last that of the whole row.
    """

    def __init__(self, model: Autoregressive):
        super().__init__()
        self.condition, self.network = copy.deepcopy(model.condition), copy.deepcopy(model.network)
        self.head = nn.Linear(model.settings["width"], 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.requires_grad_(True)

    def forward(self, inputs: Tensor, condition: Batch) -> Tensor:
        """Inputs are ``model.inputs(tokens)``."""
        vector = self.condition(condition, len(inputs)) if self.condition.conditions else None
        return self.head(self.network.hidden(inputs, vector))[..., 0]


class Preference(Core):
    """Base: a policy that starts as a fitted language model.

    Args:
        fields, conditions: of the fitted model.
        network: its other settings (``fitted.settings``); ``wrap`` fills them in.
    """

    likelihood: ClassVar[Likelihood] = "exact"
    started: Tensor

    def __init__(self, fields: Fields, conditions: Fields | None = None, **network: Any):
        policy = Autoregressive(fields, conditions, **network)
        super().__init__(fields, conditions, policy.codec)
        del self._modules["codec"]  # it is the policy's: no weight is to be saved twice
        self.policy = policy
        self.settings = dict(policy.settings)
        self.register_buffer("started", torch.tensor(False))

    @property
    def codec(self) -> TokenCodec:  # type: ignore[override]
        """Of the policy."""
        return self.policy.codec

    @classmethod
    def wrap(cls, fitted: Autoregressive, **settings: Any) -> Self:
        """The core that starts from this model; ``settings`` are its own, the network's are those of the model."""
        network = {name: value for name, value in fitted.settings.items() if name != "rate"}
        core = cls(fitted.fields, fitted.conditions, **{**network, **settings}).to(fitted.device)
        core.start_from(fitted)
        return core

    def start_from(self, fitted: Autoregressive) -> None:
        """Take over the weights of a fitted model; scorers and reference become copies of it."""
        self.policy.load_state_dict(fitted.state_dict())
        self.started.fill_(True)
        for part in self.children():
            if isinstance(part, Scorer):
                part.network.load_state_dict(fitted.network.state_dict())
                part.condition.load_state_dict(fitted.condition.state_dict())
            elif isinstance(part, Autoregressive):
                part.load_state_dict(fitted.state_dict())

    def train(self, mode: bool = True) -> Self:
        """Dropout stays off: ratios of probabilities compare the same network before and after."""
        super().train(mode)
        for part in self.children():
            part.eval()
        return self

    def prepare(self, batch: Batch) -> None:
        """Nothing is fitted anew.

        Raises:
            UserError: there is no fitted model to start from.
        """
        if not bool(self.started):
            raise UserError(
                "preferences improve a fitted language model, and there is none", "data",
                "fit a 'gpt' and call core.start_from(fitted), or make the core by wrap(fitted)",
            )  # fmt: skip

    def sample(self, count: int, given: Batch | None = None, **options: Any) -> Batch:
        """Of the policy; see ``Autoregressive.generate`` for the options."""
        return self.policy.sample(count, given, **options)

    def log_prob(self, batch: Batch) -> Tensor:
        """Exact, of the policy."""
        return self.policy.log_prob(batch)

    def _row_log_prob(self, model: Autoregressive, batch: Batch) -> Tensor:
        tokens = model.encode(batch)
        return model.token_log_prob(tokens, model.condition_of(batch, len(tokens))).sum(1)


class RewardModel(Preference):
    """A score for rows, learned from pairs; samples are the best of several of the fitted model by that score.

    Args:
        rate: peak learning rate.
    """

    likelihood: ClassVar[Likelihood] = "none"

    def __init__(self, fields: Fields, conditions: Fields | None = None, *, rate: float = 5e-4, **network: Any):
        super().__init__(fields, conditions, **network)
        self.settings["rate"] = rate
        self.players = (Player("scorer", rate=rate, weight_decay=0.01),)
        self.scorer = Scorer(self.policy)
        self.policy.requires_grad_(False)

    def score(self, batch: Batch) -> Tensor:
        """The reward of each row, up to a constant; ``(batch,)``."""
        tokens = self.encode(batch)
        return self.scorer(self.policy.inputs(tokens), self.condition_of(batch, len(tokens)))[:, -1]

    def loss(self, batch: Batch, player: str = "scorer") -> Mapping[str, Tensor]:
        """Bradley and Terry's of a batch of pairs, and how many of them are ordered right."""
        chosen, rejected = self.score(side_of(batch, "chosen")), self.score(side_of(batch, "rejected"))
        loss = preference.bradley_terry(chosen, rejected).mean()
        return {"loss": loss, "ordered": (chosen > rejected).float().mean()}

    @torch.no_grad()
    def sample(self, count: int, given: Batch | None = None, *, best_of: int = 4, **options: Any) -> Batch:
        """Of ``best_of`` rows that the fitted model writes, that with the highest score."""
        given = {name: value.repeat_interleave(best_of, 0) for name, value in (given or {}).items()}
        rows = self.policy.sample(count * best_of, given, **options)
        best = self.score({**rows, **given}).view(count, best_of).argmax(1)
        return take(rows, torch.arange(count, device=best.device) * best_of + best)

    def log_prob(self, batch: Batch) -> Tensor:
        """There is none of the best of several."""
        raise NotImplementedError("RewardModel has no likelihood")


class DPO(Preference):
    """Direct preference optimisation: the policy itself is the reward model.

    Args:
        beta: how closely the policy is held to the reference; smaller is further away.
        rate: peak learning rate.
    """

    def __init__(
        self, fields: Fields, conditions: Fields | None = None, *, beta: float = 0.1, rate: float = 2e-4, **network: Any
    ):
        super().__init__(fields, conditions, **network)
        self.settings |= {"beta": beta, "rate": rate}
        self.beta = beta
        self.players = (Player("policy", rate=rate),)
        self.reference = copy.deepcopy(self.policy).requires_grad_(False)

    def loss(self, batch: Batch, player: str = "policy") -> Mapping[str, Tensor]:
        """Of a batch of pairs, and how many of them the implicit reward orders right."""
        sides = [side_of(batch, side) for side in ("chosen", "rejected")]
        now = [self._row_log_prob(self.policy, rows) for rows in sides]
        with torch.no_grad():
            before = [self._row_log_prob(self.reference, rows) for rows in sides]
        loss = preference.dpo(now[0], now[1], before[0], before[1], self.beta).mean()
        return {"loss": loss, "ordered": ((now[0] - before[0]) > (now[1] - before[1])).float().mean()}


class RewardDriven(Preference):
    """Base of PPO and GRPO: the policy writes rows, a reward judges them, the same rows serve for several updates.

    Attributes:
        reward: any function of rows; a plain python function, or the ``score`` of a fitted ``RewardModel``.

    Args:
        beta: of the KL to the reference.
        rollouts: rows written each turn.
        updates: of each player on the same rollouts.
        clip: PPO's.
        rate: peak learning rate of the policy.
    """

    reward: Reward | None = None

    def __init__(
        self, fields: Fields, conditions: Fields | None = None, *, beta: float, rollouts: int, updates: int,
        clip: float, rate: float, **network: Any,
    ):  # fmt: skip
        super().__init__(fields, conditions, **network)
        self.settings |= {"beta": beta, "rollouts": rollouts, "updates": updates, "clip": clip, "rate": rate}
        self.beta, self.rollouts, self.clip = beta, rollouts, clip
        self.players = (Player("policy", updates, rate),)
        self.reference = copy.deepcopy(self.policy).requires_grad_(False)
        self._rollout: Batch = {}
        self._age = 0

    @classmethod
    def wrap(cls, fitted: Autoregressive, reward: Reward | None = None, **settings: Any) -> Self:
        """See ``Preference``; ``reward`` can also be set later."""
        core = super().wrap(fitted, **settings)
        core.reward = reward
        return core

    def prepare(self, batch: Batch) -> None:
        """See ``Preference``.

        Raises:
            UserError: there is no reward.
        """
        super().prepare(batch)
        if self.reward is None:
            raise UserError("there is no reward to learn from", "reward", "set core.reward to a function of rows")

    def write(self, batch: Batch, count: int, repeat: int = 1) -> Batch:
        """``count`` rows of the policy with tokens, log-probabilities before any update, and rewards.

        Conditions are those of the batch, each ``repeat`` times in a row.
        """
        places = torch.arange(count, device=self.device) // repeat % max(1, rows_of(batch))
        given = take(self.condition_of(batch, rows_of(batch)), places)
        with torch.no_grad():
            tokens, _ = self.policy.generate(count, given)
            rows = {**self.codec.decode(tokens), **given}
            assert self.reward is not None
            reward = torch.as_tensor(self.reward(rows), dtype=torch.float32, device=self.device).reshape(count)
            now = self.policy.token_log_prob(tokens, given)
            before = self.reference.token_log_prob(tokens, given)
        return {**given, ":tokens": tokens, ":old": now, ":reference": before, ":reward": reward}

    def fresh(self, batch: Batch, player: str) -> Batch:
        """The rollouts of this turn: new ones when the policy's turn begins."""
        if not self._rollout or (player == "policy" and self._age == 0):
            self._rollout = self.roll_out(batch)
        return self._rollout

    def roll_out(self, batch: Batch) -> Batch:
        """``write``, and what the losses need besides."""
        raise NotImplementedError

    def after_step(self, player: str) -> None:
        """Count the updates of a turn."""
        if player == "policy":
            self._age = (self._age + 1) % self.players[0].steps

    def ratio(self, rollout: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities now, their log ratio to those when written, and which tokens were chosen freely."""
        tokens = rollout[":tokens"]
        now = self.policy.token_log_prob(tokens, rollout)
        return now, now - rollout[":old"], ~self.policy.ended(tokens)

    def report(self, rollout: Batch) -> dict[str, Tensor]:
        """Mean reward and KL to the reference (nats a row) of what was written."""
        return {"reward": rollout[":reward"].mean(), "kl": (rollout[":old"] - rollout[":reference"]).sum(1).mean()}

    def held_out_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Minus what is maximised: reward - beta KL, on rows written anew."""
        with seeded(0):
            report = self.report(self.write(batch, self.rollouts))
        return {"loss": self.beta * report["kl"] - report["reward"], **report}


class PPO(RewardDriven):
    """Proximal policy optimisation of reward - beta KL, the KL counted at each token (arXiv 2203.02155).

    Args:
        decay: of the advantage estimates (lambda).
        value_rate: peak learning rate of the value.
    """

    def __init__(
        self, fields: Fields, conditions: Fields | None = None, *, beta: float = 0.05, rollouts: int = 256,
        updates: int = 4, clip: float = 0.2, decay: float = 0.95, rate: float = 3e-4, value_rate: float = 1e-3,
        **network: Any,
    ):  # fmt: skip
        super().__init__(
            fields, conditions, beta=beta, rollouts=rollouts, updates=updates, clip=clip, rate=rate, **network
        )
        self.settings |= {"decay": decay, "value_rate": value_rate}
        self.decay = decay
        self.players = (Player("policy", updates, rate), Player("value", updates, value_rate))
        self.value = Scorer(self.policy)

    def roll_out(self, batch: Batch) -> Batch:
        """Rows with advantages and returns of each token."""
        rows = self.write(batch, self.rollouts)
        free = ~self.policy.ended(rows[":tokens"])
        place = torch.arange(free.shape[1], device=free.device)
        last = (place * free).amax(1, keepdim=True)
        with torch.no_grad():
            values = self._values(rows) * (place <= last)
        rewards = self.beta * (rows[":reference"] - rows[":old"])
        rewards = rewards.scatter_add(1, last, rows[":reward"][:, None])
        advantage = preference.gae(rewards, values, self.decay)
        return {**rows, ":advantage": advantage, ":return": advantage + values}

    def _values(self, rows: Batch) -> Tensor:
        return self.value(self.policy.inputs(rows[":tokens"]), rows)[:, :-1]

    def loss(self, batch: Batch, player: str = "policy") -> Mapping[str, Tensor]:
        """The clipped surrogate for the policy, half the squared error of the return for the value."""
        rollout = self.fresh(batch, player)
        if player == "value":
            free = ~self.policy.ended(rollout[":tokens"])
            return {"loss": language.cross_entropy(-0.5 * (self._values(rollout) - rollout[":return"]) ** 2, free)}
        _, log_ratio, free = self.ratio(rollout)
        surrogate = preference.clipped(log_ratio, rollout[":advantage"], self.clip)
        return {"loss": language.cross_entropy(-surrogate, free), **self.report(rollout)}


class GRPO(RewardDriven):
    """Group-relative policy optimisation: no value; a row is compared with others under the same conditions.

    Args:
        group: rows that are compared with each other.
        normalise: divide by the group's standard deviation, as published.
        kl: ``"loss"``, as published, or ``"reward"``; see ``objectives.preference.group_advantages`` for what each
            converges to: ``normalise=False, kl="reward"`` is the choice with PPO's fixed point.
    """

    def __init__(
        self, fields: Fields, conditions: Fields | None = None, *, beta: float = 0.04, rollouts: int = 256,
        updates: int = 2, clip: float = 0.2, group: int = 16, normalise: bool = True, kl: str = "loss",
        rate: float = 3e-4, **network: Any,
    ):  # fmt: skip
        if kl not in ("loss", "reward"):
            raise UserError(f"the KL cannot be put into the '{kl}'", "kl", "use loss or reward")
        if group < 2 or rollouts % group:
            raise UserError(f"{rollouts} rollouts do not divide into groups of {group}", "group", "of 2 or more")
        super().__init__(
            fields, conditions, beta=beta, rollouts=rollouts, updates=updates, clip=clip, rate=rate, **network
        )
        self.settings |= {"group": group, "normalise": normalise, "kl": kl}
        self.group, self.normalise, self.kl = group, normalise, kl

    def roll_out(self, batch: Batch) -> Batch:
        """Rows with one advantage each."""
        rows = self.write(batch, self.rollouts, self.group)
        reward = rows[":reward"]
        if self.kl == "reward":
            reward = reward - self.beta * (rows[":old"] - rows[":reference"]).sum(1)
        advantage = preference.group_advantages(reward.view(-1, self.group), self.normalise)
        return {**rows, ":advantage": advantage.reshape(-1, 1)}

    def loss(self, batch: Batch, player: str = "policy") -> Mapping[str, Tensor]:
        """The clipped surrogate, and beta times the drift from the reference."""
        rollout = self.fresh(batch, player)
        now, log_ratio, free = self.ratio(rollout)
        loss = preference.clipped(log_ratio, rollout[":advantage"], self.clip)
        if self.kl == "loss":
            loss = loss + self.beta * preference.drift(now, rollout[":reference"])
        return {"loss": language.cross_entropy(-loss, free), **self.report(rollout)}
