"""What a study of one target takes from a table, and what it leaves out and why.

Nothing is left out without a note: rows without the target, columns that name the row, that repeat the target, that
are mostly blank.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.evaluation.tables.splits import groups
from sozai.materials.tables.table import Table

FEWEST_ROWS = 20
MOST_ROWS = 2000
"""Rows that a study looks at; of more, families drawn by chance. Synthetic rows are a question of small tables."""
DECADES = 3
"""A target of positive numbers over at least so many powers of ten is studied as its logarithm."""
MOST_BLANK = 0.5
SAME = 0.98
"""Rank correlation with the target from which a column is the target by another name."""
_WORDS = "they are text or dates"
_EXTREME = re.compile(r"\b(min|max|range) ")
_NAMES_ROW = re.compile(
    r"(^|[^a-z])(id|ids|identifier|uuid|doi|reference|ref|citation|year|title|author|authors|url|index|"
    r"no\.?|nr\.?|sample no|unnamed)([^a-z]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Prepared:
    """The rows and columns of one study.

    Args:
        table: feature columns and the target, known in every row; formula columns too, which tell families.
        target: its name.
        log: whether the target's column holds its base-10 logarithm.
        family: of each row (see ``splits.groups``), (rows,).
        side: -1 where the target is known to be below its number, 1 above, 0 exact, (rows,).
        notes: what was left out or changed, and why.
    """

    table: Table
    target: str
    log: bool
    family: np.ndarray
    side: np.ndarray
    notes: tuple[str, ...]

    @property
    def values(self) -> np.ndarray:
        """Of the target, as studied, (rows,)."""
        return self.table.frame[self.target].to_numpy(float)

    def written(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows with the target as it stands in the person's file."""
        return frame.assign(**{self.target: 10.0 ** frame[self.target]}) if self.log else frame

    def misses(self, guess: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Errors of predictions for the rows at these places, (places,); a guess that fulfils an inequality has
        none."""
        error, side = guess - self.values[places], self.side[places]
        error = np.where(side < 0, np.maximum(error, 0.0), error)
        return np.where(side > 0, np.minimum(error, 0.0), error)


def prepare(
    table: Table,
    target: str,
    *,
    drop: Sequence[str] = (),
    features: Sequence[str] = (),
    seed: int = 0,
) -> Prepared:
    """Choose rows and columns for predicting a target.

    Args:
        table: as read; a formula column gets descriptors here.
        target: a column of numbers.
        drop: columns to leave out.
        features: the only columns to use; by default all that do not name the row or repeat the target.
        seed: of the draw of rows where there are very many.

    Raises:
        UserError: no such column; the target is no number or constant; too few rows; no feature is left.
    """
    column = table.column(target)
    target = column.name
    drop, features = [table.column(name).name for name in drop], [table.column(name).name for name in features]
    if target in features:
        raise UserError("the target cannot be a feature too", f"column '{target}'", "leave it out of the features")
    if not column.numeric:
        raise UserError(
            f"the target must be a column of numbers, and this one is read as {column.kind}", f"column '{target}'",
            f"name another, or say --kinds '{target}=continuous'",
        )  # fmt: skip
    notes: list[str] = []
    known = np.isfinite(table.frame[target].to_numpy(float))
    if not known.all():
        notes.append(f"{int((~known).sum())} of {len(table)} rows have no '{target}' and are left out.")
    table = table.rows(known)
    if len(table) < FEWEST_ROWS:
        raise UserError(
            f"{len(table)} rows with a '{target}' are too few for a study", table.source, f"give {FEWEST_ROWS} or more"
        )
    if table.frame[target].nunique() < 2:
        raise UserError("the target is the same in all rows: there is nothing to learn", f"column '{target}'")
    table = _thinned(table, target, seed, notes)
    table = _described(table, target, {*drop}, set(features), notes)
    names = _features(table, target, set(drop), set(features), notes)
    if not [name for name in names if name in table.modelled]:
        raise UserError(
            "no column is left to predict the target from", table.source,
            "name columns with --feature, or give more of them",
        )  # fmt: skip
    table = table.select([*names, target])
    log, table = _logarithm(table, target, notes)
    side = table.limits[target].to_numpy(int) if target in table.limits else np.zeros(len(table), int)
    if side.any():
        notes.append(
            f"{int((side != 0).sum())} values of '{target}' are inequalities (such as '<1e-10'): learners see the "
            "number of the inequality, and a prediction that fulfils it counts as right."
        )
    return Prepared(table, target, log, groups(table, target), side, tuple(notes))


def _thinned(table: Table, target: str, seed: int, notes: list[str]) -> Table:
    if len(table) <= MOST_ROWS:
        return table
    rng = np.random.default_rng(seed)
    if len(table) > 20 * MOST_ROWS:  # finding families in very many rows takes long and rarely matters
        table = table.rows(np.sort(rng.choice(len(table), 20 * MOST_ROWS, replace=False)))
    family = groups(table, target)
    order = rng.permutation(family.max() + 1)
    sizes = np.bincount(family)[order]
    chosen = order[: max(2, int(np.searchsorted(np.cumsum(sizes), MOST_ROWS, side="right")))]
    thin = table.rows(np.isin(family, chosen))
    notes.append(f"The study looks at {len(thin)} rows, drawn by chance (whole families); the table has more.")
    return thin


def _described(table: Table, target: str, drop: set[str], features: set[str], notes: list[str]) -> Table:
    """With numbers for the first formula column."""
    formulas = [n for n, c in table.columns.items() if c.kind == "formula" and n != target and n not in drop]
    wanted = [name for name in formulas if not features or name in features]
    if not wanted:
        return table
    from sozai.materials.tables.descriptors import with_descriptors

    described = with_descriptors(table, wanted[0], fractions=False)
    new = [name for name in described.columns if name not in table.columns]
    # Least, greatest and range repeat much of these two, and few rows cannot fill so many dimensions.
    made = [name for name in new if name in features or not _EXTREME.search(name)]
    described = described.select([*table.columns, *made])
    features |= set(made) if features else set()
    notes.append(
        f"'{wanted[0]}' is described by {len(made)} numbers (means and deviations of element properties). "
        "Synthetic rows are points among such numbers, not alloys or compounds with a formula."
    )
    return described


def _features(table: Table, target: str, drop: set[str], features: set[str], notes: list[str]) -> list[str]:
    """Columns to keep: features, and formulas, which tell families."""
    kept: list[str] = []
    left: dict[str, list[str]] = {}
    values = table.frame[target]
    for name, column in table.columns.items():
        if name == target or name in drop:
            continue
        if column.kind != "formula" and name not in table.modelled:
            left.setdefault(_WORDS, []).append(name)
            continue
        if column.kind == "formula":
            kept.append(name)
            continue
        if features:
            if name in features:
                kept.append(name)
            continue
        cells = table.frame[name]
        if _NAMES_ROW.search(name):
            left.setdefault("they name or cite the row", []).append(name)
        elif cells.isna().mean() > MOST_BLANK:
            left.setdefault("they are blank in more than half of the rows", []).append(name)
        elif cells.nunique() < 2:
            left.setdefault("they are constant", []).append(name)
        elif column.numeric and _repeats(cells, values):
            left.setdefault(f"they are '{target}' by another name", []).append(name)
        elif column.numeric and _counts_rows(cells):
            left.setdefault("they only count the rows", []).append(name)
        else:
            kept.append(name)
    for why, names in left.items():
        quoted = ", ".join(f"'{name}'" for name in names)
        back = "" if why == _WORDS else " (--feature brings a column back)"
        notes.append(f"Not used because {why}: {quoted}{back}.")
    return kept


def _repeats(cells: pd.Series, values: pd.Series) -> bool:
    both = cells.notna() & values.notna()
    if both.sum() < 10 or cells[both].nunique() < 5:
        return False
    return bool(abs(cells[both].rank().corr(values[both].rank())) > SAME)


def _counts_rows(cells: pd.Series) -> bool:
    steps = cells.diff().dropna()
    return len(cells) > 10 and bool((steps == 1).mean() > 0.95)


def _logarithm(table: Table, target: str, notes: list[str]) -> tuple[bool, Table]:
    values = table.frame[target].to_numpy(float)
    if values.min() <= 0 or np.log10(values.max() / values.min()) < DECADES:
        return False, table
    notes.append(f"'{target}' spans {np.log10(values.max() / values.min()):.0f} powers of ten: its logarithm is used.")
    frame = table.frame.assign(**{target: np.log10(values)})
    columns = {**table.columns, target: replace(table.columns[target], kind="continuous")}
    return True, replace(table, frame=frame, columns=columns)
