"""Relations between columns of numbers: sums, differences, ratios, products and orders.

Linear relations are the null space of the columns (singular values that vanish within the columns' own rounding) in
reduced row-echelon form, of which only those with few and simple coefficients are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from sozai.knowledge.tables.conditions import Condition
from sozai.knowledge.tables.expression import ticked
from sozai.knowledge.tables.rule import Rule, shown
from sozai.knowledge.tables.sums import Derived, Sum

Found = tuple[Rule, int, str]
"""A rule, its support, and the evidence."""
FEWEST_ROWS = 20
FEWEST_BREAKS = 10


def sums(frame: pd.DataFrame, numbers: Sequence[str], source: str) -> Iterator[Found]:
    """Columns that sum to 1 or 100, and columns that are the sum or difference of others."""
    grouped = []
    for parts, total, tolerance, support in _wholes(frame, numbers):
        grouped.append(set(parts))
        rule = Sum(parts, total, tolerance, source=source)
        yield rule, support, f"{' + '.join(parts)} is {shown(total)} within {shown(tolerance)} in all {support} rows"
    whole = [name for name in numbers if frame[name].notna().mean() > 0.9]
    values = frame[whole].dropna()
    values = values[[name for name in whole if values[name].nunique() > 1]]
    if len(values) < max(FEWEST_ROWS, 2 * values.shape[1]) or values.shape[1] < 2:
        return
    for coefficients in _null_space(values):
        names = list(coefficients)
        constant = float((values[names].to_numpy() @ np.array(list(coefficients.values()))).mean())
        if any(one.issuperset(names) for one in grouped):
            continue
        *_, last = names  # a total mostly stands after its parts
        alone = [
            name for name in names if sum(np.sign(coefficients[n]) == np.sign(coefficients[name]) for n in names) == 1
        ]
        target = alone[-1] if alone else last
        by = coefficients[target]
        terms = " + ".join(_term(-coefficients[name] / by, name) for name in names if name != target)
        terms += f" + {shown(constant / by)}" if abs(constant) > 1e-6 * float(values[target].abs().mean()) else ""
        columns = list(frame.columns.map(str))
        rule_derived = Derived(f"{ticked(target)} = {terms}", columns, _rounding(frame, names, target), source=source)
        known = frame[names].dropna()
        if not (rule_derived.amounts(known) > 0).any():
            yield rule_derived, len(known), f"{rule_derived.words()} in all {len(known)} rows"


def ratios(frame: pd.DataFrame, numbers: Sequence[str], source: str) -> Iterator[Found]:
    """Columns that are a multiple, ratio or product of others."""
    positive = [name for name in numbers if (frame[name].dropna() >= 0).all() and frame[name].nunique() >= 5]
    if not positive:
        return
    with np.errstate(all="ignore"):
        logs = np.log(frame[positive].to_numpy(float))
    logs[~np.isfinite(logs)] = np.nan
    columns = list(frame.columns.map(str))
    # A factor that varies by this much could be the rounding of printed digits.
    coarse = np.array([_share(frame[name]) for name in positive])
    done: list[set[int]] = []
    for c in range(len(positive)):
        for a in range(c):
            off = logs[:, c] - logs[:, a]
            if _constant(off, coarse[c] + coarse[a]) and _varied(logs[:, a]):
                done.append({a, c})
                yield from _product(frame, positive, c, [(a, "")], off, columns, source)
    for c in range(len(positive) - 1, -1, -1):
        for a in range(len(positive)):
            for b in range(len(positive)):
                if len({a, b, c}) < 3 or any(one <= {a, b, c} for one in done):
                    continue
                slack = coarse[a] + coarse[b] + coarse[c]
                forms = [(logs[:, c] - logs[:, a] + logs[:, b], "/")]
                if a < b:
                    forms.append((logs[:, c] - logs[:, a] - logs[:, b], "*"))
                for off, sign in forms:
                    if _constant(off, slack) and _varied(logs[:, a]) and _varied(logs[:, b]):
                        done.append({a, b, c})
                        yield from _product(frame, positive, c, [(a, ""), (b, sign)], off, columns, source)
                        break


def orders(frame: pd.DataFrame, numbers: Sequence[str], units: Mapping[str, str], source: str) -> Iterator[Found]:
    """One column never above another, although their ranges overlap."""
    random = np.random.default_rng(0)
    for one in numbers:
        for two in numbers:
            if one == two or units.get(one, "") != units.get(two, ""):
                continue
            known = frame[[one, two]].dropna().to_numpy()
            if len(known) < FEWEST_ROWS or (known[:, 0] > known[:, 1]).any() or (known[:, 0] == known[:, 1]).all():
                continue
            shuffled = random.permutation(known[:, 1])
            support = int((known[:, 0] > shuffled).sum())
            # Zeros beside large numbers make an order likely: it must be close in some rows that are not zero.
            near = (known[:, 0] > 0.5 * known[:, 1]) & (known[:, 1] != 0)
            different = len(np.unique(known[near], axis=0))
            if support >= max(2 * FEWEST_BREAKS, 0.02 * len(known)) and different >= 2 * FEWEST_BREAKS:
                rule = Condition(f"{ticked(one)} <= {ticked(two)}", [one, two], source=source)
                sentence = (
                    f"{one} is never above {two} in {len(known)} rows; if they had nothing to do with each other, it "
                    f"would be in about {support}"
                )
                yield rule, support, sentence


def _wholes(frame: pd.DataFrame, numbers: Sequence[str]) -> Iterator[tuple[list[str], float, float, int]]:
    """Runs of neighbouring columns that sum to 1 or 100."""
    values = frame[list(numbers)].to_numpy(float)
    summed = np.concatenate([np.zeros((len(values), 1)), np.cumsum(np.nan_to_num(values), axis=1)], axis=1)
    gone = np.concatenate([np.zeros((len(values), 1)), np.cumsum(~(values >= 0), axis=1)], axis=1)
    taken: list[range] = []
    for size in range(len(numbers), 1, -1):
        for start in range(len(numbers) - size + 1):
            run = range(start, start + size)
            if any(set(run) & set(other) for other in taken):
                continue
            known = gone[:, start + size] == gone[:, start]
            if known.sum() < max(FEWEST_ROWS, 0.5 * len(values)):
                continue
            total = (summed[:, start + size] - summed[:, start])[known]
            whole = 100.0 if total.mean() > 10 else 1.0
            miss = float(np.abs(total - whole).max())
            parts = values[known][:, list(run)]
            # That they sum to the whole must not follow from one part being nearly all, or from parts that are zero.
            moving = int((parts.std(axis=0) > 2 * total.std() + 1e-12).sum())
            if miss <= 0.02 * whole and moving >= 2 and ((parts > 0).mean(axis=0) > 0).all():
                taken.append(run)
                yield [numbers[place] for place in run], whole, float(f"{miss * 1.001:.2g}"), int(known.sum())


def _null_space(values: pd.DataFrame) -> list[dict[str, float]]:
    """Linear relations with at most 6 columns and simple coefficients that hold in all rows."""
    matrix = values.to_numpy(float)
    matrix = matrix - matrix.mean(axis=0)
    spread = matrix.std(axis=0)
    _, singular, axes = np.linalg.svd(matrix / spread, full_matrices=False)
    flat = axes[singular < 2e-3 * singular[0]] / spread  # relations in the columns' own units
    made: list[dict[str, float]] = []
    if not len(flat):
        return made
    reduced = _echelon(flat / np.abs(flat).max(axis=1, keepdims=True), spread)
    for row in reduced:
        size = np.abs(row) * spread
        used = np.flatnonzero(size > 1e-3 * size.max())
        if not 2 <= len(used) <= 6:
            continue
        simple = row[used] / np.abs(row[used]).min()
        near = np.rint(simple * 2) / 2
        if np.abs(simple - near).max() < 0.01 * np.abs(near).max() and np.abs(near).max() <= 10:
            made.append({str(values.columns[place]): float(by) for place, by in zip(used, near, strict=True)})
    return made


def _echelon(rows: np.ndarray, weight: np.ndarray) -> np.ndarray:
    rows = rows.copy()
    free = list(range(rows.shape[1]))
    for place in range(len(rows)):
        sizes = np.abs(rows[place:][:, free]) * weight[free]
        best, column = np.unravel_index(sizes.argmax(), sizes.shape)
        rows[[place, place + int(best)]] = rows[[place + int(best), place]]
        pivot = free.pop(int(column))
        rows[place] /= rows[place, pivot]
        for other in range(len(rows)):
            if other != place:
                rows[other] -= rows[other, pivot] * rows[place]
    return rows


def _product(
    frame: pd.DataFrame,
    names: Sequence[str],
    target: int,
    parts: Sequence[tuple[int, str]],
    off: np.ndarray,
    columns: list[str],
    source: str,
) -> Iterator[Found]:
    factor = float(np.exp(np.nanmedian(off)))
    near = float(f"{factor:.3g}")
    factor = near if abs(near / factor - 1) < 1e-3 else factor
    text = f"{ticked(names[target])} = " + ("" if factor == 1 else f"{factor:.6g} * ")
    text += " ".join(f"{sign} {ticked(names[place])}".strip() for place, sign in parts)
    involved = [names[target], *(names[place] for place, _ in parts)]
    rule = Derived(text, columns, max(1e-5, _rounding(frame, involved, names[target])), source=source)
    known = frame[involved].dropna()
    known = known[(known != 0).all(axis=1)]
    wrong = int((rule.amounts(frame.dropna(subset=involved)) > 0).sum())
    if wrong == 0:
        yield rule, len(known), f"{rule.words()} in all {len(known)} rows, within the rounding of the numbers"


def _share(column: pd.Series) -> float:
    """How far, as a share, a value may be off because it was rounded: from the digits after the point."""
    values = column.dropna().to_numpy(float)
    values = values[values != 0]
    return float(np.max(_half_digit(column) / np.abs(values))) if len(values) else 0.0


def _half_digit(column: pd.Series) -> float:
    values = column.dropna().to_numpy(float)
    for digits in range(0, 9):
        if np.allclose(values, np.round(values, digits), rtol=0, atol=1e-9 * max(1.0, float(np.abs(values).max()))):
            return 0.5 * 10.0**-digits
    return 1e-9 * float(np.abs(values).max())


def _rounding(frame: pd.DataFrame, names: Sequence[str], target: str) -> float:
    """Share by which the target may miss its formula because the columns are rounded."""
    size = frame[target].abs()
    least = float(size[size > 0].quantile(0.01)) if (size > 0).any() else 1.0
    linear = sum(_half_digit(frame[name]) for name in names) / least
    return float(f"{min(max(linear, 2 * max(_share(frame[name]) for name in names)), 0.05):.1g}")


def _constant(off: np.ndarray, slack: float) -> bool:
    known = off[~np.isnan(off)]
    return len(known) >= FEWEST_ROWS and float(np.ptp(known)) <= 2 * min(slack, 0.02) + 1e-6


def _varied(logs: np.ndarray) -> bool:
    known = logs[~np.isnan(logs)]
    return len(np.unique(known)) >= 5 and float(known.std()) > 0.02


def _term(by: float, name: str) -> str:
    return f"{ticked(name)}" if by == 1 else f"{by:g} * {ticked(name)}"
