"""The generators side by side: how good are their samples, and how many are metastable, unique and novel?

    python benchmarks/generation.py --count 1000 --relax 256 --seeds 3 --cache generation.jsonl

Every generator draws ``--count`` crystals a seed, without a wish; the first ``--relax`` of seed 0 are relaxed and
put against sozai's hull, the same number for all, none picked. Finished work is kept in ``--cache`` (JSON lines): the
same command goes on where it was stopped. An entry holds for the weights it was drawn with; after a change of the
code, name another file. Lines with a ``gene`` are relaxed samples: gene, energy (eV/atom), energy above hull.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import numpy as np
from common import Cache, Ticker

NAMES = {
    "wyckoff-gpt": "wyckoff-gpt",
    "guided": "wyckoff-gpt, guided",
    "ranked": "wyckoff-gpt, guided and ranked",
    "substitution": "substitution",
    "random": "random",
}
DRAWN_FOR_ONE = 4  # genes drawn for each that the ranker keeps


@dataclass
class Sample:
    """One draw: its gene and, if one could be built, its crystal."""

    gene: Any
    structure: Any


@dataclass
class Drawn:
    """What one generator drew with one seed."""

    samples: list[Sample]
    seconds_genes: float | None
    seconds: float
    distinct: float | None = None
    """Share of distinct genes where repeated ones are not drawn again."""


def parse_gene(text: str):
    """A gene from its text, ``"225 Cl@b Na@a"``."""
    from sozai.materials.wyckoff import Gene

    number, *sites = text.split(" ")
    return Gene(int(number), tuple(tuple(site.split("@")) for site in sites))  # type: ignore[arg-type]


def draw(name: str, count: int, seed: int, hull: Any, options: argparse.Namespace) -> Drawn:
    """Draw ``count`` samples by the generator of this name."""
    started = time.monotonic()
    if name in ("substitution", "random"):
        from sozai.generators.random_symmetric import RandomSymmetric
        from sozai.generators.substitution import Substitution

        generator = Substitution() if name == "substitution" else RandomSymmetric()
        crystals = generator.sample(count, seed=seed, on_progress=Ticker(f"{name}, seed {seed}"))
        samples = [Sample(parse_gene(crystal.provenance["gene"]), crystal.structure) for crystal in crystals]
        return Drawn(samples, None, time.monotonic() - started)
    from sozai.generators.wyckoff_gpt.model import WyckoffGPT

    model = WyckoffGPT.load(options.weights)
    model.guidance = options.guidance
    genes = _genes(model, name, count, seed, hull, options)
    between = time.monotonic()
    crystals = model.build(genes, seed, Ticker(f"{name}, seed {seed}"), options.processes)
    seconds = time.monotonic() - started
    built = {int(crystal.id.rsplit("-", 1)[1]): crystal.structure for crystal in crystals}
    samples = [Sample(each.gene, built.get(number)) for number, each in enumerate(genes)]
    distinct = None
    if name == "wyckoff-gpt":
        distinct = len({each.gene.canonical for each in model.sample_genes(count, seed=seed, distinct=False)}) / count
    return Drawn(samples, between - started, seconds, distinct)


def _genes(model: Any, name: str, count: int, seed: int, hull: Any, options: argparse.Namespace) -> list:
    """Genes of one way to draw; the ranked ones stay in the order they were drawn in."""
    from sozai.knowledge.crystals.wish import CrystalWish
    from sozai.screening.ranker import Ranker

    if name == "wyckoff-gpt":
        return model.sample_genes(count, seed=seed)
    wish = CrystalWish.of(targets={"energy_above_hull": options.target}, max_atoms=model.settings["max_atoms"])
    if name == "guided":
        return model.sample_genes(count, wish, seed)
    drawn = model.sample_genes(DRAWN_FOR_ONE * count, wish, seed)
    predicted = Ranker.load(options.ranker).above_hull([each.gene for each in drawn], hull)
    # What has no hull cannot be called stable later: it comes last.
    best = np.argsort(np.where(np.isfinite(predicted), predicted, np.inf), kind="stable")[:count]
    return [drawn[index] for index in sorted(best)]


def cheap(drawn: Drawn, count: int, shares: np.ndarray, known: Any) -> dict[str, Any]:
    """Everything that needs no relaxation; shares are of ``count``, those of genes of the genes."""
    from sozai.knowledge.crystals.chemistry import smact_valid
    from sozai.knowledge.crystals.ruleset import CrystalRules
    from sozai.screening.identity import Novelty, Seen

    rules, seen, novelty = CrystalRules.load(), Seen(), Novelty(known)
    genes = [sample.gene for sample in drawn.samples]
    built = [sample.structure for sample in drawn.samples if sample.structure is not None]
    broken: Counter[str] = Counter()
    sound = unique = novel = 0
    for number, structure in enumerate(built):
        faults = [verdict.rule for verdict in rules.check(structure) if verdict.fatal]
        broken.update(faults)
        sound += not faults
        nearest = novelty.nearest(structure)
        unique += seen.twin(str(number), structure) is None
        novel += not (nearest and nearest.same)
    return {
        "drawn": len(genes) / count,
        "valid": sum(gene.fault() is None for gene in genes) / count,
        "built": len(built) / count,
        "sound": sound / count,
        "unique": unique / count,
        "novel": novel / count,
        "P1": float(np.mean([gene.space_group == 1 for gene in genes])),
        "neutral": float(np.mean([smact_valid(gene.counts) for gene in genes])),
        "groups": distance(genes, shares),
        "distinct": drawn.distinct,
        "seconds_genes": drawn.seconds_genes,
        "seconds": drawn.seconds,
        "broken": dict(broken.most_common(5)),
    }


def group_shares(genes: list) -> np.ndarray:
    """Share of each of the 230 space groups."""
    return np.bincount([gene.space_group - 1 for gene in genes], minlength=230) / len(genes)


def distance(genes: list, shares: np.ndarray) -> float:
    """Total variation distance to the space groups of the data: 0 the same, 1 none in common."""
    return float(np.abs(group_shares(genes) - shares).sum() / 2)


def library_genes(known: Any, most_atoms: int = 20) -> list:
    """Genes of the data: known materials of at most so many atoms in the primitive cell."""
    return [known.gene(row) for row in np.flatnonzero(known.table["n_atoms"].to_numpy() <= most_atoms)]


def relax_first(name: str, drawn: list[Sample], hull: Any, cache: Cache, prefix: str, processes: int) -> None:
    """Relax samples that are not in the cache yet."""
    from sozai.screening import potentials
    from sozai.screening.identity import counts_of
    from sozai.screening.relax import relax_stream

    todo = [n for n, sample in enumerate(drawn) if sample.structure is not None and f"{prefix}|{n}" not in cache]
    if not todo:
        return
    starts = [drawn[number].structure for number in todo]
    before = potentials.load("chgnet").energies(starts)
    tell = Ticker(f"relaxing {name}")
    stream = relax_stream(starts, fmax=0.05, processes=processes)
    for done, (index, result) in enumerate(stream, start=1):
        start, end = starts[index], result.structure
        finite = bool(np.isfinite(result.energy_per_atom))
        above = hull.distance(counts_of(end), result.energy_per_atom).above if finite else None
        entry = {
            "generator": name,
            "gene": str(drawn[todo[index]].gene),
            "energy": result.energy_per_atom if finite else None,
            "converged": result.converged,
            "energy_above_hull": above,
            "gain": float(before[index]) / len(start) - result.energy_per_atom if finite else None,
            "displacement": displacement(start, end) if finite else None,
            "steps": result.steps,
            "seconds": round(result.seconds, 3),
            "message": result.message,
            "structure": end.as_dict(),
        }
        cache.add(f"{prefix}|{todo[index]}", entry)
        tell(done, len(todo))


def displacement(start: Any, end: Any) -> float:
    """Root mean square way of the atoms in angstrom, the cell's change and the common drift left out."""
    moved = end.frac_coords - start.frac_coords
    moved -= np.round(moved)
    moved -= moved.mean(axis=0)
    return float(np.sqrt((end.lattice.get_cartesian_coords(moved) ** 2).sum(axis=1).mean()))


