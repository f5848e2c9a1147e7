"""Rules found in a table, for a person to accept.

A regularity is proposed when many rows could have broken it and none (or few) did. How many could have is counted as
the number that would break it if the columns had nothing to do with each other (each column's values shuffled), so that
an order that holds because one column is always far larger than the other, for instance, is no evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sozai.knowledge.tables.columns import Bounds, Combinations
from sozai.knowledge.tables.conditions import Condition, IfThen
from sozai.knowledge.tables.expression import ticked
from sozai.knowledge.tables.relations import orders, ratios, sums
from sozai.knowledge.tables.rule import Rule, shown
from sozai.knowledge.tables.schema import NAMES, NUMBERS, TableLike
from sozai.knowledge.tables.trends import Duplicates, Monotone

FEWEST = 10
"""Rows that could have broken a rule, at least, for it to be proposed."""
MOST_COLUMNS = 40
"""Columns of numbers that are searched for relations (the first so many)."""
FOUND = "found in the data"


@dataclass(frozen=True)
class Proposal:
    """A rule that the data suggest.

    Args:
        rule: soft where there are exceptions.
        support: how many rows (or pairs of rows) could have broken it.
        sentence: the evidence in words.
    """

    rule: Rule
    support: int
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"rule": self.rule.to_dict(), "support": self.support, "sentence": self.sentence}


def propose(table: TableLike, most: int = 60) -> list[Proposal]:
    """Rules that a table suggests, each kind by falling support; to be accepted by a person, see ``TableRules.save``.

    Args:
        table: a ``Table``.
        most: proposals of one kind.
    """
    frame = table.frame
    numbers = [name for name, column in table.columns.items() if column.kind in NUMBERS and name in frame.columns]
    numbers = [name for name in numbers if frame[name].nunique() > 1][:MOST_COLUMNS]
    names = [name for name, column in table.columns.items() if column.kind in NAMES and name in frame.columns]
    found: list[Proposal] = []
    multiplied = list(ratios(frame, numbers, FOUND))
    # A multiple of another column would hide in each linear relation of that one.
    again = {rule.columns[0] for rule, *_ in multiplied if len(rule.columns) == 2}
    added = sums(frame, [name for name in numbers if name not in again], FOUND)
    related = [Proposal(*each) for each in (*added, *multiplied)]
    tied = [set(each.rule.columns) for each in related]
    units = {name: table.columns[name].unit for name in numbers}
    for kind in (
        _values(frame, numbers),
        related,
        # An order between a whole and its part says nothing new.
        (
            Proposal(*each)
            for each in orders(frame, numbers, units, FOUND)
            if not any(one.issuperset(each[0].columns) for one in tied)
        ),
        _zeros(frame, numbers, names),
        _combinations(frame, names),
        _trends(frame, numbers, names),
        _duplicates(frame, numbers, names),
    ):
        found += sorted(kind, key=lambda each: -each.support)[:most]
    return found


def _values(frame: pd.DataFrame, numbers: Sequence[str]) -> Iterator[Proposal]:
    for name in numbers:
        values = frame[name].dropna()
        if len(values) < FEWEST:
            continue
        counts = values.value_counts()
        if len(counts) <= 12 and len(values) >= 8 * len(counts) and counts.min() >= 3:
            rule: Rule = Bounds(name, values=sorted(counts.index), severity="soft", source=FOUND)
            yield Proposal(rule, len(values), f"{len(values)} rows take only {len(counts)} values of {name}")
        low = float(values.min())
        if low >= 0:
            zero = bool((values == 0).any())
            rule = Bounds(name, 0.0, source=FOUND) if zero else Condition(f"{ticked(name)} > 0", [name], source=FOUND)
            what = "below 0" if zero else "0 or below"
            yield Proposal(rule, len(values), f"none of {len(values)} values of {name} is {what} (least: {shown(low)})")


def _zeros(frame: pd.DataFrame, numbers: Sequence[str], names: Sequence[str]) -> Iterator[Proposal]:
    """Where one amount is zero (or a category is so), another is zero too."""
    zero = {name: (frame[name] == 0).to_numpy() for name in numbers}
    known = {name: frame[name].notna().to_numpy() for name in [*numbers, *names]}
    sparse = [name for name in numbers if 0.02 < zero[name].mean() < 0.98]
    for then in sparse:
        premises: list[tuple[str, str, np.ndarray]] = [
            (one, f"{ticked(one)} = 0", zero[one]) for one in sparse if one != then
        ]
        for one in names:
            for level, count in frame[one].value_counts().items():
                if count >= FEWEST:
                    premises.append((one, f"{ticked(one)} = {_quoted(str(level))}", (frame[one] == level).to_numpy()))
        for one, premise, holds in premises:
            both = known[one] & known[then]
            holds = holds & both
            rest = both & ~holds
            if not holds.any() or not rest.any() or not zero[then][holds].all():
                continue
            share = 1 - zero[then][rest].mean()
            support = int(holds.sum() * share)
            if support >= FEWEST:
                rule = IfThen(premise, f"{ticked(then)} = 0", [one, then], source=FOUND)
                yield Proposal(
                    rule, support,
                    f"all {int(holds.sum())} rows with {premise} have {then} = 0; of the others {share:.0%} have not",
                )  # fmt: skip


def _combinations(frame: pd.DataFrame, names: Sequence[str]) -> Iterator[Proposal]:
    for place, one in enumerate(names):
        for two in names[place + 1 :]:
            counts = pd.crosstab(frame[one], frame[two])
            if counts.size > 400 or min(counts.shape) < 2:
                continue
            total = counts.to_numpy().sum()
            expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / max(total, 1)
            # Only cells that would be filled if the columns were independent are evidence.
            empty = (counts.to_numpy() == 0) & (expected >= 3)
            support = int(expected[empty].sum())
            if support < max(2 * FEWEST, 0.05 * total):
                continue
            seen = [(a, b) for a in counts.index for b in counts.columns if counts.loc[a, b]]
            rule = Combinations([one, two], seen, source=FOUND)
            yield Proposal(
                rule, support,
                f"{len(seen)} of {counts.size} combinations of {one} and {two} occur; by chance about {support} of "
                f"{total} rows would have another",
            )  # fmt: skip


def _trends(frame: pd.DataFrame, numbers: Sequence[str], names: Sequence[str]) -> Iterator[Proposal]:
    """One column rises or falls with another among rows that are equal in all else."""
    modelled = frame[[*numbers, *names]]
    different = {name: frame[name].nunique() for name in numbers}
    for column in numbers:
        for driver in numbers:
            # What is set takes fewer values than what is measured: ages and strengths, not strengths and ages.
            if driver == column or different[column] < 5 or different[driver] > different[column]:
                continue
            rows = Monotone(column, driver).compared(modelled)
            if len(rows) < FEWEST:
                continue
            means = rows.groupby(["group", "x"], as_index=False)["y"].mean()
            change = means["y"].diff()[means["group"].eq(means["group"].shift())].to_numpy()
            change = change[change != 0]
            if len(change) < 2 * FEWEST:
                continue
            rising = float((change > 0).mean())
            if max(rising, 1 - rising) < 0.95:
                continue
            up = rising > 0.5
            wrong = np.sort(np.abs(change[(change < 0) if up else (change > 0)]))
            rule = Monotone(column, driver, up, severity="soft", tolerance=_rounded_up(wrong), source=FOUND)
            yield Proposal(
                rule, len(change),
                f"in {len(change)} pairs of mixtures that differ only in {driver}, {column} "
                f"{'rises' if up else 'falls'} with it in {max(rising, 1 - rising):.0%}"
                + (f"; the exceptions are at most {shown(wrong[-1])}" if len(wrong) else ""),
            )  # fmt: skip


def _duplicates(frame: pd.DataFrame, numbers: Sequence[str], names: Sequence[str]) -> Iterator[Proposal]:
    modelled = frame[[*numbers, *names]]
    for column in numbers:
        others = [name for name in modelled.columns if name != column]
        if not others or frame[column].nunique() < 10:
            continue
        groups = modelled.dropna(subset=[column]).groupby(others, dropna=False)[column]
        spread, mean, size = groups.max() - groups.min(), groups.mean().abs(), groups.size()
        share = (spread / mean)[(size > 1) & (mean > 0)].dropna()
        # Rows that are equal in this column too are copies and say nothing about its scatter.
        if (share > 0).sum() < FEWEST:
            continue
        tolerance = float(np.ceil(100 * np.quantile(share, 0.9)) / 100)
        if tolerance <= 0.3:
            rule = Duplicates(column, tolerance=max(tolerance, 0.01), severity="soft", source=FOUND)
            yield Proposal(
                rule, len(share),
                f"{len(share)} sets of rows are equal in all else; in nine of ten {column} differs by at most "
                f"{tolerance:.0%}",
            )  # fmt: skip


def _rounded_up(sizes: np.ndarray) -> float:
    return float(f"{sizes[-1] * 1.05:.2g}") if len(sizes) else 0.0


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'
