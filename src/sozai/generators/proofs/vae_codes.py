"""Proofs of VQ-VAE and VQ-VAE-2."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from sozai.fields import image, number
from sozai.generators.core import Core
from sozai.generators.families.quantised import Quantised
from sozai.generators.networks.causal import CausalTransformer
from sozai.generators.processes import quantise
from sozai.generators.processes.quantise import VectorQuantiser
from sozai.generators.proofs import training
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near

QUANTISE = "sozai.generators.processes.quantise"
CAUSAL = "sozai.generators.networks.causal"
CODES = "sozai.generators.families.quantised"


def learn(core: Core, data: Mapping[str, Tensor], steps: int, rate: float = 3e-3, rows: int = 64) -> None:
    """Prepared, then all players on random rows."""
    core.prepare(dict(data))
    training.learn(core, training.rows_of(data, rows), steps, rate=rate, clip=1.0)


def _with_decay(part: Any, update: Any) -> None:
    """An update with gamma and 1 - gamma exchanged."""
    kept, part.decay = part.decay, 1 - part.decay
    update(part)
    part.decay = kept


# --- VQ-VAE ----------------------------------------------------------------------------------------------


@check(
    "vq-vae",
    "vq-vae-2",
    seconds=0.1,
    broken_by=[
        Mutation("the choice of a code cuts the gradient", f"{QUANTISE}:straight_through", lambda z, e: e.detach()),
        Mutation(
            "the gradient is that of z - e", f"{QUANTISE}:straight_through", lambda z, e: e.detach() + z - e * 0.5
        ),
        Mutation(
            "codes are compared without their lengths",
            f"{QUANTISE}:VectorQuantiser.nearest",
            lambda self, z: (z.detach() @ self.codebook.detach().T).argmax(-1),
        ),
        Mutation(
            "nothing binds the encoder to its codes",
            f"{QUANTISE}:VectorQuantiser.forward",
            make=lambda forward: (
                lambda self, z: (lambda q: quantise.Quantised(q.values, q.codes, 0 * q.loss, q.perplexity))(
                    forward(self, z)
                )
            ),
        ),
    ],
)
def codes_let_the_gradient_through() -> Iterator[Finding]:
    """Codes are the nearest ones, quantising twice changes nothing, and the decoder's gradient reaches the encoder."""
    core: Any = Quantised({"x": number(5)}, levels=1, codes=16, tokens=4, width=8, prior_width=16).train()
    core.autoencoder.quantisers[0].started.fill_(True)
    with torch.no_grad():  # lengths that matter
        core.autoencoder.quantisers[0].codebook.mul_(torch.linspace(0.1, 2, 16)[:, None])
    seen: dict[str, Any] = {}
    core.autoencoder.quantisers[0].register_forward_hook(
        lambda module, inputs, found: seen.update(z=inputs[0], found=found) or (inputs[0].retain_grad(), None)[1]
    )
    x = torch.randn(32, 5)
    raw, (found,) = core.autoencoder(x, torch.zeros(32, 8))
    found.values.retain_grad()
    (-core.observation.log_prob(raw, x).mean()).backward()
    gap = (seen["z"].grad - found.values.grad).abs().max() / found.values.grad.abs().max()
    yield near("encoder's gradient against the decoder input's", 0.0, float(gap), 1e-6, "equal but for rounding")
    yield at_least("that gradient", 1e-6, float(found.values.grad.abs().max()), "the two are not both zero")

    part: Any = VectorQuantiser(16, 3).eval()
    part.codebook.copy_(torch.randn(16, 3) * torch.linspace(0.1, 2, 16)[:, None])
    z = torch.randn(200, 3, requires_grad=True)
    out = part(z)
    nearest = torch.stack([(part.codebook - row).norm(dim=1).argmin() for row in z])
    yield holds("each code is the nearest one by plain distances", bool((out.codes == nearest).all()))
    again = part(out.values.detach())
    yield near("quantised twice", 0.0, float((again.values - out.values).abs().max()), 1e-6, "idempotent")
    out.loss.backward()
    expected = 2 * 0.25 * (z - part.codebook[nearest]) / z.numel()
    yield near(
        "gradient of the commitment loss", 0.0, float((z.grad - expected).abs().max()), 1e-8, "2 beta (z - e) / n"
    )
    learned: Any = VectorQuantiser(16, 3, decay=None)
    other = z.detach()
    learned(other).loss.backward()
    codes = learned.nearest(other)
    drawn = torch.zeros(16, 3).index_add(0, codes, 2 * (learned.codebook[codes] - other) / other.numel()).detach()
    gap = (learned.codebook.grad - drawn).abs().max()
    yield near("gradient of a learned codebook", 0.0, float(gap), 1e-7, "of ||sg z - e||^2 alone (eq. 3)")