def settings_key(name: str, options: argparse.Namespace) -> str:
    """What a cached draw depends on besides seed and count: weights and settings."""
    from sozai.generators.wyckoff_gpt.model import WyckoffGPT
    from sozai.screening.ranker import Ranker

    if name in ("substitution", "random"):
        return name
    parts: list[Any] = [WyckoffGPT.load(options.weights).settings["weights"]]
    if name != "wyckoff-gpt":
        parts += [options.target, options.guidance]
    if name == "ranked":
        parts += [Ranker.load(options.ranker).settings["weights"], DRAWN_FOR_ONE]
    return f"{name}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"


def work(name: str, known: Any, hull: Any, cache: Cache, options: argparse.Namespace) -> tuple[list, list]:
    """All seeds of one generator, from the cache where it has them: cheap scores, and the relaxed samples."""
    from pymatgen.core import Structure

    settings = settings_key(name, options)
    shares = group_shares(library_genes(known))
    scores = []
    for seed in range(options.seeds):
        key = f"{settings}|seed {seed}|count {options.count}|relax {options.relax}"
        if key not in cache:
            drawn = draw(name, options.count, seed, hull, options)
            first = [[str(s.gene), s.structure and s.structure.as_dict()] for s in drawn.samples[: options.relax]]
            entry = cheap(drawn, options.count, shares, known)
            cache.add(key, {**entry, "first": first if seed == 0 else []})
        scores.append(cache[key])
    prefix = f"{settings}|seed 0|count {options.count}"
    first = [Sample(parse_gene(gene), s and Structure.from_dict(s)) for gene, s in scores[0]["first"]]
    relax_first(name, first, hull, cache, prefix, options.processes)
    return scores, [cache[f"{prefix}|{n}"] if s.structure is not None else None for n, s in enumerate(first)]


def main() -> None:
    from generation_scores import report

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="samples a generator and seed")
    parser.add_argument("--relax", type=int, default=256, help="of these of seed 0 that are relaxed, the first ones")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=NAMES, help="only this generator; may be repeated")
    parser.add_argument("--target", type=float, default=0.0, help="energy above hull to aim at, eV/atom")
    parser.add_argument("--guidance", type=float, default=2.0, help="weight of classifier-free guidance")
    parser.add_argument("--weights", type=Path, help="folder of wyckoff-gpt weights instead of the bundled ones")
    parser.add_argument("--ranker", type=Path, help="folder of ranker weights instead of the bundled ones")
    parser.add_argument("--energies", type=Path, help="JSON file of energies (eV/atom) by id instead of the library's")
    parser.add_argument("--processes", type=int, default=1, help="workers for random starts and relaxations")
    parser.add_argument("--cache", type=Path, required=True, help="JSON-lines file of finished work")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/generation.md"))
    options = parser.parse_args()
    from sozai.screening.hull import Hull

    known = common.library(options.energies)
    hull, cache = Hull(known), Cache(options.cache)
    results = {name: work(name, known, hull, cache, options) for name in options.only or NAMES}
    report(results, library_genes(known), known, hull, options)


if __name__ == "__main__":
    main()
