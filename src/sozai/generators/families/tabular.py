"""GANs made for tables: CTGAN, TableGAN, TGAN. Each changes a few parts of ``Adversarial``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.conditions import complete
from sozai.generators.core import Player
from sozai.generators.families.adversarial import Adversarial, evaluating, frozen
from sozai.generators.networks.columns import ColumnLSTM, MinibatchCritic
from sozai.generators.networks.convolutional import ConvEncoder
from sozai.generators.processes.modes import Concatenating, ModeCodec, SquareCodec, columns_of
from sozai.generators.tensors import Batch, rows_of, take


class CTGAN(Adversarial):
    """Conditional table GAN (L. Xu et al., NeurIPS 2019, arXiv 1907.00503).

    Each row is drawn *given one category of one column*, so that rare categories are learned too: in training
    the column is picked evenly, its category by the logarithm of its frequency, and the real row among those
    of the batch that have it (the paper: of the whole table); in sampling the category by its frequency. The
    generator pays for another category than asked for. Wasserstein with gradient penalty, ``pac`` rows judged at
    once. Categorical fields can be given when sampling.

    Args:
        fields, conditions: numbers and categories.
        modes: of each number at most.
        settings: of ``Adversarial``.
    """

    def __init__(self, fields: Fields, conditions: Fields | None = None, *, modes: int = 10, **settings: Any):
        columns_of(fields)
        self.asked = [name for name, field in fields.items() if field.discrete and not field.shape]
        known = {**(conditions or {}), **{name: fields[name] for name in self.asked}}
        super().__init__(fields, known, codec=ModeCodec(fields, modes), network="mlp", **settings)
        for name in self.asked:
            self.register_buffer(f"frequency_{self.asked.index(name)}", torch.ones(fields[name].categories))

    def build_generator(self, noise: int, condition: int) -> nn.Module:
        """Two concatenating layers."""
        inputs = noise + condition
        layers = [Concatenating(inputs + at * self.width, self.width) for at in range(2)]
        return _Appending(nn.Sequential(*layers, nn.Linear(inputs + 2 * self.width, self.codec.event[0])))

    def build_critic(self, condition: int) -> nn.Module:
        """Two layers with dropout, on ``pac`` rows."""
        inputs = self.pac * (self.codec.event[0] + condition)
        parts: list[nn.Module] = []
        for size in (inputs, self.width):
            parts += [nn.Linear(size, self.width), nn.LeakyReLU(0.2), nn.Dropout(0.5)]
        return _Appending(nn.Sequential(*parts, nn.Linear(self.width, 1)))

    def prepare(self, batch: Batch) -> None:
        """Count the categories."""
        super().prepare(batch)
        for place, name in enumerate(self.asked):
            counts = torch.bincount(batch[name], minlength=self.fields[name].categories)
            getattr(self, f"frequency_{place}").copy_(counts)

    def asking(self, place: int, training: bool) -> Tensor:
        """Probabilities of the categories of an asked column: by log-frequency in training."""
        counts = getattr(self, f"frequency_{place}")
        weights = torch.log1p(counts) if training else counts
        return weights / weights.sum()

    def ask(self, rows: int, training: bool) -> tuple[Tensor, Tensor]:
        """For each row a column, evenly, and a category of it: both (rows,)."""
        column = torch.randint(len(self.asked), (rows,), device=self.device)
        category = torch.zeros_like(column)
        for place in range(len(self.asked)):
            here = column == place
            if here.any():
                chances = self.asking(place, training)
                category[here] = torch.multinomial(chances, int(here.sum()), replacement=True)
        return column, category

    def with_asked(self, given: Batch, column: Tensor, category: Tensor) -> Batch:
        """Conditions in which just one asked column is given."""
        out = dict(given)
        for place, name in enumerate(self.asked):
            out[name] = torch.where(column == place, category, -1)
        return out

    def pair(self, batch: Batch, encode: bool = True) -> tuple[Tensor, Batch]:
        """Training by sampling: conditions first, then a row of the batch that fulfils each."""
        if self.asked:
            column, category = self.ask(rows_of(batch), training=True)
            columns = torch.stack([batch[name] for name in self.asked], 1)
            fits = category[:, None] == columns[:, column].T  # (conditions, rows of the batch)
            missing = ~fits.any(1)
            own = torch.arange(len(fits), device=self.device)
            fits[missing, own[missing]] = True  # nobody has it: the condition becomes what the row has
            batch = take(batch, torch.multinomial(fits.float(), 1)[:, 0])
            category = torch.stack([batch[name] for name in self.asked], 1)[own, column]
        encoded, given = super().pair(batch, encode)
        if self.asked:
            rows = len(encoded)
            given = self.with_asked(given, column[:rows], category[:rows])
        return encoded, given

    def generate(self, count: int, given: Batch) -> Tensor:
        """Rows that nothing is asked of are asked for a category by its frequency."""
        if self.asked:
            free = torch.stack([given[name] < 0 for name in self.asked]).all(0)
            filled = self.with_asked(given, *self.ask(count, training=False))
            given = {**given, **{name: torch.where(free, filled[name], given[name]) for name in self.asked}}
        return super().generate(count, given)

    def activate(self, raw: Tensor) -> Tensor:
        """Also keeps the logits, which the generator's own loss needs."""
        self._logits = raw
        return super().activate(raw)

    def generator_extras(self, real: Tensor, fake: Tensor, given: Batch) -> Mapping[str, Tensor]:
        """Cross entropy of the asked category, a mean over rows (section 4.3)."""
        if not self.asked:
            return {}
        spans = {span.field: span for span in self.codec.spans if span.field in self.asked}
        total = torch.zeros((), device=self.device)
        for name in self.asked:
            asked = given[name] >= 0
            if asked.any():
                logits = self._logits[:, spans[name].columns][asked]
                total = total + F.cross_entropy(logits, given[name][asked], reduction="sum") / len(fake)
        return {"asked": total}

    def condition_of(self, batch: Batch | None, count: int | None = None) -> Batch:
        """A row's own categories are not what was asked of it."""
        plain = {name: value for name, value in (batch or {}).items() if name not in self.asked}
        rows = count if count is not None else rows_of(batch or {})
        return complete(plain, self.conditions, rows, self.device)

    def sample(self, count: int, given: Batch | None = None, **options: Any) -> Batch:
        """See ``Core``; categories may be given too."""
        full = complete(given or {}, self.conditions, count, self.device)
        with torch.no_grad(), evaluating(self):
            return self.codec.decode(self.generate(count, full))