@check(
    "vq-vae",
    "vq-vae-2",
    seconds=1.0,
    broken_by=[
        Mutation(
            "one too many is counted",
            f"{QUANTISE}:VectorQuantiser.assigned",
            make=lambda assigned: lambda self, z, codes: (assigned(self, z, codes)[0] + 1, assigned(self, z, codes)[1]),
        ),
        Mutation("the codebook stands still", f"{QUANTISE}:VectorQuantiser.update", lambda self: None),
        Mutation(
            "new and old change places in the running means",
            f"{QUANTISE}:VectorQuantiser.update",
            make=lambda update: lambda self: _with_decay(self, update),
        ),
    ],
)
def running_means_are_steps_of_k_means() -> Iterator[Finding]:
    """Without memory an update is Lloyd's step (scikit-learn's); with it, the sums of all batches, faded."""
    from sklearn.cluster import KMeans

    z = torch.randn(400, 2) + 2 * torch.randint(-1, 2, (400, 2))
    part = VectorQuantiser(6, 2, decay=0.0, restart=0.0).train()
    part.started.fill_(True)
    part.codebook.copy_(z[:6])
    lloyd = KMeans(6, init=z[:6].numpy(), n_init=1, max_iter=3, tol=0).fit(z.numpy())
    for _ in range(3):
        part(z.clone().requires_grad_())
        part.update()
    gap = (part.codebook - torch.as_tensor(lloyd.cluster_centers_)).abs().max()
    yield near("codebook after 3 updates against Lloyd's", 0.0, float(gap), 1e-5, "decay 0; single precision")

    part = VectorQuantiser(6, 2, decay=0.9, restart=0.0).train()
    part.started.fill_(True)
    count, total = part.counts.double(), part.sums.double()
    for batch in z.split(100):
        codes = part.nearest(batch)
        part(batch)
        part.update()
        for k in range(6):
            count[k] = 0.9 * count[k] + 0.1 * (codes == k).sum()
            total[k] = 0.9 * total[k] + 0.1 * batch[codes == k].double().sum(0)
    gap = (part.codebook - total / count[:, None]).abs().max()
    yield near("codebook against faded means", 0.0, float(gap), 1e-5, "decay 0.9, four batches; single precision")


@check(
    "vq-vae",
    "vq-vae-2",
    seconds=0.1,
    broken_by=[Mutation("dead codes stay dead", f"{QUANTISE}:VectorQuantiser.revive", lambda self, z: None)],
)
def the_codebook_does_not_collapse() -> Iterator[Finding]:
    """From a start at which one code takes all, restarts bring more than half of them into even use."""

    def perplexity(restart: float) -> float:
        part = VectorQuantiser(64, 4, decay=0.9, restart=restart).train()
        part.started.fill_(True)
        part.codebook.add_(20)  # far from the data
        part.codebook[0] = 0
        part.sums.copy_(part.codebook)
        for _ in range(150):
            out = part(torch.randn(256, 4))
            part.update()
        return float(out.perplexity)

    yield at_least("perplexity of 64 codes", 32.0, perplexity(0.1), "more than half")
    yield at_most("the same without restarts", 2.0, perplexity(0.0), "the start was a trap")
    part = VectorQuantiser(64, 4).train()
    started = float(part(torch.randn(1024, 4)).perplexity)
    yield at_least("perplexity after the start by k-means", 32.0, started)


