"""Is the verdict of ``sozai augment`` right, and what do the rows it recommends gain, on rows it has never seen?

For each table, number of rows and seed: so many rows are drawn (whole families) and studied as a person would who has
only these. Then what the study would train on all of these rows, the best learner on real rows alone and the best of
all, is trained, and judged on the rest of the table.

Right, said beforehand: the verdict says "use" and the gain on the rest is above 0, or it says "no" and the gain on the
rest is at most +0.01 R2. The gain is the one to be expected over the seeds of learners and of synthetic rows (a mean of
several, see ``AGAIN``): that of one seed would be a coin's throw where it is near 0. There are two questions, as in the
command. Of one learner (``--learner``) the gain is with against without synthetic rows. Of several it is that of the
best of all (with or without synthetic rows, chosen by cross-validation) over the best on real rows alone, chosen alike;
beside it the best of those with synthetic rows only, where the verdict is held to a gain it could not choose out of.

    python benchmarks/tables_augment.py --data FOLDER --cache augment.jsonl
    python benchmarks/tables_augment.py --data FOLDER --cache prior.jsonl --prior   # the numbers in usual.PRIORS
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import common
import numpy as np

from sozai.evaluation.tables.augmentation import GENERATORS, ROWWISE, augmentation_study
from sozai.evaluation.tables.learners import LEARNERS
from sozai.evaluation.tables.nested import Setting, measure
from sozai.evaluation.tables.prepare import Prepared, prepare
from sozai.evaluation.tables.recipes import Recipe, usual_ratios
from sozai.evaluation.tables.splits import Fold
from sozai.evaluation.tables.usual import BEST, Prior
from sozai.evaluation.tables.verdict import Gain, Losses, decide
from sozai.materials.tables.read import read_table

JUDGED: dict[str, tuple[str, str]] = {
    "concrete": ("tables/concrete.csv", "Strength"),
    "uhpc": ("tables/uhpc.csv", "CS"),
    "mpea": ("tables/mpea.csv", "PROPERTY: HV"),
    "obelix": ("electrolytes/obelix_train.csv", "Ionic conductivity (S cm-1)"),
}
OTHERS: dict[str, tuple[str, str]] = {
    "steel": ("tables/steel_fatigue.csv", "Fatigue"),
    "minerals": ("tables/mineral_hardness.csv", "Hardness"),
    "barrel": ("tables/crossed_barrel.csv", "toughness"),
    "silver": ("tables/silver_nanoparticles.csv", "loss"),
    "yield": ("tables/matbench/steels_yield.csv", "target"),
    "perovskites": ("tables/perovskite_stability.csv", "EnergyAboveHull"),
    "gap": ("tables/matbench/expt_gap.csv", "target"),
    "dielectric": ("tables/matbench/dielectric.csv", "target"),
    "phonons": ("tables/matbench/phonons.csv", "target"),
    "bulk": ("tables/matbench/elasticity_log10(K_VRH).csv", "target"),
}
"""Settings and the prior of the verdict come from these, the judgement from those above."""
TABLES = {**JUDGED, **OTHERS}
HARM, WORTH = 0.0, 0.01
AGAIN, ALONE, CHANCE = 4, 12, ("boosting", "forest")
"""A true gain is what to expect over the seeds of learners and synthetic rows: the mean of so many with synthetic rows,
and of the same and more without, where luck is greater: of one boosting on 50 rows it is as large as the gain."""
ONLY, ANY = "best with synthetic rows only", "any of these five"
MOST_REST = 1000
_READ: dict[str, Prepared] = {}


def case(name: str, data: Path, count: int, seed: int) -> dict[str, Any]:
    """The folds of one study on ``count`` rows, and squared errors on the rest of the table, as shares of its
    variance, by learner: without and with synthetic rows."""
    if name not in _READ:
        file, target = TABLES[name]
        _READ[name] = prepare(read_table(data / file), target, seed=0)
    whole = _READ[name]
    pool, rest = drawn(whole, count, seed)
    begun = time.process_time()
    part = Prepared(
        whole.table.rows(pool), whole.target, whole.log, np.unique(whole.family[pool], return_inverse=True)[1],
        whole.side[pool], (),
    )  # fmt: skip
    study = augmentation_study(
        part, learners=LEARNERS, generators=GENERATORS[:1], minutes=600, seed=seed, splits=(), sizes=(),
        repeats=1, ratios=usual_ratios(count)[:1], keeps=("all",),
    )  # fmt: skip
    spent = time.process_time() - begun
    kept = {"real", "augmented", "truth", "train", "test", *ROWWISE}
    recipe = recipe_for(count)
    variance = float(((whole.values[rest] - whole.values[rest].mean()) ** 2).sum())
    found: dict[str, tuple[list[float], list[float]]] = {learner: ([], []) for learner in LEARNERS}
    for again in range(ALONE):
        both = again < AGAIN
        maker = Setting(LEARNERS, study.fits).augmenter(whole, pool, seed + again)
        usable = recipe if both and maker.rows(recipe) is not None else None
        learners = LEARNERS if both else CHANCE
        once = measure(whole, Fold("rest", pool, rest), maker, usable, learners, seed + again)
        for learner in learners:
            found[learner][0].append(once["real"][learner] / variance)
            if both:
                found[learner][1].append(once["augmented"].get(learner, once["real"][learner]) / variance)
    true = {learner: [float(np.mean(side)) for side in sides] for learner, sides in found.items()}
    return {
        "rows": len(pool),
        "folds": [{key: value for key, value in fold.items() if key in kept} for fold in study.folds],
        "true": true,
        "cpu": spent,
    }


def recipe_for(count: int) -> Recipe:
    """The synthetic rows that are judged: those that a study of so many rows tries first."""
    return Recipe.usual(GENERATORS[0], usual_ratios(count)[0])


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


def outcomes(entry: Mapping[str, Any]) -> dict[str, tuple[Gain, bool, float]]:
    """By comparison: what was measured, whether the verdict says use, and the true gain in R2."""
    folds, true, count = entry["folds"], entry["true"], entry["rows"]
    verdict = decide(folds, LEARNERS, recipe_for(count), {}, count, "")
    found = {gain.learner: (gain, gain.use, true[gain.learner][0] - true[gain.learner][1]) for gain in verdict.gains}
    if verdict.best:
        losses = Losses(folds, LEARNERS)
        alone = true[verdict.best_real][0]
        learner, side = losses.best(losses.picks)
        found[BEST] = (verdict.best, verdict.use, alone - true[learner][side])
        learner, side = losses.best([pick for pick in losses.picks if pick[1]])
        found[ONLY] = (verdict.best, verdict.use, alone - true[learner][side])
    return found


def right(use: bool, gain: float) -> bool:
    """Whether a verdict was right, as said above."""
    return gain > HARM if use else gain <= WORTH


def _mean(gains: Sequence[float]) -> str:
    """And the half width of its 95% interval."""
    if len(gains) < 2:
        return f"{gains[0]:+.3f}" if gains else "-"
    return f"{np.mean(gains):+.3f} ± {1.96 * np.std(gains, ddof=1) / np.sqrt(len(gains)):.3f}"


def summary(entries: Sequence[tuple[str, int, Mapping[str, Any]]], names: Sequence[str]) -> str:
    """A markdown table."""
    rows = []
    found = [(size, outcomes(entry)) for _, size, entry in entries]
    for name in names:
        for count in [*sorted({size for size, _ in found}), None]:
            asked = LEARNERS if name == ANY else [name]
            known = [out[key][1:] for size, out in found if count in (size, None) for key in asked if key in out]
            used = [gain for use, gain in known if use]
            left = [gain for use, gain in known if not use]
            rows.append([
                name, count or "all", len(known), len(used), _mean(used),
                f"{min(used):+.3f}" if used else "-", f"{np.mean(left):+.3f}" if left else "-",
                f"{np.mean([gain for _, gain in known]):+.3f}", f"{np.mean([right(*pair) for pair in known]):.0%}",
                *(f"{np.mean([right(use, gain) for _, gain in known]):.0%}" for use in (True, False)),
            ])  # fmt: skip
    head = ["question", "rows", "cases", "says use", "gain then (95%)", "worst", "gain where it says no", "gain of all",
            "right", "right, always use", "right, never use"]  # fmt: skip
    return common.table(head, rows)


def fitted(cases: Sequence[tuple[int, float, float, float]], weight: float) -> Prior:
    """The prior of greatest likelihood, for (rows, measured share, its error, true share) of many studies that count
    as ``weight`` each."""
    from scipy.optimize import minimize

    count, measured, error, true = np.array(cases).T
    # Beyond these a share tells of a learner that failed; it would make the usual ones seem more spread.
    measured, true = np.clip(measured, -0.5, 0.5), np.clip(true, -0.2, 0.2)

    def lost(place: np.ndarray) -> float:
        mean, slope = place[:2]
        spread, factor, floor = np.exp(place[2:])
        noise = (factor * error) ** 2 + floor**2
        off = (true - mean - slope * np.log2(count / 100)) ** 2 / spread**2 + 2 * np.log(spread)
        off += (measured - true) ** 2 / noise + np.log(noise)
        # Few tables: nothing far from what is usual for numbers of this kind.
        return float(weight * off.sum() + (slope / 0.02) ** 2 + (place[3] / 0.5) ** 2 + ((place[4] + 4) / 1.0) ** 2)

    place = minimize(lost, [0.0, 0.0, -3.0, 0.0, -4.0], method="Nelder-Mead", options={"maxiter": 8000}).x
    return Prior(*(float(f"{value:.3g}") for value in [*place[:2], *np.exp(place[2:])]))


def priors(entries: Sequence[tuple[str, int, Mapping[str, Any]]]) -> dict[str, Prior]:
    """By comparison; of the best of all, from studies where it learns from synthetic rows (else there is no question),
    with any three or more of the learners: more questions than the studies alone."""
    cases: dict[str, list[tuple[int, float, float, float]]] = {}
    for _, _, entry in entries:
        folds, true, count = entry["folds"], entry["true"], entry["rows"]
        for gain in decide(folds, LEARNERS, recipe_for(count), {}, count, "").gains:
            share = 1 - true[gain.learner][1] / true[gain.learner][0]
            cases.setdefault(gain.learner, []).append((count, gain.share, gain.error, share))
        for some in (each for size in range(3, 6) for each in combinations(LEARNERS, size)):
            losses = Losses(folds, some)
            learner, side = losses.best(losses.picks)
            if side:
                gain = losses.compared(BEST, count, losses.real(), losses.picks)
                share = 1 - true[learner][side] / true[losses.best(losses.real())[0]][0]
                cases.setdefault(BEST, []).append((count, gain.share, gain.error, share))
    subsets = sum(1 for size in range(3, 6) for _ in combinations(LEARNERS, size))
    return {name: fitted(found, 1 / subsets if name == BEST else 1.0) for name, found in cases.items()}


def main() -> None:
    """Run what the cache does not hold, and write the fragment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with tables/ and electrolytes/")
    parser.add_argument("--prior", action="store_true", help="print the prior instead, from other tables")
    parser.add_argument("--rows", nargs="+", type=int, default=[50, 100, 200])
    parser.add_argument("--seeds", nargs="+", type=int, help="by default ten (of the prior one)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no study after so many")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/tables_augment.md"))
    chosen = parser.parse_args()
    tables = OTHERS if chosen.prior else JUDGED
    cache, ticker = common.Cache(chosen.cache), common.Ticker("studies")
    # Others than those that were looked at before the recipe was what it is.
    seeds = chosen.seeds or (range(20, 21) if chosen.prior else range(140, 150))
    plan = [(name, count, seed) for seed in seeds for count in chosen.rows for name in tables]
    entries, begun = [], time.monotonic()
    for done, (name, count, seed) in enumerate(plan, start=1):
        key = f"{name}/{count}/{seed}"
        if key not in cache:
            if time.monotonic() - begun > 60 * chosen.minutes:
                continue
            cache.add(key, case(name, chosen.data, count, seed))
        entries.append((name, count, cache[key]))
        ticker(done, len(plan))
    if chosen.prior:
        for name, prior in priors(entries).items():
            print(f'    "{name}": {prior},')
        print(summary(entries, [BEST, ONLY, *LEARNERS]))
        return
    cpu = [entry["cpu"] for *_, entry in entries]
    each = {name: sum(name == other for other, *_ in entries) / len(chosen.rows) for name in tables}
    ratios = ", ".join(f"{usual_ratios(count)[0]:g} of {count}" for count in chosen.rows)
    parts = [
        f"{len(entries)} of {len(plan)} planned studies (seeds for each number of rows, on average: "
        f"{', '.join(f'{name} {number:.1f}' for name, number in each.items())}; five outer splits; synthetic rows: "
        f"{GENERATORS[0]}, for each real one {ratios}, each of weight {recipe_for(100).weight:g}), "
        f"{np.mean(cpu):.0f} CPU seconds each. Gains in R2 on rows of families that the study has not seen, to be "
        f"expected over the seeds of learner and synthetic rows: the mean of {AGAIN} seeds with synthetic rows less "
        f"that of {AGAIN} without ({ALONE} of {' and '.join(CHANCE)}). Right: says use and the gain is above 0, or "
        "says no and it is at most +0.01; beside it how often whoever always, or never, uses them is right.",
        "Does it help the one learner that is named (`--learner`)? With against without synthetic rows:",
        summary(entries, [*LEARNERS, ANY]),
        f"What should be trained? Best of all against the best on real rows alone (`{BEST}`), and best of those with "
        "synthetic rows against the same, judged by the same verdict:",
        summary(entries, [BEST, ONLY]),
        "What the studies themselves can tell: correlation of the measured with the true gain, as shares of the "
        f"squared error within 0.5, over the studies: {_told(entries)}.",
        "By table, boosting and best of all:",
        _by_table(entries),
    ]
    common.write_fragment(chosen.out, "Tables: is the verdict on augmentation right?", parts)


