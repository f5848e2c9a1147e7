"""One diffusion over any set of typed fields, each with the noise that suits it.

    continuous, image      Gaussian            (processes.corruption)
    categorical, sequence  D3PM                (processes.discrete)
    periodic               wrapped normal      (processes.wrapped)
    rotation               IGSO(3)             (processes.rotation)

All are noised independently to the same time t = k / T, one network (networks.fieldnet) sees them together and
predicts for each, and the reverse steps factorise again: the joint corruption of MatterGen (C. Zeni et al., 2312.03687)
and DiffCSP (2309.04475), of TabDDPM (A. Kotelnikov et al., 2209.15421) for rows of tables, and D3PM alone
(J. Austin et al., 2107.03006) where all is discrete. The bound adds up over fields::

    -log p(x) <= sum over fields of [ ends + sum_k E KL(q(z_(k-1) | z_k, z_0) || p(z_(k-1) | z_k)) ]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.fields import MASK, Field, Fields
from sozai.generators.codec import Codec
from sozai.generators.conditions import ConditionEncoder, drop
from sozai.generators.core import Core, Likelihood, Player
from sozai.generators.networks.fieldnet import FieldNet, Slot
from sozai.generators.processes import corruption, discrete, gaussian, rotation, scaling, wrapped
from sozai.generators.processes.corruption import Corruption
from sozai.generators.tensors import Batch, rows_of, seeded, take

MOST_SITES = 1024
"""The largest number of sites that is kept count of."""


class FieldDiffusion(Core):
    """See the module.

    Args:
        transition: of categories: ``"absorbing"``, ``"uniform"`` or ``"gaussian"`` (ordered categories).
        diffusion_steps: T.
        cross_entropy: D3PM's lambda.
        schedule: of Gaussian noise: ``"cosine"`` or ``"linear"``.
        predict: for Gaussian noise: ``"velocity"`` or ``"noise"``.
        scale: of numbers: ``"standard"``, or ``"quantile"`` (no likelihood, but the marginals of the data).
        discrete_levels: whether images with levels are categories.
        invariant: periodic fields on sites of which only differences count; by default those of shape (3,).
        weights: of the loss, by kind of field.
        drop_conditions: share of rows trained without their conditions, for guidance.
        width, layers, heads, dropout: of the network.
        rate: learning rate.

    Raises:
        UserError: a setting that does not exist.
    """

    likelihood: ClassVar[Likelihood] = "bound"
    sizes: Tensor

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        transition: str = "absorbing",
        diffusion_steps: int = 100,
        cross_entropy: float = 0.01,
        schedule: str = "cosine",
        predict: str = "velocity",
        scale: str = "standard",
        discrete_levels: bool = False,
        invariant: list[str] | None = None,
        weights: Mapping[str, float] | None = None,
        drop_conditions: float = 0.1,
        width: int = 128,
        layers: int = 3,
        heads: int = 4,
        dropout: float = 0.0,
        rate: float = 1e-3,
        codec: Codec | None = None,
    ):
        super().__init__(fields, conditions, codec if codec is not None else Codec())  # each field has its own
        schedules = {"cosine": gaussian.CosineSchedule, "linear": gaussian.LinearSchedule}
        scalings = {"standard": scaling.Scaling, "quantile": scaling.QuantileScaling}
        _one_of("schedule", schedule, schedules)
        _one_of("scale", scale, scalings)
        _one_of("predict", predict, ("velocity", "noise"))
        if diffusion_steps < 2:
            raise UserError("a diffusion needs at least 2 steps", "diffusion_steps")
        self.steps, self.drop_conditions = diffusion_steps, drop_conditions
        self.weights = dict(weights or {})
        self.players = (Player(rate=rate, betas=(0.9, 0.99)),)
        if invariant is None:
            invariant = [n for n, f in self.fields.items() if f.sites and f.kind == "periodic" and f.shape == (3,)]

        def noise_of(name: str, field: Field) -> Corruption:
            if discrete_levels and field.kind == "image" and not field.levels:
                raise UserError("an image as categories needs its number of levels", f"field '{name}'",
                                "give the field levels, or use 'field-diffusion'")  # fmt: skip
            if field.discrete or (discrete_levels and field.kind == "image"):
                return discrete.Categories(field, transition, diffusion_steps, cross_entropy)
            if field.kind == "periodic":
                return wrapped.WrappedNormal(field, name in invariant and field.sites)
            if field.kind == "rotation":
                return rotation.RotationNoise(field)
            scaled = scalings[scale](field.size) if field.kind == "continuous" else None
            return corruption.GaussianNoise(field, schedules[schedule](), predict, scaled, diffusion_steps)

        self.numbers = [n for n, f in self.fields.items() if f.kind == "continuous" and not f.sites]
        self.inner = {n: f for n, f in self.fields.items() if n not in self.numbers[1:]}
        if self.numbers:  # one vector of all numbers, under the name of the first: many columns cost no more than one
            total = sum(self.fields[name].size for name in self.numbers)
            self.inner[self.numbers[0]] = Field("continuous", (total,))
        self.noises = nn.ModuleList(noise_of(name, field) for name, field in self.inner.items())
        slots = {n: Slot(c.inputs, c.outputs, c.group, c.places, c.relative) for n, c in self._by_name()}
        self.net = FieldNet(slots, width, layers, heads, dropout)
        self.given = ConditionEncoder(self.conditions, width)
        self.register_buffer("sizes", torch.zeros(MOST_SITES + 1))

    def _by_name(self) -> Iterator[tuple[str, Any]]:
        return iter(zip(self.inner, self.noises, strict=True))

    def _values(self, batch: Batch) -> Batch:
        """The fields as they are noised: numbers of the whole material side by side."""
        values = {name: batch[name] for name in self.inner}
        if self.numbers:
            values[self.numbers[0]] = torch.cat(
                [batch[name].flatten(1) if batch[name].dim() > 1 else batch[name][:, None] for name in self.numbers], 1
            )
        return values

    def prepare(self, batch: Batch) -> None:
        """Scales of each field and condition, and how many sites there are how often."""
        values = self._values(batch)
        for name, noise in self._by_name():
            z = noise.arrange(values[name])
            noise.fit(z, self._real(name, z, batch.get(MASK)))
        self.given.fit(batch)
        self.sizes.zero_()
        if (counts := self._counts(batch)) is not None:
            if counts.max() > MOST_SITES:
                raise UserError(f"a row has more than {MOST_SITES} sites", "data")
            self.sizes.index_add_(0, counts, torch.ones_like(counts, dtype=self.sizes.dtype))

    def _counts(self, batch: Batch) -> Tensor | None:
        if MASK in batch:
            return batch[MASK].sum(1)
        sites = next((batch[name] for name, field in self.fields.items() if field.sites), None)
        return None if sites is None else torch.full((len(sites),), sites.shape[1], device=sites.device)

    def _mask(self, batch: Batch) -> Tensor | None:
        counts = self._counts(batch)
        if MASK in batch or counts is None:
            return batch.get(MASK)
        return torch.ones(len(counts), int(counts[0]), dtype=torch.bool, device=counts.device)

    def _real(self, name: str, z: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None and self.inner[name].sites:
            return torch.ones(z.shape[:2], dtype=torch.bool, device=z.device)
        return self.net.real(name, len(z), mask).to(z.device)

    def _encode(self, batch: Batch) -> Batch:
        values = self._values(batch)
        return {name: noise.encode(values[name]) for name, noise in self._by_name()}

    def denoise(self, z: Batch, t: Tensor, condition: Tensor | None, mask: Tensor | None) -> Batch:
        """The network's prediction for each field."""
        features = {name: noise.features(z[name], t) for name, noise in self._by_name()}
        out = self.net(features, t, condition, mask)
        return {n: noise.project(out[n].float(), self._real(n, z[n], mask)) for n, noise in self._by_name()}

    def loss(self, batch: Batch, player: str = "model") -> Mapping[str, Tensor]:
        """Sum over kinds of the mean of the fields' losses over their real values."""
        rows, mask = rows_of(batch), self._mask(batch)
        with torch.autocast(self.device.type, enabled=False):
            given = drop(self.condition_of(batch), self.conditions, self.drop_conditions if self.training else 0.0)
            s, t = self._times(rows)
            z0 = self._encode(batch)
            zt = {name: noise.corrupt(z0[name], t) for name, noise in self._by_name()}
        predicted = self.denoise(zt, t, self._condition(given, rows), mask)
        total: dict[str, Tensor] = {}
        sizes: dict[str, int] = {}
        with torch.autocast(self.device.type, enabled=False):
            for name, noise in self._by_name():
                real = self._real(name, z0[name], mask)
                each = noise.loss(predicted[name], z0[name], zt[name], s, t, real) * real
                kind, size = self.inner[name].kind, self.inner[name].size
                total[kind] = total.get(kind, each.new_zeros(())) + size * each.sum() / real.sum().clamp(min=1)
                sizes[kind] = sizes.get(kind, 0) + size
        parts = {kind: value / sizes[kind] for kind, value in total.items()}
        loss = torch.stack([self.weights.get(kind, 1.0) * value for kind, value in parts.items()]).sum()
        return {"loss": loss, **parts}

    def held_out_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """The loss, repeatable, of four draws a row."""
        with seeded(0):
            draws = [self.loss(batch) for _ in range(4)]
        return {name: torch.stack([draw[name] for draw in draws]).mean() for name in draws[0]}

    @torch.no_grad()
    def finish(self, batch: Batch) -> None:
        """The best variance of each reverse step of the numbers, from at most 512 rows."""
        if not any(isinstance(noise, corruption.GaussianNoise) for noise in self.noises):
            return
        batch = take(batch, torch.randperm(rows_of(batch), device=self.device)[:512])
        rows, mask, z0 = rows_of(batch), self._mask(batch), self._encode(batch)
        condition = self._condition(self.condition_of(batch), rows)
        for k in range(1, self.steps + 1):
            t = torch.full((rows,), k / self.steps, device=self.device)
            zt = {name: noise.corrupt(z0[name], t) for name, noise in self._by_name()}
            out = self.denoise(zt, t, condition, mask)
            for name, noise in self._by_name():
                if isinstance(noise, corruption.GaussianNoise):
                    noise.learn_error(out[name], z0[name], zt[name], t, self._real(name, z0[name], mask))

    def _times(self, rows: int) -> tuple[Tensor, Tensor]:
        """Times k / T and the step before, spread evenly over the rows: less variance."""
        u = (torch.rand((), device=self.device) + torch.randperm(rows, device=self.device) / rows) % 1
        k = (u * self.steps).floor().clamp(max=self.steps - 1)
        return k / self.steps, (k + 1) / self.steps

    def _condition(self, given: Batch, rows: int) -> Tensor | None:
        return self.given(given, rows) if self.conditions else None

    @torch.no_grad()
    def sample(
        self,
        count: int,
        given: Batch | None = None,
        *,
        steps: int | None = None,
        corrector: int = 0,
        guidance: float = 1.0,
        sites: int | Tensor | None = None,
        **options: Any,
    ) -> Batch:
        """Rows of all fields, with ``"mask"`` where they vary in size.

        Args:
            given: conditions.
            steps: reverse steps, at most T, the default.
            corrector: Langevin steps after each (periodic and rotation fields), each as dear as a step.
            guidance: 1 for none; above it the conditions weigh more (arXiv 2207.12598).
            sites: number of sites of all rows or of each; by default drawn as in the training data.
        """
        if options:
            raise UserError(f"there is no option '{next(iter(options))}'", "sample")
        steps = self.steps if steps is None else steps
        if not 1 <= steps <= self.steps:
            raise UserError(f"it must be 1 to {self.steps}", "steps")
        mask = self._draw_mask(count, sites)
        condition = self._condition(self.condition_of(given, count), count)
        nothing = self._condition(self.condition_of(None, count), count) if guidance != 1.0 else None
        z: Batch = {}
        for name, noise in self._by_name():
            z[name] = noise.prior(count, noise.places or (mask.shape[1] if mask is not None else 0), self.device)

        def predict(t: Tensor) -> Batch:
            out = self.denoise(z, t, condition, mask)
            if nothing is None:
                return out
            free = self.denoise(z, t, nothing, mask)
            return {name: free[name] + guidance * (out[name] - free[name]) for name in out}

        times = (torch.linspace(1, 0, steps + 1) * self.steps).round() / self.steps
        for now, before in pairwise(times.tolist()):
            t, s = (torch.full((count,), u, device=self.device) for u in (now, before))
            out = predict(t)
            z = {name: noise.reverse(z[name], out[name], s, t) for name, noise in self._by_name()}
            for _ in range(corrector if before > 0 else 0):
                out = predict(s)
                z = {name: noise.correct(z[name], out[name], s) for name, noise in self._by_name()}
        return self._decode(z, mask)

    def _decode(self, z: Batch, mask: Tensor | None) -> Batch:
        batch: Batch = {}
        for name, noise in self._by_name():
            values = noise.decode(z[name])
            if mask is not None and noise.group in ("sites", "sequence"):
                real = self._real(name, z[name], mask)
                values = torch.where(real.view(*real.shape, *[1] * (values.dim() - 2)), values, 0)
            batch[name] = values
        if self.numbers:
            sizes = [self.fields[name].size for name in self.numbers]
            for name, part in zip(self.numbers, batch[self.numbers[0]].split(sizes, 1), strict=True):
                batch[name] = part.reshape(len(part), *self.fields[name].shape)
        batch = {name: batch[name] for name in self.fields}
        return batch if mask is None else {**batch, MASK: mask}

    def _draw_mask(self, count: int, sites: int | Tensor | None) -> Tensor | None:
        """None when nothing varies in size."""
        if sites is None:
            if self.sizes.sum() == 0:
                return None
            drawn = torch.multinomial(self.sizes, count, replacement=True)
        else:
            drawn = torch.as_tensor(sites, device=self.device).expand(count)
        most = int(drawn.max())
        if not self.net.sited:  # a mask of a sequence is as long as the sequence
            most = max(noise.places for _, noise in self._by_name() if noise.group == "sequence")
        return torch.arange(most, device=self.device) < drawn[:, None]

    @torch.no_grad()
    def log_prob(self, batch: Batch, draws: int = 20) -> Tensor:
        """A lower bound, nats, from ``draws`` times a row, evenly spread over the T steps (T draws: each once).

        Raises:
            UserError: periodic or rotation fields, or quantile scales, for which there is no bound here.
        """
        lacking = [name for name, noise in self._by_name() if isinstance(noise, corruption.Geodesic)]
        if lacking or any(isinstance(m, scaling.QuantileScaling) for m in self.modules()):
            raise UserError(
                "only categories and numbers with standard scales have a likelihood bound",
                f"field '{lacking[0]}'" if lacking else "scale",
            )
        rows, mask = rows_of(batch), self._mask(batch)
        z0 = self._encode(batch)
        condition = self._condition(self.condition_of(batch), rows)
        real = {name: self._real(name, z0[name], mask) for name in self.inner}
        total = sum((noise.ends(z0[name]) * real[name]).sum(1) for name, noise in self._by_name())
        draws = min(draws, self.steps)
        for number in range(draws):
            low, high = number * self.steps // draws, (number + 1) * self.steps // draws
            k = torch.randint(low, high, (rows,), device=self.device)
            s, t = k / self.steps, (k + 1) / self.steps
            zt = {name: noise.corrupt(z0[name], t) for name, noise in self._by_name()}
            out = self.denoise(zt, t, condition, mask)
            for name, noise in self._by_name():
                step = noise.divergence(out[name], z0[name], zt[name], s, t)
                total = total + (high - low) * (step * real[name]).sum(1)
        return -total


def _one_of(setting: str, value: str, known: Any) -> None:
    if value not in known:
        raise UserError(f"there is no {setting} '{value}'", setting, f"use {' or '.join(known)}")
