"""VQ-VAE and VQ-VAE-2: autoencoders whose latents are codes on grids, with autoregressive priors of the codes.

A. van den Oord et al., arXiv 1711.00937; A. Razavi et al., arXiv 1906.00446. With levels 1 (finest) .. L, each
level's vectors are computed from features at its scale and from what the coarser levels decode to::

    q_l = quantise(z_l(h_l, d_{l+1})),   d_l = decode(q_l, d_{l+1}),   p(x|q) = p(x|d_1)

    autoencoder:  -log p(x|q) + sum_l beta ||z_l - sg e_l||^2     (codes move by running means, see ``quantise``)
    prior:        -sum_l log p(c_l | c_{l+1}, condition)           on the codes as they are, no gradient to them

As p(x) = sum_c p(x|c) p(c), the encoder's codes alone give the bound log p(x) >= log p(x|c(x)) + log p(c(x)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.codec import Codec, VectorCodec
from sozai.generators.conditions import ConditionEncoder, drop
from sozai.generators.core import Core, Player
from sozai.generators.families.observation import Observation
from sozai.generators.families.variational import encoder_for, require
from sozai.generators.networks.causal import CausalTransformer
from sozai.generators.networks.maps import Head, ResidualBlock, Stem, convolution, double, grids, halve
from sozai.generators.processes import quantise
from sozai.generators.tensors import Batch, rows_of, seeded, take


class CodeAutoencoder(nn.Module):
    """Encoder, codebooks and decoder of all levels; lists of levels have the finest first.

    Args:
        event: of x.
        outputs: of the decoder (what ``Observation`` takes).
        conditions: given to the decoder.
        grids: of the codes.
        codes: size of each codebook.
        code_width: columns of a code.
        width: channels of the maps.
        blocks: residual blocks at each scale, going down and going up.
        commitment, decay, restart: see ``VectorQuantiser``.
    """

    def __init__(
        self, event: Sequence[int], outputs: Sequence[int], conditions: Fields, grids: Sequence[tuple[int, ...]],
        codes: int, code_width: int, width: int, blocks: int, commitment: float, decay: float | None, restart: float,
    ):  # fmt: skip
        super().__init__()
        self.grids, levels, dimensions = list(grids), range(len(grids)), len(grids[0])

        def residual() -> list[nn.Module]:
            return [ResidualBlock(dimensions, width) for _ in range(blocks)]

        joined = [1 + (level < len(grids) - 1) for level in levels]  # all but the coarsest also see what is above
        self.given = ConditionEncoder(conditions, width)
        self.stem = Stem(event, grids[0], width)
        self.features = nn.ModuleList(
            nn.Sequential(*([halve(dimensions, width, width)] if level else []), *residual()) for level in levels
        )
        self.narrow = nn.ModuleList(
            nn.Sequential(
                convolution(dimensions, width * parts, width), nn.SiLU(), convolution(dimensions, width, code_width, 1)
            )
            for parts in joined
        )
        self.quantisers: Any = nn.ModuleList(
            quantise.VectorQuantiser(codes, code_width, commitment, decay, restart) for _ in levels
        )
        self.widen = nn.ModuleList(convolution(dimensions, code_width + width * (parts - 1), width) for parts in joined)
        self.rise = nn.ModuleList(
            nn.Sequential(*residual(), *([double(dimensions, width, width)] if level else [])) for level in levels
        )
        self.head = Head(width, grids[0], outputs)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, list[quantise.Quantised]]:
        """x (batch, *event) and condition (batch, width): the decoder's output, and what each level found."""
        features = [self.stem(x)]
        for scale in self.features:
            features.append(scale(features[-1]))
        found: list[quantise.Quantised] = []
        above: Tensor | None = None
        for level in reversed(range(len(self.grids))):
            z = self.narrow[level](join(features[level + 1], above))
            found.insert(0, self.quantisers[level](z.movedim(1, -1)))
            above = self.up(level, found[0].values, above, condition)
        return self.head(above), found

    def up(self, level: int, values: Tensor, above: Tensor | None, condition: Tensor) -> Tensor:
        """d_l, on the grid of the next finer level, from codes' vectors (batch, *grid, code_width)."""
        hidden = self.widen[level](join(values.movedim(-1, 1), above))
        return self.rise[level](hidden + condition.reshape(*condition.shape, *[1] * (hidden.dim() - 2)))

    def decode(self, values: Sequence[Tensor], condition: Tensor) -> Tensor:
        """The decoder's output from the codes' vectors of each level, (batch, *grid, code_width)."""
        above: Tensor | None = None
        for level in reversed(range(len(self.grids))):
            above = self.up(level, values[level], above, condition)
        return self.head(above)

    def look_up(self, codes: Sequence[Tensor]) -> list[Tensor]:
        """Vectors of codes, level by level."""
        return [part.look_up(code) for part, code in zip(self.quantisers, codes, strict=True)]


