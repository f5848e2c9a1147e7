"""Proofs of the GANs made for tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sozai.fields import category, number
from sozai.generators.families import tabular
from sozai.generators.processes.modes import LARGEST, ModeCodec, SquareCodec
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.tensors import Batch, rows_of, take

FIELDS = {"kind": category(3), "strength": number(), "mix": number(2), "grade": category(2)}
FAMILIES = "sozai.generators.families.tabular"
MODES = "sozai.generators.processes.modes"


def table(rows: int = 600) -> Batch:
    """Two well apart modes in ``strength``, one category in fifty rare, ``grade`` decided by ``kind``."""
    kind = torch.multinomial(torch.tensor([0.7, 0.28, 0.02]), rows, replacement=True)
    mode = torch.rand(rows) < 0.4
    strength = torch.where(mode, 5 + 0.1 * torch.randn(rows), -3 + 0.5 * torch.randn(rows))
    return {"kind": kind, "strength": strength, "mix": torch.randn(rows, 2) * 20 + 100, "grade": (kind == 0).long()}


def fitted(core: tabular.Adversarial, rows: int = 600) -> Batch:
    """A table that the core has been prepared with."""
    batch = table(rows)
    core.prepare(batch)
    return batch


@check(
    "ctgan",
    "tgan",
    seconds=1.5,
    broken_by=[
        Mutation(
            "numbers are decoded with half the width",
            f"{MODES}:ModeCodec.value",
            make=lambda old: lambda self, place, mode, k: old(self, place / 2, mode, k),
        ),
        Mutation(
            "every number is told by the first mode",
            f"{MODES}:ModeCodec.responsibilities",
            make=lambda old: lambda self, column, k: torch.eye(self.modes)[torch.zeros(len(column), dtype=torch.long)],
        ),
    ],
)
def modes_come_back() -> Iterator[Finding]:
    """Mode-specific normalisation loses nothing: what is encoded decodes to itself, and the modes are found."""
    batch = table(1000)
    for name, settings in (("ctgan", {}), ("tgan", {"modes": 5, "width": 2.0, "soft": True})):
        codec = ModeCodec(FIELDS, **settings)
        codec.fit(batch)
        encoded = codec.encode(batch)
        back = codec.decode(encoded)
        places = torch.cat([encoded[:, span.columns] for span in codec.spans if span.kind == "place"], 1)
        inside = (places.abs() < LARGEST).all(1)
        for field in FIELDS:
            error = (back[field] - batch[field]).abs().flatten(1 if field == "mix" else 0)
            error = error.amax(1) if field == "mix" else error
            scale = 1 if FIELDS[field].discrete else float(batch[field].std())
            what = f"{name}: largest error of {field} over its deviation"
            yield at_most(what, 1e-5, float(error[inside].max()) / scale, "float32; where no place was cut off")
        cut = float((~inside).float().mean())
        yield at_most(
            f"{name}: share of rows cut off", 0.15 if settings else 0.01, cut,
            "a normal number lies 2 (4) deviations away in 4.6% (0.006%); three numbers a row",
        )  # fmt: skip
        means = codec.means[0][codec.weights[0] > 0.1]
        yield near(
            f"{name}: lowest mode of strength", -3.0, float(means.min()), 0.15, "0.5 / sqrt(1,200), components split"
        )
        yield near(f"{name}: highest mode of strength", 5.0, float(means.max()), 0.05, "0.1 / sqrt(400)")


@check(
    "ctgan",
    seconds=1.2,
    broken_by=[
        Mutation(
            "categories are asked for by their frequency",
            f"{FAMILIES}:CTGAN.asking",
            make=lambda old: lambda self, place, training: old(self, place, False),
        ),
        Mutation(
            "the real row is any row, not one that fulfils the condition",
            f"{FAMILIES}:CTGAN.with_asked",
            make=lambda old: lambda self, given, column, category: old(self, given, column, (category + 1) % 2),
        ),
    ],
)
def training_by_sampling() -> Iterator[Finding]:
    """Columns are asked for evenly, categories by log-frequency, and the real rows shown have what was asked for."""
    core = tabular.CTGAN(FIELDS, pac=2)
    batch = fitted(core, 1200)
    counts = torch.bincount(batch["kind"], minlength=3).float()
    expected = torch.log1p(counts) / torch.log1p(counts).sum()
    asked: dict[str, list[Tensor]] = {"kind": [], "grade": []}
    wrong = given_both = total = 0
    for _ in range(10):
        encoded, given = core.pair(batch)
        decoded = core.codec.decode(encoded)
        for name, values in asked.items():
            here = given[name] >= 0
            values.append(given[name][here])
            wrong += int((decoded[name][here] != given[name][here]).sum())
        given_both += int(((given["kind"] >= 0) == (given["grade"] >= 0)).sum())
        total += rows_of(given)
    kinds = torch.cat(asked["kind"])
    yield near("share of rows asked about kind", 0.5, len(kinds) / total, 0.018, "four standard errors of 12,000")
    for place in range(3):
        share = float((kinds == place).float().mean())
        yield near(
            f"share of category {place}, log-frequency", float(expected[place]), share, 0.026, "four standard errors"
        )
    yield near("rows shown that lack what was asked for", 0, wrong, 0, "exact")
    yield near("rows asked about none or two columns", 0, given_both, 0, "exact")


@check(
    "ctgan",
    seconds=5.5,
    broken_by=[
        Mutation(
            "the generator pays nothing for another category",
            f"{FAMILIES}:CTGAN.generator_extras",
            lambda self, real, fake, given: {},
        ),
    ],
)
def asked_is_given() -> Iterator[Finding]:
    """After a short training more than 95% of rows have the category asked for, the rare one too."""
    core = tabular.CTGAN(FIELDS, pac=4, width=48, noise=16, rate=2e-3)
    batch = fitted(core)
    optimizers = {
        player.name: torch.optim.Adam(core.parameters_of(player.name), player.rate, player.betas)
        for player in core.players
    }
    for _ in range(120):
        for player in core.players:
            optimizers[player.name].zero_grad()
            core.loss(take(batch, torch.randint(600, (160,))), player.name)["loss"].backward()
            optimizers[player.name].step()
    for place in range(3):
        made = core.sample(500, {"kind": torch.full((500,), place)})
        share = float((made["kind"] == place).float().mean())
        yield at_least(
            f"share of rows of kind {place} when asked", 0.95, share, "1.00 expected; three seeds gave 0.98 or more"
        )


@check(
    "ctgan",
    seconds=0.2,
    broken_by=[
        Mutation(
            "the critic sees rows one by one",
            "sozai.generators.objectives.adversarial:pack",
            lambda x, pac: x[::pac].repeat(1, pac),
        ),
    ],
)
def packs() -> Iterator[Finding]:
    """The critic judges whole packs: its score of a pack depends on each row of the pack and on no other row."""
    core = tabular.CTGAN(FIELDS, pac=5).eval()
    batch = fitted(core)
    encoded, given = core.pair(take(batch, slice(63)))
    yield near("rows that fill whole packs", 60, len(encoded), 0, "63 rows, packs of 5")
    x = encoded.clone().requires_grad_(True)
    scores = core.critic(x, given)
    yield near("scores", 12, len(scores), 0, "60 / 5")
    gradient = torch.autograd.grad(scores[3, 0], x)[0].abs().sum(1)
    yield at_least(
        "least effect of a row of the pack", 1e-8, float(gradient[15:20].min()), "a random network uses all inputs"
    )
    yield near("effect of other rows", 0.0, float(gradient[:15].sum() + gradient[20:].sum()), 0, "exact")


@check(
    "tablegan",
    seconds=0.2,
    broken_by=[
        Mutation(
            "columns are packed in another order than unpacked",
            f"{MODES}:SquareCodec.encode",
            make=lambda old: lambda self, batch: old(self, batch).flip(-1),
        ),
        Mutation(
            "the slack is ignored", f"{FAMILIES}:hinge", make=lambda old: lambda one, other, slack: old(one, other, 0.0)
        ),
    ],
)
def squares_and_slack() -> Iterator[Finding]:
    """A row comes back from its square; the information loss is zero within its slack and grows linearly beyond."""
    batch = table()
    codec = SquareCodec(FIELDS)
    codec.fit(batch)
    back = codec.decode(codec.encode(batch))
    for name in FIELDS:
        error = float((back[name] - batch[name]).abs().max())
        scale = 1 if FIELDS[name].discrete else float(batch[name].max() - batch[name].min())
        yield at_most(f"largest error of {name} over its range", 1e-6, error / scale, "float32")
    one = torch.randn(7)
    away = torch.nn.functional.normalize(torch.randn(7), dim=0)
    for distance, expected in ((0.0, 0.0), (0.1, 0.0), (0.3, 0.1), (1.2, 1.0)):
        got = float(tabular.hinge(one, one + distance * away, 0.2))
        yield near(f"information loss at distance {distance}, slack 0.2", expected, got, 2e-6, "float32")


@check(
    "tablegan",
    seconds=0.4,
    broken_by=[
        Mutation("the classifier sees the label", f"{FAMILIES}:TableGAN.without_label", lambda self, x: x),
        Mutation(
            "the classifier learns in the generator's turn",
            f"{FAMILIES}:frozen",
            make=lambda old: __import__("contextlib").nullcontext,
        ),
        Mutation(
            "the generator does not pay for disagreement",
            f"{FAMILIES}:TableGAN.disagreement",
            make=lambda old: lambda self, x: old(self, x).detach() if x.requires_grad else old(self, x),
        ),
    ],
)
def classifier_routes() -> Iterator[Finding]:
    """The classifier never sees the label, learns from real rows only, and moves the generator's label."""
    core = tabular.TableGAN(FIELDS, target="strength", width=8)
    batch = fitted(core)
    x = core.encode(batch)
    blind = x.clone()
    blind.view(len(x), -1)[:, core.target] += 0.3
    change = core.classifier(core.without_label(x)) - core.classifier(core.without_label(blind))
    yield near("change of the prediction with the label", 0.0, float(change.detach().abs().max()), 0, "exact")
    core.zero_grad()
    core.loss(batch, "generator")["loss"].backward()
    touched = [p.grad for part in (core.classifier, core.critic) for p in part.parameters() if p.grad is not None]
    yield holds("the generator's turn leaves classifier and critic alone", not any(bool(g.any()) for g in touched))
    core.zero_grad()
    core.loss(batch, "classifier")["loss"].backward()
    touched = [p.grad for part in (core.generator, core.critic) for p in part.parameters() if p.grad is not None]
    yield holds("the classifier's turn leaves generator and critic alone", not any(bool(g.any()) for g in touched))
    fake = core.generate(64, {}).detach().requires_grad_(True)
    slope = (
        torch.autograd.grad(core.disagreement(fake), fake, allow_unused=True)[0]
        if core.disagreement(fake).requires_grad
        else None
    )
    label = 0.0 if slope is None else float(slope.flatten(1)[:, core.target].abs().sum())
    yield near(
        "sum of |d disagreement / d label|", 1.0, label, 1e-5, "a mean of absolute values: slope +-1 / rows each"
    )


