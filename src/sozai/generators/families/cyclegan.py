"""CycleGAN: translate between two domains without pairs (J.-Y. Zhu et al. 2017, arXiv 1703.10593).

G turns rows of a into rows of b, F turns rows of b into rows of a, each against a critic of its target::

    generators:  E (D_b(G a) - 1)^2 + E (D_a(F b) - 1)^2 + weight (E |F G a - a|_1 + E |G F b - b|_1)
    critics:     least squares, on real rows and on generated ones from a pool of past translations
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.codec import Codec, codec_for
from sozai.generators.core import Core, Player
from sozai.generators.families.adversarial import Dense, Leaky, convolvable, evaluating, frozen
from sozai.generators.networks.convolutional import ConvTranslator, PatchCritic
from sozai.generators.objectives import adversarial
from sozai.generators.tensors import Batch, seeded


class CycleGAN(Core):
    """Two generators, two critics.

    Args:
        fields: two of the same kind and shape: the domains. Rows of a batch need not belong together: the
            second domain's are shuffled.
        conditions: none are taken.
        cycle: weight of the cycle's loss.
        pool: translations kept for the critics.
        width: of hidden layers (by default 64), or channels of the largest map (16).
        layers: hidden layers for vectors; residual blocks for images.
        rate, betas: see ``Player``.
        codec: of both fields together; the domains have codecs of their own.
    """

    codecs: Any  # lists of modules, which type checkers take for tensors
    generators: Any
    critics: Any
    pools: Tensor
    filled: Tensor

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        cycle: float = 10.0,
        pool: int = 50,
        width: int | None = None,
        layers: int = 3,
        rate: float = 5e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        codec: Codec | None = None,
    ):
        super().__init__(fields, None, codec)
        kinds = {(field.kind, field.shape) for field in self.fields.values()}
        if len(self.fields) != 2 or len(kinds) != 1 or next(iter(kinds))[0] not in ("continuous", "image"):
            raise UserError(
                f"a CycleGAN translates between two continuous or image fields of one shape, not "
                f"{', '.join(self.fields)}",
                "data",
                "name the two domains as two such fields",
            )
        if conditions:
            raise UserError("a CycleGAN takes no conditions", "conditions", "give rows of one domain when sampling")
        self.names, self.cycle, self.pool = tuple(self.fields), cycle, pool
        self.players = tuple(Player(name, 1, rate, (betas[0], betas[1]), "adam") for name in ("critics", "generators"))
        self.codecs = nn.ModuleList(codec_for({name: field}) for name, field in self.fields.items())
        event = self.codecs[0].event
        convolutional = next(iter(kinds))[0] == "image" and convolvable(event)
        width = (16 if convolutional else 64) if width is None else width

        def network(outputs: tuple[int, ...], activation: Any) -> nn.Module:
            return Dense(event, outputs, 0, width, layers, activation)

        # by target: generators[1] is G, from the first domain to the second, and critics[1] judges the second
        self.generators = nn.ModuleList(
            ConvTranslator(event, width, layers) if convolutional else network(event, nn.ReLU) for _ in range(2)
        )
        self.critics = nn.ModuleList(
            PatchCritic(event, width) if convolutional else network((1,), Leaky) for _ in range(2)
        )
        self.register_buffer("pools", torch.zeros(2, pool, *event))
        self.register_buffer("filled", torch.zeros(2, dtype=torch.long))

    def prepare(self, batch: Batch) -> None:
        """Fit the codecs."""
        super().prepare(batch)
        for codec in self.codecs:
            codec.fit(batch)

    def domains(self, batch: Batch) -> list[Tensor]:
        """Encodings of both domains, the second's rows shuffled."""
        one, other = (codec.encode(batch) for codec in self.codecs)
        return [one, other[torch.randperm(len(other), device=other.device)]]

    def translate(self, x: Tensor, target: int) -> Tensor:
        """Encodings of one domain to those of domain ``target`` (0 or 1), differentiable."""
        return self.codecs[target].activate(self.generators[target](x))

    def loss(self, batch: Batch, player: str = "generators") -> Mapping[str, Tensor]:
        """The formulas above; of both critics, or of both generators."""
        domains = self.domains(batch)
        parts = self._critic_parts(domains) if player == "critics" else self._generator_parts(domains)
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def _critic_parts(self, domains: list[Tensor]) -> dict[str, Tensor]:
        parts = {}
        for target, name in enumerate(self.names):
            with torch.no_grad():
                fake = self.pooled(self.translate(domains[1 - target], target), target)
            real_score, fake_score = self.critics[target](domains[target]), self.critics[target](fake)
            parts[f"critic {name}"] = adversarial.critic_loss(real_score, fake_score, "least-squares")
        return parts

    def _generator_parts(self, domains: list[Tensor]) -> dict[str, Tensor]:
        parts = {}
        for target, name in enumerate(self.names):
            source = domains[1 - target]
            fake = self.translate(source, target)
            with frozen(self.critics):
                score = self.critics[target](fake)
            parts[f"generator {name}"] = 2 * adversarial.generator_loss(score, "least-squares")
            parts[f"cycle {name}"] = self.cycle * adversarial.cycle_loss(source, self.translate(fake, 1 - target))
        return parts

    def pooled(self, fake: Tensor, target: int) -> Tensor:
        """Translations to show the critic: half of them, picked by chance, change places with rows of the pool.

        A. Shrivastava et al. 2016, arXiv 1612.07828, section 2.3. Until the pool is full, rows are stored in it.
        """
        room = min(self.pool - int(self.filled[target]), len(fake))
        start = int(self.filled[target])
        self.pools[target, start : start + room] = fake[:room].detach()
        self.filled[target] += room
        late = fake[room:]
        count = min(len(late), start)  # only what was there before
        swapped = torch.randperm(len(late), device=fake.device)[:count]
        swapped = swapped[torch.rand(count, device=fake.device) < 0.5]
        places = torch.randperm(max(1, start), device=fake.device)[: len(swapped)]
        shown = late.clone()
        shown[swapped] = self.pools[target, places]
        self.pools[target, places] = late[swapped].detach()
        return torch.cat([fake[:room], shown])

    def sample(self, count: int, given: Batch | None = None, **options: Any) -> Batch:
        """Both domains: the rows given of one, and their translations to the other.

        Raises:
            UserError: not exactly one domain's rows are given, or not ``count`` of them.
        """
        names = [name for name in self.names if name in (given or {})]
        if given is None or len(names) != 1 or len(given[names[0]]) != count:
            raise UserError(
                f"a CycleGAN translates: it needs {count} rows of either {' or '.join(self.names)}", "conditions"
            )
        target = 1 - self.names.index(names[0])
        source = given[names[0]].to(self.device)
        with torch.no_grad(), evaluating(self):
            x = self.translate(self.codecs[1 - target].encode({names[0]: source}), target)
        return {**{name: source for name in names}, **self.codecs[target].decode(x)}

    def held_out_loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Energy distances of translations to both domains, plus the cycle's L1."""
        with torch.no_grad(), seeded(0):
            domains = self.domains(batch)
            total = torch.zeros((), device=self.device)
            for target in (0, 1):
                fake = self.translate(domains[1 - target], target)
                total = total + adversarial.energy_distance(fake.flatten(1), domains[target].flatten(1))
                total = total + adversarial.cycle_loss(domains[1 - target], self.translate(fake, 1 - target))
            return {"loss": total / 2}
