"""Two ways to fool oneself with synthetic rows, measured beside the honest one.

A generator that only copies rows with a little noise cannot help. It seems to, when it has seen the test rows, or when
real and synthetic rows are mixed before they are split.

    python benchmarks/tables_leaks.py --data FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import common
import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import r2_score

from sozai.evaluation.tables.prepare import prepare
from sozai.materials.tables.read import read_table

PROTOCOLS = (
    "real rows only",
    "honest: the generator sees the training rows only",
    "leak: the generator has seen the test rows",
    "leak: split after mixing real and synthetic rows",
    "the same augmented model on rows of the table that nobody has seen",
    "the model without augmentation on those",
)
RATIO, NOISE = 5, 0.01


def copies(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows with noise of a hundredth of each column's spread: a generator that learned by heart."""
    chosen = rows[rng.integers(len(rows), size=RATIO * len(rows))]
    return chosen + NOISE * rows.std(0) * rng.standard_normal(chosen.shape)


def score(train: np.ndarray, test: np.ndarray, seed: int) -> float:
    """R2; the last column is the target."""
    model = ExtraTreesRegressor(100, random_state=seed).fit(train[:, :-1], train[:, -1])
    return float(r2_score(test[:, -1], model.predict(test[:, :-1])))


def protocols(rows: np.ndarray, pool: int, seed: int) -> list[float]:
    """R2 by protocol; a fifth of the pool is for testing."""
    rng = np.random.default_rng(seed)
    rows = rows[rng.permutation(len(rows))]
    mine, unseen = rows[:pool], rows[pool:]
    test, train = mine[: pool // 5], mine[pool // 5 :]
    honest = np.concatenate([train, copies(train, rng)])
    saw = np.concatenate([train, copies(mine, rng)])
    mixed = rng.permutation(np.concatenate([mine, copies(mine, rng)]))
    cut = len(mixed) // 5
    return [
        score(train, test, seed),
        score(honest, test, seed),
        score(saw, test, seed),
        score(mixed[cut:], mixed[:cut], seed),
        score(honest, unseen, seed),
        score(train, unseen, seed),
    ]


def main() -> None:
    """Print and write the fragment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with tables/concrete.csv")
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/tables_leaks.md"))
    chosen = parser.parse_args()
    prepared = prepare(read_table(chosen.data / "tables/concrete.csv"), "Strength")
    names = [name for name in prepared.table.modelled if name != "Strength"]
    rows = prepared.table.frame[[*names, "Strength"]].drop_duplicates().to_numpy(float)
    found = np.array([protocols(rows, chosen.rows, seed) for seed in range(chosen.seeds)])
    cells = [[name, common.spread(values, "{:.3f}")] for name, values in zip(PROTOCOLS, found.T, strict=True)]
    words = (
        f"UCI concrete, {chosen.rows} rows, {chosen.seeds} seeds, extremely randomised trees. The generator copies "
        "rows and adds noise of 1% of each column's spread, five synthetic rows for each real one."
    )
    common.write_fragment(chosen.out, "Tables: two leaks", [words, common.table(["protocol", "R2"], cells)])


if __name__ == "__main__":
    main()
