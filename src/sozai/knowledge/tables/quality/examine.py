"""Quality control of a table in three steps: single values, several columns together, whole samples.

The steps are those of Liu Yue et al., "Domain knowledge-assisted data quality detection", Journal of Materiomics 2025,
101066. The doubts about cells are those of ``detector``; what rules and codes say is added to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from sozai.knowledge.tables.quality.detector import THRESHOLD, Judged, judge
from sozai.knowledge.tables.quality.evidence import FEATURES
from sozai.knowledge.tables.quality.finding import Finding
from sozai.knowledge.tables.quality.numbers import Numbers
from sozai.knowledge.tables.quality.samples import alone, repeated, second_opinions
from sozai.knowledge.tables.quality.values import single_values, spellings
from sozai.knowledge.tables.rule import Finding as Broken
from sozai.knowledge.tables.rule import Rule
from sozai.knowledge.tables.ruleset import TableRules
from sozai.knowledge.tables.schema import NAMES, NUMBERS, TableLike

FEWEST_ROWS = 30
"""With fewer rows no column is predicted from the others."""
WORTH_A_LOOK = 0.25
RARE = 0.02
"""A regularity found in the data is held against the rows that break it where they are at most so many."""
PROPERTIES = (
    "strength", "conductiv", "hardness", "modulus", "energy", "gap", "fatigue", "toughness", "target", "yield", "loss",
    "resistiv", "efficiency", "lifetime", "viscosity",
)  # fmt: skip
OF_RULE = {"hard": 0.95, "soft": 0.6}


@dataclass
class Examination:
    """What was found.

    Args:
        findings: those to act on first: by step, then falling confidence.
        judged: of the cells; ``None`` where the table was too small to learn from.
        numbers: the columns of numbers as they were judged.
        target: the column taken as measured; empty where there is none.
        index: labels of the rows.
        notes: what could not be done, in sentences.
    """

    findings: list[Finding]
    judged: Judged | None
    numbers: Numbers
    target: str
    index: pd.Index
    notes: list[str] = field(default_factory=list)

    @property
    def told(self) -> list[Finding]:
        """Findings at or above the threshold."""
        return [finding for finding in self.findings if finding.confidence >= THRESHOLD]


def examine(
    table: TableLike,
    rules: TableRules | None = None,
    *,
    found_rules: Sequence[Rule] = (),
    target: str | None = None,
    context: np.ndarray | None = None,
    seed: int = 0,
    seconds: float = float("inf"),
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Examination:
    """Look for what is wrong in a table.

    Args:
        table: a ``Table``.
        rules: what must hold.
        found_rules: regularities found in the data, of which few rows are exceptions.
        target: the column that is measured; by default the last that is called like a property.
        context: (rows, any) numbers that help, such as a formula's composition.
        seed: of all choices.
        seconds: to spend, about.
        on_progress: called with (done, total, what).
    """
    frame = table.frame
    numeric = [
        name
        for name, column in table.columns.items()
        if column.kind in NUMBERS and not _numbering(frame[name]) and frame[name].nunique() > 1
    ]
    names = [name for name, column in table.columns.items() if column.kind in NAMES]
    notes = [
        f"'{name}' numbers the rows and is not judged"
        for name, column in table.columns.items()
        if column.kind in NUMBERS and name not in numeric and frame[name].nunique() > 1
    ]
    measured = target if target is not None else _measured(table, numeric)
    units = {name: table.columns[name].unit for name in numeric}
    found = single_values(frame[numeric], units)
    for name in names:
        found += spellings(frame[name])
    # Codes for missing values are no numbers: the models must not learn them.
    clean = frame.copy()
    for finding in found:
        if finding.kind == "missing code" and finding.sure:
            clean.at[finding.row, finding.columns[0]] = np.nan
    used = [name for name in names if frame[name].nunique() <= 50]
    numbers = Numbers(clean, numeric, used, context)
    judged: Judged | None = None
    if len(numeric) >= 2 and len(frame) >= FEWEST_ROWS:
        place = numeric.index(measured) if measured in numeric else None
        judged = judge(numbers, place, seed, seconds=seconds, on_progress=on_progress)
        if judged.rows < len(frame):
            notes.append(f"{judged.rows:,} of {len(frame):,} rows, chosen by chance, were judged in the time given")
        found += _of_cells(judged, numbers, frame.index, measured, units, seed)
    else:
        notes.append(
            f"fewer than {FEWEST_ROWS} rows or two columns of numbers: no column was predicted from the others"
        )
    found += _of_rules(rules or TableRules(), frame, given=True)
    found += _of_rules(TableRules(found_rules), frame, given=False)
    everything = [name for name in frame.columns if not _numbering(frame[name])]
    found += repeated(frame[everything]) + alone(numbers, frame.index, seed)
    order = {"value": 0, "descriptors": 1, "sample": 2}
    merged = _merged(found)
    merged.sort(key=lambda each: (order[each.step], -each.confidence, each.row))
    return Examination(merged, judged, numbers, measured if measured in numeric else "", frame.index, notes)


def _measured(table: TableLike, numeric: Sequence[str]) -> str:
    """The column that is likely measured: the last that is called like a property, else the last of many values."""
    many = [name for name in numeric if table.frame[name].nunique() >= 10]
    called = [name for name in many if any(word in name.casefold() for word in PROPERTIES)]
    return (called or many or list(numeric) or [""])[-1]


def _numbering(values: pd.Series) -> bool:
    """Whether a column only counts the rows: 0, 1, 2 ... or 1, 2, 3 ..."""
    if not pd.api.types.is_numeric_dtype(values) or len(values) < 5 or values.isna().any():
        return False
    return bool((np.diff(values.to_numpy(float)) == 1).all())


def _of_cells(
    judged: Judged, numbers: Numbers, index: pd.Index, target: str, units: Mapping[str, str], seed: int
) -> list[Finding]:
    """The detector's doubts in words, one finding for two exchanged cells."""
    cells, features = judged.measured.cells, judged.measured.features
    chance = judged.probability[cells[:, 0], cells[:, 1]] if len(cells) else np.zeros(0)
    place_of = {(int(row), int(column)): at for at, (row, column) in enumerate(cells)}
    doubtful = [int(at) for at in np.argsort(-chance, kind="stable") if chance[at] >= WORTH_A_LOOK]
    of_target = [at for at in doubtful if target and numbers.names[cells[at, 1]] == target]
    opinions = dict(
        zip(
            of_target,
            second_opinions(numbers, numbers.names.index(target), cells[of_target, 0], seed) if of_target else [],
            strict=True,
        )
    )
    done: set[int] = set()
    found = []
    for at in doubtful:
        if at in done:
            continue
        row = int(cells[at, 0])
        each = dict(zip(FEATURES, features[at], strict=True))
        partner = judged.measured.explanations[at].swap
        best = max(each["slip_row"], each["usual_row"] - 1.0)
        if partner >= 0 and each["swap_row"] > max(best, 4.0):
            done |= {at, place_of.get((row, partner), at)}
            found.append(_exchanged(judged, numbers, index, at, partner, float(chance[at]), each))
        else:
            unit = units.get(numbers.names[cells[at, 1]], "")
            found.append(_single(judged, numbers, index, at, float(chance[at]), each, target, unit, opinions.get(at)))
    return found


