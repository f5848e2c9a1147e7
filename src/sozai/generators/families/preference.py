"""A fitted language model, improved by preferences: reward model and DPO (PPO and GRPO: ``reinforcement``).

    policy = Autoregressive(fields); train(policy, rows)
    core = DPO.wrap(policy, beta=0.1)
    train(core, pairs(chosen, rejected), steps=300)
    core.sample(100)

Losses and their fixed points are in ``objectives.preference``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.core import Core, Likelihood, Player
from sozai.generators.families.autoregressive import Autoregressive
from sozai.generators.objectives import preference
from sozai.generators.tensors import Batch, take
from sozai.generators.token_codec import TokenCodec


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
