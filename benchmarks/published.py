"""Small numbers and theorems of the papers beside what sozai's parts give, in one table.

python benchmarks/published.py --language language.jsonl

Orders, bounds and variances are measured in this run (half a minute); the language model's loss is read from the cache
of ``benchmarks/language.py``, without which its rows are left out.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import common
import numpy as np
import torch
from common import Cache, table

GRID, STEPS = 1000, 2000
NEAR = 0.1
"""Bits a dimension within which Watson et al. call a short path as good as the whole chain."""


def measured(system: str, start: str) -> tuple[str, str]:
    """Expected and got of the finding of a system's proof that begins so."""
    from sozai.generators.proofs.catalog import checks_of

    for check in checks_of(system):
        for finding in check.findings():
            if finding.what.startswith(start):
                return finding.expected.split(" ±")[0].removeprefix("≤ "), finding.got
    raise LookupError(f"no finding of {system} begins with '{start}'")


def orders() -> list[list[str]]:
    """Orders of convergence."""
    from samplers import orders as slopes

    found = {row[0]: row[2] for row in slopes()}
    where = "one Gaussian, t 0.8 to 0.03, 20 to 80 steps"
    return [
        ["DDIM: order of convergence", "first (2010.02502)", found["ddim"], where],
        ["GENIE: order of convergence", "second (2210.05475)", found["genie"], where],
    ]


def bounds() -> list[list[str]]:
    """What few steps cost, on paths that are even and best."""
    from sozai.generators.proofs.mixture import Mixture
    from sozai.generators.proofs.samplers import exact_residual
    from sozai.generators.samplers import paths

    torch.manual_seed(0)
    denoiser = Mixture()
    residual = exact_residual(denoiser, GRID, 40_000)
    prior = paths.prior_cost(denoiser.schedule, denoiser.sample(20_000))
    costs = {name: paths.costs(denoiser.schedule, residual, name) for name in ("beta~", "beta", "analytic")}
    best = {name: 2 * np.asarray(paths.shortest(costs[name], GRID)[1]) + prior for name in ("beta~", "beta")}
    even = {name: paths.bound(costs[name], paths.even(GRID, 10), 2, prior) for name in costs}
    nats = NEAR * 2 * math.log(2)
    short = {name: 1 + int(np.argmax(found <= found[-1] + nats)) for name, found in best.items()}
    steps = f"{short['beta~']} of {GRID:,} with beta~, {short['beta']} with beta"
    ten = f"{best['beta~'][9]:.2f} against {even['beta~']:.1f} nats"
    where = "five clusters in the plane, denoiser exact"
    return [
        ["DP: steps within 0.1 bits/dim of the whole chain", "32 of 4,000, ImageNet 64x64 (2106.03802)", steps, where],
        ["DP: NELBO at 10 steps, best path against even", "never above (2106.03802)", ten, where],
        [
            "Analytic-DPM: NELBO at 10 even steps",
            "not above beta~ and beta (2201.06503)",
            f"{even['analytic']:.2f}; beta~ {even['beta~']:.1f}, beta {even['beta']:.2f} nats",
            where,
        ],
    ]


def variance() -> list[list[str]]:
    """Analytic-DPM's variance against the mean square that remains, by Monte Carlo."""
    expected, got = measured("analytic-dpm", "variance of the step 0.3 to 0.1, eta 1.0")
    where = "the same, step t = 0.3 to 0.1"
    return [["Analytic-DPM: variance of a step", f"the optimum (2201.06503), here {expected}", got, where]]


def language(cache: Cache) -> list[list[str]]:
    """GPT-2's logits and nanoGPT's recipe."""
    expected, got = measured("gpt-2", "largest difference to the frozen logits")
    made = [
        ["GPT-2: largest difference of logits from transformers'", f"0, here at most {expected}", got, "same weights"]
    ]
    runs = [cache[key] for key in (f"{STEPS}-{seed}" for seed in range(10)) if key in cache]
    if runs:
        ours, theirs = (
            common.spread([run[name]["nats"] for run in runs], "{:.3f}")
            for name in ("sozai GPT-2", "transformers GPT2LMHeadModel")
        )
        made.append([
            "GPT-2, nanoGPT's recipe for a CPU: nats a character", "1.88, Shakespeare (README)", ours,
            f"the text of Python's help(); transformers' GPT-2 on the same batches {theirs}; seeds: {len(runs)}",
        ])  # fmt: skip
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", type=Path, help="cache of benchmarks/language.py")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/published.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [*orders(), *bounds(), *variance(), *language(Cache(options.language))]
    parts = [
        "What the papers state and what sozai's parts give. Where a paper's figure needs images and networks that no "
        "CPU trains, the same quantity is measured on a test-bed whose exact answer is known, and the last column says "
        "so: such figures agree in kind, not in value.",
        table(["quantity", "paper", "sozai", "measured on"], rows),
    ]
    common.write_fragment(options.out, "Published numbers", parts)


if __name__ == "__main__":
    main()