def _exchanged(
    judged: Judged, numbers: Numbers, index: pd.Index, at: int, partner: int, chance: float, each: Mapping[str, float]
) -> Finding:
    row, column = map(int, judged.measured.cells[at])
    names = numbers.names[column], numbers.names[partner]
    a, b = float(numbers.raw[row, column]), float(numbers.raw[row, partner])
    chance = max(chance, float(judged.probability[row, partner]))
    why = (
        f"{names[0]} is {a:.6g} and {names[1]} is {b:.6g}; exchanged, the row is an ordinary one "
        f"({_times(each['swap_row'])} more likely)"
    )
    sure = each["swap_row"] > max(each["slip_row"], each["usual_row"]) + 2 and each["swap_row"] > 8
    return Finding(
        int(index[row]), names, "descriptors", "exchanged columns", why, round(chance, 3), (a, b), (b, a), sure
    )


def _single(
    judged: Judged,
    numbers: Numbers,
    index: pd.Index,
    at: int,
    chance: float,
    each: Mapping[str, float],
    target: str,
    unit: str,
    opinion: np.ndarray | None,
) -> Finding:
    row, column = map(int, judged.measured.cells[at])
    name, value = numbers.names[column], float(numbers.raw[row, column])
    explanation = judged.measured.explanations[at]
    expected, spread = judged.measured.expected[row, column], judged.measured.spread[row, column]
    low, high = (
        float(v) for v in numbers.scales[column].back(np.array([expected - 2 * spread, expected + 2 * spread]))
    )
    others = np.delete(numbers.raw[:, column], row)
    alone = value < np.nanmin(others) or value > np.nanmax(others)
    range_ = f"all other values lie from {np.nanmin(others):.4g} to {np.nanmax(others):.4g}"
    like = f"rows like it have {low:.4g} to {high:.4g}"
    words = f"{name} is {value:.6g}; {range_ + ', and ' if alone else ''}{like}"
    if opinion is not None and np.isfinite(opinion).all():
        told = ", ".join(f"{value:.4g}" for value in np.sort(opinion))
        words += f"; three learners that have not seen the row expect {told}"
    common = int(index[row])
    if target == name and each["twin"] > 0.7 and each["slip_row"] < each["usual_row"] + 6:
        twins = _twins(numbers, row, column)
        theirs = ", ".join(f"{numbers.raw[twin, column]:.6g}" for twin in twins[:4])
        labels = tuple(int(index[twin]) for twin in twins)
        why = (
            f"{name} is {value:.6g}, but {theirs} in row {', '.join(map(str, labels[:4]))}, "
            f"which is equal in all else; {like}"
        )
        return Finding(common, (name,), "sample", "contradiction", why, round(chance, 3), (value,), others=labels)
    slip = explanation.slip
    if (
        slip is not None
        and slip.happens_in(unit)
        and _seen_size(slip.value, numbers.raw[:, column])
        and each["slip_own"] > 1
        and each["slip_row"] > max(2.0, each["usual_row"] - 6)
    ):
        places = [each["slip_row"], each["usual_row"], each["rival"]]
        sure = places[0] > 6 and places[0] > places[1] - 4.5 and places[0] > places[2] and slip.kind != "sign"
        # Over decades a factor of ten is no evidence of a slip.
        sure = sure and not (numbers.scales[column].logarithm and slip.kind == "unit slip")
        why = f"{words}; {slip.value:.6g} fits, so it may have been written {slip.words}"
        return Finding(
            common,
            (name,),
            "value" if alone or each["gap"] > 1 else "descriptors",
            slip.kind,
            why,
            round(chance, 3),
            (value,),
            (slip.value,),
            bool(sure and _unique(each)),
        )
    step, kind = ("value", "outlier") if alone and each["deviation"] ** 2 > 16 else ("descriptors", "unlike its row")
    if target == name and step == "descriptors":
        step, kind = "sample", "unlike its neighbours"
    return Finding(common, (name,), step, kind, words, round(chance, 3), (value,))  # type: ignore[arg-type]