class TableGAN(Adversarial):
    """Rows as square images in a DCGAN, with two more losses (N. Park et al., VLDB 2018, arXiv 1806.03384).

    The *information* loss draws the mean and deviation of the critic's features of generated rows to those of real
    ones, but only to within ``slack`` (more slack, more privacy); the *classification* loss, of a network that
    predicts the target column from the others, keeps rows consistent.

    Args:
        fields: numbers and categories.
        conditions: none.
        target: the column that is predicted; by default the last.
        slack: of mean and of deviation, in the norm of the features.
        memory: of the running moments of real features.
        settings: of ``Adversarial``.
    """

    compares = True
    moments: Tensor

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        target: str | None = None,
        slack: float = 0.0,
        memory: float = 0.99,
        **settings: Any,
    ):
        codec = SquareCodec(fields)
        names = [name for name, _, _ in codec.columns]
        if target is not None and target not in names:
            raise UserError(f"there is no column '{target}'", "setting 'target'", f"use one of {', '.join(names)}")
        super().__init__(fields, conditions, codec=codec, network="convolutional", **settings)
        self.slack, self.memory = slack, memory
        self.target = len(names) - 1 if target is None else names.index(target)
        self.classifier = ConvEncoder(codec.event, 1, self.width)
        self.players = (*self.players, Player("classifier", 1, self.players[0].rate, self.players[0].betas, "adam"))
        features = self.critic_features(torch.zeros(2, *codec.event)).shape[1]
        self.register_buffer("moments", torch.zeros(2, features))

    def loss(self, batch: Batch, player: str = "critic") -> Mapping[str, Tensor]:
        """The classifier learns from real rows alone."""
        if player == "classifier":
            return {"loss": self.disagreement(self.encode(batch))}
        return super().loss(batch, player)

    def disagreement(self, x: Tensor) -> Tensor:
        """E |label - C(row without label)| in scaled units."""
        label = x.flatten(1)[:, self.target]
        return (label - self.classifier(self.without_label(x))[:, 0]).abs().mean()

    def without_label(self, x: Tensor) -> Tensor:
        """The label's pixel set to zero."""
        keep = torch.arange(x[0].numel(), device=x.device) != self.target
        return x * keep.reshape(self.codec.event)

    def generator_extras(self, real: Tensor, fake: Tensor, given: Batch) -> Mapping[str, Tensor]:
        """Information and classification loss (equations 4 to 6 of the paper)."""
        with frozen(self.critic), frozen(self.classifier):
            mean, deviation = self.feature_moments(fake)
            with torch.no_grad():
                fresh = torch.stack(self.feature_moments(real))
                started = bool(self.moments.any())
                self.moments.copy_(torch.lerp(fresh, self.moments, self.memory) if started else fresh)
            information = hinge(mean, self.moments[0], self.slack) + hinge(deviation, self.moments[1], self.slack)
            return {"information": information, "classification": self.disagreement(fake)}

    def feature_moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the critic's last features over rows."""
        features = self.critic_features(x)
        return features.mean(0), features.std(0)

    def critic_features(self, x: Tensor) -> Tensor:
        """The critic's last features, (batch, columns)."""
        network = self.critic.network
        assert isinstance(network, ConvEncoder)
        return network.features(x)[-1].flatten(1)


