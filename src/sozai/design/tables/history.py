"""What a run proposed, what came of it, and how good its predictions were."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sozai.design.tables.goals import Goal
from sozai.design.tables.problem import Problem
from sozai.errors import UserError
from sozai.files import write_json

FILE_NAME = "history.json"
PROPOSED = "proposed.csv"
SAME = 2e-3
"""Share of a column's range by which a measured row may differ from the proposal that it carries out."""


@dataclass
class Proposal:
    """One experiment that was proposed.

    Args:
        id: such as ``"R2-05"``: the fifth of round 2.
        inputs: what to set, by column of the problem's inputs.
        predicted: by learned quantity, its ``mean``, ``low`` and ``high``.
        measured: outcomes by column, once there are any.
    """

    id: str
    inputs: dict[str, Any]
    predicted: dict[str, dict[str, float]]
    measured: dict[str, float] = field(default_factory=dict)


@dataclass
class Round:
    """The proposals that were made together.

    Args:
        number: from 1.
        rows: measured rows that the models had learned from.
        best: by goal, the best measured value at that time.
        proposals: the experiments.
    """

    number: int
    rows: int
    best: dict[str, float | None]
    proposals: list[Proposal]


class History:
    """The rounds of a run, and rows that were measured besides.

    Args:
        rounds: in order.
        extra: rows that were added by ``--measured`` and carry out no proposal, by column of the table.
    """

    def __init__(self, rounds: Sequence[Round] = (), extra: Sequence[Mapping[str, Any]] = ()):
        self.rounds, self.extra = list(rounds), [dict(row) for row in extra]

    @classmethod
    def load(cls, folder: Path) -> History:
        """Read what ``save`` wrote; an empty one where there is none.

        Raises:
            UserError: the file is damaged.
        """
        path = folder / FILE_NAME
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rounds = [
                Round(**{**entry, "proposals": [Proposal(**each) for each in entry["proposals"]]})
                for entry in content["rounds"]
            ]
            return cls(rounds, content["extra"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                "the history of this run cannot be read", str(path), "begin a new run with --out"
            ) from error

    def save(self, folder: Path) -> None:
        """Write ``history.json``."""
        write_json(
            folder / FILE_NAME,
            {"rounds": [asdict(each) for each in self.rounds], "extra": self.extra, "so_far": self.so_far()},
        )

    @property
    def proposals(self) -> list[Proposal]:
        """Of all rounds."""
        return [each for one in self.rounds for each in one.proposals]

    def named(self, name: str) -> Proposal | None:
        """The proposal of that id."""
        return next((each for each in self.proposals if each.id == name), None)

    def read_sheets(self, folder: Path, outcomes: Sequence[str]) -> int:
        """Take results from the lab sheets that the person has filled in; how many are new.

        Raises:
            UserError: a cell is no number, or a sheet cannot be read.
        """
        found = 0
        for path in sorted(folder.glob("proposed*.csv")):
            try:
                sheet = pd.read_csv(path, dtype=str, encoding="utf-8-sig", sep=None, engine="python")
            except (OSError, ValueError, pd.errors.ParserError) as error:
                raise UserError(f"the sheet cannot be read ({error})", str(path)) from error
            found += self.take(sheet, outcomes, str(path))
        return found

    def take(self, sheet: pd.DataFrame, outcomes: Sequence[str], where: str) -> int:
        """Take results by id from a sheet with a column ``id``; how many are new.

        Raises:
            UserError: a cell is no number, or an id is not known.
        """
        if "id" not in sheet.columns:
            raise UserError("the sheet has no column 'id'", where, f"keep the columns of {PROPOSED}")
        found = 0
        for row in sheet.to_dict("records"):
            proposal = self.named(str(row["id"]).strip())
            cells = {name: _number(row.get(name), f"{where}, {row['id']}, column '{name}'") for name in outcomes}
            values = {name: value for name, value in cells.items() if value is not None}
            if proposal is None and values:
                raise UserError(f"there is no proposal '{row['id']}'", where, "use the ids of this run's sheets")
            if proposal is not None and values:
                found += not proposal.measured
                proposal.measured |= values
        return found

    def find_in(self, problem: Problem) -> set[str]:
        """Take results of proposals that stand as rows in the table itself; ids of all that do."""
        there = set()
        inputs = problem.inputs.frame
        values = problem.source.frame.loc[inputs.index, list(problem.outcomes)]
        known = values.notna().any(axis=1).to_numpy()
        for proposal in self.proposals:
            if not set(proposal.inputs) <= set(inputs.columns):
                continue
            same = known.copy()
            for name, value in proposal.inputs.items():
                column = inputs[name]
                if problem.inputs.columns[name].numeric:
                    span = float(np.ptp(column.to_numpy(float))) or abs(float(value)) or 1.0
                    same &= np.abs(column.to_numpy(float) - float(value)) <= SAME * span
                else:
                    same &= (column == value).to_numpy()
            if same.any():
                there.add(proposal.id)
                if not proposal.measured:
                    row = values[same].mean()
                    proposal.measured = {
                        name: float(row[name]) for name in problem.outcomes if not math.isnan(row[name])
                    }
        return there

    def judged(self, goals: Sequence[Goal], columns: Sequence[str]) -> list[dict[str, Any]]:
        """Predicted beside measured, one entry a proposal and learned goal that has a result."""
        made = []
        for one in self.rounds:
            for proposal in one.proposals:
                if not proposal.measured:
                    continue
                row = pd.DataFrame([{**dict.fromkeys(columns, math.nan), **proposal.inputs, **proposal.measured}])
                for goal in goals:
                    if goal.text in proposal.predicted:
                        value = float(goal.formula(columns).value(row)[0])
                        guess = proposal.predicted[goal.text]
                        hit = bool(guess["low"] <= value <= guess["high"]) if math.isfinite(value) else None
                        made.append({"round": one.number, "id": proposal.id, "goal": goal.text, **guess,
                                     "measured": value, "inside": hit})  # fmt: skip
        return [entry for entry in made if entry["inside"] is not None]

    def so_far(self) -> dict[str, Any]:
        """Rounds, proposals and results in numbers."""
        results = sum(bool(each.measured) for each in self.proposals)
        return {
            "rounds": len(self.rounds),
            "proposed": len(self.proposals),
            "measured": results,
            "extra": len(self.extra),
        }


def _number(cell: Any, where: str) -> float | None:
    text = "" if cell is None or cell != cell else str(cell).strip()
    if not text:
        return None
    try:
        value = float(text.replace(",", ".") if text.count(",") == 1 and "." not in text else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"'{text}' is no number", where, "write the measured value, or leave the cell empty")
    return value
