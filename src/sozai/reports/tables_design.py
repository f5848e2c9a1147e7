"""The report of a design run on a table: what to make, what to try next, and how far to believe it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from sozai.reports import charts, page

SHOWN = 15
"""Candidates in the report's table; ``candidates.csv`` has all."""


def write_report(result: Mapping[str, Any], plots: Mapping[str, Any], folder: Path) -> Path:
    """Write ``report.html`` into the run folder.

    Args:
        result: what ``result.json`` holds.
        plots: what the charts show, see ``design.tables.sheets.plot_data``.
        folder: the run folder; its ``manifest.json`` is shown.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    return page.write_page(folder / "report.html", render(result, plots, manifest))


def render(result: Mapping[str, Any], plots: Mapping[str, Any], manifest: Mapping[str, Any] | None = None) -> str:
    """The report as HTML text; see ``write_report``."""
    goals = result["goals"]
    sentence, good = verdict(result)
    sections = [_candidates(result), *([_sheet(result)] if result["proposals"] else [])]
    if len(goals) > 1:
        sections.append(_front(result, plots))
    if result["results"] or len(result["best_by_round"]) > 1:
        sections.append(_outcome(result))
    sections += [_trust(result), _domain(result, plots), _taken(result)]
    facts = {
        "rows measured": result["rows"],
        "candidates looked at": result["looked_at"],
        "candidates listed": len(result["candidates"]),
        "experiments proposed": len(result["proposals"]),
    }
    return page.render_page(
        "Design: " + ", ".join(goal["words"] for goal in goals),
        sections,
        lead=" and ".join(result["given"]) and "given " + " and ".join(result["given"]),
        verdict=sentence,
        good=good,
        facts=facts,
        manifest=manifest,
    )


def verdict(result: Mapping[str, Any]) -> tuple[str, bool]:
    """The sentence that a reader should take away, and whether it is a good one."""
    goal, first = result["goals"][0], result["candidates"][0]
    name = goal["text"]
    value, best = first["goals"][name], result["best_measured"][name]
    words = f"The first candidate is predicted to have {name} {_interval(value)}"
    aim = {"maximise": 1, "minimise": -1}.get(goal["aim"], 0)
    if best is not None:
        words += f"; the best measured row has {_round(best)}"
        if aim and all(aim * row["goals"][name]["mean"] <= aim * best for row in result["candidates"]):
            words += ", which no listed candidate is predicted to beat"
    splits = {each["how"]: each for each in result["generalization"].get(name, [])}
    random = splits.get("random")
    if random is None:
        return f"{words}.", first["inside"]
    words += (
        f". On held-out rows the predictor reaches R2 {random['r2']:.2f} and its {result['level']:.0%} intervals held "
        f"{random['coverage']:.0%} of the truth"
    )
    if "extrapolation" in splits and splits["extrapolation"]["coverage"] < result["level"] - 0.1:
        words += f"; beyond the measured values only {splits['extrapolation']['coverage']:.0%}"
    return f"{words}.", bool(random["r2"] > 0.5 and first["inside"])


def _candidates(result: Mapping[str, Any]) -> page.Section:
    rows = result["candidates"]
    inside = sum(row["inside"] for row in rows)
    lead = (
        f"Best first, apart from one another; {inside} of {len(rows)} are like the measured rows. Intervals are to "
        f"hold the measured value in {result['level']:.0%} of cases. The order goes by the worse end of the 50% "
        "interval, so that what is merely uncertain does not come first."
    )
    return page.Section("Candidates", lead, _rows(result, rows[:SHOWN], len(rows) - SHOWN))


def _rows(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], left_out: int = 0) -> Markup:
    goals, names = result["goals"], list(rows[0]["inputs"])
    used = [name for name in names if len({str(row["inputs"][name]) for row in rows}) > 1 or rows[0]["inputs"][name]]
    heads = ["", *(goal["text"] for goal in goals), "like the data", *used, "nearest measured row"]
    body = []
    for row in rows:
        near = row["nearest"]
        beside = ", ".join(f"{name} {_round(value)}" for name, value in near["measured"].items() if value is not None)
        body.append(
            [
                row["id"],
                *(_interval(row["goals"][goal["text"]]) for goal in goals),
                "yes" if row["inside"] else f"no ({row['distance']:.1f} times too far)",
                *(row["inputs"][name] for name in used),
                f"row {near['row']}: {beside}",
            ]
        )
    made = page.table(heads, body)
    if left_out > 0:
        made += page.paragraph(f"{left_out} more are in candidates.csv.", True)
    zero = [name for name in names if name not in used]
    if zero:
        made += page.paragraph(f"Zero or empty in all of these: {', '.join(zero)}.", True)
    return made


def _sheet(result: Mapping[str, Any]) -> page.Section:
    measured = ", ".join(result["measured"])
    lead = (
        f"Round {result['round']}: chosen together so that their results teach most about where the best is. Write "
        f"{measured} into proposed.csv beside the ids and call sozai design --resume with this folder."
    )
    names = list(result["proposals"][0]["inputs"])
    body = [
        [row["id"], *(row["inputs"][name] for name in names), *(Markup("&#95;" * 6) for _ in result["measured"])]
        for row in result["proposals"]
    ]
    expected = [
        [
            row["id"],
            *(_interval(row["goals"][goal["text"]]) for goal in result["goals"]),
            "yes" if row["inside"] else "no",
        ]
        for row in result["proposals"]
    ]
    heads = ["", *(goal["text"] for goal in result["goals"]), "like the data"]
    return page.Section(
        "Next experiments",
        lead,
        page.table(["", *names, *result["measured"]], body)
        + page.details("What is expected of them", page.table(heads, expected)),
    )


def _front(result: Mapping[str, Any], plots: Mapping[str, Any]) -> page.Section:
    goals = result["goals"]
    pictures = []
    for other in goals[1:4]:
        x, y = other["text"], goals[0]["text"]
        listed = result["candidates"]
        points = {
            "looked at": (plots["pool"][x], plots["pool"][y]),
            "measured": (plots["measured"][x], plots["measured"][y]),
            "candidates": ([r["goals"][x]["mean"] for r in listed], [r["goals"][y]["mean"] for r in listed]),
        }
        hints = {"candidates": [row["id"] for row in listed]}
        pictures.append(
            page.picture(charts.scatter(points, x, y, hints=hints), f"{goals[0]['words']}, {other['words']}")
        )
    lead = "No candidate on the front can gain in one goal without losing in another; predicted values are means."
    return page.Section("The trade-off", lead, page.beside(*pictures) if len(pictures) > 1 else pictures[0])


def _outcome(result: Mapping[str, Any]) -> page.Section:
    judged = result["results"]
    parts = []
    lead = "No result of a proposal is in yet."
    if judged:
        hits = sum(each["inside"] for each in judged)
        lead = f"{hits} of {len(judged)} results lie inside the {result['level']:.0%} interval that was predicted."
        body = [[e["id"], e["goal"], _interval(e), e["measured"], "yes" if e["inside"] else "no"] for e in judged]
        parts.append(page.table(["", "goal", "predicted", "measured", "inside"], body))
    goal = result["goals"][0]["text"]
    rounds = [each for each in result["best_by_round"] if each["best"].get(goal) is not None]
    if len(rounds) > 1:
        series = {"best": ([each["rows"] for each in rounds], [each["best"][goal] for each in rounds])}
        parts.append(page.picture(charts.lines(series, "measured rows", f"best {goal}"), "The best until each round"))
    return page.Section("What came of the proposals", lead, page.join(*parts))


def _trust(result: Mapping[str, Any]) -> page.Section:
    level = result["level"]
    parts = []
    for name, splits in result["generalization"].items():
        body = [
            [
                each["question"], each["rows"], f"{each['folds']} of {each['planned']}", each["r2"], each["mae"],
                f"{each['coverage']:.0%}",
            ]
            for each in splits
        ]  # fmt: skip
        heads = ["held out", "rows", "folds done", "R2", "mean error", f"inside the {level:.0%} interval"]
        parts += [page.heading(name), page.table(heads, body)]
        random = next((each for each in splits if each["how"] == "random"), None)
        if random:
            truth, mean = np.asarray(random["truth"]), np.asarray(random["mean"])
            inside = (truth >= np.asarray(random["low"])) & (truth <= np.asarray(random["high"]))
            points = {"inside the interval": (truth[inside], mean[inside]), "outside": (truth[~inside], mean[~inside])}
            drawn = charts.scatter(points, f"measured {name}", f"predicted {name}", diagonal=True)
            parts.append(page.picture(drawn, "Each row predicted by a model that did not see it or its family"))
    lead = (
        "Every number is of rows that the model did not learn from. Rows like the measured ones are the easy case; a "
        "region or an element left out, and values beyond the measured ones, are closer to what a design asks for. R2 "
        "is against the mean of the training rows: 0 or less means that the model is of no use there."
    )
    return page.Section("How far to believe the predictions", lead, page.join(*parts))


def _domain(result: Mapping[str, Any], plots: Mapping[str, Any]) -> page.Section:
    far = np.asarray(plots["pool_distance"])
    drawn = charts.histogram(
        {"looked at": far, "candidates": [row["distance"] for row in result["candidates"]]},
        "distance to the data (1: the edge of the domain)",
    )
    lead = (
        "A row is inside the applicability domain if it is no farther from its three nearest measured rows than 95% of "
        "the measured rows are from theirs. Outside, predictions and their intervals are guesses."
    )
    return page.Section("Inside and outside the data", lead, page.picture(drawn))


def _taken(result: Mapping[str, Any]) -> page.Section:
    parts = [
        page.paragraph(f"Set in an experiment: {', '.join(result['inputs'])}."),
        page.paragraph(f"Measured: {', '.join(result['measured'])}."),
    ]
    if result["notes"]:
        notes = [f"{note['column']}: {note['what']}" if note["column"] else note["what"] for note in result["notes"]]
        parts += [page.heading("Decided on the way"), page.bullets(notes)]
    if result["generator"]:
        parts.append(page.paragraph(f"Candidates begin with rows of the generator {result['generator']}."))
    if result["tried"]:
        heads = list(dict.fromkeys(key for each in result["tried"] for key in each))
        parts.append(
            page.details(
                "Generators tried", page.table(heads, [[_plain(e.get(h)) for h in heads] for e in result["tried"]])
            )
        )
    rules = [str(rule) for rule in result["rules"]]
    if rules:
        parts.append(page.details(f"{len(rules)} rules that every candidate obeys", page.bullets(rules)))
    return page.Section("How the table was taken", "", page.join(*parts))


def _interval(value: Mapping[str, float]) -> str:
    if value["low"] == value["high"]:
        return _round(value["mean"])
    return f"{_round(value['mean'])} ({_round(value['low'])} to {_round(value['high'])})"


def _round(value: float) -> str:
    return f"{value:.4g}"


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str) else str(value)