@check(
    "vq-vae",
    "vq-vae-2",
    seconds=2.0,
    broken_by=[
        Mutation(
            "tokens see those after them",
            f"{CAUSAL}:visible",
            lambda grid, window=0: torch.ones(math.prod(grid), math.prod(grid), dtype=torch.bool),
        ),
        Mutation(
            "tokens see only the last one",
            f"{CAUSAL}:visible",
            lambda grid, window=0: torch.eye(math.prod(grid), dtype=torch.bool),
        ),
    ],
)
def the_prior_reaches_the_entropy_of_the_codes() -> Iterator[Finding]:
    """On a 2 x 2 grid of 3 codes whose law is known: a normalised law, at its entropy in bits, also when drawn."""
    codes = torch.tensor(list(itertools.product(range(3), repeat=4)))
    for window in (0, 1):
        net = CausalTransformer((2, 2), 3, width=16, layers=2, heads=2, window=window).double()
        net.place.data.mul_(30)
        total = net.log_prob(codes.reshape(-1, 2, 2)).exp().sum()
        yield near(f"sum of p over all grids, window {window}", 1.0, float(total), 1e-9, "causal networks are laws")
    # the last code is decided by the first two, the third is like the first: far from independent
    logits = 2.0 * (codes[:, 2] == codes[:, 0]) + 3.0 * (codes[:, 3] == (codes[:, 0] + codes[:, 1]) % 3)
    law = logits.softmax(0)
    entropy = float(torch.special.entr(law).sum()) / math.log(2)
    net = CausalTransformer((2, 2), 3, width=32, layers=2, heads=2)
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for step in range(250):
        optimizer.param_groups[0]["lr"] = 3e-3 * (1 - step / 250)
        optimizer.zero_grad()
        (-(law * net.log_prob(codes)).sum()).backward()  # every grid by its share: no noise of sampling
        optimizer.step()
    with torch.no_grad():
        bits = -(law * net.log_prob(codes)).sum() / math.log(2)
        yield near("bits of the codes under the prior", entropy, float(bits), 0.1, "the entropy is the least")
        drawn = net.sample(4000).reshape(-1, 4)
    share = torch.bincount(drawn @ torch.tensor([27, 9, 3, 1]), minlength=81) / 4000
    yield at_most(
        "total variation of 4,000 draws", 0.12, float((share - law).abs().sum() / 2), "0.05 of it is counting"
    )


