"""Rows changed as little as may be so that they obey hard rules.

A rule is taken as alternatives of linear (in)equalities, grids and categories (``alternatives``). Rows that break a
rule are projected onto each choice of alternatives that comes into question, and the nearest that then passes every
rule is kept: so the disjunctions of Stoian et al. (arXiv 2502.18237), with the linear inequalities of arXiv
2402.04823 as the case of one alternative. Conditions that are not linear are linearised again and again at the point
that was reached (sequential quadratic programming). Nothing counts as mended that the rules' own check does not pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from sozai.knowledge.tables.alternatives import Alternative, Comparison, Grid, Member
from sozai.knowledge.tables.columns import Combinations, texts_of
from sozai.knowledge.tables.numbers import Numbers
from sozai.knowledge.tables.rule import Rule, obeyed
from sozai.knowledge.tables.sums import Derived, Sum
from sozai.knowledge.tables.trends import Duplicates, Monotone, six_digits

MOST_JOINED = 5000
"""Combinations of categories under several rules together; with more, the rules are brought about one by one."""
MOST_CHOICES = 32
"""Choices of alternatives that are tried for rows that break the same rules."""


def repaired(
    rules: Sequence[Rule], frame: pd.DataFrame, fixed: frozenset[str], scales: Mapping[str, float]
) -> tuple[pd.DataFrame, np.ndarray]:
    """See ``TableRules.repair``.

    Args:
        rules: hard ones.
        frame: rows.
        fixed: columns that are not changed.
        scales: by column, the change that counts as one.
    """
    row_rules = [rule for rule in rules if rule.level == "row"]
    good = holds(row_rules, frame)
    bad = np.flatnonzero(~good)
    if len(bad):
        mender = _Mender(row_rules, frame, fixed, scales)
        mended = mender.mend(frame.iloc[bad].reset_index(drop=True))
        frame = _replaced(frame, bad, mended)
    for rule in rules:
        if isinstance(rule, Monotone | Duplicates) and rule.column not in fixed:
            frame = rule.repaired(frame)
    if len(row_rules) < len(rules):
        for rule in derived_in_order(row_rules, fixed):
            missed = np.flatnonzero(rule.amounts(frame) > 0)
            if len(missed):
                values = rule.computed(frame.iloc[missed])
                frame = _replaced(frame, missed, pd.DataFrame({rule.column: values}))
    return frame, holds(rules, frame)


def holds(rules: Sequence[Rule], frame: pd.DataFrame) -> np.ndarray:
    """Rows that break none of the rules and still will not when printed with six digits and read again, (rows,).

    Without the latter, rows that only obey within a rule's tolerance would sometimes come to break it on paper.
    """
    good = obeyed(rules, frame)
    short = frame.copy(deep=False)
    for name in frame.columns:
        if frame[name].dtype.kind == "f":
            values = frame[name].to_numpy()
            short[name] = np.where(values == np.rint(values), values, six_digits(values))
    return good & obeyed(rules, short)


def derived_in_order(rules: Iterable[Rule], fixed: frozenset[str]) -> list[Derived]:
    """The rules that compute a column, each after those whose column it needs."""
    left: dict[str, Derived] = {}
    for rule in rules:
        if isinstance(rule, Derived) and rule.column not in fixed:
            left.setdefault(rule.column, rule)
    ordered: list[Derived] = []
    while left:
        ready = [name for name, rule in left.items() if not left.keys() & set(rule.formula.columns)]
        if not ready:  # they follow from each other: none is computed, all are equations
            return ordered
        ordered += [left.pop(name) for name in ready]
    return ordered


class _Mender:
    """Brings rows to obey rules on single rows.

    Args:
        rules: hard ones, of the row's level.
        frame: all rows, for spreads and for what is frequent.
        fixed: columns that are not changed.
        scales: by column, the change that counts as one.
    """

    def __init__(self, rules: Sequence[Rule], frame: pd.DataFrame, fixed: frozenset[str], scales: Mapping[str, float]):
        self.rules, self.fixed = rules, fixed
        self.sums = [rule for rule in rules if isinstance(rule, Sum)]
        self.derived = derived_in_order(rules, fixed)
        self.numbers = Numbers(frame, self.derived, scales)
        self.frequent = {
            name: [str(level) for level in frame[name].value_counts().index]
            for name in frame.columns
            if frame[name].dtype.kind not in "fiub"
        }
        self.certain: list[Alternative] = []
        self.open: list[list[Alternative]] = []
        computed = set(map(id, self.derived))
        for rule in rules:
            found = None if id(rule) in computed else rule.alternatives()
            usable = [choice for choice in found or [] if self._usable(choice, frame)]
            if len(usable) == 1:
                self.certain.append(usable[0])
            elif usable:
                self.open.append(usable)
        self.frame = frame
        members = [part for choice in self.certain for part in choice if isinstance(part, Member)]
        self.combinations = _joined([rule for rule in rules if isinstance(rule, Combinations)], members)

    @staticmethod
    def _usable(choice: Alternative, frame: pd.DataFrame) -> bool:
        """Whether its numbers are of numbers and its categories of texts."""
        for part in choice:
            names = part.columns if isinstance(part, Comparison) else (part.column,)
            if any((frame[name].dtype.kind in "fiub") == isinstance(part, Member) for name in names):
                return False
        return True

    def mend(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows that obey where that was possible; the others come back as they were."""
        made, done = frame.copy(), np.zeros(len(frame), bool)
        start, kept = self._combined(frame)
        # Parts that are zero stay zero where that is possible, alternatives that hold stay chosen likewise.
        for loose, wide in ((False, False), (False, True), (True, True)):
            if (loose and not self.sums) or (wide and not loose and not self.open):
                continue
            rows = np.flatnonzero(~done)
            if not len(rows):
                break
            pattern = self._pattern(start.iloc[rows])
            kinds, which = np.unique(pattern, axis=0, return_inverse=True)
            wanted: dict[tuple[int, ...], list[np.ndarray]] = {}
            for place, kind in enumerate(kinds):
                for choice in self._choices(kind, wide):
                    wanted.setdefault(choice, []).append(rows[which.ravel() == place])
            best = np.full(len(frame), np.inf)
            for choice, parts in wanted.items():
                part = np.concatenate(parts)
                tried = self._tried(start.iloc[part].reset_index(drop=True), choice, kept[part], loose)
                far = self._distance(frame.iloc[part], tried)
                better = (far < best[part]) & holds(self.rules, tried)
                if better.any():
                    best[part[better]] = far[better]
                    made = _replaced(made, part[better], tried[better])
            done |= np.isfinite(best)
        return made

    def _pattern(self, frame: pd.DataFrame) -> np.ndarray:
        """For each rule with alternatives the first one that holds, -1 where none does, (rows, rules)."""
        pattern = np.full((len(frame), len(self.open)), -1)
        for place, choices in enumerate(self.open):
            for number in reversed(range(len(choices))):
                pattern[self._holds(choices[number], frame), place] = number
        return pattern

    def _holds(self, choice: Alternative, frame: pd.DataFrame) -> np.ndarray:
        good = np.ones(len(frame), bool)
        for part in choice:
            if isinstance(part, Member):
                inside = frame[part.column].astype(object).astype(str).isin(part.levels).to_numpy()
                good &= inside == part.inside
            elif isinstance(part, Grid):
                values = frame[part.column].to_numpy(float)
                good &= np.abs(values - part.nearest(values)) <= 1e-9 * np.abs(values)
            else:
                with np.errstate(all="ignore"):
                    value = part.value(frame)
                good &= {"<=": value <= 1e-12, "<": value < 0}.get(part.sign, np.abs(value) <= 1e-12)
        return good

    def _choices(self, kind: np.ndarray, wide: bool) -> list[tuple[int, ...]]:
        """One alternative of each rule: those that hold stay unless ``wide``; few changes first."""
        options = []
        for place, choices in enumerate(self.open):
            holds = int(kind[place])
            others = [number for number in range(len(choices)) if number != holds]
            options.append([holds, *others] if holds >= 0 and wide else [holds] if holds >= 0 else others)
        # Enumerated by how many alternatives are not the first of their list, so that the cut takes the far ones.
        ranked = itertools.islice(itertools.product(*(range(len(each)) for each in options)), 64 * MOST_CHOICES)
        near = sorted(ranked, key=lambda ranks: sum(rank > 0 for rank in ranks))[:MOST_CHOICES]
        return [tuple(each[rank] for each, rank in zip(options, ranks, strict=True)) for ranks in near]

    def _tried(self, frame: pd.DataFrame, choice: Sequence[int], kept: np.ndarray, loose: bool) -> pd.DataFrame:
        """The rows projected onto one choice of alternatives."""
        chosen = [choices[number] for choices, number in zip(self.open, choice, strict=True)]
        parts = [part for each in (*self.certain, *chosen) for part in each]
        frame = self._categories(frame, [part for part in parts if isinstance(part, Member)])
        movable = self.numbers.movable(frame, self.fixed) & ~kept
        if not loose:
            for rule in self.sums:
                for name in rule.parts:
                    place = self.numbers.places.get(name)
                    if place is not None:
                        movable[:, place] &= frame[name].to_numpy(float) != 0
        for rule in self.sums:
            missed = np.flatnonzero(rule.amounts(frame) > 0)
            free = all(name in self.numbers.places for name in rule.parts)
            if free and len(missed) and movable[:, [self.numbers.places[name] for name in rule.parts]].any():
                held = self.fixed | {n for n in rule.parts if kept[:, self.numbers.places[n]].any()}
                closed = rule.closed(frame, missed, held)
                frame = _replaced(frame, missed, pd.DataFrame(closed, columns=list(rule.parts)))
        comparisons = [part for part in parts if isinstance(part, Comparison)]
        grids = [part for part in parts if isinstance(part, Grid)]
        return self.numbers.projected(frame, comparisons, grids, movable)

    def _categories(self, frame: pd.DataFrame, members: Sequence[Member]) -> pd.DataFrame:
        """Categories that are not allowed replaced by the most frequent one that is."""
        frame = frame.copy()
        for name in {member.column for member in members} - self.fixed:
            allowed: set[str] = set(self.frequent.get(name, []))
            for member in (member for member in members if member.column == name and member.inside):
                allowed = set(member.levels) if not allowed & member.levels else allowed & member.levels
            for member in (member for member in members if member.column == name and not member.inside):
                allowed -= member.levels
            texts = frame[name].astype(object)
            wrong = ~texts.astype(str).isin(allowed).to_numpy() & texts.notna().to_numpy()
            order = [level for level in self.frequent.get(name, []) if level in allowed] or sorted(allowed)
            if wrong.any() and order:
                texts[wrong] = order[0]
                frame[name] = texts
        return frame

    def _combined(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        """Combinations that are not allowed replaced by the nearest that is, and numbers that are settled so."""
        kept = np.zeros((len(frame), len(self.numbers.names)), bool)
        for rule in self.combinations:
            names = list(rule.columns)
            counts = texts_of(self.frame, names).value_counts()
            often = np.array([counts.get(values, 0) for values in rule.allowed], float)
            allowed = np.array(rule.allowed, object)
            texts = texts_of(frame, names)
            missing = frame[names].isna().any(axis=1).to_numpy()
            codes, unique = pd.factorize(pd.MultiIndex.from_frame(texts))
            stay = np.array([name in self.fixed for name in names])
            nearest = np.empty((len(unique), len(names)), object)
            for place, values in enumerate(unique):
                unlike = allowed != np.array(values, object)
                cost = unlike.sum(axis=1) + 1e6 * (unlike & stay).any(axis=1) - often / (often.sum() + 1) / 2
                nearest[place] = allowed[cost.argmin()]
            frame = frame.copy()
            for place, name in enumerate(names):
                new = nearest[codes, place]
                wrong = (new != texts[name].to_numpy(object)) & ~missing
                if name in self.fixed:
                    continue
                if name in self.numbers.places:
                    kept[:, self.numbers.places[name]] = ~missing
                    column = frame[name].to_numpy(float).copy()
                    column[wrong] = new[wrong].astype(float)
                else:
                    column = frame[name].to_numpy(object).copy()
                    column[wrong] = new[wrong]
                frame[name] = column
        return frame, kept

    def _distance(self, before: pd.DataFrame, after: pd.DataFrame) -> np.ndarray:
        """Squared change in units of the spread; a changed category counts one."""
        change = self.numbers.values(after) - self.numbers.values(before)
        far = np.nansum(change**2, axis=1)
        for name in self.frequent:
            one, two = before[name].to_numpy(object), after[name].to_numpy(object)
            far += ((one != two) & ~pd.isna(one)).astype(float)
        return far


def _joined(rules: Sequence[Combinations], members: Sequence[Member]) -> list[Combinations]:
    """Combinations that share columns as one, without the categories that other rules rule out."""
    tables: list[pd.DataFrame] = []
    for rule in rules:
        made = pd.DataFrame(list(rule.allowed), columns=list(rule.columns))
        for other in list(tables):
            if set(other.columns) & set(made.columns):
                both = made.merge(other)
                if 0 < len(both) <= MOST_JOINED:
                    tables = [table for table in tables if table is not other]
                    made = both
        for member in members:
            if member.column in made.columns:
                left = made[made[member.column].isin(member.levels) == member.inside]
                made = left if len(left) else made
        tables.append(made)
    return [Combinations(list(table.columns), table.to_numpy(object).tolist()) for table in tables]


def _replaced(frame: pd.DataFrame, rows: np.ndarray, values: pd.DataFrame) -> pd.DataFrame:
    """Some rows (places) with other values in the columns of ``values``; whole columns stay whole."""
    frame = frame.copy(deep=False)
    for name in values.columns:
        old, new = frame[name], values[name].to_numpy()
        if old.dtype.kind in "iu" and not (np.isfinite(new).all() and (new == np.rint(new)).all()):
            old = old.astype(float)
        column = old.to_numpy(copy=True)
        column[rows] = new
        frame[name] = column
    return frame