@check(
    "tgan",
    seconds=0.3,
    broken_by=[
        Mutation(
            "what was written is not read again",
            "sozai.generators.networks.columns:ColumnLSTM.forward",
            lambda self, x, time=None, condition=None, mask=None: torch.cat(
                [self.write[at](x[:, :1].expand(-1, self.width)) for at in range(len(self.spans))], 1
            ),
        ),
        Mutation(
            "attention sees nothing",
            "sozai.generators.networks.columns:ColumnLSTM.attend",
            lambda self, before, at, like: like.new_zeros(len(like), self.width),
        ),
    ],
)
def one_column_after_the_other() -> Iterator[Finding]:
    """A column depends on the columns before it, by what was written and by attention, and on none after it."""
    core = tabular.TGAN(FIELDS, width=16, layers=2)
    fitted(core)
    network: Any = core.generator.network
    noise = torch.randn(8, core.noise_width)
    with torch.no_grad():
        for weights in network.attention:
            weights.normal_()
        before = network(noise)
        for at, span in enumerate(core.codec.spans):
            kept = network.write[at].bias.clone()
            network.write[at].bias += torch.randn_like(kept)
            change = (network(noise) - before).abs().amax(0)
            network.write[at].bias.copy_(kept)
            yield near(f"change before span {at}", 0.0, float(change[: span.start].sum()), 0, "exact")
            yield at_least(
                f"change in span {at}", 1e-3, float(change[span.columns].max()), "its own bias moved by about 1"
            )
            if at + 1 < len(core.codec.spans):
                yield at_least(f"change after span {at}", 1e-6, float(change[span.stop :].max()), "it is read again")
        weights = network.attention[3]
        kept = weights.clone()
        weights += torch.tensor([3.0, 0.0, -3.0])
        change = float((network(noise) - before).abs().max())
        weights.copy_(kept)
        yield at_least("change with the weights of attention", 1e-6, change, "earlier states are mixed in")


