"""What a family is: a torch module with a loss for each of its players, and samples.

A *core* is complete by itself; a bare PyTorch loop needs nothing else of sozai::

    core = GaussianDiffusion(fields)
    core.prepare(batch)
    core.loss(batch, "model")["loss"].backward()
    new = core.sample(100)

*Players* are the parts that learn in turn, each with an optimizer of its own: critic and generator of a GAN,
VAE and density ratio of FactorVAE, value and policy of PPO. They are why one training loop serves all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from sozai.fields import Fields
from sozai.generators.codec import Codec, codec_for
from sozai.generators.tensors import Batch, rows_of, seeded

Likelihood = Literal["exact", "bound", "none"]
"""What ``log_prob`` returns: the log-density itself, a lower bound of it, or nothing."""


@dataclass(frozen=True)
class Player:
    """One learner of a core.

    Args:
        name: also the name of the submodule that it trains, unless the core overrides ``parameters_of``.
        steps: updates in a row before the next player's turn, each on a fresh batch.
        rate: learning rate at its peak.
        betas: of Adam.
        optimizer: ``"adamw"``, ``"adam"`` or ``"rmsprop"``.
        weight_decay: of AdamW.
    """

    name: str = "model"
    steps: int = 1
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    optimizer: str = "adamw"
    weight_decay: float = 0.0


class Learner(nn.Module):
    """What the training loop asks of a module; ``loss`` is all that must be written."""

    players: tuple[Player, ...] = (Player(),)

    def loss(self, batch: Batch, player: str = "model") -> Mapping[str, Tensor]:
        """``"loss"`` (a mean over rows, to be minimised by the player) and its named parts, all scalars."""
        raise NotImplementedError

    def parameters_of(self, player: str) -> Iterable[nn.Parameter]:
        """What a player may change: by default the submodule of its name, or all for an only player."""
        if len(self.players) == 1:
            return self.parameters()
        return getattr(self, player).parameters()

    def prepare(self, batch: Batch) -> None:
        """Take from the training data what is not learned by gradient: scales, mixtures, first actnorm.

        Called once, with all training rows, before the first step. What it finds lives in buffers.
        """

    def after_step(self, player: str) -> None:
        """Called after each update of a player: clip weights, move a codebook, anneal."""

    def finish(self, batch: Batch) -> None:
        """Called once after training, with the training data: what rests on the fitted weights (a sampler's path)."""

    def held_out_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """What early stopping watches, ``"loss"`` and parts: by default the first player's loss, repeatable."""
        with seeded(0):
            return self.loss(batch, self.players[0].name)

    @property
    def device(self) -> Any:
        """Where the parameters are."""
        return next(self.parameters()).device


class Core(Learner):
    """Base of all families.

    Args:
        fields: what it generates.
        conditions: what it is given; also entries of the batch. In a batch of conditions NaN (a negative number
            for categories) means not given.
        codec: turns the fields into one tensor ``(batch, *event)`` and back; by default the one for the fields.
    """

    likelihood: ClassVar[Likelihood] = "none"

    def __init__(self, fields: Fields, conditions: Fields | None = None, codec: Codec | None = None):
        super().__init__()
        self.fields = dict(fields)
        self.conditions = dict(conditions or {})
        self.codec = codec if codec is not None else codec_for(self.fields)

    def prepare(self, batch: Batch) -> None:
        """Fit the codec; see ``Learner.prepare``."""
        self.codec.fit(batch)

    def sample(self, count: int, given: Batch | None = None, **options: Any) -> Batch:
        """``count`` rows of the fields, on the core's device, drawn from torch's global random source.

        Args:
            given: conditions, ``count`` rows each.
            options: of the family, e.g. ``steps`` or ``sampler``.
        """
        raise NotImplementedError

    def log_prob(self, batch: Batch) -> Tensor:
        """Log-density (nats, in the data's own units) or a bound of it, a number a row; see ``likelihood``.

        Continuous fields count as densities, categories and ``levels`` as probabilities.
        """
        raise NotImplementedError(f"{type(self).__name__} has no likelihood")

    def encode(self, batch: Batch) -> Tensor:
        """The fields of a batch as one tensor ``(batch, *event)``."""
        return self.codec.encode(batch)

    def condition_of(self, batch: Batch | None, count: int | None = None) -> Batch:
        """The condition entries of a batch; what it lacks is marked as not given."""
        from sozai.generators.conditions import complete

        rows = count if count is not None else rows_of(batch or {})
        return complete(batch or {}, self.conditions, rows, self.device)
