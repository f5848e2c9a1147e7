"""Is the verdict of ``sozai augment`` right, and what do the rows it recommends gain, on rows it has never seen?

For each table, number of rows and seed: so many rows are drawn (whole families) and studied as a person would who has
only these; then each learner is trained on them with and without the recommended synthetic rows, and both are judged
on the rest of the table. A verdict is right when it says "use" and the gain on the rest is above 0, or "do not use" and
the gain is at most +0.01 R2.

    python benchmarks/tables_augment.py --data FOLDER --cache augment.jsonl
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np

from sozai.evaluation.tables.augmentation import GENERATORS, augmentation_study
from sozai.evaluation.tables.nested import Setting, measure
from sozai.evaluation.tables.prepare import Prepared, prepare
from sozai.evaluation.tables.recipes import KEEPS, RATIOS, Fit
from sozai.evaluation.tables.splits import Fold
from sozai.materials.tables.read import read_table

TABLES: dict[str, tuple[str, str]] = {
    "concrete": ("tables/concrete.csv", "Strength"),
    "uhpc": ("tables/uhpc.csv", "CS"),
    "mpea": ("tables/mpea.csv", "PROPERTY: HV"),
    "obelix": ("electrolytes/obelix_train.csv", "Ionic conductivity (S cm-1)"),
    "steel": ("tables/steel_fatigue.csv", "Fatigue"),
    "minerals": ("tables/mineral_hardness.csv", "Hardness"),
    "barrel": ("tables/crossed_barrel.csv", "toughness"),
}  # fmt: skip
"""The first four are judged on; settings were chosen on the other three."""
LEARNERS = ("boosting", "forest", "gaussian-process")
JUDGED = tuple(TABLES)[:4]
HARM, WORTH = 0.0, 0.01
MOST_REST = 1000


def case(
    name: str, data: Path, count: int, seed: int, repeats: int, generators: Sequence[str], full: bool
) -> dict[str, Any]:
    """One study on ``count`` rows, and the truth on the rest."""
    file, target = TABLES[name]
    whole = prepare(read_table(data / file), target, seed=0)
    pool, rest = drawn(whole, count, seed)
    begun = time.process_time()
    part = Prepared(
        whole.table.rows(pool), whole.target, whole.log, np.unique(whole.family[pool], return_inverse=True)[1],
        whole.side[pool], (),
    )  # fmt: skip
    study = augmentation_study(
        part,
        learners=LEARNERS,
        generators=generators,
        minutes=600,
        seed=seed,
        splits=(),
        repeats=repeats,
        ratios=RATIOS if full else RATIOS[-1:],
        keeps=KEEPS if full else KEEPS[:1],
    )
    spent = time.process_time() - begun
    fits: dict[str, Fit] = study.fits
    true: dict[str, list[float]] = {}
    for again in range(2):
        setting = Setting(LEARNERS, fits)
        maker = setting.augmenter(whole, pool, seed + again)
        recipe = study.recipe if study.recipe and maker.rows(study.recipe) is not None else None
        found = measure(whole, Fold("rest", pool, rest), maker, recipe, LEARNERS, seed + again)
        for learner in LEARNERS:
            without, with_ = found["real"][learner], found["augmented"].get(learner, found["real"][learner])
            total = float(((whole.values[rest] - whole.values[rest].mean()) ** 2).sum())
            true.setdefault(learner, []).append((without - with_) / total)
            true.setdefault(f"{learner} real", []).append(1 - without / total)
    return {
        "verdict": study.verdict.to_dict(),
        "recipe": study.recipe.key if study.recipe else "",
        "true": {key: float(np.mean(values)) for key, values in true.items()},
        "cpu": spent,
    }


def drawn(whole: Prepared, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of about ``count`` rows, whole families, and of at most so many of the rest."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(whole.family.max() + 1)
    sizes = np.bincount(whole.family)[order]
    taken = order[sizes <= count / 5]  # a family of a whole pool would leave nothing to cross-validate
    cut = int(np.searchsorted(np.cumsum(np.bincount(whole.family)[taken]), count)) + 1
    inside = np.isin(whole.family, taken[:cut])
    pool, rest = np.flatnonzero(inside), np.flatnonzero(~inside)
    return np.sort(rng.permutation(pool)[:count]), np.sort(rng.permutation(rest)[:MOST_REST])


def judged(entry: dict[str, Any], learner: str | None) -> tuple[bool, float] | None:
    """Whether the verdict says use, and the gain on the rest: of one learner, or of what the sentence advises."""
    verdict = entry["verdict"]
    if learner is None:
        # What a person who follows the sentence gets, against the best learner on real rows alone.
        if not verdict["gains"]:
            return False, 0.0
        top = next((gain for gain in verdict["gains"] if gain["use"]), verdict["gains"][0])["learner"]
        best = entry["true"][f"{verdict['best_real']} real"]
        return bool(verdict["use"]), entry["true"][f"{top} real"] + entry["true"][top] - best
    gain = next((gain for gain in verdict["gains"] if gain["learner"] == learner), None)
    return None if gain is None else (bool(gain["use"]), entry["true"][learner])


def right(use: bool, gain: float) -> bool:
    """Whether a verdict was right, as said above."""
    return gain > HARM if use else gain <= WORTH


def summary(entries: list[tuple[str, int, dict[str, Any]]]) -> str:
    """A markdown table."""
    rows = []
    counts = sorted({count for _, count, _ in entries})
    for learner in (*LEARNERS, None):
        for count in [*counts, None]:
            found = [judged(entry, learner) for _, size, entry in entries if count in (size, None)]
            known = [pair for pair in found if pair is not None]
            used = np.array([gain for use, gain in known if use])
            wide = 1.96 * used.std(ddof=1) / np.sqrt(len(used)) if len(used) > 1 else float("nan")
            rows.append([
                learner or "the advice, against the best real-only learner", count or "all", len(known),
                len(used), f"{used.mean():+.3f} ± {wide:.3f}" if len(used) else "-",
                f"{used.min():+.3f}" if len(used) else "-",
                f"{np.mean([gain for use, gain in known if not use] or [np.nan]):+.3f}",
                f"{np.mean([right(*pair) for pair in known]):.0%}" if known else "-",
            ])  # fmt: skip
    head = ["learner", "rows", "cases", "says use", "gain then (95%)", "worst", "gain where it says no", "right"]
    return common.table(head, rows)


def main() -> None:
    """Run what the cache does not hold, and write the fragment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with tables/ and electrolytes/")
    parser.add_argument("--tables", nargs="+", default=JUDGED, choices=TABLES)
    parser.add_argument("--rows", nargs="+", type=int, default=[50, 100, 200])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--repeats", type=int, default=2, help="of the five outer splits")
    parser.add_argument("--generators", nargs="+", default=GENERATORS[:1])
    parser.add_argument("--full", action="store_true", help="choose ratio and filter in inner folds too (slow)")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/tables_augment.md"))
    chosen = parser.parse_args()
    cache, ticker = common.Cache(chosen.cache), common.Ticker("studies")
    plan = [(name, count, seed) for seed in chosen.seeds for count in chosen.rows for name in chosen.tables]
    entries = []
    for done, (name, count, seed) in enumerate(plan, start=1):
        key = f"{name}/{count}/{seed}/{chosen.repeats}/{'+'.join(chosen.generators)}/{chosen.full}"
        if key not in cache:
            cache.add(key, case(name, chosen.data, count, seed, chosen.repeats, chosen.generators, chosen.full))
        entries.append((name, count, cache[key]))
        ticker(done, len(plan))
    cpu = [entry["cpu"] for *_, entry in entries]
    parts = [
        f"{len(entries)} studies ({', '.join(chosen.tables)}; {len(chosen.seeds)} seeds; {chosen.repeats} repeats of "
        f"five outer splits; generators {', '.join(chosen.generators)}), {np.mean(cpu):.0f} CPU seconds each. Gains in "
        "R2 on rows of families the study has not seen. Right: says use and the gain is above 0, or says no and it is "
        "at most +0.01.",
        summary(entries),
    ]
    common.write_fragment(chosen.out, "Tables: is the verdict on augmentation right?", parts)


if __name__ == "__main__":
    main()
