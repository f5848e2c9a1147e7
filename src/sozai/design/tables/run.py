"""A design run on a table: from the file to candidates, the next experiments and the report, and back again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sozai.design.tables import sheets
from sozai.design.tables.batch import next_batch
from sozai.design.tables.domain import Domain
from sozai.design.tables.front import choose
from sozai.design.tables.generalization import generalization
from sozai.design.tables.goals import Goal
from sozai.design.tables.history import History, Proposal, Round
from sozai.design.tables.measured import joined
from sozai.design.tables.problem import Problem, pose
from sozai.design.tables.search import Judge, drawn, lawful_rows, learned_table, search
from sozai.design.tables.surrogate import Surrogate, one_thread
from sozai.errors import UserError
from sozai.files import output_folder, write_json
from sozai.knowledge.tables.ruleset import TableRules, rules_of
from sozai.materials.tables.read import read_table
from sozai.materials.tables.table import Note, Table
from sozai.trust.manifest import FILE_NAME as MANIFEST
from sozai.trust.manifest import Manifest

LEVEL = 0.9
"""Share of cases in which a shown interval is to hold the truth."""
DRAWS = 2000
"""Rows drawn from the generator."""
Progress = Callable[[int, int, str], None]


def design_table(
    path: Path | str,
    out: Path | str,
    goals: Sequence[Goal],
    *,
    given: Sequence[str] = (),
    rules: Path | str | None = None,
    count: int = 50,
    batch: int = 8,
    outcomes: Sequence[str] = (),
    ignore: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    schema: Path | str | None = None,
    sheet: str | None = None,
    generator: str = "auto",
    minutes: float = 5.0,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Design candidates for goals from a table of experiments, propose the next ones, and write a run folder.

    Args:
        path: CSV, TSV, Excel or parquet.
        out: run folder: ``candidates.csv``, ``proposed.csv``, ``history.json``, ``result.json``, ``manifest.json``,
            ``report.html``.
        goals: what is wanted.
        given: conditions that each candidate fulfils; those on measured columns are judged by prediction.
        rules: a rule file over the table's columns.
        count: candidates to list.
        batch: experiments to propose; 0 for none.
        outcomes: columns that are measured, not set; by default those that stand alone as a goal.
        ignore: columns not to be used.
        kinds, units, schema, sheet: see ``read_table``.
        generator: name of a table generator, or ``"auto"``.
        minutes: time for all of it.
        seed: same seed, same result.
        on_progress: called with (done, total, note).

    Returns:
        What ``result.json`` holds.

    Raises:
        UserError: the table, a goal, a condition or a rule cannot be used; says which and why.
    """
    settings = {
        "kind": "table", "table": str(Path(path).resolve()), "goals": [goal.to_dict() for goal in goals],
        "given": list(given), "rules": None if rules is None else str(Path(rules).resolve()), "count": count,
        "batch": batch, "outcomes": list(outcomes), "ignore": list(ignore), "kinds": dict(kinds or {}),
        "units": dict(units or {}), "schema": None if schema is None else str(Path(schema).resolve()), "sheet": sheet,
        "generator": generator, "minutes": minutes, "seed": seed,
    }  # fmt: skip
    if not goals:
        raise UserError("no goal is named", mend="say what is wanted, such as --maximise strength")
    if (output_folder(out) / "history.json").exists() and History.load(Path(out)).proposals:
        raise UserError(
            "this folder holds a run that waits for results", str(out), "go on with --resume, or name another folder"
        )
    return _run(Path(out), settings, History(), on_progress)


