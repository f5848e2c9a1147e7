"""Scores after relaxation and tables of benchmarks/generation.py."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from typing import Any

import common
import numpy as np
from common import spread, table
from generation import DRAWN_FOR_ONE, NAMES, distance, group_shares

METASTABLE = 0.1  # eV/atom
DEEP = 0.3  # eV/atom below the hull; the section on stability shows that most such numbers miss a competing phase
CHEAP = ["generator", "formally valid", "built", "no hard rule broken", "unique", "novel", "P1", "charge neutral"]
CHEAP += ["space groups", "s genes", "s in all"]
STABILITY = ["generator", f"**metastable (≤ {METASTABLE}), unique, novel**", "**stable (≤ 0), unique, novel**"]
STABILITY += ["metastable, unique, novel, no hard rule broken", "expected by DFT: metastable, unique, novel"]
STABILITY += ["metastable, new or not", "unique and novel", "hull unknown", f"more than {DEEP} below the hull"]
STABILITY += ["median above hull (eV/atom)"]
WAY = ["generator", "converged", "steps", "median displacement (Å)", "median energy gain (eV/atom)"]
WAY += ["s a sample: drawing", "s a sample: relaxing"]


def relaxed_scores(entries: list[dict[str, Any] | None], known: Any, hull: Any) -> dict[str, float]:
    """Shares of all drawn samples; what could not be built, known materials and repetitions are failures."""
    from pymatgen.core import Structure

    from sozai.knowledge.crystals.ruleset import CrystalRules
    from sozai.screening.calibration import bundled
    from sozai.screening.identity import Novelty, Seen, counts_of

    rules, seen, novelty = CrystalRules.load(), Seen(), Novelty(known)
    total = len(entries)
    done = [entry for entry in entries if entry is not None and entry["energy"] is not None]
    counts = dict.fromkeys(("converged", "new", "unknown", "metastable", "handed", "stable", "expected", "deep"), 0.0)
    distances = []
    for number, entry in enumerate(done):
        structure = Structure.from_dict(entry["structure"])
        first = seen.twin(str(number), structure) is None
        nearest = novelty.nearest(structure)
        new = first and not (nearest and nearest.same)
        above = hull.distance(counts_of(structure), entry["energy"]).above
        counts["converged"] += entry["converged"]
        counts["unknown"] += above is None
        counts["new"] += new
        if above is None:
            continue
        distances.append(above)
        counts["deep"] += above < -DEEP
        success = new and entry["converged"]
        counts["expected"] += success * (bundled().probability(above) or 0.0)
        counts["metastable"] += success and above <= METASTABLE
        counts["stable"] += success and above <= 0
        if success and above <= METASTABLE:
            counts["handed"] += not any(verdict.fatal for verdict in rules.check(structure))
    converged = [entry for entry in done if entry["converged"]]
    return {
        **{name: value / total for name, value in counts.items()},
        "total": total,
        "all metastable": float(np.sum(np.array(distances) <= METASTABLE)) / total,
        "median": float(np.median(distances)) if distances else float("nan"),
        "gain": float(np.median([entry["gain"] for entry in converged])) if converged else float("nan"),
        "displacement": float(np.median([e["displacement"] for e in converged])) if converged else float("nan"),
        "steps": float(np.mean([entry["steps"] for entry in done])) if done else float("nan"),
        "seconds": sum(entry["seconds"] for entry in done) / total,
    }


def share(value: float, total: int) -> str:
    """A share with its binomial standard error."""
    return f"{value:.1%} ± {np.sqrt(value * (1 - value) / total):.1%}"


def cheap_rows(results: dict[str, tuple[list, list]]) -> list[list[str]]:
    rows = []
    for name, (scores, _) in results.items():

        def over_seeds(key: str, form: str = "{:.1%}", scores: list = scores) -> str:
            values = [score[key] for score in scores]
            return "–" if None in values else spread(values, form)

        keys = ("valid", "built", "sound", "unique", "novel", "P1", "neutral")
        times = over_seeds("seconds_genes", "{:.1f}"), over_seeds("seconds", "{:.1f}")
        rows.append([NAMES[name], *(over_seeds(key) for key in keys), over_seeds("groups", "{:.3f}"), *times])
    return rows


def data_row(genes: list, count: int) -> list[str]:
    """The columns that make sense for the data itself: a random part of it, as large as a sample."""
    from sozai.knowledge.crystals.chemistry import smact_valid

    shares, parts = group_shares(genes), []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        parts.append([genes[index] for index in rng.choice(len(genes), min(count, len(genes)), replace=False)])
    p1 = spread([np.mean([gene.space_group == 1 for gene in part]) for part in parts])
    neutral = spread([np.mean([smact_valid(gene.counts) for gene in part]) for part in parts])
    groups = spread([distance(part, shares) for part in parts], "{:.3f}")
    return ["the data itself", "–", "–", "–", "–", "–", p1, neutral, groups, "–", "–"]


def relaxed_rows(results: dict[str, tuple[list, list]], known: Any, hull: Any) -> tuple[list, list]:
    """Rows of the table of stability and of that of the way there."""
    stability, way = [], []
    for name, (scores, entries) in results.items():
        found = relaxed_scores(entries, known, hull)
        total = int(found["total"])
        drawing = scores[0]["seconds"] / max(scores[0]["drawn"], 1e-9)
        stability.append(
            [
                NAMES[name],
                share(found["metastable"], total),
                share(found["stable"], total),
                share(found["handed"], total),
                f"{found['expected']:.1%}",
                share(found["all metastable"], total),
                f"{found['new']:.1%}",
                f"{found['unknown']:.1%}",
                f"{found['deep']:.1%}",
                f"{found['median']:.3f}",
            ]
        )
        way.append(
            [
                NAMES[name],
                f"{found['converged']:.1%}",
                f"{found['steps']:.1f}",
                f"{found['displacement']:.3f}",
                f"{found['gain']:.3f}",
                drawing,
                f"{found['seconds']:.2f}",
            ]
        )
    return stability, way


def worst(scores: list[dict[str, Any]], count: int) -> str:
    """The rules that most samples break, with their share over all seeds."""
    total: Counter[str] = sum((Counter(score["broken"]) for score in scores), Counter())
    named = [f"{rule} {times / count / len(scores):.1%}" for rule, times in total.most_common(3)]
    return ", ".join(named) or "none"


def report(results: dict, genes: list, known: Any, hull: Any, options: Namespace) -> None:
    """Write the section of the docs."""
    stability, way = relaxed_rows(results, known, hull)
    for row in way:
        row[5] = f"{row[5] / options.count:.3f}"
    distinct = [score["distinct"] for score in results.get("wyckoff-gpt", ([], []))[0]]
    count, relaxed = options.count, options.relax
    parts = [
        f"{count:,} samples a generator and seed ({options.seeds} seeds, mean ± standard deviation), without a wish. "
        f"*Guided*: aiming at an energy above hull of {options.target:g} eV/atom with guidance weight "
        f"{options.guidance:g}. *Ranked*: {DRAWN_FOR_ONE} times as many genes drawn, the best by the ranker kept, in "
        "the order they were drawn in.",
        table(
            CHEAP,
            [*cheap_rows(results), data_row(genes, count)],
        ),
        "Shares of all samples asked for, before relaxation. *Formally valid*: the Wyckoff positions exist and none "
        "without freedom is occupied twice. *Built*: a structure with atoms apart was found. *Charge neutral*: SMACT "
        'with `consensus=1, commonality="low"`, alloys exempt, Pauling test on. *Space groups*: total variation '
        f"distance to the data (library, up to 20 atoms); the last row says how far {count:,} materials of the data "
        f"are from all. Unique and novel by StructureMatcher, novel: not among {len(known):,} known materials. "
        f"Seconds: wall clock for {count:,}, {options.processes} process(es).",
    ]
    broken = [f"{NAMES[name]}: {worst(scores, count)}" for name, (scores, _) in results.items()]
    parts.append("Hard rules broken most often. " + ". ".join(broken) + ".")
    if distinct and None not in distinct:
        parts.append(
            f"wyckoff-gpt does not hand over a gene twice; of {count:,} draws as they come {spread(distinct)} are "
            "distinct."
        )
    parts += [
        f"### After relaxation: the first {relaxed} of seed 0",
        "Each relaxed with CHGNet 0.3.0 (cell and positions, 0.05 eV/Å) and put against sozai's hull. All shares are "
        f"of the {relaxed} samples drawn: those not built or not converged, of unknown hull, known already or repeated "
        "after relaxation count as failures. Spread: binomial standard error. *Expected by DFT*: the mean of the "
        "bundled calibration's probability of being within 0.1 eV/atom of the DFT hull, 0 for the failures; the "
        "calibration comes from WBM, so this holds as far as the samples are like WBM's materials.",
        table(
            STABILITY,
            stability,
        ),
        table(
            WAY,
            way,
        ),
        "The hull is that of the potential over the bundled library. What its numbers are worth against DFT is in the "
        "section on stability; numbers of papers with other hulls, potentials and thresholds cannot be compared.",
    ]
    common.write_fragment(options.out, "Generation", parts)