@check(
    "vq-vae",
    "vq-vae-2",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the bound leaves out the codes' own bits",
            f"{CODES}:Quantised._bound",
            make=lambda bound: lambda self, batch: (bound(self, batch)[0], 0 * bound(self, batch)[1]),
        ),
        Mutation(
            "the fine codes' prior is not told the coarse ones",
            f"{CODES}:CodePrior.context_of",
            lambda self, level, codes: None,
        ),
        Mutation(
            "the law of the coarse codes is left out",
            f"{CODES}:CodePrior.log_probs",
            make=lambda log_probs: lambda self, codes, condition: log_probs(self, codes, condition)[:1],
        ),
    ],
)
def the_bound_is_one_term_of_the_likelihood() -> Iterator[Finding]:
    """p(x) summed over every code of both levels integrates to one, and the bound never exceeds it."""
    core: Any = Quantised(
        {"x": number()}, levels=2, tokens=2, codes=3, code_width=2, width=8, prior_width=16, scale=0.3
    ).eval()
    core.codec.mean.fill_(1.0)
    core.codec.scale.fill_(2.0)
    for embedding in core.prior.above:
        embedding.weight.data.mul_(3)
    with torch.no_grad():
        fine = torch.tensor(list(itertools.product(range(3), repeat=3)))
        codes = [fine[:, :2], fine[:, 2:]]
        condition = torch.zeros(27, 16)
        each = core.prior.log_probs(codes, condition)
        log_p = torch.stack(each).sum(0)
        yield near("sum of p(fine, coarse)", 1.0, float(log_p.exp().sum()), 1e-5, "all 27; single precision")
        given = each[0].reshape(9, 3)
        spread = (given[:, 0] - given[:, 1]).abs().max()
        yield at_least("the fine codes' law differs with the coarse code", 1e-3, float(spread), "bottom given top")
        raw = core.autoencoder.decode(core.autoencoder.look_up(codes), torch.zeros(27, 8))
        grid = torch.linspace(-12, 14, 2601)[:, None]
        observed = core.observation.log_prob(
            raw.repeat_interleave(len(grid), 0), ((grid - 1) / 2).repeat(27, 1)
        ).reshape(27, -1)
        exact = torch.logsumexp(observed + log_p[:, None], 0) - math.log(2)
        yield near("integral of p(x)", 1.0, float(exact.exp().sum() * 0.01), 1e-3, "in the field's own units")
        bound = core.log_prob({"x": grid[:, 0]})
        yield at_most(
            "largest excess of the bound over log p(x)", 1e-4, float((bound - exact).max()), "one of 27 terms"
        )
        terms = observed + log_p[:, None] - math.log(2)
        gap = (terms - bound).abs().amin(0).max()
        yield near("distance of the bound to the nearest term", 0.0, float(gap), 1e-3, "it is one of them")


# --- VQ-VAE-2 --------------------------------------------------------------------------------------------


def _textures(count: int) -> Tensor:
    """Images (count, 1, 8, 8) in [-1, 1]: a shade in each quarter, one of four patterns in each 2 x 2 tile."""
    patterns = torch.tensor([[[1.0, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]], [[-1, 1], [-1, 1]]])
    tiles = patterns[torch.randint(4, (count, 4, 4))].movedim(2, 3).reshape(count, 8, 8)
    shade = (2 * torch.rand(count, 2, 2) - 1).repeat_interleave(4, 1).repeat_interleave(4, 2)
    return (0.5 * shade + 0.5 * tiles)[:, None]


@check(
    "vq-vae-2",
    seconds=12.0,
    broken_by=[
        Mutation(
            "the decoder looks past the coarse codes",
            f"{CODES}:join",
            lambda x, above: x if above is None else torch.cat([x, torch.zeros_like(above)], 1),
        )
    ],
)
def two_levels_beat_one_at_equal_bits() -> Iterator[Finding]:
    """Each level's zeroing costs, and two grids of few codes draw images better than one grid of as many bits."""
    torch.set_num_threads(1)
    fields = {"image": image(1, 8, 8)}
    data, test = {"image": _textures(1024)}, {"image": _textures(256)}
    errors: dict[str, float] = {}
    bits = {}
    for levels, codes in ((1, 32), (2, 16)):
        settings: dict[str, Any] = {"width": 16, "blocks": 1, "code_width": 4, "scale": 0.1, "prior_width": 16}
        core: Any = Quantised(fields, levels=levels, codes=codes, **settings)
        core.players = core.players[:1]
        learn(core, data, 600, rate=6e-3)
        bits[levels] = core.bits
        for name, without in {"": (), " without fine": (0,), " without coarse": (1,)}.items():
            if levels == 2 or not without:
                again = core.reconstruct(test, without)["image"]
                errors[f"{levels}{name}"] = float((again - test["image"]).square().mean())
    yield near(
        "bits of one level less those of two", 0.0, bits[1] - bits[2], 1e-9, "16 places of 32, 16 + 4 of 16 codes"
    )
    yield at_most(
        "MSE of two levels over that of one", 0.9, errors["2"] / errors["1"], "the coarse one pays for itself"
    )
    yield at_least("MSE without the fine level", 2.0, errors["2 without fine"] / errors["2"], "times that with it")
    yield at_least("MSE without the coarse level", 2.0, errors["2 without coarse"] / errors["2"], "times that with it")