def join(x: Tensor, above: Tensor | None) -> Tensor:
    """Channels of both, where there is something above."""
    return x if above is None else torch.cat([x, above], 1)


class CodePrior(nn.Module):
    """p(c_L | condition) prod_l p(c_l | c_{l+1}, condition), each a ``CausalTransformer``."""

    def __init__(
        self, grids: Sequence[tuple[int, ...]], codes: int, conditions: Fields, width: int, layers: int, dropout: float
    ):
        super().__init__()
        dimensions = len(grids[0])
        self.given = ConditionEncoder(conditions, width)
        self.levels: Any = nn.ModuleList(
            CausalTransformer(grid, codes, width, layers, dropout=dropout) for grid in grids
        )
        self.above = nn.ModuleList(nn.Embedding(codes, width) for _ in grids[1:])
        self.context = nn.ModuleList(
            nn.Sequential(
                ResidualBlock(dimensions, width), ResidualBlock(dimensions, width), double(dimensions, width, width)
            )
            for _ in grids[1:]
        )

    def context_of(self, level: int, codes: Sequence[Tensor | None]) -> Tensor | None:
        """What level l is told of the codes above it, (batch, places, width)."""
        if level == len(self.levels) - 1:
            return None
        return self.context[level](self.above[level](codes[level + 1]).movedim(-1, 1)).flatten(2).mT

    def log_probs(self, codes: Sequence[Tensor], condition: Tensor) -> list[Tensor]:
        """Log-probability of each level's codes (batch, *grid) given those above, (batch,) each, in nats."""
        return [
            network.log_prob(codes[level], condition, self.context_of(level, codes))
            for level, network in enumerate(self.levels)
        ]

    def sample(self, count: int, condition: Tensor, temperature: float = 1.0) -> list[Tensor]:
        """Codes of all levels, coarsest drawn first."""
        codes: list[Tensor | None] = [None for _ in self.levels]
        for level in reversed(range(len(self.levels))):
            context = self.context_of(level, codes)
            codes[level] = self.levels[level].sample(count, condition, context, temperature)
        return [code for code in codes if code is not None]


class Judge(nn.Module):
    """p(condition | x): what samples are picked by (arXiv 1906.00446, section 3.4)."""

    def __init__(self, event: Sequence[int], conditions: Fields, width: int):
        super().__init__()
        self.codec = VectorCodec(conditions)
        self.observation = Observation(conditions, self.codec)
        self.net = encoder_for(event, self.observation.event[0], width, 2)

    def score(self, x: Tensor, given: Batch) -> Tensor:
        """log p(condition | x), (batch,)."""
        return self.observation.log_prob(self.net(x), self.codec.encode(given))


