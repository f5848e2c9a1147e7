"""Samplers of diffusions on exact test-beds: order of convergence, bounds at few steps, distance of samples.

python benchmarks/samplers.py --cache samplers.jsonl
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import common
from common import Cache, spread, table

STEPS = (5, 10, 20, 50, 200, 1000)
LOOKS = (5, 10, 20)
BUDGET = (20, 40, 80)
DRAWS = 40_000
"""Of the Monte Carlo error curve that the bounds rest on."""
SOLVERS = {"ddim": "1", "genie": "2", "heun": "2", "dpm-solver": "2"}
SAMPLERS = {
    "ancestral": {},
    "ddim": {},
    "dp": {},
    "analytic-dpm": {},
    "dpm-solver": {},
    "heun": {},
    "genie (JVP)": {"head": False},
    "genie": {},
    "ddss": {},
}
PUBLISHED = """Published, on images and networks that no CPU trains, beside ours in kind: DP, ImageNet 64x64: 32 steps
within 0.1 bits/dim of 4,000 (arXiv 2106.03802, abstract). DDSS, LSUN church 128x128: FID at 10 and 20 steps
11.6 and 4.82, the strongest DDPM/DDIM baselines 51.1 and 14.9 (arXiv 2202.05830, abstract)."""


def orders() -> list[list[str]]:
    """Error against the exact flow of a Gaussian with twice and four times the steps, and its slope."""
    from sozai.generators.proofs import mixture, solvers
    from sozai.generators.samplers import catalog

    rows = []
    for name, expected in SOLVERS.items():
        settings = {"head": False} if name == "genie" else {}
        found = solvers.errors(catalog.make(name, (2,), **settings), mixture.gaussian(), BUDGET)
        cells = [f"{error:.2e}" for error in found]
        rows.append([name, expected, f"{solvers.order(BUDGET, found):.2f}", *cells])
    return rows


def bounds(grid: int) -> tuple[list[list[str]], float]:
    """Negative ELBO (nats) of the five-cluster mixture at few of ``grid`` steps, and the entropy below it."""
    from sozai.generators.proofs.mixture import Mixture
    from sozai.generators.proofs.samplers import exact_residual
    from sozai.generators.samplers import paths

    denoiser = Mixture()
    residual = exact_residual(denoiser, grid, DRAWS)
    prior = paths.prior_cost(denoiser.schedule, denoiser.sample(20_000))
    tables = {
        variance: paths.costs(denoiser.schedule, residual, variance) for variance in ("beta~", "beta", "analytic")
    }
    best = {name: paths.shortest(tables[name], grid)[1] for name in ("beta~", "analytic")}
    rows = []
    for steps in STEPS:
        even = paths.even(grid, steps)
        cells = [paths.bound(tables[name], even, 2, prior) for name in ("beta~", "beta", "analytic")]
        cells += [2 * float(best[name][steps - 1]) + prior for name in ("beta~", "analytic")]
        rows.append([str(steps), *(f"{cell:.3f}" for cell in cells)])
    return rows, denoiser.entropy()


def distance(name: str, looks: int, seed: int) -> dict[str, float]:
    """Held-out MMD^2 (times 1,000) of 2,000 samples of the mixture, seconds to fit and to draw."""
    import torch

    from sozai.generators.proofs.mixture import Mixture
    from sozai.generators.samplers import catalog, learned
    from sozai.generators.tensors import seeded

    denoiser = Mixture()
    with seeded(seed):
        data, held_out = denoiser.sample(2000), denoiser.sample(2000)
        scale = torch.pdist(data[:1000]).median() ** 2
        if name == "data":
            return {"mmd": 1000 * float(learned.mmd(data, held_out, "rbf", scale)), "fit": 0.0, "draw": 0.0}
        sampler = catalog.make(name.split()[0], (2,), **{**SAMPLERS[name], "steps": looks})
        begun = time.perf_counter()
        sampler.fit(denoiser, data)
        fitted = time.perf_counter()
        drawn = sampler.draw(denoiser, 2000)
        done = time.perf_counter()
    mmd = 1000 * float(learned.mmd(drawn, held_out, "rbf", scale))
    return {"mmd": mmd, "fit": fitted - begun, "draw": done - fitted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--grid", type=int, default=1000, help="steps of the discrete chain for the bounds")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/samplers.md"))
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    cache = Cache(options.cache)
    rows = []
    for name in [*SAMPLERS, "data"]:
        cells, fit, draw = [], 0.0, 0.0
        for looks in LOOKS:
            if name == "ddss" and looks > 5:
                cells.append("–")  # the search takes minutes: not measured
                continue
            found = []
            for seed in range(options.seeds):
                key = f"{name} {looks} {seed}"
                if key not in cache:
                    cache.add(key, distance(name, looks, seed))
                found.append(cache[key])
            cells.append(spread([each["mmd"] for each in found], "{:.2f}"))
            if looks == 10 or name == "ddss":
                fit, draw = (min(each[part] for each in found) for part in ("fit", "draw"))
        rows.append([name, *cells, f"{fit:.1f}", f"{draw / 2:.2f}"])
    bound_rows, entropy = bounds(options.grid)
    parts = [
        "All samplers on mixtures of Gaussians in the plane, whose noise is known exactly: what is measured is the "
        "sampler alone. DDPM's linear schedule; each sampler's own defaults.",
        "### Order of convergence",
        table(["solver", "paper's order", "measured", *(f"error, {steps} steps" for steps in BUDGET)], orders()),
        "Root mean square distance to the exact probability flow of one Gaussian, t from 0.8 to 0.03, steps even in "
        "log SNR.",
        "### Negative ELBO at few steps",
        table(
            ["K", "even, beta~", "even, beta", "even, Analytic-DPM", "DP, beta~", "DP for and with Analytic-DPM"],
            bound_rows,
        ),
        f"Nats, five unequal clusters, paths on a chain of {options.grid:,} steps, from {DRAWS:,} draws: where "
        f"a bound is tight it can fall below the entropy, {entropy:.3f}, by their noise. "
        f"The last step, from t = 1/{options.grid}, is the same for all.",
        "### Distance of samples from data",
        table(
            ["sampler", *(f"{looks} looks" for looks in LOOKS), "s to fit", "s per 1,000"],
            rows,
        ),
        f"Held-out squared maximum mean discrepancy times 1,000 (five Gaussian kernels; unbiased, so that it can fall "
        f"below 0), 2,000 samples against 2,000, mean and standard deviation of {options.seeds} seeds. A look is one "
        "evaluation of the denoiser; GENIE's Jacobian-vector products (JVP) come on top, its head replaces them. "
        "DDSS minimises this very discrepancy (on other rows), so that its figure flatters it; longer searches than "
        "for 5 steps were not measured. The samplers' default paths were chosen on this mixture. "
        "Seconds at 10 looks (DDSS: 5), one core, the quickest of all "
        "seeds on a busy machine.",
        PUBLISHED.replace("\n", " "),
    ]
    common.write_fragment(options.out, "Samplers of diffusions", parts)


if __name__ == "__main__":
    main()
