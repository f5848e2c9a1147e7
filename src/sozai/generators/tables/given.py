"""Rows that obey rules and fulfil wishes: drawn again until they do, or led there and then checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.generators.base import Progress
from sozai.knowledge.tables.alternatives import linear_parts
from sozai.knowledge.tables.conditions import Condition
from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.table import Table

if TYPE_CHECKING:
    from sozai.generators.tables.rows import RowGenerator

CHUNK = 100_000
"""Rows drawn at a time at most."""
ROUNDS = 30
"""Times that rows are led to a wish before it counts as out of reach."""
RARE = 0.02
"""Where fewer of the drawn rows than this fulfil a wish, rows are led to it."""
NEAR = 0.1
"""Deviations from a label that is asked for exactly, within which a drawn one is set to it."""


class Wish:
    """Conditions that each drawn row shall fulfil.

    Args:
        texts: as in rules: ``"strength >= 120"``, ``"cement = 400"``, ``"Phase in [FCC, BCC]"``.
        table: that was learned: what its columns hold.
        rules: with which they must be possible.

    Raises:
        UserError: one cannot be read, they contradict each other or the rules, or ask for what lies outside the data.
    """

    def __init__(self, texts: list[str], table: Table, rules: TableRules):
        self.table = table
        self.rules = TableRules.parse(texts, list(table.columns))
        if texts:
            (rules + self.rules).require_possible("given")
        self.exact: dict[str, float] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        self.levels: dict[str, list[str]] = {}
        for text, rule in zip(texts, self.rules.rules, strict=True):
            assert isinstance(rule, Condition)
            if len(rule.columns) == 1:
                (self._number if table.columns[rule.columns[0]].numeric else self._category)(text, rule)

    def __bool__(self) -> bool:
        return bool(self.rules.rules)

    @property
    def columns(self) -> frozenset[str]:
        """That it is about."""
        return frozenset(name for rule in self.rules.rules for name in rule.columns)

    def met(self, frame: pd.DataFrame) -> np.ndarray:
        """Rows that fulfil all conditions, (rows,); a blank in a column that is asked for does not."""
        good = np.ones(len(frame), bool)
        for rule in self.rules.rules:
            good &= rule.amounts(frame) == 0  # NaN is not
        return good

    def distance(self, frame: pd.DataFrame, scales: dict[str, float]) -> np.ndarray:
        """How far each row is from the wish, in spreads of the columns, (rows,)."""
        far = np.zeros(len(frame))
        for rule in self.rules.rules:
            numbers = [scales[name] for name in rule.columns if name in scales]
            far += np.nan_to_num(rule.amounts(frame), nan=10.0) / (max(numbers) if numbers else 1.0)
        return far

    def led(self, frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
        """Rows whose single columns were brought to what is asked: to values of the data where it has such."""
        made = frame.copy()
        for name, value in self.exact.items():
            made[name] = value
        for name, (low, high) in self.ranges.items():
            if name in self.exact:
                continue
            values = made[name].to_numpy(float, copy=True)
            wrong = ~((values >= low) & (values <= high))
            seen = self.table.frame[name].dropna().to_numpy(float)
            fitting = seen[(seen >= low) & (seen <= high)]
            if len(fitting):
                new = generator.choice(fitting, int(wrong.sum()))
            else:
                new = generator.uniform(low, high, int(wrong.sum()))
                if self.table.columns[name].kind == "count":
                    new = np.rint(new)
            values[wrong] = new
            made[name] = values
        for name, allowed in self.levels.items():
            wrong = ~made[name].isin(allowed).to_numpy()
            shares = self.table.frame[name].value_counts().reindex(allowed).fillna(0).to_numpy(float) + 1e-9
            made.loc[wrong, name] = generator.choice(
                np.array(allowed, object), int(wrong.sum()), p=shares / shares.sum()
            )
        return made

    def _number(self, text: str, rule: Condition) -> None:
        """A condition on one column of numbers: the range that it leaves, or an error where the data never went."""
        name = rule.columns[0]
        seen = self.table.frame[name].dropna()
        low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 0.0)
        forms = linear_parts(rule.expression)
        if forms is None:
            return
        start, end = self.ranges.get(name, (low, high))
        for form in forms:
            slope = form.coefficients.get(name, 0.0)
            if not slope:
                continue
            edge = -form.constant / slope
            if form.sign == "=":
                self.exact[name] = edge
                start, end = max(start, edge), min(end, edge)
            elif slope > 0:
                end = min(end, edge if form.sign == "<=" else np.nextafter(edge, -np.inf))
            else:
                start = max(start, edge if form.sign == "<=" else np.nextafter(edge, np.inf))
        slack = 1e-9 * max(abs(low), abs(high), 1e-300)
        if start > end + slack:
            raise UserError(
                f"{name} goes from {low:.6g} to {high:.6g} in the data, and a generator cannot know what lies beyond",
                f"given '{text}'",
                "ask for values within the data, or measure some there",
            )
        self.ranges[name] = (start, end)

    def _category(self, text: str, rule: Condition) -> None:
        """A condition on one category: the levels that it leaves."""
        name = rule.columns[0]
        levels = self.table.columns[name].levels
        fits = rule.amounts(pd.DataFrame({name: np.array(levels, object)})) == 0
        known = set(self.table.frame[name].dropna())
        earlier = self.levels.get(name, levels)
        allowed = [
            level for level, good in zip(levels, fits, strict=True) if good and level in known and level in earlier
        ]
        if not allowed:
            raise UserError(
                f"no row of the data has such a {name}", f"given '{text}'", f"it holds {', '.join(levels[:20])}"
            )
        self.levels[name] = allowed


def drawn(
    source: RowGenerator, count: int, wish: Wish, generator: np.random.Generator, on_progress: Progress | None
) -> pd.DataFrame:
    """``count`` rows that obey the source's hard rules and fulfil the wish.

    Rows that break a rule are repaired or, where that fails, drawn again. Where few rows fulfil the wish by themselves,
    those nearest to it are led there (importance resampling, then projection), labelled anew, repaired with what was
    asked for held fixed, and checked: what comes back fulfils all of it.

    Raises:
        UserError: no row, or not enough of them, could be found.
    """
    parts: list[pd.DataFrame] = []
    have = rounds = tried = 0
    rate = 1.0
    # A value that is asked for exactly is met by chance only where it repeats in the data.
    lead = bool(wish.exact)
    while have < count:
        need = count - have
        rows = int(min(CHUNK, max(64 if wish or source.rules.hard else 1, 1.1 * need / max(rate, RARE))))
        rows = min(rows, CHUNK) if rate < 1 else min(need, CHUNK)
        if lead:
            frame = _led(source, min(need, CHUNK // 8), wish, generator)
        else:
            frame = source._draw(rows, generator)
            if source.rules.hard:
                frame, good = source.rules.repair(frame, scales=source.scales)
                frame = frame[good]
            if wish:
                frame = frame[wish.met(frame)]
        tried += rows
        parts.append(frame.iloc[:need])
        have += len(parts[-1])
        rounds += 1
        rate = max(have / tried, 1e-9) if not lead else rate
        lead = lead or (bool(wish) and rate < RARE and tried >= 2000) or (bool(wish) and rounds >= ROUNDS // 2)
        if rounds >= ROUNDS and have < count and have / rounds < count / (10 * ROUNDS):
            _give_up(source, have, count, wish)
        if on_progress:
            on_progress(min(have, count), count, "rows")
    made = pd.concat(parts, ignore_index=True)
    return _together(source, made, wish)


def _led(source: RowGenerator, need: int, wish: Wish, generator: np.random.Generator) -> pd.DataFrame:
    """Rows nearest to a wish, led there."""
    pool = source._draw(max(4 * need, 1000), generator)
    far = wish.distance(pool, source.scales)
    # The nearest quarter, ties in random order.
    nearest = np.lexsort((generator.random(len(far)), far))[: max(2 * need, len(pool) // 4)]
    frame = wish.led(pool.iloc[nearest].reset_index(drop=True), generator)
    if source.target not in wish.columns:
        frame = source._relabelled(frame, generator)
    else:  # a label is a finding: it is never set, features are kept whose label is as asked
        frame[source.target] = pool[source.target].to_numpy()[nearest]
        others = frame.drop(columns=source.target).ne(
            pool.iloc[nearest].reset_index(drop=True).drop(columns=source.target)
        )
        moved = others.any(axis=1).to_numpy()
        if moved.any():
            frame.loc[moved] = source._relabelled(frame[moved], generator)
    if source.target in wish.exact:  # a label as near as a measurement repeats is taken for the value itself
        value = wish.exact[source.target]
        near = np.abs(frame[source.target] - value) <= NEAR * source.scales.get(source.target, 0.0)
        frame = frame[near].assign(**{source.target: value})
    both = TableRules((*source.rules.hard, *wish.rules.rules))
    kept = frozenset(wish.exact) | ({source.target} if source.target else frozenset())
    frame, good = both.repair(frame, kept, scales=source.scales)
    frame = frame[good & wish.met(frame)]
    return frame.iloc[generator.permutation(len(frame))]


def _together(source: RowGenerator, made: pd.DataFrame, wish: Wish) -> pd.DataFrame:
    """Rules that judge rows together, brought about among all of them."""
    if all(getattr(rule, "level", "row") == "row" for rule in source.rules.hard):
        return made
    made, good = source.rules.repair(made, wish.columns, scales=source.scales)
    good &= wish.met(made) if wish else True
    if not good.all():
        raise UserError(f"{int((~good).sum())} of {len(made)} rows break a rule that judges rows together", source.name,
                        "make it soft, or draw fewer rows")  # fmt: skip
    return made


def _give_up(source: RowGenerator, have: int, count: int, wish: Wish) -> None:
    if wish:
        texts = "; ".join(rule.words() for rule in wish.rules.rules)
        raise UserError(f"of {count} rows only {have} were found", f"given '{texts}'",
                        "the data holds nothing like it: widen the conditions, or ask for fewer rows")  # fmt: skip
    raise UserError(
        f"of {count} rows only {have} obey all rules", source.name, "the rules do not fit the data: check them"
    )
