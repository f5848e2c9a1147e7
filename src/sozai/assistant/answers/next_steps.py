"""What to do next: commands that sozai has now, and experiments at levels that no document of the library has tried."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from sozai.assistant.answers.evidence import Action, Citation, Strategy, cite
from sozai.assistant.answers.finding import Shelf
from sozai.assistant.answers.lexicon import pattern
from sozai.assistant.answers.names import elements, names_in
from sozai.assistant.answers.question import Question
from sozai.assistant.answers.trends import Trend, trends
from sozai.assistant.answers.values import unit_of_head
from sozai.knowledge.crystals.wish import SYMBOLS

_MOST = 3


def actions(question: Question, shelf: Shelf, ways: Sequence[Strategy]) -> list[Action]:
    """Next actions for a goal: experiments first, then commands."""
    found = trends(question, shelf)
    return [*_experiments(question, shelf, ways, found), *_commands(question, shelf, ways, found)]


def _experiments(question: Question, shelf: Shelf, ways: Sequence[Strategy], found: Sequence[Trend]) -> list[Action]:
    made: list[Action] = []
    praised = {effect.citation.quote for way in ways for effect in way.effects}
    for trend in found:
        level = untried(trend, question.goal)
        unit = unit_of_head(trend.factor)
        if level is None or any(f"= {level[2]:g}{_shown(unit)}." in other.text for other in made):
            continue
        low, high, value = level
        between = f"between {low:g} and {high:g}" if high is not None else f"beyond {low:g}"
        reason = (
            f"{trend.how}: the best was {trend.best.written} at {trend.best.texts[trend.factor]}; tried were "
            f"{', '.join(trend.tried)}, no row lies {between}"
        )
        warned = _warnings(question, shelf, unit, low, value if high is None else high, praised)
        reason += "".join(f'; but mind: "{quote.quote}" [{quote.where}]' for quote in warned)
        text = f"Try {trend.factor} = {value:g}{_shown(unit)}."
        made.append(Action("experiment", text, reason, (*trend.citations, *warned)))
    first = [way for way in ways if way.effects and not way.contradicted_by][:3]
    for number, one in enumerate(first):
        for other in first[number + 1 :]:
            if set(one.documents) & set(other.documents) or one.name.split(":")[0] == other.name.split(":")[0]:
                continue
            quotes = (one.effects[0].citation, other.effects[0].citation)
            made.append(
                Action(
                    "experiment", f"Combine {one.name} with {other.name}.",
                    "each is reported by itself, in different documents; no document of the library reports both "
                    "together (a proposal: no quote says that the effects add)", quotes,
                )
            )  # fmt: skip
            break
        if len(made) > _MOST:
            break
    for way in ways:
        if way.contradicted_by:
            both: tuple[Citation, ...] = (way.effects[0].citation, *way.contradicted_by[0].citations)
            made.append(
                Action(
                    "experiment",
                    f"Repeat {way.name} with a control sample.",
                    "the documents contradict each other",
                    both,
                )
            )
            break
    return made[: _MOST + 1]


def untried(trend: Trend, goal: int) -> tuple[float, float | None, float] | None:
    """A level that was not tried: within the gap beside the best one, or one step beyond it when it is the last.

    Returns:
        the neighbours it lies between (the second is ``None`` beyond the end), and the level.
    """
    levels = sorted({float(re.sub(r"[^\d.eE+-]", "", text) or "nan") for text in trend.tried})
    best = trend.best.factors[trend.factor]
    if len(levels) < 2 or best not in levels:
        return None
    place = levels.index(best)
    if 0 < place < len(levels) - 1:
        wider = place if levels[place] - levels[place - 1] >= levels[place + 1] - levels[place] else place + 1
        low, high = levels[wider - 1], levels[wider]
        return low, high, _round((low + high) / 2, high - low)
    if len(levels) < 3 and trend.own:
        low, high = levels[0], levels[1]
        return low, high, _round((low + high) / 2, high - low)
    step = levels[1] - levels[0] if place == 0 else levels[-1] - levels[-2]
    value = best - step / 2 if place == 0 else best + step / 2
    return (best, None, _round(value, step)) if value > 0 else None


def _shown(unit: str | None) -> str:
    return {"degC": " °C", "(hour)": " h", "(percent)": " %"}.get(unit or "", "")


def _warnings(
    question: Question, shelf: Shelf, unit: str | None, low: float, high: float, praised: set[str]
) -> tuple[Citation, ...]:
    """Sentences of documents on the material that speak against levels just above ``low``, but for praised ones."""
    if unit is None:
        return ()
    made = []
    for view in shelf.views(question):
        reading = view.reading
        about = [one.text for one in names_in(reading.head)]
        meant = all(any(reading.aliases.same(name, one) for one in about) for name in question.materials)
        if view.piece.table is not None or not meant or view.text in praised:
            continue
        reach = low + 2 * abs(high - low)
        near = [one for one in view.quantities if one.unit == unit and low < one.value <= reach]
        if near and (pattern("against").search(view.text) or pattern("danger").search(view.text)):
            made.append(cite(view.document, view.piece, view.piece.section))
    return tuple(made[:2])


def _round(value: float, step: float) -> float:
    return float(f"{value:.3g}") if step < 100 else round(value / 5) * 5


def _commands(question: Question, shelf: Shelf, ways: Sequence[Strategy], found: Sequence[Trend]) -> list[Action]:
    made = []
    verb = "--maximise" if question.goal >= 0 else "--minimise"
    for digest in dict.fromkeys(trend.document.hash for trend in found if trend.own):
        trend = next(trend for trend in found if trend.document.hash == digest)
        source = shlex.quote(trend.document.source)
        command = f"sozai design {source} {verb} {shlex.quote(trend.prop)} --out run_table/"
        made.append(Action("command", command, "your own table holds this property: it proposes the next experiments",
                           trend.citations))  # fmt: skip
        made.append(Action("command", f"sozai check {source}", "look for errors in that table first", ()))
    made += _crystal_commands(question, shelf, ways)
    documents = [way.effects[0].citation for way in ways if way.effects][:8]
    if question.schema and documents:
        papers = dict.fromkeys(quote.source for quote in documents if not quote.name.endswith((".csv", ".xlsx")))
        files = " ".join(shlex.quote(source) for source in papers)
        if files:
            made.append(Action("command", f"sozai extract {files} --property {question.schema} "
                               "--out run_extract/", "all values of this property with their places, as a table",
                               tuple(documents[:1])))  # fmt: skip
    return made


def _crystal_commands(question: Question, shelf: Shelf, ways: Sequence[Strategy]) -> list[Action]:
    """Structures with the dopants that the documents name: their stability over the hull, not the property itself."""
    made = []
    for name in question.materials[:1]:
        formula = shelf.aliases.formula(name)
        host = sorted(elements(formula), key=SYMBOLS.index) if formula else []
        if len(host) < 2:
            continue
        dopants, quotes = _dopants(ways, set(host))
        if dopants:
            allow = ",".join([*host, *dopants])
            made.append(Action(
                "command",
                f"sozai design crystals --allow {allow} --require {','.join(host)} --count 200 --out run_crystals/",
                "generates ordered structures with these elements and screens their stability over the hull; it "
                "predicts no conductivity", quotes))  # fmt: skip
        if formula and not re.search(r"[xyzδ]|\d\.\d", formula):
            made.append(Action("command", f"sozai design crystals --formula {formula} --out run_structure/",
                               "candidate structures of this formula, screened", ()))  # fmt: skip
    return made


def _dopants(ways: Sequence[Strategy], host: set[str]) -> tuple[list[str], tuple[Citation, ...]]:
    made: list[str] = []
    quotes: list[Citation] = []
    for way in ways:
        family, _, agent = way.name.partition(": ")
        if family == "substitution" and agent in SYMBOLS and agent not in host and agent not in made and way.effects:
            made.append(agent)
            quotes.append(way.effects[0].citation)
    return made[:4], tuple(quotes[:4])