class Quantised(Core):
    """The VQ-VAE (one level) and VQ-VAE-2 (two or more).

    Args:
        fields: what it generates.
        conditions: what it is given, in prior and decoder.
        levels: grids of codes, each half as fine as the one before.
        codes: size of each codebook.
        code_width: columns of a code.
        tokens: codes on the finest level where the fields are no image.
        halvings: of an image down to the finest grid; by default by its size.
        width: channels of the autoencoder's maps.
        blocks: residual blocks at each scale.
        commitment: beta.
        decay: of the codebooks' running means; ``None``: they learn by gradient.
        restart: see ``VectorQuantiser``.
        prior_width: of the prior's transformers.
        prior_layers: blocks of each.
        prior_dropout: in them; codes of few rows are soon known by heart.
        scale: of Gaussian spans, see ``Observation``.
        judge: also learn to tell conditions from x, so that ``sample`` can pick by it.
        drop_conditions: share of rows trained without their conditions.
        codec: by default the one for the fields.
    """

    likelihood = "bound"

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        levels: int = 1,
        codes: int = 64,
        code_width: int = 8,
        tokens: int = 8,
        halvings: int | None = None,
        width: int = 32,
        blocks: int = 2,
        commitment: float = 0.25,
        decay: float | None = 0.9,
        restart: float = 0.2,
        prior_width: int = 64,
        prior_layers: int = 2,
        prior_dropout: float = 0.1,
        scale: str | float = "shared",
        judge: bool = False,
        drop_conditions: float = 0.1,
        codec: Codec | None = None,
    ):
        super().__init__(fields, conditions, codec)
        require(levels >= 1, "levels", levels, "1 or more")
        require(tokens >= 1, "tokens", tokens, "1 or more")
        require(commitment > 0, "commitment", commitment, "a number above 0")
        require(prior_width % 4 == 0, "prior_width", prior_width, "a multiple of 4")
        require(bool(self.conditions) or not judge, "judge", judge, "conditions that it can tell")
        self.drop_conditions = drop_conditions
        self.grids = grids(self.codec.event, levels, tokens, halvings)
        self.bits = sum(prod(grid) for grid in self.grids) * math.log2(codes)
        self.observation = Observation(fields, self.codec, scale)
        self.autoencoder = CodeAutoencoder(
            self.codec.event, self.observation.event, self.conditions, self.grids, codes, code_width, width, blocks,
            commitment, decay, restart,
        )  # fmt: skip
        self.prior = CodePrior(self.grids, codes, self.conditions, prior_width, prior_layers, prior_dropout)
        self.judge = Judge(self.codec.event, self.conditions, width) if judge else None
        self.players = (
            Player("autoencoder", rate=3e-3),
            Player("prior", rate=2e-3),
            *([Player("judge")] if judge else []),
        )

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        """The decoder's noise belongs to the autoencoder."""
        own = list(getattr(self, player).parameters())
        return own + list(self.observation.parameters()) if player == "autoencoder" else own

    def prepare(self, batch: Batch) -> None:
        """Scales of fields and conditions."""
        super().prepare(batch)
        self.autoencoder.given.fit(batch)
        self.prior.given.fit(batch)
        if self.judge is not None:
            self.judge.codec.fit(take(batch, self._told(batch)))

    def loss(self, batch: Batch, player: str = "autoencoder") -> Mapping[str, Tensor]:
        """Of the autoencoder: nats a dimension and commitment; of the prior (and judge): nats a row."""
        x = self.encode(batch)
        if player == "judge" and self.judge is not None:
            told = self._told(batch)
            score = self.judge.score(x[told], {name: batch[name][told] for name in self.conditions})
            return {"loss": -score.sum() / told.sum().clamp(min=1)}
        given = drop(self.condition_of(batch, len(x)), self.conditions, self.drop_conditions * self.training)
        if player == "prior":
            codes = self.codes(x, given)
            each = [
                -log_prob.mean() for log_prob in self.prior.log_probs(codes, self._vector(self.prior, given, len(x)))
            ]
            return {"loss": torch.stack(each).sum(), **{f"level {i + 1}": part.detach() for i, part in enumerate(each)}}
        raw, found = self.autoencoder(x, self._vector(self.autoencoder, given, len(x)))
        distortion = -self.observation.log_prob(raw, x).mean()
        commitment = torch.stack([level.loss for level in found]).sum()
        return {
            "loss": distortion / prod(self.codec.event) + commitment,
            "distortion": distortion.detach(),
            "commitment": commitment.detach(),
            **{f"perplexity {i + 1}": level.perplexity for i, level in enumerate(found)},
        }

    def after_step(self, player: str) -> None:
        """Move the codebooks."""
        if player == "autoencoder":
            for part in self.autoencoder.quantisers:
                part.update()

    def held_out_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Minus the bound of the log-likelihood, in nats a row."""
        with seeded(0):
            distortion, rate = self._bound(batch)
        return {"loss": (distortion + rate).mean(), "distortion": distortion.mean(), "rate": rate.mean()}

    @torch.no_grad()
    def codes(self, x: Tensor, given: Batch) -> list[Tensor]:
        """Codes (batch, *grid) of each level, finest first; x as encoded."""
        return [level.codes for level in self.autoencoder(x, self._vector(self.autoencoder, given, len(x)))[1]]

    @torch.no_grad()
    def sample(
        self,
        count: int,
        given: Batch | None = None,
        *,
        temperature: float = 1.0,
        noise: bool = True,
        keep: float = 1.0,
        **options: Any,
    ) -> Batch:
        """Rows from codes that the priors draw.

        Args:
            count: how many.
            given: conditions.
            temperature: of the priors; below 1 for likelier, less varied rows.
            noise: draw from p(x|codes) rather than take its middle.
            keep: below 1, 1 / keep rows are drawn for each and the one kept whose conditions the judge sees best.
        """
        require(0 < keep <= 1, "keep", keep, "a share above 0, at most 1")
        require(temperature > 0, "temperature", temperature, "a number above 0")
        conditions = self.condition_of(given, count)
        tries = round(1 / keep)
        if tries == 1:
            return self.codec.decode(self._draw(count, conditions, temperature, noise))
        if self.judge is None:
            raise UserError("no judge was trained to pick by", "setting 'keep'", "train with the setting judge")
        if not bool(self._told(conditions).all()):
            raise UserError("the judge needs all conditions of all rows", "setting 'keep'", "give them, or keep 1")
        drawn = torch.stack([self._draw(count, conditions, temperature, noise) for _ in range(tries)])
        best = torch.stack([self.judge.score(x, conditions) for x in drawn]).argmax(0)
        return self.codec.decode(drawn[best, torch.arange(count, device=best.device)])

    @torch.no_grad()
    def log_prob(self, batch: Batch) -> Tensor:
        """log p(x|codes) + log p(codes), a bound, (batch,)."""
        distortion, rate = self._bound(batch)
        return self.observation.log_volume() - distortion - rate

    @torch.no_grad()
    def reconstruct(self, batch: Batch, without: Sequence[int] = ()) -> Batch:
        """The rows through the bottleneck; the vectors of the levels ``without`` (0: finest) set to zero."""
        x, given = self.encode(batch), self.condition_of(batch, rows_of(batch))
        values = self.autoencoder.look_up(self.codes(x, given))
        values = [torch.zeros_like(part) if level in without else part for level, part in enumerate(values)]
        raw = self.autoencoder.decode(values, self._vector(self.autoencoder, given, len(x)))
        return self.codec.decode(self.observation.mean(raw))

    def _bound(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-log p(x|codes) and -log p(codes), (batch,) each, in units of the codec's tensor."""
        x = self.encode(batch)
        given = self.condition_of(batch, len(x))
        raw, found = self.autoencoder(x, self._vector(self.autoencoder, given, len(x)))
        log_probs = self.prior.log_probs([level.codes for level in found], self._vector(self.prior, given, len(x)))
        return -self.observation.log_prob(raw, x), -torch.stack(log_probs).sum(0)

    def _vector(self, part: CodeAutoencoder | CodePrior, given: Batch, rows: int) -> Tensor:
        return part.given(given, rows).to(self.device)  # without conditions its zeros know no device

    def _draw(self, count: int, given: Batch, temperature: float, noise: bool) -> Tensor:
        codes = self.prior.sample(count, self._vector(self.prior, given, count), temperature)
        condition = self._vector(self.autoencoder, given, count)
        raw = self.autoencoder.decode(self.autoencoder.look_up(codes), condition)
        return self.observation.sample(raw) if noise else self.observation.mean(raw)

    def _told(self, batch: Batch) -> Tensor:
        """Rows (batch,) whose conditions are all there."""
        told = [
            (batch[name] >= 0 if field.discrete else ~batch[name].isnan()).reshape(rows_of(batch), -1).all(1)
            for name, field in self.conditions.items()
        ]
        return torch.stack(told).all(0)
