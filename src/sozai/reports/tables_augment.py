"""The page of an augmentation study: verdict, learners, learning curves, harder splits, quality of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sozai.evaluation.tables.augmentation import Study
from sozai.evaluation.tables.recipes import Recipe
from sozai.evaluation.tables.usual import BEST
from sozai.evaluation.tables.verdict import r2
from sozai.reports import charts
from sozai.reports.page import Section, beside, bullets, join, paragraph, picture, render_page, table

NAMES = {
    "random": "random (families whole)",
    "cluster": "leave one region out",
    "element": "leave one element or ingredient out",
    "extrapolation": "extrapolation",
}


def augmentation_page(study: Study, source: str, manifest: Mapping[str, Any]) -> str:
    """The page as HTML text.

    Args:
        study: what was found.
        source: the table's name.
        manifest: of the run.
    """
    prepared, verdict = study.prepared, study.verdict
    sections = [_learners(study), _curve(study), _splits(study), _recipes(study)]
    if study.quality:
        sections.append(_quality(study))
    sections.append(_method(study))
    facts = {
        "rows": len(prepared.table),
        "families": int(prepared.family.max() + 1),
        "columns used": len(prepared.table.modelled) - 1,
        "best R2, real rows": f"{verdict.best_real_r2:.2f}",
        "splits judged": len(study.folds),
    }
    return render_page(
        f"Do synthetic rows help to predict {prepared.target}?", sections, lead=source, verdict=verdict.sentence,
        good=verdict.use, facts=facts, manifest=manifest,
    )  # fmt: skip


def _learners(study: Study) -> Section:
    verdict = study.verdict
    both = [verdict.best, *verdict.gains] if verdict.best and verdict.best not in verdict.gains else [*verdict.gains]
    rows = [
        [
            gain.learner, gain.real, gain.augmented, f"{gain.mean:+.3f}", f"{gain.expected:+.3f}",
            f"{gain.low:+.3f} to {gain.high:+.3f}", f"{gain.probability:.0%}", f"{gain.weight:.0%}",
            "use" if (verdict.use if gain.learner == BEST else gain.use) else "do not use",
        ]
        for gain in both
    ]  # fmt: skip
    heads = ["learner", "R2, real rows", "R2, with synthetic", "gain, measured", "gain to expect", "95% interval",
             "probability of a gain", "rests on these rows by", "verdict"]  # fmt: skip
    parts = [table(heads, rows) if rows else paragraph("No generator could learn these rows.")]
    if both:
        half = {gain.learner: (gain.high - gain.low) / 2 for gain in both}
        drawn = charts.bars({gain.learner: gain.expected for gain in both}, "gain in R2 to expect", spread=half)
        parts.append(beside(picture(drawn, "Gain by learner with its 95% interval."), _parity(study)))
    if study.failed:
        parts.append(bullets([f"{name} was left out: {why}" for name, why in study.failed.items()]))
    about = (
        f"'{BEST}' is the best of all learners, with or without synthetic rows, against the best on real rows alone: "
        "the verdict is about this. Below it, what synthetic rows do to each learner."
        if len(both) > 1
        else "What synthetic rows do to the one learner named: the verdict is about this."
    )
    lead = f"{about} Each number is over rows that neither learner nor generator nor the choice of recipe has seen."
    return Section("With and without synthetic rows", lead, join(*parts))


def _parity(study: Study) -> Any:
    """Predictions of the best learner in the first round of splits."""
    gains = study.verdict.gains
    name = gains[0].learner if gains else study.verdict.best_real
    seen: set[int] = set()
    truth: list[float] = []
    series: list[list[float]] = [[], []]
    for fold in study.folds:
        guesses = fold["guesses"].get(name, [])
        if seen.intersection(fold["places"]) or len(guesses) < 2:
            continue
        seen.update(fold["places"])
        truth += study.prepared.values[fold["places"]].tolist()
        for side in (0, 1):
            series[side] += guesses[side]
    target = f"log10 {study.prepared.target}" if study.prepared.log else study.prepared.target
    drawn = charts.scatter(
        {"real rows": (truth, series[0]), "with synthetic rows": (truth, series[1])}, f"measured {target}",
        f"predicted {target}", diagonal=True,
    )  # fmt: skip
    return picture(drawn, f"Predictions of {name} for rows left out.")


def _curve(study: Study) -> Section:
    best = study.verdict.best_real
    names = list(dict.fromkeys([best, *(gain.learner for gain in study.verdict.gains[:1])]))
    series: dict[str, tuple[Any, Any]] = {}
    for name in names:
        sizes, without, with_ = study.curve.get(name, ([], [], []))
        if len(sizes) > 1:
            series[f"{name}, real rows"] = (sizes, without)
            if np.isfinite(with_).all():
                series[f"{name}, with synthetic"] = (sizes, with_)
    if not series:
        return Section("Learning curves", "", paragraph("There was no time to measure them; give more --minutes."))
    rows = [
        [name, *(f"{value:.3f}" for value in without)]
        for name, (sizes, without, _) in study.curve.items()
        if len(sizes) > 1
    ]
    sizes = study.curve[best][0]
    more = study.verdict.ten_more
    words = "" if more is None else f"Ten more experiments are worth about {more:+.3f} R2 to {best}."
    drawn = charts.lines(series, "real training rows", "R2 on rows left out", log_x=True)
    body = join(
        beside(picture(drawn, "Over the number of real rows learned from."),
               table(["R2 on real rows", *(f"{size:.0f} rows" for size in sizes)], rows)),
        paragraph(words),
    )  # fmt: skip
    return Section("Learning curves", "How much more real rows bring, and synthetic ones beside them.", body)


def _splits(study: Study) -> Section:
    learners = [gain.learner for gain in study.verdict.gains] or [study.verdict.best_real]
    kinds = {"random": study.folds, **study.splits}
    rows = []
    for how, found in kinds.items():
        for name in learners:
            without = r2(found, "real", name)
            with_ = r2(found, "augmented", name) if all(name in fold["augmented"] for fold in found) else None
            rows.append([
                NAMES[how], name, len(found), f"{without:.2f}", "–" if with_ is None else f"{with_:.2f}",
                "–" if with_ is None else f"{with_ - without:+.3f}",
            ])  # fmt: skip
    parts = [table(["split", "learner", "splits", "R2, real rows", "R2, with synthetic", "gain"], rows)]
    single = [
        [
            NAMES[how],
            fold["name"],
            fold["train"],
            fold["test"],
            max(1 - v / fold["truth"] for v in fold["real"].values()),
        ]
        for how, found in study.splits.items()
        for fold in found
    ]
    if single:
        parts.append(table(["split", "left out", "train", "test", "R2 of the best learner, real rows"], single))
    else:
        parts.append(paragraph("There was no time for harder splits; give more --minutes.", True))
    lead = (
        "A random split asks about rows like those at hand. What is new in a laboratory is rather of another region, "
        "with an element not yet tried, or beyond the best: these splits ask that. R2 below 0 is worse than the mean."
    )
    return Section("How far it carries", lead, join(*parts))


def _recipes(study: Study) -> Section:
    sums: dict[tuple[str, str], list[float]] = {}
    for fold in study.folds:
        for name, found in fold["inner"].items():
            for key, value in found.items():
                if key:
                    sums.setdefault((key, name), []).append(value - found[""])
    rows = []
    for (key, name), values in sorted(sums.items(), key=lambda item: -float(np.mean(item[1]))):
        tried = Recipe.of(key)
        gain = f"{np.mean(values):+.3f}"
        rows.append([tried.generator, tried.ratio, tried.weight, tried.keep, name, gain, len(values)])
    lead = (
        "Gains within the training rows, by which the recipe of each split was chosen. They are larger than what is "
        "left on unseen rows: there are fewer rows there, and the best of several is partly the luckiest."
    )
    heads = ["generator", "synthetic per real", "weight of each", "rows kept", "learner", "inner gain in R2", "splits"]
    return Section("What was tried", lead, table(heads, rows, most=60))


def _quality(study: Study) -> Section:
    found = study.quality
    broken = sum(found["broken"].values())
    rows = [
        ["fidelity", "column shapes (1: alike)", found["shapes"]],
        ["fidelity", "pair trends (1: alike)", found["pairs"]],
        ["fidelity", "two-sample AUC (0.5: cannot be told from real rows)", found["auc"]],
        ["privacy", "distance to the closest training row, over that of real rows", found["distance_ratio"]],
        ["privacy", "copies of training rows", f"{found['copies']:.1%} (real rows: {found['copies_real']:.1%})"],
        ["utility", "R2 on real rows, learned on synthetic rows alone", found["synthetic_r2"]],
        ["utility", "R2 on real rows, learned on real rows", found["real_r2"]],
        ["rules", f"rows that break one of {len(found['broken'])} hard rules", broken],
    ]
    drawn = charts.bars(found["shapes_by_column"], "column shape (1: alike)")
    body = join(table(["", "measure", "value"], rows), picture(drawn, "How alike each column's distribution is."))
    lead = f"{found['rows']} rows of {study.recipe}, made from the training rows of one split, beside its test rows."
    return Section("The synthetic rows", lead, body)


def _method(study: Study) -> Section:
    said = [
        "Rows that are copies or nearly so, the same mix at other ages or temperatures, and the same formula are never "
        "parted by a split.",
        "Generators, filters, and the preparation of columns are fitted on the training rows of each split only; the "
        "recipe is chosen by cross-validation within them.",
        "Intervals are posterior: the measured gain is shrunk towards what is usual on other tables (empirical Bayes).",
        *study.notes,
    ]
    return Section("Method and notes", "", bullets(said))
