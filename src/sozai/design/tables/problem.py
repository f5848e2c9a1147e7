"""A design problem: what can be set, what is measured, what is wanted and what must hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from sozai.design.tables.encoding import Encoding
from sozai.design.tables.formulas import Elements, with_elements
from sozai.design.tables.goals import Goal, measured_values, outcomes_of
from sozai.errors import UserError
from sozai.knowledge.tables.conditions import Condition
from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.table import Note, Table

FEWEST = 8
"""Rows with a measured goal below which nothing is predicted."""
MOST_MISSING = 0.4
"""Share of blanks above which a column is left out of what is set."""
SAME_THING = 0.995
"""Rank correlation with a goal above which a column is taken for another measurement of it."""


@dataclass
class Learned:
    """One goal, or one measured column with a condition on it, that a model predicts from what is set.

    Args:
        name: the goal's formula or the column.
        values: by row of the problem's inputs; NaN where it was not measured.
    """

    name: str
    values: np.ndarray


@dataclass
class Problem:
    """What the design works on.

    Args:
        inputs: the columns that an experiment sets, complete; one row a row of the table.
        goals: what is wanted.
        learned: by name, what is predicted: goals that read a measured column, and measured columns that conditions
            are about.
        rules: that each candidate obeys by construction: on inputs only.
        conditions: on what is measured; candidates are judged by their prediction.
        outcomes: names of the measured columns.
        elements: how a formula column was taken apart.
        notes: what was decided about columns and rows.
        source: the table with all its columns, after formulas were taken apart.
    """

    inputs: Table
    goals: tuple[Goal, ...]
    learned: dict[str, Learned]
    rules: TableRules
    conditions: tuple[Condition, ...]
    outcomes: tuple[str, ...]
    elements: Elements | None
    source: Table
    notes: list[Note] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.encoding = Encoding(self.inputs, self.elements)

    def is_learned(self, goal: Goal) -> bool:
        """Whether it must be predicted; otherwise it follows from what is set."""
        return goal.text in self.learned

    def computed(self, goal: Goal, frame: pd.DataFrame) -> np.ndarray:
        """The value of a goal that follows from what is set."""
        return measured_values(goal, frame, list(self.inputs.columns))

    def values(self, goal: Goal) -> np.ndarray:
        """The goal's value of each row of the table, NaN where unknown."""
        return self.learned[goal.text].values if self.is_learned(goal) else self.computed(goal, self.inputs.frame)

    def shown(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows as the person's table has them: fractions put back into a formula."""
        if self.elements is None:
            return frame.copy()
        formulas = self.elements.formulas(frame)
        shown = frame.drop(columns=list(self.elements.parts.values()))
        shown.insert(0, self.elements.column, formulas)
        return shown


def pose(
    table: Table,
    goals: Sequence[Goal],
    given: Sequence[str] = (),
    rules: TableRules | None = None,
    outcomes: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> Problem:
    """Sort out a table's columns, rows and conditions for a design.

    Args:
        table: measured experiments.
        goals: what is wanted.
        given: conditions that every candidate fulfils, as typed.
        rules: the person's own, over the table's columns.
        outcomes: columns that are measured; by default ``goals.outcomes_of`` says.
        ignore: columns not to be used at all.

    Raises:
        UserError: too few rows, a goal that is constant, an unknown column, nothing left to set, a condition that
            cannot be read.
    """
    for name in ignore:
        table.column(name)
    table = table.select([name for name in table.columns if name not in set(ignore)])
    table, elements = with_elements(table)
    notes = [note for note in table.notes if note.row is None]
    goals = tuple(dict.fromkeys(goals))
    measured = outcomes_of(goals, table, outcomes)
    names = list(table.columns)
    conditions = [Condition(text, names) for text in given]
    for condition in conditions:
        if not condition.expression.condition:
            raise UserError("this is a number, not a condition", f"--given {condition.words()}", "compare it")
    of_rules = [] if rules is None else list(rules.rules)
    read = {name for goal in goals for name in goal.formula(names).columns} - set(measured)
    learned = _learned(table, goals, conditions, measured)
    settable, more = _settable(table, measured, read, learned)
    notes += more
    on_inputs = [rule for rule in [*conditions, *of_rules] if set(rule.columns) <= set(settable)]
    on_outcomes = [c for c in conditions if c not in on_inputs]
    for condition in on_outcomes:
        if lost := set(condition.columns) - set(settable) - set(measured):
            raise UserError(f"column '{min(lost)}' is not used here", f"--given {condition.words()}", _why(notes, lost))
    notes += [
        Note(f"the rule '{rule.name}' reads columns that are not set here; it is not applied")
        for rule in of_rules
        if rule not in on_inputs
    ]
    inputs, filled = _complete(replace(table.select(settable), limits={}))
    return Problem(
        inputs, goals, learned, TableRules(on_inputs), tuple(on_outcomes), tuple(measured), elements, table,
        [*notes, *filled],
    )  # fmt: skip


def _learned(
    table: Table, goals: Sequence[Goal], conditions: Sequence[Condition], measured: Sequence[str]
) -> dict[str, Learned]:
    names = list(table.columns)
    learned = {}
    for goal in goals:
        if set(goal.formula(names).columns) & set(measured):
            learned[goal.text] = Learned(goal.text, measured_values(goal, table.frame, names))
    for condition in conditions:
        for name in condition.columns:
            if name in measured and name not in learned:
                learned[name] = Learned(name, table.frame[name].to_numpy(float))
    if not learned:
        raise UserError(
            "no goal is about a measured column",
            f"--{goals[0].aim} {goals[0].text}",
            "name the measured one: --outcome",
        )
    for what in learned.values():
        known = what.values[np.isfinite(what.values)]
        if len(known) < FEWEST:
            raise UserError(
                f"only {len(known)} rows have a value of '{what.name}'",
                table.source,
                f"a model needs at least {FEWEST} measured rows",
            )
        if np.ptp(known) <= 1e-12 * max(1.0, float(np.abs(known).max())):
            raise UserError(
                f"'{what.name}' is {known[0]:g} in every row: there is nothing to learn", table.source,
                "name another goal, or measure rows in which it differs",
            )  # fmt: skip
    return learned


def _settable(
    table: Table, measured: Sequence[str], read: set[str], learned: dict[str, Learned]
) -> tuple[list[str], list[Note]]:
    """Columns that an experiment sets, and why others are not among them."""
    known = np.any([np.isfinite(what.values) for what in learned.values()], axis=0)
    kept, notes = [], []
    for name, column in table.columns.items():
        values = table.frame[name]
        if name in measured:
            continue
        if name not in table.modelled:
            notes.append(Note(f"not used: it holds {column.kind}", name))
        elif (blank := float(values[known].isna().mean())) > MOST_MISSING and name not in read:
            notes.append(Note(f"not used: {blank:.0%} of its values are missing", name))
        elif (twin := _twin(values, column.numeric, learned)) and name not in read:
            notes.append(
                Note(f"not used: it is nearly the same thing as '{twin}', a measurement rather than a setting", name)
            )
        else:
            kept.append(name)
    if lost := sorted(read - set(kept)):
        raise UserError(f"column '{lost[0]}' is in a goal but cannot be set", table.source, _why(notes, set(lost)))
    if not any(table.frame[name][known].nunique() > 1 for name in kept):
        raise UserError(
            "no column is left that an experiment could set", table.source,
            "the table needs at least one column beside the goals whose values differ",
        )  # fmt: skip
    return kept, notes


def _twin(values: pd.Series, numeric: bool, learned: dict[str, Learned]) -> str:
    """The learned quantity that a column repeats, if any."""
    if not numeric:
        return ""
    mine = values.rank()
    for what in learned.values():
        both = values.notna().to_numpy() & np.isfinite(what.values)
        if both.sum() >= 20 and values[both].nunique() > 10:
            with np.errstate(all="ignore"):
                alike = abs(np.corrcoef(mine[both].rank(), pd.Series(what.values[both]).rank())[0, 1])
            if alike > SAME_THING:
                return what.name
    return ""


def _complete(table: Table) -> tuple[Table, list[Note]]:
    """Blanks filled by the middle or the most frequent value, and told."""
    frame, notes = table.frame.copy(), []
    for name, column in table.columns.items():
        blank = frame[name].isna()
        if blank.any():
            value = frame[name].median() if column.numeric else frame[name].mode().iloc[0]
            if column.kind == "count":
                value = round(value)
            frame[name] = frame[name].where(~blank, value)
            notes.append(Note(f"{int(blank.sum())} blanks are taken as {value}, its usual value", name))
    return table.with_frame(frame), notes


def _why(notes: Sequence[Note], names: set[str]) -> str:
    found = [note.what for note in notes if note.column in names]
    return found[0] if found else "use columns that an experiment sets"
