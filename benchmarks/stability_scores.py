"""Scores, calibration and tables of benchmarks/stability.py."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Callable

import common
import numpy as np
import pandas as pd
from common import table

from sozai.screening.calibration import METASTABLE, Calibration, reliability

RESAMPLES = 1000
DEEP = 0.3  # eV/atom below the hull that no real discovery reaches easily
SAYS = "says yes to"


def classification(said: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Precision, recall, F1 and accuracy of a yes or no."""
    hits = float((said & true).sum())
    return {
        "precision": hits / max(said.sum(), 1),
        "recall": hits / max(true.sum(), 1),
        "F1": 2 * hits / max(said.sum() + true.sum(), 1),
        "accuracy": float((said == true).mean()),
        SAYS: float(said.mean()),
    }


def bootstrap(score: Callable[[np.ndarray], dict[str, float]], size: int, seed: int = 0) -> dict[str, str]:
    """Each score with its standard deviation over resampled rows."""
    rng = np.random.default_rng(seed)
    whole = score(np.arange(size))
    drawn = pd.DataFrame([score(rng.integers(size, size=size)) for _ in range(RESAMPLES)])
    return {name: f"{value:.3f} ± {drawn[name].std():.3f}" for name, value in whole.items()}


def decisions(test: pd.DataFrame, probability: np.ndarray) -> str:
    """Who calls what stable, and how often rightly."""
    ours, dft = test.ours.to_numpy(), test.dft.to_numpy()
    rows = []
    for name, limit in (("stable (≤ 0)", 0.0), (f"metastable (≤ {METASTABLE})", METASTABLE)):
        true = dft <= limit
        answers = {f"hull of sozai ≤ {limit:g}": ours <= limit, "always yes": np.ones(len(test), dtype=bool)}
        if limit == METASTABLE:
            answers["calibrated probability ≥ 0.5"] = probability >= 0.5
        for label, said in answers.items():
            scores = bootstrap(lambda index, said=said, true=true: classification(said[index], true[index]), len(test))
            rows.append([f"{name}: {label}", f"{true.mean():.1%}", *scores.values()])
    return table(["question and answer", "true share", "precision", "recall", "F1", "accuracy", SAYS], rows)


def chances(test: pd.DataFrame, probability: np.ndarray, base: float) -> tuple[str, float]:
    """Calibration error and Brier score of the probability and of what it must beat."""
    true = (test.dft <= METASTABLE).to_numpy()
    answers = {
        "calibrated probability": probability,
        f"1 up to {METASTABLE} eV/atom above the hull, else 0": (test.ours <= METASTABLE).to_numpy(dtype=float),
        "always the base rate": np.full(len(test), base),
    }
    rows = []
    for name, said in answers.items():

        def score(index: np.ndarray, said: np.ndarray = said) -> dict[str, float]:
            return {
                "error": reliability(said[index], true[index])[1],
                "brier": float(np.mean((said[index] - true[index]) ** 2)),
            }

        rows.append([name, *bootstrap(score, len(test)).values()])
    return table(["answer", "expected calibration error", "Brier score"], rows), reliability(probability, true)[1]


def groups(test: pd.DataFrame, probability: np.ndarray) -> str:
    """Where it errs: by number of elements and by class."""
    test = test.assign(probability=probability)
    parts = [(f"{size} elements", part) for size, part in test.groupby("n_elements")]
    parts += [(str(kind), part) for kind, part in test.groupby("kind")]
    rows = []
    for name, part in parts:
        true = (part.dft <= METASTABLE).to_numpy()
        scores = classification((part.ours <= METASTABLE).to_numpy(), true)
        error = part.ours - part.dft
        rows.append(
            [
                name,
                len(part),
                f"{true.mean():.1%}",
                f"{part.probability.mean():.1%}",
                f"{scores['precision']:.2f}",
                f"{scores['recall']:.2f}",
                f"{error.abs().mean():.3f}",
                f"{error.mean():+.3f}",
            ]
        )
    head = ["materials", "count", "metastable by DFT", "mean probability", "precision", "recall", "MAE", "mean error"]
    return table(head, rows)