def hinge(one: Tensor, other: Tensor, slack: float) -> Tensor:
    """max(0, |one - other| - slack)."""
    return F.relu((one - other).square().sum().add(1e-12).sqrt() - slack)


class TGAN(Adversarial):
    """A recurrent network writes a row column by column (L. Xu and K. Veeramachaneni, 2018, arXiv 1811.11264).

    An LSTM with attention over its earlier outputs emits for a number its place in a mode, then the mode's
    probabilities; for a category its probabilities. The critic judges with minibatch discrimination; the
    generator also pays the Kullback-Leibler divergence of each discrete column.

    Args:
        fields: numbers and categories.
        conditions: none.
        modes: of each number.
        blur: uniform noise on real one-hot categories.
        settings: of ``Adversarial``.
    """

    compares = True

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        modes: int = 5,
        blur: float = 0.2,
        **settings: Any,
    ):
        self.blur = blur
        codec = ModeCodec(fields, modes, width=2.0, soft=True)
        super().__init__(fields, conditions, codec=codec, network="mlp", **settings)

    def build_generator(self, noise: int, condition: int) -> nn.Module:
        """The LSTM; it activates what it emits, since it reads it again."""
        assert isinstance(self.codec, ModeCodec)
        return ColumnLSTM(noise, self.codec.spans, self.width)

    def build_critic(self, condition: int) -> nn.Module:
        """With minibatch discrimination."""
        return MinibatchCritic(self.codec.event[0], self.width, self.layers)

    def activate(self, raw: Tensor) -> Tensor:
        """Done by the LSTM."""
        return raw

    def pair(self, batch: Batch, encode: bool = True) -> tuple[Tensor, Batch]:
        """Real categories blurred, so that they cannot be told by being sharp."""
        encoded, given = super().pair(batch, encode)
        pieces = []
        for span in self.codec.spans:
            piece = encoded[:, span.columns]
            if span.kind == "choice":
                piece = piece + self.blur * torch.rand_like(piece)
                piece = piece / piece.sum(1, keepdim=True)
            pieces.append(piece)
        return torch.cat(pieces, 1), given

    def generator_extras(self, real: Tensor, fake: Tensor, given: Batch) -> Mapping[str, Tensor]:
        """KL of the mean of each discrete column."""
        spans = [span for span in self.codec.spans if span.kind == "choice"]
        parts = [divergence(real[:, span.columns].mean(0), fake[:, span.columns].mean(0)) for span in spans]
        return {"divergence": torch.stack(parts).sum()}


def divergence(real: Tensor, fake: Tensor) -> Tensor:
    """KL(real | fake) of two laws over categories."""
    return (real * ((real + 1e-6).log() - (fake + 1e-6).log())).sum()


class _Appending(nn.Module):
    """Layers whose input is x and the condition side by side."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, columns), condition (batch, columns)."""
        return self.layers(x if condition is None else torch.cat([x, condition], 1))
