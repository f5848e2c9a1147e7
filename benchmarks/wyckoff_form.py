"""Round trip of the Wyckoff form: how many crystals come back the same, and which do not.

python benchmarks/wyckoff_form.py --data materials_project.parquet --most-sites 20
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import common
import numpy as np
from common import Ticker, table

NAMED = 40  # failures listed one by one


def fault_of(structure, matcher) -> tuple[str, float, float]:
    """Why a crystal does not come back (empty if it does), and the seconds to its form and back."""
    from sozai.materials.wyckoff import WyckoffCrystal, WyckoffError

    started = time.perf_counter()
    try:
        form = WyckoffCrystal.from_structure(structure)
    except WyckoffError as error:
        return f"no form: {error}", time.perf_counter() - started, 0.0
    there = time.perf_counter()
    back = form.to_structure()
    seconds = there - started, time.perf_counter() - there
    if back.composition.reduced_formula != structure.composition.reduced_formula:
        return f"comes back as {back.composition.reduced_formula}", *seconds
    return ("" if matcher.fit(structure, back) else "comes back as another structure"), *seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="parquet file of crystals")
    parser.add_argument("--most-sites", type=int, default=20)
    parser.add_argument("--count", type=int, help="a random sample of so many; all by default")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/wyckoff_form.md"))
    options = parser.parse_args()
    from pymatgen.analysis.structure_matcher import StructureMatcher

    from sozai.screening.identity import MATCHER

    # Pymatgen reduces the cells: reducing both by spglib, as screening does, would hide what spglib does wrong.
    matcher = StructureMatcher(**MATCHER, primitive_cell=True, scale=True)

    rows = common.read_crystals(options.data, options.most_sites)
    if options.count:
        rows = rows.sample(min(options.count, len(rows)), random_state=0)
    tell = Ticker("round trips")
    failures: list[list[str]] = []
    seconds = []
    for number, row in enumerate(rows.itertuples(), start=1):
        fault, *times = fault_of(common.structure_of(row), matcher)
        seconds.append(times)
        if fault:
            failures.append([row.material_id, row.formula, fault])
        tell(number, len(rows))
    there, back = np.array(seconds).T * 1000
    same = 1 - len(failures) / len(rows)
    reasons = Counter(reason for _, _, reason in failures).most_common()
    setting = ", ".join(f"{key} {value}" for key, value in MATCHER.items())
    parts = [
        f"{len(rows):,} crystals of `{options.data.name}` with at most {options.most_sites} sites, to the Wyckoff form "
        f"(spglib, 0.1 Å) and back, compared with the original by StructureMatcher ({setting}, "
        "primitive cells by pymatgen).",
        table(
            ["", "value"],
            [
                ["the same afterwards", f"{same:.2%} ({len(rows) - len(failures):,} of {len(rows):,})"],
                ["to the form", f"{there.mean():.2f} ms a crystal (99% under {np.percentile(there, 99):.1f} ms)"],
                ["back to a structure", f"{back.mean():.2f} ms a crystal (99% under {np.percentile(back, 99):.1f} ms)"],
            ],
        ),
    ]
    if failures:
        parts.append("Reasons: " + "; ".join(f"{reason}: {count}" for reason, count in reasons) + ".")
        parts.append(table(["id", "formula", "what happened"], failures[:NAMED]))
        if len(failures) > NAMED:
            others = ", ".join(identifier for identifier, _, _ in failures[NAMED:])
            parts.append(f"And {len(failures) - NAMED} more: {others}.")
    common.write_fragment(options.out, "The Wyckoff form, to it and back", parts)


if __name__ == "__main__":
    main()
