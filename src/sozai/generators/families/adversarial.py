"""Generative adversarial networks: a generator against a critic.

G(z, y) turns noise z and conditions y into an encoding, D(x, y) scores it; the games and penalties are in
``objectives.adversarial``. Subclasses change a part by overriding one method: ``build_generator`` and ``build_critic``
(the networks), ``pair`` (which rows and conditions are shown), ``activate`` (how free outputs become an encoding),
``generator_extras`` (further losses).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators import conditions as conditioning
from sozai.generators.codec import Codec, VectorCodec
from sozai.generators.core import Core, Player
from sozai.generators.networks.convolutional import ConvDecoder, ConvEncoder, resolutions
from sozai.generators.networks.mlp import mlp
from sozai.generators.objectives import adversarial
from sozai.generators.tensors import Batch, join, rows_of, seeded, take

LIPSCHITZ = {"none": 0.0, "clip": 0.01, "gradient-penalty": 10.0, "r1": 0.1}
"""Ways to keep the critic smooth, each with its usual strength."""
VECTOR_PENALTY = 0.1
"""Of the gradient penalty on numbers: the 10 of images loses modes of narrow clusters (2 of 8 found, with 0.1 all)."""


class Adversarial(Core):
    """GAN and its kin.

    Args:
        fields, conditions, codec: see ``Core``.
        objective: ``"non-saturating"``, ``"least-squares"`` or ``"wasserstein"``.
        lipschitz: ``"none"``, ``"clip"`` (weights after each step), ``"gradient-penalty"`` or ``"r1"``.
        strength: bound of the weights, or factor of the penalty; ``None``: the usual one, that of the gradient
            penalty 10 for images and 0.1 for numbers.
        critic_steps: updates of the critic for one of the generator.
        pac: rows that the critic judges at once (PacGAN).
        network: ``"mlp"``, ``"convolutional"`` (images), or ``"auto"``: convolutional where it can be.
        noise: columns of z; ``None``: 64 for convolutional networks, else as many as an encoding has, 2 to 32.
            More than the data has dimensions is harder to learn: it must then be squeezed out again.
        width: of hidden layers (by default 128), or channels of the largest map (32).
        layers: hidden layers of an MLP.
        normalisation: of convolutional networks, of generator and critic: ``"batch"``, ``"group"``, ...
        rate: learning rate of the generator; ``critic_rate`` that of the critic, by default the same.
        betas, optimizer: see ``Player``.
        drop: share of training rows whose conditions are hidden, so that any can be left out later.

    Attributes:
        compares: whether the generator's own losses look at real rows; most see them by the critic alone.
    """

    compares: ClassVar[bool] = False

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        objective: str = "non-saturating",
        lipschitz: str = "none",
        strength: float | None = None,
        critic_steps: int = 1,
        pac: int = 1,
        network: str = "auto",
        noise: int | None = None,
        width: int | None = None,
        layers: int = 3,
        normalisation: Sequence[str] = ("batch", "batch"),
        rate: float = 5e-4,
        critic_rate: float | None = None,
        betas: Sequence[float] = (0.5, 0.9),
        optimizer: str = "adam",
        drop: float = 0.1,
        codec: Codec | None = None,
    ):
        super().__init__(fields, conditions, codec)
        _one_of("objective", objective, adversarial.OBJECTIVES)
        _one_of("lipschitz", lipschitz, LIPSCHITZ)
        _one_of("network", network, ("auto", "mlp", "convolutional"))
        self.convolutional = network == "convolutional" or (network == "auto" and convolvable(self.codec.event))
        width = (32 if self.convolutional else 128) if width is None else width
        if noise is None:
            noise = 64 if self.convolutional else min(max(2, torch.Size(self.codec.event).numel()), 32)
        for name, value in {"critic_steps": critic_steps, "pac": pac, "noise": noise, "width": width}.items():
            if value < 1:
                raise UserError(f"it is {value}", f"setting '{name}'", "give a whole number from 1 on")
        self.objective, self.lipschitz = objective, lipschitz
        vector = len(self.codec.event) == 1
        usual = VECTOR_PENALTY if vector and lipschitz == "gradient-penalty" else LIPSCHITZ[lipschitz]
        self.strength = usual if strength is None else strength
        self.pac, self.noise_width, self.drop = pac, noise, drop
        self.width, self.layers, self.normalisation = width, layers, tuple(normalisation)
        beta = (float(betas[0]), float(betas[1]))
        self.players = (
            Player("critic", critic_steps, rate if critic_rate is None else critic_rate, beta, optimizer),
            Player("generator", 1, rate, beta, optimizer),
        )
        embedded = min(64, width) if self.conditions else 0
        self.generator = Conditioned(self.build_generator(noise, embedded), self.conditions, embedded)
        self.critic = Conditioned(self.build_critic(embedded), self.conditions, embedded, pac)
        self.condition_codec = VectorCodec(self.conditions) if self.conditions else None

    def build_generator(self, noise: int, condition: int) -> nn.Module:
        """A network of ``(noise, condition)`` vectors that returns ``(batch, *event)``, not yet activated."""
        if self.convolutional:
            return ConvDecoder(noise, self.codec.event, self.width, self.normalisation[0], condition=condition)
        return Dense((noise,), self.codec.event, condition, self.width, self.layers, nn.ReLU)

    def build_critic(self, condition: int) -> nn.Module:
        """A network of ``(packed encodings, packed conditions)`` that returns ``(batch / pac, 1)``."""
        first, *rest = self.codec.event
        event = (self.pac * first, *rest)
        if self.convolutional:
            return ConvEncoder(event, 1, self.width, self.pac * condition, self.normalisation[1])
        return Dense(event, (1,), self.pac * condition, self.width, self.layers, Leaky)

    def prepare(self, batch: Batch) -> None:
        """Fit the codec, and the scales of the conditions."""
        super().prepare(batch)
        if self.condition_codec is not None:
            self.condition_codec.fit(self._filled(batch))
            for network in (self.generator, self.critic):
                network.conditions.fit(batch)

    def pair(self, batch: Batch, encode: bool = True) -> tuple[Tensor, Batch]:
        """Real encodings (not asked for: no columns) and their conditions, as many rows as fill whole packs."""
        rows = rows_of(batch) - rows_of(batch) % self.pac
        if rows == 0:
            raise UserError(f"a batch of {rows_of(batch)} rows does not fill a pack of {self.pac}", "batch size")
        batch = take(batch, slice(rows))
        given = conditioning.drop(self.condition_of(batch), self.conditions, self.drop)
        return self.encode(batch) if encode else torch.empty(rows, 0, device=self.device), given

    def activate(self, raw: Tensor) -> Tensor:
        """The generator's free output as an encoding."""
        return self.codec.activate(raw)

    def generate(self, count: int, given: Batch) -> Tensor:
        """Encodings of new rows, differentiable."""
        noise = torch.randn(count, self.noise_width, device=self.device)
        return self.activate(self.generator(noise, given))

    def generator_extras(self, real: Tensor, fake: Tensor, given: Batch) -> Mapping[str, Tensor]:
        """Further losses of the generator by name, already weighted."""
        return {}

    def loss(self, batch: Batch, player: str = "critic") -> Mapping[str, Tensor]:
        """The game's loss of a player, and penalties or further losses."""
        real, given = self.pair(batch, encode=player == "critic" or self.compares)
        parts = self._critic_parts(real, given) if player == "critic" else self._generator_parts(real, given)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def _critic_parts(self, real: Tensor, given: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.generate(len(real), given)
        scores, fakes = self.critic(real, given), self.critic(fake, given)
        parts = {"critic": adversarial.critic_loss(scores, fakes, self.objective)}
        packed, packed_fake = adversarial.pack(real, self.pac), adversarial.pack(fake, self.pac)
        if self.lipschitz == "gradient-penalty":
            penalty = adversarial.gradient_penalty(self.judge(given), packed, packed_fake)
            parts["penalty"] = self.strength * penalty
        elif self.lipschitz == "r1":
            parts["penalty"] = self.strength * adversarial.zero_centred_penalty(self.judge(given), packed)
        return parts

    def _generator_parts(self, real: Tensor, given: Batch) -> dict[str, Tensor]:
        fake = self.generate(len(real), given)
        with frozen(self.critic):
            scores = self.critic(fake, given)
        return {
            "generator": adversarial.generator_loss(scores, self.objective),
            **self.generator_extras(real, fake, given),
        }

    def judge(self, given: Batch) -> Any:
        """The critic as a function of packed encodings alone."""
        return lambda packed: self.critic.packed(packed, given)

    def after_step(self, player: str) -> None:
        """Clip the critic's weights, where that is what makes it Lipschitz."""
        if player == "critic" and self.lipschitz == "clip":
            adversarial.clip_weights(self.critic, self.strength)

    def sample(self, count: int, given: Batch | None = None, **options: Any) -> Batch:
        """See ``Core``; batch norms use their running statistics, whatever mode the core is in."""
        full = self.condition_of(given, count)
        parts = []
        with torch.no_grad(), evaluating(self):
            for start in range(0, max(count, 1), 2048):
                stop = min(start + 2048, count)
                chunk = take(full, slice(start, stop))
                parts.append(self.codec.decode(self.generate(stop - start, chunk)))
        return join(parts)

    def held_out_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Energy distance between held-out rows and samples with the same conditions (the joint law of both).

        The losses of a game do not tell how good the samples are; this does.
        """
        with torch.no_grad(), seeded(0):
            self.recalibrate(batch)
            batch = take(batch, slice(1024))
            real = self._joint(batch)
            more = max(1, 1024 // len(real))
            wide = {name: value.repeat_interleave(more, 0) for name, value in batch.items()}
            fake = self._joint({**wide, **self.sample(rows_of(wide), self.condition_of(wide))})
            return {"loss": adversarial.energy_distance(real, fake)}

    def finish(self, batch: Batch) -> None:
        """Batch norms' running statistics once more, for the final weights."""
        with torch.no_grad(), seeded(0):
            self.recalibrate(batch)

    def recalibrate(self, batch: Batch, draws: int = 8, rows: int = 256) -> None:
        """Measure the generator's batch norms afresh: averaged weights have other statistics than the trained ones."""
        norms = [part for part in self.generator.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        if not norms:
            return
        given, modes = self.condition_of(batch), [(norm, norm.momentum, norm.training) for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all that follow
            norm.train()
        for _ in range(draws):
            picked = torch.randint(rows_of(batch), (rows,), device=self.device)
            self.generate(rows, take(given, picked))
        for norm, momentum, training in modes:
            norm.momentum = momentum
            norm.train(training)

    def _joint(self, batch: Batch) -> Tensor:
        """Encodings and conditions side by side, flat."""
        x = self.encode(batch).flatten(1)
        if self.condition_codec is None:
            return x
        return torch.cat([x, self.condition_codec.encode(self._filled(self.condition_of(batch)))], 1)

    def _filled(self, batch: Batch) -> Batch:
        """Conditions where what is not given is the mean, or the first category."""
        filled: Batch = {}
        for name, field in self.conditions.items():
            values = batch[name]
            if field.discrete:
                filled[name] = values.clamp(min=0)
            else:
                filled[name] = torch.where(values.isnan(), values.nanmean(0, keepdim=True).nan_to_num(), values)
        return filled


class Conditioned(nn.Module):
    """A network with an encoder of conditions of its own (critic and generator may not share one), and packs.

    Called with x ``(batch, ...)`` and the conditions of as many rows.
    """

    def __init__(self, network: nn.Module, conditions: Fields, embedded: int, pac: int = 1):
        super().__init__()
        self.network, self.pac = network, pac
        self.conditions = conditioning.ConditionEncoder(conditions, embedded)

    def forward(self, x: Tensor, given: Batch) -> Tensor:
        """x (batch, *event) to (batch / pac, ...)."""
        return self.packed(adversarial.pack(x, self.pac), given)

    def packed(self, x: Tensor, given: Batch) -> Tensor:
        """The same for x that is packed already: (batch / pac, pac * first, ...)."""
        condition = adversarial.pack(self.conditions(given), self.pac) if self.conditions.conditions else None
        return self.network(x, condition=condition)


class Dense(nn.Module):
    """A perceptron between events of any shape, the condition appended to its input."""

    def __init__(
        self, inputs: Sequence[int], outputs: Sequence[int], condition: int, width: int, layers: int, activation: Any
    ):
        super().__init__()
        self.outputs = tuple(outputs)
        size = [int(torch.Size(event).numel()) for event in (inputs, outputs)]
        self.layers = mlp(size[0] + condition, size[1], width, layers, activation)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):  # torch's own start shrinks the signal at each layer
                nn.init.kaiming_normal_(layer.weight, 0.2, nonlinearity="leaky_relu")
                nn.init.zeros_(layer.bias)

    def forward(
        self, x: Tensor, time: Tensor | None = None, condition: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """x (batch, *inputs), condition (batch, columns); time and mask are not looked at."""
        flat = x.flatten(1)
        return self.layers(flat if condition is None else torch.cat([flat, condition], 1)).reshape(-1, *self.outputs)


class Leaky(nn.LeakyReLU):
    """LeakyReLU with the slope that critics usually have."""

    def __init__(self) -> None:
        super().__init__(0.2)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """What is computed within the block sends no gradient to the module's parameters (but through it)."""
    states = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        module.requires_grad_(False)
        yield
    finally:
        for parameter, state in states:
            parameter.requires_grad_(state)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Within the block the module is in evaluation mode."""
    training = module.training
    try:
        module.eval()
        yield
    finally:
        module.train(training)


def convolvable(event: Sequence[int]) -> bool:
    """Whether events of this shape suit the convolutional networks."""
    try:
        return bool(resolutions(event))
    except UserError:
        return False


def _one_of(name: str, value: str, choices: Any) -> None:
    if value not in choices:
        raise UserError(f"there is no '{value}'", f"setting '{name}'", f"use one of {', '.join(choices)}")