@check(
    "tgan",
    seconds=0.3,
    broken_by=[
        Mutation(
            "the divergence is taken the other way round",
            f"{FAMILIES}:divergence",
            make=lambda old: lambda p, q: old(q, p),
        ),
        Mutation(
            "rows of a batch are judged alone",
            "sozai.generators.networks.columns:MinibatchCritic.likeness",
            lambda self, features: features.new_zeros(len(features), self.kernels.shape[1]),
        ),
    ],
)
def divergence_and_discrimination() -> Iterator[Finding]:
    """The divergence is KL(real | generated) as torch has it; minibatch discrimination tells a collapsed batch."""
    real, fake = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.3, 0.3, 0.4])
    exact = float(
        torch.distributions.kl_divergence(torch.distributions.Categorical(real), torch.distributions.Categorical(fake))
    )
    yield near("KL(real | generated)", exact, float(tabular.divergence(real, fake)), 1e-4, "1e-6 is added to each")
    yield near("KL of equal laws", 0.0, float(tabular.divergence(real, real)), 1e-6, "float32")
    core = tabular.TGAN(FIELDS, width=16, layers=2)
    batch = fitted(core)
    x = core.pair(take(batch, slice(64)))[0]
    critic: Any = core.critic.network
    alone = critic.likeness(critic.features(x)).mean()
    collapsed = critic.likeness(critic.features(x[:1].expand(64, -1))).mean()
    yield near("likeness within a collapsed batch", 1.0, float(collapsed), 1e-5, "exp(0) for every pair")
    yield at_most("likeness within a real batch", 0.97, float(alone), "rows differ")
    blurred = torch.cat([x[:, s.columns] for s in core.codec.spans if s.field == "kind"], 1)
    yield near("sum of a blurred one-hot", 1.0, float(blurred.sum(1).mean()), 1e-5, "normalised")
    yield at_least("least probability in a blurred one-hot", 1e-9, float(blurred.min()), "uniform noise up to 0.2")
