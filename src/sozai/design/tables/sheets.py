"""The files of a run that a person opens: candidates, the lab sheet of proposals, and the results they hand back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sozai.design.tables.domain import nearest
from sozai.design.tables.goals import Goal
from sozai.design.tables.history import PROPOSED, History
from sozai.design.tables.problem import Problem
from sozai.design.tables.search import Judge
from sozai.errors import UserError
from sozai.files import atomic
from sozai.materials.tables.read import read_table
from sozai.materials.tables.table import Table

MOST_PLOTTED = 600


def records(judge: Judge, frame: pd.DataFrame, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Plain dictionaries of rows: ``id``, ``inputs`` (as the person's table has them), ``goals`` (mean, low, high),
    ``inside`` (the applicability domain), ``distance`` (1 is its edge), ``nearest`` (row number and values of the
    measured row that is most like it)."""
    if not len(frame):
        return []
    problem = judge.problem
    points = problem.encoding(frame)
    values, shown = judge.goals(frame), problem.shown(frame)
    distance = judge.domain.distance(points)
    known = np.flatnonzero(np.any([np.isfinite(w.values) for w in problem.learned.values()], axis=0))
    near = known[nearest(points, problem.encoding(problem.inputs.frame.iloc[known]))]
    measured = problem.inputs.frame.iloc[near]
    measured_shown = problem.shown(measured)
    made = []
    for place, name in enumerate(ids):
        goals = {
            key: dict(zip(("mean", "low", "high"), (float(each[place]) for each in three), strict=True))
            for key, three in values.items()
        }
        beside = {key: _known(what.values[near[place]]) for key, what in problem.learned.items()}
        made.append(
            {
                "id": name,
                "inputs": {key: _cell(value) for key, value in shown.iloc[place].items()},
                "goals": goals,
                "inside": bool(distance[place] <= 1),
                "distance": float(distance[place]),
                "nearest": {
                    "row": int(measured.index[place]),
                    "inputs": {key: _cell(value) for key, value in measured_shown.iloc[place].items()},
                    "measured": beside,
                },
            }
        )
    return made


def write_candidates(path: Path, judge: Judge, frame: pd.DataFrame, made: Sequence[Mapping[str, Any]]) -> None:
    """Write one row a candidate: id, inputs, predicted goals with their interval, domain, nearest measured row."""
    _write(path, pd.DataFrame([_flat(each, judge) for each in made]))


def write_proposals(
    folder: Path, number: int, judge: Judge, frame: pd.DataFrame, made: Sequence[Mapping[str, Any]]
) -> None:
    """Write the lab sheet: id, inputs, empty columns for the outcomes, and what is predicted.

    The sheet of the round before is kept under its number.
    """
    sheet = folder / PROPOSED
    if sheet.exists() and number > 1:
        sheet.replace(folder / f"proposed_{number - 1}.csv")
    rows = []
    for each in made:
        flat = _flat(each, judge)
        outcomes = dict.fromkeys(judge.problem.outcomes, "")
        rows.append(
            {
                "id": each["id"],
                **each["inputs"],
                **outcomes,
                **{k: v for k, v in flat.items() if k not in each["inputs"]},
            }
        )
    _write(sheet, pd.DataFrame(rows))


def take_measured(
    history: History, problem: Problem, table: Table, path: Path | str, settings: Mapping[str, Any]
) -> None:
    """Take results from a file: by the ids of proposals, or rows with the table's columns.

    Raises:
        UserError: it cannot be read, lacks columns, or holds no result.
    """
    raw = read_table(path)
    if "id" in raw.columns:
        sheet = pd.DataFrame({name: raw.frame[name] for name in raw.columns}).astype(object)
        if not history.take(sheet, problem.outcomes, str(path)):
            raise UserError(
                "no new result is in it", str(path), f"fill in the column {problem.outcomes[0]} beside the ids"
            )
        return
    kinds = {name: column.kind for name, column in table.columns.items() if name in raw.columns}
    needed = [name for name in table.columns if name in _needed(problem)]
    if lost := [name for name in needed if name not in raw.columns]:
        raise UserError(
            f"column '{lost[0]}' is missing", str(path), "give the table's columns, or the ids of the sheet"
        )
    rows = read_table(path, kinds=kinds, units={k: v for k, v in settings["units"].items() if k in raw.columns})
    names = [name for name in rows.columns if name in table.columns]
    known = rows.frame[[name for name in problem.outcomes if name in rows.columns]].notna().any(axis=1)
    if not known.any():
        raise UserError(f"no row has a value of {', '.join(problem.outcomes)}", str(path), "add what was measured")
    seen = [dict(each) for each in history.extra]
    for row in rows.frame.loc[known, names].to_dict("records"):
        plain = {name: _cell(value) for name, value in row.items()}
        if plain not in seen:  # the same file named twice adds nothing
            history.extra.append(plain)


def plot_data(judge: Judge, pool: pd.DataFrame, goals: Sequence[Goal]) -> dict[str, Any]:
    """What the report draws: goals of measured rows and of the looked-at candidates."""
    rng = np.random.default_rng(0)
    some = pool.iloc[np.sort(rng.permutation(len(pool))[:MOST_PLOTTED])]
    values = judge.goals(some)
    problem = judge.problem
    return {
        "measured": {goal.text: problem.values(goal) for goal in goals},
        "pool": {goal.text: values[goal.text][0] for goal in goals},
        "pool_distance": judge.domain.distance(problem.encoding(some)),
        "weights": {name: model.weight for name, model in judge.models.items()},
    }


def _needed(problem: Problem) -> set[str]:
    """Columns of the person's table that a result must have."""
    return set(problem.shown(problem.inputs.frame.iloc[:1]).columns) | set(problem.outcomes)


def _flat(record: Mapping[str, Any], judge: Judge) -> dict[str, Any]:
    made: dict[str, Any] = {"id": record["id"], **record["inputs"]}
    for name, value in record["goals"].items():
        if name in judge.models:
            made |= {f"predicted {name}": value["mean"], f"low {name}": value["low"], f"high {name}": value["high"]}
        elif name not in made:
            made[name] = value["mean"]
    made |= {"inside domain": record["inside"], "distance": record["distance"], "nearest row": record["nearest"]["row"]}
    return made


def _write(path: Path, frame: pd.DataFrame) -> None:
    with atomic(path) as stream:
        frame.to_csv(stream, index=False, float_format="%.6g")


def _cell(value: Any) -> Any:
    if value is None or value != value:
        return None
    return float(value) if isinstance(value, int | float | np.number) else str(value)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
