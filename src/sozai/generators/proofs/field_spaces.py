"""Proofs of diffusion on circles and rotations, of the network's symmetries, and of all fields at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sozai.fields import MASK, Field, category, number, sequence
from sozai.generators.processes import rotation, wrapped
from sozai.generators.processes.corruption import Geodesic
from sozai.generators.processes.rotation import RotationNoise
from sozai.generators.processes.wrapped import WrappedNormal
from sozai.generators.proofs.field_tools import build, fit
from sozai.generators.proofs.proof import Finding, Mutation, at_most, check, near

SIGMAS = (0.02, 0.1, 0.299, 0.301, 0.6)
ROTATION_SIGMAS = (0.05, 0.3, 0.99, 1.01, 2.5)


def _reversed(noise: Geodesic, score: Callable[[Tensor, Tensor], Tensor], rows: int, corrector: bool) -> Tensor:
    """From the prior to t = 0 in 100 steps of ``reverse``, and of ``correct``, with an exact score(z, sigma)."""
    z = noise.prior(rows, 1, torch.device("cpu"))

    def predict(u: Tensor) -> Tensor:
        return score(z, noise.sigma(u)) / noise.size(noise.sigma(u))[:, None, None]

    for k in range(100, 0, -1):
        s, t = torch.full((rows,), (k - 1) / 100), torch.full((rows,), k / 100)
        z = noise.reverse(z, predict(t), s, t)
        if corrector and k > 1:
            z = noise.correct(z, predict(s), s)
    return z


@check(
    "field-diffusion",
    seconds=0.6,
    broken_by=[
        Mutation("only the nearest image counts", "sozai.generators.processes.wrapped:score",
                 replacement=lambda d, sigma: -(d - d.round()) / sigma**2),
        Mutation("the score has the wrong sign", "sozai.generators.processes.wrapped:score",
                 make=lambda score: lambda d, sigma: -score(d, sigma)),
        Mutation("the weight is that of the plain normal", "sozai.generators.processes.wrapped:WrappedNormal.magnitude",
                 replacement=lambda self, sigma: 1 / sigma),
        Mutation("the Fourier series lacks a factor 2", "sozai.generators.processes.wrapped:_fourier",
                 make=lambda series: lambda sigma: (series(sigma)[0] / 2, series(sigma)[1])),
        Mutation("the drift is the probability flow's, half as strong, but noise is added",
                 "sozai.generators.processes.corruption:Geodesic.reverse",
                 make=lambda reverse: lambda self, z, prediction, s, t: reverse(self, z, prediction / 2, s, t)),
        Mutation("the corrector's noise is twice as strong",
                 "sozai.generators.processes.corruption:Geodesic.correct",
                 make=lambda correct: lambda self, z, prediction, t: correct(self, z, prediction / 4, t, 0.6)),
    ],
)  # fmt: skip
def wrapped_normal() -> Iterator[Finding]:
    """Density and score against a brute sum, weights of the loss, the uniform limit, and the way back."""
    d = torch.linspace(-0.5, 0.5, 201, dtype=torch.float64)[:-1].requires_grad_(True)
    worst_density = worst_score = worst_size = 0.0
    for size in SIGMAS:
        sigma = torch.full_like(d, size)
        images = torch.arange(-40, 41, dtype=torch.float64)
        brute = (torch.exp(-0.5 * ((d[:, None] + images) / size) ** 2) / size / math.sqrt(2 * math.pi)).sum(1)
        inside = brute > 1e-200
        slope = torch.autograd.grad(brute[inside].log().sum(), d)[0].detach()
        with torch.no_grad():
            density, score = wrapped.density(d, sigma), wrapped.score(d, sigma)
            weight = brute.detach()
            size_squared = float((weight * slope.square()).sum() / weight.sum())
            at_size = float(WrappedNormal(Field("periodic")).magnitude(torch.tensor([size], dtype=torch.float64)))
        worst_density = max(worst_density, float((density - brute.detach()).abs().max() / brute.detach().max()))
        worst_score = max(worst_score, float((score - slope)[inside].abs().max() / slope.abs().max()))
        worst_size = max(worst_size, abs(at_size / math.sqrt(size_squared) - 1))
    yield at_most("density against 81 images", 1e-9, worst_density, "truncated series in float64")
    yield at_most("score against autograd of the log-density", 1e-9, worst_score, "the same")
    yield at_most("root mean square of the score against quadrature", 1e-3, worst_size, "128 midpoints, 200 here")
    flat = wrapped.density(d.detach(), torch.full_like(d, 2.0).detach())
    yield at_most("at sigma 2 it is uniform", 1e-9, float((flat - 1).abs().max()), "exp(-8 pi^2) = 5e-35")
    noise = WrappedNormal(Field("periodic", (2,)))
    z0, t = torch.rand(20000, 1, 2), torch.randint(1, 101, (20000,)) / 100
    zt, mask = noise.corrupt(z0, t), torch.ones(20000, 1, dtype=torch.bool)
    known = (
        wrapped.score(zt - z0, noise.sigma(t)[:, None, None].expand_as(zt)) / noise.size(noise.sigma(t))[:, None, None]
    )
    yield near("loss of the exact score", 0.0, float(noise.loss(known, z0, zt, t, t, mask).mean()), 1e-8, "float32")
    nothing = noise.loss(torch.zeros_like(zt), z0, zt, t, t, mask)
    for low in (0.0, 0.5, 0.9):
        part = (t > low) & (t < low + 0.105)
        yield near(f"loss of a zero score, t from {low}", 1.0, float(nothing[part].mean()), 0.1,
                   "weights make it 1 at every t; 3 sd of 4,000 squares")  # fmt: skip
    width = 0.08

    def exact(z: Tensor, sigma: Tensor) -> Tensor:
        total = (sigma**2 + width**2).sqrt()[:, None, None].expand_as(z)
        return wrapped.score(z - 0.3, total)

    moment = math.exp(-2 * (math.pi * width) ** 2)
    for corrector in (False, True):
        back = _reversed(noise, exact, 4000, corrector) - 0.3
        yield near(f"reversed from uniform{', with corrector' * corrector}: first moment of the data", moment,
                   float(torch.cos(2 * math.pi * back).mean()), 0.012, "8,000 angles and 100 steps")  # fmt: skip


@check(
    "field-diffusion",
    seconds=1.5,
    broken_by=[
        Mutation("the score has the wrong sign", "sozai.generators.processes.rotation:score",
                 make=lambda score: lambda angle, sigma: -score(angle, sigma)),
        Mutation("the score is that of a flat space", "sozai.generators.processes.rotation:score",
                 replacement=lambda angle, sigma: -angle / sigma**2),
        Mutation("angles are drawn without the volume 1 - cos w", "sozai.generators.processes.rotation:angle_table",
                 make=lambda table: lambda sigma, points=512: (
                     table(sigma, points)[0],
                     (lambda grid, weight: (weight / (1 - grid.cos())) / (weight / (1 - grid.cos())).sum(1, True))(
                         *table(sigma, points)))),
        Mutation("the exponential turns half as far", "sozai.generators.processes.rotation:exp_map",
                 make=lambda exp: lambda vector: exp(vector / 2)),
    ],
)  # fmt: skip
def isotropic_gaussian_rotations() -> Iterator[Finding]:
    """IGSO(3): normalised, its score, composition, weights of the loss, and the way back from uniform rotations."""
    angle = (torch.arange(4000, dtype=torch.float64) + 0.5) * math.pi / 4000
    l = torch.arange(400, dtype=torch.float64)[:, None]  # noqa: E741  the degree's usual name
    for size in ROTATION_SIGMAS:
        sigma = torch.full_like(angle, size)
        density = rotation.density(angle, sigma)
        total = float((density * (1 - angle.cos())).mean())
        yield near(f"sigma {size}: integral of f (1 - cos w) / pi", 1.0, total, 1e-5, "4,000 midpoints")
        brute = ((2 * l + 1) * torch.exp(-l * (l + 1) * size**2 / 2) * torch.sin((l + 0.5) * angle)).sum(0)
        brute = brute / torch.sin(angle / 2)
        worst = float((density - brute)[angle > 2e-3].abs().max() / brute.max())
        yield at_most(f"sigma {size}: density against 400 terms", 1e-9, worst, "float64")
        h, some = 1e-5, angle[80::40]
        some = some[(rotation.density(some, sigma[: len(some)]) > 1e-12)]
        wide = sigma[: len(some)]
        slope = (rotation.density(some + h, wide).log() - rotation.density(some - h, wide).log()) / (2 * h)
        error = (rotation.score(some, wide) - slope).abs().max() / slope.abs().max()
        yield at_most(f"sigma {size}: score against finite differences", 1e-5, float(error), "step 1e-5")
    vector = 3.1 * torch.nn.functional.normalize(torch.randn(200, 3), dim=-1) * torch.rand(200, 1)
    turned = rotation.exp_map(vector)
    yield at_most("log of exp", 2e-3, float((rotation.log_map(turned) - vector).abs().max()), "float32 close to pi")
    yield at_most("exp against the matrix exponential", 1e-5, float((turned - torch.linalg.matrix_exp(_cross(vector)))
                  .abs().max()), "float32")  # fmt: skip
    rows, noise = 20000, RotationNoise(Field("rotation", (3, 3)))
    first, second = 0.5, 0.9
    product = torch.eye(3)
    for size in (first, second):
        turn = rotation.sample_angle(torch.full((1,), size), rows)[0][:, None]
        product = product @ rotation.exp_map(turn * torch.nn.functional.normalize(torch.randn(rows, 3), dim=-1))
    character = float(product.diagonal(dim1=1, dim2=2).sum(1).mean() / 3)
    yield near("variances add under composition: mean trace / 3", math.exp(-(first**2) - second**2), character, 0.012,
               "exp(-sigma^2) for l = 1; 20,000 draws")  # fmt: skip
    z0, t = noise.prior(rows, 1, torch.device("cpu")), torch.randint(1, 101, (rows,)) / 100
    zt, mask = noise.corrupt(z0, t), torch.ones(rows, 1, dtype=torch.bool)
    nothing = noise.loss(torch.zeros(rows, 1, 3), z0, zt, t, t, mask)
    for low in (0.0, 0.5, 0.9):
        part = (t > low) & (t < low + 0.105)
        yield near(f"loss of a zero score, t from {low}", 1.0, float(nothing[part].mean()), 0.1, "3 sd of 2,000 rows")
    centre, width = rotation.uniform(1), 0.3

    def exact(z: Tensor, sigma: Tensor) -> Tensor:
        return noise.score(z, centre.expand_as(z), (sigma**2 + width**2).sqrt())

    back = centre.mT @ _reversed(noise, exact, 3000, False)
    yield near("reversed from uniform: mean trace / 3 of the data", math.exp(-(width**2)),
               float(back.diagonal(dim1=-2, dim2=-1).sum(-1).mean() / 3), 0.012,
               "3,000 rotations and 100 steps")  # fmt: skip


def _cross(v: Tensor) -> Tensor:
    zero = torch.zeros(len(v))
    x, y, z = v.unbind(-1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).view(-1, 3, 3)


CRYSTAL = {
    "lattice": number(6),
    "place": Field("periodic", (3,), sites=True),
    "species": Field("categorical", (), 5, sites=True),
}


def _crystals(rows: int = 4, sites: int = 5) -> dict[str, Tensor]:
    return {
        "lattice": torch.randn(rows, 6),
        "place": torch.rand(rows, sites, 3),
        "species": torch.randint(5, (rows, sites)),
        MASK: torch.ones(rows, sites, dtype=torch.bool),
    }


@check(
    "field-diffusion",
    seconds=0.2,
    broken_by=[
        Mutation("sites have positions", "sozai.generators.networks.fieldnet:_Pairs.forward",
                 make=lambda forward: lambda self, x, *rest: forward(self, x, *rest)
                 + torch.arange(x.shape[1])[:, None] * torch.linspace(-1, 1, x.shape[2])),
        Mutation("padding sends messages", "sozai.generators.networks.fieldnet:_Pairs.forward",
                 make=lambda forward: lambda self, x, difference, steer, mask: forward(
                     self, x, difference, steer, None)),
        Mutation("padding is attended to", "sozai.generators.networks.transformer:AdaptiveBlock.forward",
                 make=lambda forward: lambda self, x, steer, attend: forward(
                     self, x, steer, torch.ones_like(attend))),
        Mutation("coordinates are seen themselves", "sozai.generators.processes.wrapped:WrappedNormal.features",
                 make=lambda features: lambda self, z, t: features(self, z, t)
                 + z.sin().sum((1, 2))[:, None, None, None]),
        Mutation("the mean of the scores is not taken off", "sozai.generators.processes.wrapped:WrappedNormal.project",
                 replacement=lambda self, prediction, mask: prediction),
    ],
)  # fmt: skip
def symmetries_of_sites() -> Iterator[Finding]:
    """Order of sites, padding and the origin of the cell do not matter."""
    core = build("field-diffusion", CRYSTAL, width=32, layers=2).eval()
    batch = _crystals()
    core.prepare(batch)
    z = core._encode(batch)
    t = torch.tensor([0.1, 0.4, 0.7, 0.9])

    def out(z: dict[str, Tensor], mask: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            return core.denoise(z, t, None, mask)

    plain = out(z, batch[MASK])
    order = torch.tensor([3, 0, 4, 1, 2])
    mixed = out({**z, "place": z["place"][:, order], "species": z["species"][:, order]}, batch[MASK])
    errors = [(mixed[name] - plain[name][:, order]).abs().max() for name in ("place", "species")]
    errors.append((mixed["lattice"] - plain["lattice"]).abs().max())
    yield at_most("sites in another order", 1e-4, float(max(errors)), "float32 sums in another order")
    padded = {
        "lattice": z["lattice"],
        "place": torch.cat([z["place"], torch.rand(4, 2, 3)], 1),
        "species": torch.cat([z["species"], torch.randint(5, (4, 2, 1))], 1),
    }
    mask = torch.cat([batch[MASK], torch.zeros(4, 2, dtype=torch.bool)], 1)
    more = out(padded, mask)
    errors = [(more[name][:, :5] - plain[name]).abs().max() for name in ("place", "species")]
    errors.append((more["lattice"] - plain["lattice"]).abs().max())
    yield at_most("two sites of padding with any content", 1e-4, float(max(errors)), "float32")
    moved = out({**z, "place": wrapped.wrap(z["place"] + torch.rand(4, 1, 3))}, batch[MASK])
    errors = [(moved[name] - plain[name]).abs().max() for name in plain]
    yield at_most("another origin for each crystal", 1e-4, float(max(errors)), "float32 sines of 16 turns")
    yield at_most("scores of the sites sum to zero", 1e-4, float(plain["place"].sum(1).abs().max()), "float32")
    shuffled = (mixed["species"] - plain["species"]).abs().max()
    yield near("and the network is not blind", 1.0, float(shuffled > 1e-3), 0.0, "the sites differ")


@check(
    "field-diffusion",
    seconds=15,
    broken_by=[
        Mutation("fields are noised to times of their own",
                 "sozai.generators.processes.corruption:GaussianNoise.corrupt",
                 make=lambda corrupt: lambda self, z0, t: corrupt(self, z0, t.flip(0))),
        Mutation("the circle's score points away", "sozai.generators.processes.wrapped:WrappedNormal.score",
                 make=lambda score: lambda self, *rest: -score(self, *rest)),
        Mutation("rotations are turned back the wrong way", "sozai.generators.processes.rotation:RotationNoise.walk",
                 make=lambda walk: lambda self, z, step: walk(self, z, -step)),
        Mutation("the sequence is one long of every token", "sozai.generators.processes.discrete:Categories.reverse",
                 make=lambda reverse: lambda self, z, prediction, s, t: reverse(self, z, 0 * prediction, s, t)),
    ],
)  # fmt: skip
def all_fields_at_once() -> Iterator[Finding]:
    """One hidden coin decides a category, a number, an angle, a rotation and a word: all must agree in samples."""
    rows = 3000
    coin = (torch.rand(rows) < 0.3).long()
    frames = torch.stack([torch.eye(3), torch.diag(torch.tensor([1.0, -1.0, -1.0]))])  # half a turn apart
    data = {
        "kind": coin,
        "x": 4.0 * coin - 2 + 0.4 * torch.randn(rows),
        "angle": wrapped.wrap(0.5 * coin + 0.04 * torch.randn(rows)),
        "frame": frames[coin] @ rotation.exp_map(0.15 * torch.randn(rows, 3)),
        "word": torch.stack([coin, 1 - coin, coin], 1),
    }
    fields = {
        "kind": category(2), "x": number(), "angle": Field("periodic"), "frame": Field("rotation", (3, 3)),
        "word": sequence(3, 2),
    }  # fmt: skip
    core = build("field-diffusion", fields, width=64, layers=2, diffusion_steps=50)
    fit(core, data, 500, 128)
    new = core.sample(1000)
    side = new["kind"]
    yield near(
        "share of heads", 0.3, float(side.float().mean()), 0.08, "0.0145 is one sd of 1,000 draws; training adds"
    )
    yield at_most("numbers on the wrong side", 0.05, float(((new["x"] > 0).long() != side).float().mean()), "training")
    near_half = ((new["angle"] - 0.25) % 1 < 0.5).long()
    yield at_most("angles on the wrong side", 0.05, float((near_half != side).float().mean()), "training")
    upside = (new["frame"][:, 2, 2] < 0).long()
    yield at_most("frames on the wrong side", 0.05, float((upside != side).float().mean()), "training")
    wrong = (new["word"] != torch.stack([side, 1 - side, side], 1)).any(1)
    yield at_most("words that do not fit", 0.08, float(wrong.float().mean()), "three letters each; training")
    within = (new["x"] - (4.0 * side - 2))[(new["x"] > 0).long() == side]
    yield near("spread of the number", 0.4, float(within.std()), 0.12, "training")
    turned = frames[side].mT @ new["frame"]
    yield near("mean trace / 3 of the frames", math.exp(-(0.15**2)),
               float(turned.diagonal(dim1=1, dim2=2).sum(1)[upside == side].mean() / 3), 0.04, "training")  # fmt: skip


@check(
    "field-diffusion",
    seconds=15,
    broken_by=[
        Mutation("differences are taken for every site with itself",
                 "sozai.generators.processes.wrapped:WrappedNormal.features",
                 make=lambda features: lambda self, z, t: features(self, z[:, :1].expand_as(z), t)),
        Mutation("the species' prediction is drawn from nothing",
                 "sozai.generators.processes.discrete:Categories.reverse",
                 make=lambda reverse: lambda self, z, prediction, s, t: reverse(self, z, 0 * prediction, s, t)),
    ],
)  # fmt: skip
def small_crystals() -> Iterator[Finding]:
    """Pairs half a cell apart of two species, or lone atoms of a third, with the cell's length telling which."""
    rows = 2000
    pair = torch.rand(rows) < 0.6
    origin = torch.rand(rows, 1, 3)
    place = torch.cat([origin, origin + 0.5 + 0.02 * torch.randn(rows, 1, 3)], 1)
    data = {
        "length": torch.where(pair, 6.0, 3.0) + 0.2 * torch.randn(rows),
        "place": wrapped.wrap(place),
        "species": torch.stack([torch.where(pair, 0, 2), torch.ones(rows).long()], 1),
        MASK: torch.stack([torch.ones(rows).bool(), pair], 1),
    }
    fields = {
        "length": number(), "place": Field("periodic", (3,), sites=True),
        "species": Field("categorical", (), 3, sites=True),
    }  # fmt: skip
    core = build("field-diffusion", fields, width=64, layers=2, diffusion_steps=50)
    fit(core, data, 500, 128)
    new = core.sample(800)
    two = new[MASK].sum(1) == 2
    yield near("share of pairs", 0.6, float(two.float().mean()), 0.07, "4 sd of 800 draws")
    wrong = (new["length"] > 4.5) != two
    yield at_most("cells whose length does not fit", 0.05, float(wrong.float().mean()), "training")
    off = (new["place"][two, 1] - new["place"][two, 0] - 0.5 + 0.5) % 1 - 0.5
    yield at_most("distance from half a cell, root mean square", 0.08, float(off.square().mean().sqrt()),
                  "0.02 in the data, 0.29 at random")  # fmt: skip
    kinds = new["species"].sort(1).values
    right = torch.where(two, (kinds[:, 0] == 0) & (kinds[:, 1] == 1), new["species"][:, 0] == 2)
    yield at_most(
        "wrong species", 0.08, 1 - float(right.float().mean()), "both sites of a pair may not agree; training"
    )