def report(
    judged: pd.DataFrame, left_out: Counter, check: list, asked: int, phases: tuple[int, int], options: Namespace
) -> None:
    """Fit on one half, test on the other, write the calibration and the section of the docs."""
    order = np.random.default_rng(1).permutation(len(judged))
    fit, test = judged.iloc[order[: len(order) // 2]], judged.iloc[order[len(order) // 2 :]]
    calibration = Calibration.fit(fit.ours.to_numpy(), (fit.dft <= METASTABLE).to_numpy())
    probability = np.interp(test.ours, calibration.knots, calibration.probabilities)
    chances_table, error = chances(test, probability, float((fit.dft <= METASTABLE).mean()))
    bins, _ = reliability(probability, (test.dft <= METASTABLE).to_numpy())
    calibration.report.update(
        {
            "table": bins,
            "expected_calibration_error": round(error, 4),
            "data": f"{len(test)} hypothetical materials of WBM (not in the library, not used for the fit) against a "
            f"DFT hull of {phases[0]} Materials Project formation energies",
            "counts": {"asked": asked, "fit": len(fit), "test": len(test), "left_out": dict(left_out)},
            "command": common.command(),
        }
    )
    options.calibration.write_text(calibration.to_json() + "\n", encoding="utf-8")
    distance = (test.ours - test.dft).to_numpy()
    shared = (test.ours - test.dft_library).to_numpy()
    deep = judged[judged.ours < -DEEP]
    missing = test.dft - test.dft_library
    size = bootstrap(
        lambda index: {
            "MAE": float(np.abs(distance[index]).mean()),
            "median": float(np.median(np.abs(distance[index]))),
            "mean": float(distance[index].mean()),
            "shared": float(np.nanmean(np.abs(shared[index]))),
            "shared mean": float(np.nanmean(shared[index])),
            "rank": float(test.ours.iloc[index].corr(test.dft.iloc[index], method="spearman")),
        },
        len(test),
    )
    dropped = ", ".join(f"{count} ({reason})" for reason, count in left_out.most_common()) or "none"
    common.write_fragment(
        options.out,
        "Stability: what the energy above hull is worth",
        [
            f"{asked} hypothetical materials of WBM with at most {options.most_sites} sites, drawn at random, relaxed "
            f"with CHGNet 0.3.0 (0.05 eV/Å) and put against sozai's hull. Left out: {dropped}. Of the other "
            f"{len(judged)}, half fit the calibration and {len(test)} are the test below. DFT: formation energies "
            f"above the hull of {phases[0]:,} Materials Project formation energies. Spread: standard deviation over "
            f"{RESAMPLES} resamples of the test half.",
            f"Energy above hull against DFT (eV/atom): mean absolute error {size['MAE']}, median {size['median']}, "
            f"mean error {size['mean']} (negative: sozai sees it lower), rank correlation {size['rank']}. Against the "
            f"hull of only those {phases[1]:,} DFT phases that are in sozai's library, the mean absolute error is "
            f"{size['shared']} and the mean error {size['shared mean']}: that is the potential's part. The rest comes "
            f"from phases that the library lacks; they lift the label of {(missing > 0.05).mean():.0%} of the test by "
            "more than 0.05 eV/atom.",
            "### Stable or not",
            decisions(test, probability),
            f"### Probability of being within {METASTABLE} eV/atom of the DFT hull",
            chances_table,
            "Telling everything the base rate is well calibrated and useless: the Brier score (mean squared error of "
            "the probability) shows what is known beyond it. Reliability of the calibrated probability:",
            table(["predicted", "observed", "count"], [[b["predicted"], b["observed"], b["count"]] for b in bins]),
            "### Where it errs",
            groups(test, probability),
            "### What is honest about it",
            "- The DFT hull is made of the Materials Project entries in the files, not of all. A missing phase makes a "
            "material look closer to the hull than it is: the labels are lower bounds of the true distance, and so "
            "are the distances that sozai gives.\n"
            f"- {len(deep)} of the {len(judged)} are more than {DEEP} eV/atom below sozai's hull, on average by "
            f"{-deep.ours.mean():.2f}. DFT puts them at {deep.dft.mean():.2f}, and at {deep.dft_library.mean():.2f} if "
            "it knows only the library's phases: such numbers mostly tell that a competing phase is missing.\n"
            "- WBM comes from substitution into known prototypes, its base rate is the one in the table. A generator "
            "whose samples are worse has fewer hits at the same distance.\n"
            "- Materials Project formation energies carry the MP2020 corrections. WBM's lack those of Br, I, Se, Te "
            "and Sb as anions (the most electronegative element of a formula); they are added here. Check: potential "
            "minus DFT, fitted element by element, must be the same in both sets. The gaps in eV an atom:",
            table(["WBM's energies", "gaps of the corrected", "root mean square", "largest", "elements"], check),
        ],
    )