def _unique(each: Mapping[str, float]) -> bool:
    """Whether the slip alone, not just any usual value, makes the row what it should be."""
    return each["slip_own"] > 4


def _seen_size(value: float, column: np.ndarray) -> bool:
    """Whether a value is not far smaller than all others but zeros: beside many zeros almost nothing would fit."""
    sizes = np.abs(column[np.isfinite(column) & (column != 0)])
    return bool(sizes.size and abs(value) >= 0.5 * sizes.min())


def _twins(numbers: Numbers, row: int, column: int) -> list[int]:
    both = np.column_stack([np.delete(numbers.raw, column, axis=1), numbers.codes])
    same = ((both == both[row]) | (np.isnan(both) & np.isnan(both[row]))).all(1)
    same[row] = False
    same &= np.isfinite(numbers.raw[:, column])
    return np.flatnonzero(same).tolist()


def _times(logarithm: float) -> str:
    return f"{np.exp(min(logarithm, 13.8)):,.0f} times" if logarithm < 13.8 else "over a million times"


def _of_rules(rules: TableRules, frame: pd.DataFrame, given: bool) -> list[Finding]:
    """Rows that break rules."""
    found: list[Finding] = []
    for rule in rules.rules:
        broken: list[Broken] = rule.findings(frame)
        if not given and len(broken) > max(1, RARE * len(frame)):
            continue
        confidence = OF_RULE[rule.severity] if given else 0.6 if rule.kind in ("sum", "derived") else 0.4
        repaired = frame.iloc[:0]
        if given and rule.severity == "hard" and broken and rule.level == "row":
            labels = [each.rows[0] for each in broken]
            repaired = TableRules([rule]).repair(frame.loc[labels])[0]
        for each in broken:
            row = int(each.rows[0]) if each.rows else int(frame.index[0])  # type: ignore[call-overload]
            step = "sample" if rule.level == "table" else "descriptors" if len(each.columns) > 1 else "value"
            values = tuple(_plain(frame.at[row, name]) for name in each.columns)
            proposed = None
            if row in repaired.index:
                new = tuple(_plain(repaired.at[row, name]) for name in each.columns)
                proposed = new if new != values else None
            found.append(
                Finding(row, each.columns, step, "breaks a rule" if given else "breaks a regularity",  # type: ignore[arg-type]
                        each.message, confidence, values, proposed, rule=rule.words(),
                        others=tuple(int(label) for label in each.rows[1:]))  # type: ignore[call-overload]
            )  # fmt: skip
    return found


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _merged(found: Sequence[Finding]) -> list[Finding]:
    """One finding for each cell and reason; what two ways say of one cell makes it more certain."""
    by_cell: dict[tuple[int, tuple[str, ...]], list[Finding]] = {}
    kept: list[Finding] = []
    for finding in found:
        if finding.rule or finding.kind in ("duplicate", "isolated"):
            kept.append(finding)
        else:
            by_cell.setdefault((finding.row, finding.columns), []).append(finding)
    for each in by_cell.values():
        first = max(each, key=lambda one: (one.sure, one.confidence))
        if len(each) > 1:
            wrong = float(np.prod([1 - one.confidence for one in each]))
            first = replace(first, confidence=round(max(1 - wrong, first.confidence), 3))
        kept.append(first)
    return kept