def _told(entries: Sequence[tuple[str, int, Mapping[str, Any]]]) -> str:
    pairs: dict[str, list[tuple[float, float]]] = {learner: [] for learner in LEARNERS}
    for _, _, entry in entries:
        for learner, (gain, _, true) in outcomes(entry).items():
            if learner in pairs:
                pairs[learner].append((gain.share, true / entry["true"][learner][0]))
    found = {learner: np.clip(np.array(both).T, -0.5, 0.5) for learner, both in pairs.items()}
    return ", ".join(f"{learner} {np.corrcoef(both)[0, 1]:+.2f}" for learner, both in found.items())


def _by_table(entries: Sequence[tuple[str, int, Mapping[str, Any]]]) -> str:
    rows = []
    counts = sorted({count for _, count, _ in entries})
    for name in dict.fromkeys(name for name, *_ in entries):
        for question, some in [*(("boosting", [count]) for count in counts), (BEST, counts)]:
            found = [outcomes(entry) for other, count, entry in entries if other == name and count in some]
            pairs = [out[question][1:] for out in found if question in out]
            used = [gain for use, gain in pairs if use]
            rows.append([name, question, " ".join(map(str, some)), len(pairs), len(used), _mean(used),
                         f"{min(used):+.3f}" if used else "-", f"{np.mean([gain for _, gain in pairs]):+.3f}",
                         f"{np.mean([right(*pair) for pair in pairs]):.0%}"])  # fmt: skip
    heads = ["table", "question", "rows", "cases", "says use", "gain then (95%)", "worst", "gain of all", "right"]
    return common.table(heads, rows)


if __name__ == "__main__":
    main()