def resume_table(
    folder: Path | str,
    *,
    table: Path | str | None = None,
    measured: Path | str | None = None,
    batch: int | None = None,
    minutes: float | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Take the results of a run's proposals, learn from them, and propose the next ones.

    Results are found in the run's lab sheets (``proposed.csv``, filled in), in ``measured``, and in the table itself
    if rows were added to it.

    Args:
        folder: the run.
        table: the table, if it stands elsewhere now.
        measured: a table of results: by ``id`` of the proposals, or rows with the table's columns.
        batch: experiments to propose, if not as many as before.
        minutes: time, if not as much as before.
        on_progress: called with (done, total, note).

    Raises:
        UserError: the folder holds no such run, or a result cannot be read.
    """
    folder = Path(folder)
    try:
        settings = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("there is no run to go on with", str(folder), "name the folder of an earlier --out") from error
    if not isinstance(settings, dict) or settings.get("kind") != "table":
        raise UserError(
            "this is not the run of a table", str(folder), f"for crystals type: sozai design crystals --resume {folder}"
        )
    if table is not None:
        settings["table"] = str(Path(table).resolve())
    settings |= {key: value for key, value in (("batch", batch), ("minutes", minutes)) if value is not None}
    return _run(folder, settings, History.load(folder), on_progress, measured, resume=True)


def _run(
    folder: Path,
    settings: dict[str, Any],
    history: History,
    on_progress: Progress | None,
    measured: Path | str | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    started = time.monotonic()
    end = started + 60 * settings["minutes"]
    goals = [Goal.from_dict(each) for each in settings["goals"]]
    seed = settings["seed"] + len(history.rounds)
    tell: Progress = on_progress or (lambda done, total, note: None)
    data = [path for path in (settings["table"], settings["rules"], measured) if path]
    table = read_table(
        settings["table"], schema=settings["schema"], kinds=settings["kinds"], units=settings["units"],
        sheet=settings["sheet"],
    )  # fmt: skip
    table, problem = _problem(table, goals, settings, history, folder if resume else None, measured)
    rules = rules_of(problem.inputs) + problem.rules
    lawful = lawful_rows(problem, rules)
    with Manifest(folder, settings, seeds={"design": seed}, data=data, resume=resume) as manifest, one_thread():
        tell(0, 1, "fitting predictors")
        judge = _judge(problem, seed)
        generator, tried, notes = _generator(problem, rules, settings["generator"], 0.3 * (end - started), seed, tell)
        rows = [lawful]
        if generator is not None:
            made, more = drawn(problem, generator, DRAWS, seed, tell)
            notes += more
            rows.append(made)
        pool = search(judge, rules, rows, seed=seed, deadline=started + 0.6 * (end - started), on_progress=tell)
        if not len(pool):
            raise UserError(
                "no new candidate fulfils all conditions", "--given",
                "loosen a condition, or the rules leave nothing but what was measured",
            )  # fmt: skip
        candidates = _candidates(judge, pool, settings["count"])
        proposed = next_batch(judge, rules, pool, settings["batch"], seed, tell)
        best = {goal.text: _best(goal, problem) for goal in goals}
        number = len(history.rounds) + 1
        proposals = _proposals(judge, proposed, number)
        if proposals:
            known = int(np.any([np.isfinite(what.values) for what in problem.learned.values()], axis=0).sum())
            history.rounds.append(Round(number, known, best, proposals))
        trust = {
            name: generalization(problem, name, level=LEVEL, seed=seed, deadline=end, on_progress=tell)
            for name in problem.learned
        }
        columns = list(problem.source.columns)
        result = {
            "goals": [goal.to_dict() | {"words": goal.words} for goal in goals],
            "given": settings["given"],
            "rules": [rule.words() for rule in rules.hard],
            "rows": len(table),
            "measured": list(problem.outcomes),
            "inputs": list(problem.inputs.columns),
            "level": LEVEL,
            "notes": [{"column": note.column, "what": note.what} for note in [*problem.notes, *notes]],
            "generator": getattr(generator, "name", None),
            "tried": tried,
            "looked_at": len(pool),
            "best_measured": best,
            "candidates": sheets.records(judge, candidates, [f"C{k + 1:02d}" for k in range(len(candidates))]),
            "proposals": sheets.records(judge, proposed.drop(columns="gain"), [each.id for each in proposals]),
            "round": number,
            "generalization": trust,
            "results": history.judged(goals, columns),
            "so_far": history.so_far(),
            "best_by_round": [{"round": one.number, "rows": one.rows, "best": one.best} for one in history.rounds],
            "seconds": round(time.monotonic() - started, 1),
        }
        sheets.write_candidates(folder / "candidates.csv", judge, candidates, result["candidates"])
        if proposals:
            sheets.write_proposals(folder, number, judge, proposed.drop(columns="gain"), result["proposals"])
        history.save(folder)
        write_json(folder / "result.json", result)
        manifest.record("rows", len(table))
    from sozai.reports.tables_design import write_report

    write_report(result, sheets.plot_data(judge, pool, goals), folder)
    return result


def _problem(
    table: Table,
    goals: Sequence[Goal],
    settings: Mapping[str, Any],
    history: History,
    folder: Path | None,
    measured: Path | str | None,
) -> tuple[Table, Problem]:
    """The problem over the table and all that was measured since."""

    def posed(rows: Table) -> Problem:
        rules = None
        if settings["rules"]:
            used = rows.select([name for name in rows.columns if name not in settings["ignore"]])
            rules = TableRules.for_table(settings["rules"], used)
        return pose(rows, goals, settings["given"], rules, settings["outcomes"], settings["ignore"])

    problem = posed(table)
    if folder is None:
        return table, problem
    history.read_sheets(folder, problem.outcomes)
    there = history.find_in(problem)
    if measured is not None:
        sheets.take_measured(history, problem, table, measured, settings)
    rows = [
        {**problem.shown(pd.DataFrame([each.inputs])).iloc[0].to_dict(), **each.measured}
        for each in history.proposals
        if each.measured and each.id not in there
    ]
    if not rows and not history.extra:
        return table, problem
    whole = joined(table, [*rows, *history.extra])
    return whole, posed(whole)


def _judge(problem: Problem, seed: int) -> Judge:
    points = problem.encoding(problem.inputs.frame)
    models, known = {}, np.zeros(len(points), bool)
    by_name = {goal.text: goal for goal in problem.goals}
    for name, what in problem.learned.items():
        known |= np.isfinite(what.values)
        low = name in by_name and by_name[name].aim == "minimise"
        models[name] = Surrogate(seed).fit(points, what.values, high_is_better=not low)
    return Judge(problem, models, Domain(points[known]), LEVEL)


def _generator(
    problem: Problem, rules: TableRules, name: str, seconds: float, seed: int, on_progress: Progress
) -> tuple[Any, list[dict[str, Any]], list[Note]]:
    """A generator fitted on the measured rows; ``None`` where they are too few for any."""
    from sozai.generators.tables import choose as choose_generator
    from sozai.generators.tables import table_generator

    table = learned_table(problem)
    learned = [goal.text for goal in problem.goals if goal.text in table.columns]
    target = learned[0] if learned else None
    try:
        if name == "auto":
            made, tried = choose_generator(table, rules, target, seconds, seed, on_progress)
            return made, tried, []
        made = table_generator(name).fit(table, on_progress, rules=rules, target=target, seed=seed, max_time=seconds)
        return made, [], []
    except UserError as error:
        if name != "auto":
            raise
        note = Note(f"no generator was fitted ({error.what}); candidates are variations of measured rows")
        return None, [], [note]


def _candidates(judge: Judge, pool: pd.DataFrame, count: int) -> pd.DataFrame:
    """The best rows that are apart from one another."""
    scores = judge.cautious(pool)
    points = judge.problem.encoding(pool)
    possible = np.flatnonzero(np.isfinite(scores).all(axis=1))
    if not len(possible):
        raise UserError(
            "no candidate is predicted to fulfil the conditions on what is measured",
            f"--given {' and '.join(c.words() for c in judge.problem.conditions)}",
            "loosen them, or let --batch propose experiments towards the goal without them",
        )
    inside = judge.domain.inside(points[possible])
    apart = 0.5 * judge.domain.usual
    chosen = (
        possible[inside][choose(scores[possible][inside], points[possible][inside], count, apart)]
        if inside.any()
        else []
    )
    missing = count - len(chosen)
    if missing > 0 and not inside.all():
        far = possible[~inside]
        chosen = np.concatenate([chosen, far[choose(scores[far], points[far], missing, apart)]]).astype(int)
    return pool.iloc[chosen].reset_index(drop=True)


def _best(goal: Goal, problem: Problem) -> float | None:
    values = problem.values(goal)
    scores = goal.score(values)
    return None if not np.isfinite(scores).any() else float(values[np.nanargmax(scores)])


def _proposals(judge: Judge, rows: pd.DataFrame, number: int) -> list[Proposal]:
    if not len(rows):
        return []
    frame = rows.drop(columns="gain")
    values = judge.goals(frame)
    made = []
    for place, row in enumerate(frame.to_dict("records")):
        predicted = {
            name: dict(zip(("mean", "low", "high"), (float(each[place]) for each in three), strict=True))
            for name, three in values.items()
            if name in judge.models
        }
        made.append(Proposal(f"R{number}-{place + 1:02d}", row, predicted))
    return made
