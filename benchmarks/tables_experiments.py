"""Experiments needed to find one of the best 1% of a table's rows: sozai, plain Bayesian optimisation, random choice.

Real tables are replayed as if unknown: a method sees a few random rows, then asks for one row after another and is
told its value. Repeated measurements of one condition are averaged first, as in Liang et al. 2021 (npj Comput. Mater.
7, 188, doi:10.1038/s41524-021-00656-9). All methods begin with the same rows.

python benchmarks/tables_experiments.py --data FOLDER --seeds 20 --cache experiments.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from common import Cache, Ticker, write_fragment
from common import table as markdown

from sozai.design.tables.goals import Goal
from sozai.design.tables.problem import pose
from sozai.design.tables.proposals import Acquisition
from sozai.design.tables.surrogate import Surrogate, fit_process, one_thread
from sozai.materials.tables.read import guessed

START = 5
"""Random rows that are known at the beginning."""
MOST = 150
"""Experiments after which a replay is given up (counted as this many)."""
FRESH = 8
"""Every so many experiments length scales are learned from scratch; between, from where the last ones were."""
TABLES = {
    "crossed_barrel": ("maximise", "toughness"),
    "silver_nanoparticles": ("minimise", "loss"),
    "uhpc": ("maximise", "CS"),
    "mpea": ("maximise", "PROPERTY: HV"),
}
METHODS = ("plain", "sozai")


class Replay:
    """One table whose values are told one by one.

    Args:
        folder: where the tables are.
        name: of the table.
    """

    def __init__(self, folder: Path, name: str):
        aim, column = TABLES[name]
        frame = pd.read_csv(folder / f"{name}.csv", encoding="utf-8-sig")
        kinds = {}
        if name == "mpea":  # what is varied is the composition
            frame = frame[["FORMULA", column]].dropna().reset_index(drop=True)
            kinds = {"FORMULA": "formula"}
        self.goal = Goal(aim, column)
        problem = pose(guessed(frame, name, kinds), [self.goal])
        inputs, values = problem.inputs.frame.round(6), problem.learned[column].values
        rows = inputs.assign(value=values).groupby(list(inputs.columns), as_index=False)["value"].mean()
        self.values = rows.pop("value").to_numpy(float)
        self.points = problem.encoding(rows)
        raw = rows.to_numpy(float)
        span = np.ptp(raw, axis=0)
        self.raw = ((raw - raw.min(axis=0)) / np.where(span > 0, span, 1.0))[:, span > 0]
        self.points = self.points[:, np.ptp(self.points, axis=0) > 0]
        self.scores = np.asarray(self.goal.score(self.values))
        self.best = max(1, round(0.01 * len(rows)))
        self.top = set(np.argsort(-self.scores)[: self.best].tolist())

    def run(self, method: str, seed: int) -> int:
        """Experiments until a row of the top 1% is measured, those of the beginning included."""
        order = np.random.default_rng(seed).permutation(len(self.scores)).tolist()
        asked: list[int] = []
        self._last = None
        while True:
            ask = order[len(asked)] if len(asked) < START or method == "random" else self._next(method, asked, seed)
            asked.append(ask)
            if ask in self.top or len(asked) == (len(order) if method == "random" else MOST):
                return len(asked)

    def _next(self, method: str, asked: list[int], seed: int) -> int:
        gain = (self._plain if method == "plain" else self._ours)(np.array(asked), seed)
        gain[asked] = -np.inf
        return int(np.argmax(gain))

    def _plain(self, asked: np.ndarray, seed: int) -> np.ndarray:
        """BoTorch's standard process on the columns as they are, and (logarithmic) expected improvement."""
        import torch
        from botorch.acquisition.analytic import LogExpectedImprovement

        known = self.scores[asked]
        scaled = (known - known.mean()) / (known.std() or 1.0)
        start = self._last if len(asked) % FRESH else None
        self._last = fit_process(self.raw[asked], scaled, start)
        acquisition = LogExpectedImprovement(self._last, best_f=float(scaled.max()))
        with torch.no_grad():
            return acquisition(torch.as_tensor(self.raw)[:, None, :]).numpy()

    def _ours(self, asked: np.ndarray, seed: int) -> np.ndarray:
        """What ``sozai design --batch`` reckons with, over the same rows."""
        points, values = self.points[asked], self.values[asked]
        start = self._last if len(asked) % FRESH else None
        surrogate = Surrogate(seed).fit_for_choice(points, values, start)
        self._last = surrogate.process
        none = np.zeros((len(asked), 0))
        acquisition = Acquisition(
            [surrogate.process], [(surrogate.middle, surrogate.scale)], [self.goal], [0], points, none, values[:, None],
            trees=surrogate.by_tree, seed=seed + len(asked),
        )  # fmt: skip
        return acquisition(self.points, np.zeros((len(self.points), 0)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four tables")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cache", type=Path, help="JSON lines of finished replays; a later call goes on from them")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/tables_experiments.md"))
    arguments = parser.parse_args()
    cache, ticker = Cache(arguments.cache), Ticker("replays")
    replays = {name: Replay(arguments.data, name) for name in TABLES}
    plan = [(seed, name, method) for seed in range(arguments.seeds) for name in TABLES for method in METHODS]
    with one_thread():
        for done, (seed, name, method) in enumerate(plan):
            key = f"{name}|{method}|{seed}"
            if key not in cache:
                cache.add(key, {"experiments": replays[name].run(method, seed)})
            ticker(done + 1, len(plan))
    write_fragment(arguments.out, "Next experiments from a table", report(replays, cache, arguments.seeds))


def report(replays: dict[str, Replay], cache: Cache, seeds: int) -> list[str]:
    """The fragment's parts."""
    rows = []
    for name, replay in replays.items():
        found = {m: [cache[f"{name}|{m}|{seed}"]["experiments"] for seed in range(seeds)] for m in METHODS}
        found["random"] = [replay.run("random", seed) for seed in range(seeds)]
        chance = np.median([replay.run("random", seed) for seed in range(2000)])
        ours = float(np.median(found["sozai"]))
        rows.append(
            [name, len(replay.scores), replay.best, *(_spread(found[m]) for m in ("sozai", "plain", "random")),
             f"{chance:g}", f"{ours / chance:.2f}", f"{ours / np.median(found['plain']):.2f}"]
        )  # fmt: skip
    head = ["table", "conditions", "in the top 1%", "sozai", "plain BO", "random", "random, 2,000 seeds",
            "of random's", "of plain BO's"]  # fmt: skip
    words = (
        f"Median number of experiments (quartiles; {seeds} seeds) until a row of the top 1% is measured, the {START} "
        f"random rows of the beginning included; replays end at {MOST}. Ratios are of medians, random's from 2,000 "
        "seeds. Plain BO: BoTorch's SingleTaskGP with its standard priors and LogEI on the columns scaled to 0 .. 1. "
        "sozai: the acquisition behind `sozai design --batch 1`, choosing among the same rows."
    )
    return [words, markdown(head, rows)]


def _spread(values: list[int]) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:g} ({low:g} to {high:g})"


if __name__ == "__main__":
    main()
