"""A fitted language model, improved by a reward: PPO and GRPO.

    core = PPO.wrap(fitted, reward=lambda batch: ..., beta=0.1)
    train(core, rows, steps=100)                    # rows: only their conditions are looked at
    core.sample(100)

The model writes rows, the reward judges them, and the same rows serve for several updates of each player. Losses and
their fixed points are in ``objectives.preference``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.core import Player
from sozai.generators.families.autoregressive import Autoregressive
from sozai.generators.families.preference import Preference, Scorer
from sozai.generators.objectives import language, preference
from sozai.generators.tensors import Batch, rows_of, seeded, take

Reward = Callable[[Batch], Any]
"""From rows (fields, mask and conditions) to a number for each."""


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
