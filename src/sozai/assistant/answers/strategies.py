"""Ways to reach a goal, gathered from what the sentences and tables of a library say was done and what came of it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sozai.assistant.answers.effects import Change, changes
from sozai.assistant.answers.evidence import NOTHING, Citation, Effect, Statement, Strategy, cite
from sozai.assistant.answers.finding import Shelf, fit
from sozai.assistant.answers.lexicon import COMMON_NAMES, ELEMENT_NAMES, families, pattern
from sozai.assistant.answers.names import Aliases, elements, names_in
from sozai.assistant.answers.question import Question
from sozai.assistant.answers.supply import price_of, supply_of
from sozai.assistant.answers.trends import Trend, trends
from sozai.assistant.answers.values import is_making, is_room
from sozai.assistant.answers.view import View
from sozai.assistant.documents.words import tokens

AGENTS = (
    "substitution",
    "infiltration",
    "sintering aid or additive",
    "passivation and coating",
    "grain boundaries",
    "mix proportions",
)
"""Families in which what was added names the strategy."""
_MOST = 3
"""Quotes shown for each of mechanism, pros, cons, cost and risk."""


@dataclass
class Group:
    """What was found for one strategy, before it is judged."""

    family: str
    agent: str
    found: list[tuple[View, Change]] = field(default_factory=list)
    trends: list[Trend] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Family and agent."""
        return f"{self.family}: {self.agent}" if self.agent else self.family


def strategies(question: Question, shelf: Shelf) -> list[Strategy]:
    """Strategies for a "how do I ..." question, best first."""
    views = shelf.views(question)
    groups: dict[str, Group] = {}
    for view in views:
        if view.piece.table is not None or not fit(view, question).fits:
            continue
        for change in changes(view, question):
            family, agent = _kind_of(change.cause, view, question, shelf.aliases)
            if family:
                groups.setdefault(f"{family}: {agent}", Group(family, agent)).found.append((view, change))
    for trend in trends(question, shelf):
        family, agent = _family(trend.factor.replace("_", " "), question, shelf.aliases)
        if family not in AGENTS:
            agent = ""
        family = family or f"other: {trend.factor}"
        groups.setdefault(f"{family}: {agent}", Group(family, agent)).trends.append(trend)
    made = [_strategy(group, question, shelf, views) for group in groups.values()]
    found = [way for way in made if way is not None]
    return sorted(found, key=lambda way: (way.name.startswith("other"), -way.score, way.name))  # unknown families last


_ACTION = re.compile(r"(?:by|with|using|through|via|after|upon|the (?:use|addition|application)|\w{3,}ing)\b", re.I)
"""How a clause begins that says what was done."""


def _kind_of(cause: str, view: View, question: Question, aliases: Aliases) -> tuple[str, str]:
    """Family and agent of what a clause says was done; an unknown one is named by its own words."""
    if not cause:
        return "", ""
    family, agent = _family(cause, question, aliases)
    if not family:
        family, agent = _family(f"{cause}. {view.text}", question, aliases)
    if not family:
        if not _ACTION.match(cause):
            return "", ""  # what changed, or a picture: not something that was done
        words = cause if len(cause) <= 60 else cause[:60].rpartition(" ")[0] + " ..."
        return f"other: {words}", ""
    return family, agent if family in AGENTS else ""


def _family(text: str, question: Question, aliases: Aliases) -> tuple[str, str]:
    host = {symbol for name in question.materials for form in aliases.forms(name) for symbol in elements(form)}
    for one in names_in(text):
        added = sorted(elements(one.text) - host)
        if host and added and any(aliases.same(name, one.text) for name in question.materials):
            return "substitution", added[0]  # a composition of the same family with another element in it
    family = next((name for name, words in families().items() if words.search(text)), "")
    return family, _agent(text, question, host)


def _agent(text: str, question: Question, host: set[str]) -> str:
    """The element or compound that was added: named after a share, or beside the word for adding."""
    named = [one.text for one in names_in(text) if len(elements(one.text)) >= 2]
    compounds = [name for name in named if name not in question.materials]
    small = [name for name in compounds if len(elements(name)) <= 3]
    if small:
        return small[0]
    for common, formula in COMMON_NAMES.items():
        if re.search(rf"\b{common}\b", text, re.I):
            return formula
    for symbol, name in ELEMENT_NAMES.items():
        if (
            len(symbol) == 2
            and symbol not in host
            and re.search(rf"(?<![A-Za-z\d]){symbol}(?:\d?\+)?(?![A-Za-z\d])", text)
        ):
            return symbol
        if re.search(rf"\b{name}\b", text, re.I) and name not in ("lithium", "oxygen", "hydrogen", "nitrogen", "lead"):
            return symbol
        if (
            symbol not in ("No", "As", "In", "At")
            and len(symbol) == 2
            and re.search(rf"(?:^|[ _]){symbol.lower()}[ _]at", text)
        ):
            return symbol
    words = re.findall(
        r"\b(?:fly ash|silica fume|slag|[a-z-]*superplasticizer|[a-z]+ammonium (?:iodide|chloride)|carbon|water)\b",
        text,
        re.I,
    )
    return words[0].lower() if words else ""


def _strategy(group: Group, question: Question, shelf: Shelf, views: Sequence[View]) -> Strategy | None:
    goal = question.goal
    helping = [(view, change) for view, change in group.found if change.effect.direction == goal]
    hindering = [(view, change) for view, change in group.found if change.effect.direction != goal]
    rising = [trend for trend in group.trends if trend.direction == goal or trend.best_inside]
    if not helping and not rising:
        return None
    effects = sorted((change.effect for _, change in helping), key=lambda effect: -_gain(effect, goal))
    effects += [trend.effect(goal) for trend in rising]
    near = _neighbours(group, views, helping)
    quoted = {change.effect.citation.quote for _, change in helping}
    against = [_quoted(view) for view, change in hindering]
    cons = _said(near, "against", quoted) + [s for s in against if _limit(s)]
    contradicting = [s for s in against if not _limit(s)]
    limits = {statement.text for statement in against}
    mechanism = [_quoted(view) for view, _ in helping if pattern("because").search(view.text)]
    mechanism += _said(near, "because", quoted | limits | {statement.text for statement in cons})
    causes = tuple(dict.fromkeys(change.cause for _, change in helping if change.cause))
    causes += tuple(trend.told for trend in rising)
    best = max((_gain(effect, goal) for effect in effects), default=0.0)
    documents = {effect.citation.name for effect in effects}
    score = min(best, math.log(100)) + 0.5 * len(documents) + 0.15 * len(effects) - 0.6 * len(contradicting)
    return Strategy(
        group.name,
        causes,
        tuple(effects),
        tuple(_distinct(mechanism)) or (NOTHING,),
        tuple(_conditions(group, helping, rising, shelf)) or (NOTHING,),
        tuple(_distinct(_said(near, "in_favour", quoted | limits))) or (NOTHING,),
        tuple(_distinct(cons)) or (NOTHING,),
        tuple(_distinct(_said(near, "price", set()))) or price_of(group.agent) or (NOTHING,),
        tuple(_distinct(_said(near, "danger", quoted))) or supply_of(group.agent) or (NOTHING,),
        tuple(_distinct(contradicting)),
        round(score, 3),
    )


def _gain(effect: Effect, goal: int) -> float:
    """Natural logarithm of the factor by which the property moved toward the goal; 0 where it is not stated."""
    return max(goal * math.log(effect.factor), 0.0) if effect.factor else 0.0


def _limit(statement: Statement) -> bool:
    """Whether a quote tells the limit of a strategy (too much of it) rather than that it does not work."""
    return (
        re.search(r"^(?:above|beyond|over|with (?:more|\d)|at \d)|\babove\b|\bbeyond\b|\btoo\b", statement.text, re.I)
        is not None
    )


def _neighbours(group: Group, views: Sequence[View], helping: Sequence[tuple[View, Change]]) -> list[View]:
    """Sentences that speak of the same thing, in the documents whose sentences support it; the evidence first."""
    words = families().get(group.family)
    documents = {view.document.hash for view, _ in helping} | {trend.document.hash for trend in group.trends}
    causes = {word.lower() for _, change in helping for word in tokens(change.cause) if len(word) > 4}
    causes -= {word.lower() for one in group.found for word in tokens(one[0].reading.document.title)}
    agent = _agent_pattern(group.agent)
    made = [view for view, _ in helping]
    numbers = {(view.document.hash, view.piece.number) for view, _ in helping}
    for view in views:
        if view.document.hash not in documents or view.piece.table is not None:
            continue
        if (view.document.hash, view.piece.number) in numbers:
            continue
        after = (view.document.hash, view.piece.number - 1) in numbers
        made_of = re.sub(
            r"\b(?:sintered|annealed|milled|pressed|cured|doped) (?:pellets?|samples?|ceramics?|films?)", "", view.text
        )
        about = bool(agent and agent.search(view.text)) if agent else bool(words and words.search(made_of))
        shared = len(causes & view.stems) >= 2
        if about or shared or (after and re.search(r"^(?:these|such|it|both)\b|\bthis\b", view.text, re.I)):
            made.append(view)
    return made


def _agent_pattern(agent: str) -> re.Pattern[str] | None:
    if not agent:
        return None
    names = [rf"(?<![A-Za-z\d]){re.escape(agent)}(?:\d?\+)?(?![a-z\d])"]
    if agent in ELEMENT_NAMES:
        names.append(rf"(?i:\b{ELEMENT_NAMES[agent]}\b)")
    names += [rf"(?i:\b{common}\b)" for common, formula in COMMON_NAMES.items() if formula == agent]
    return re.compile("|".join(names))


def _said(views: Sequence[View], what: str, already: set[str]) -> list[Statement]:
    """Quotes of these sentences that hold words for or against, of the price, of danger."""
    made = []
    for view in views:
        if view.text in already or not pattern(what).search(view.text):
            continue
        if what == "against" and pattern("in_favour").search(view.text) and not re.search(
            r"\b(?:but|however|although|though|drawback)\b", view.text, re.I
        ):  # fmt: skip
            continue
        made.append(_quoted(view))
    return made


def _quoted(view: View) -> Statement:
    return Statement(view.text, (cite(view.document, view.piece, view.piece.section),))


def _distinct(statements: Sequence[Statement]) -> list[Statement]:
    return list({statement.text: statement for statement in statements}.values())[:_MOST]


def _conditions(
    group: Group, helping: Sequence[tuple[View, Change]], rising: Sequence[Trend], shelf: Shelf
) -> list[Statement]:
    """Levels, temperatures, times, atmospheres: from the evidence, then from how its documents made their samples."""
    made: list[Statement] = []
    for view, _ in helping:
        if told := conditions_in(view):
            made.append(Statement(told, (cite(view.document, view.piece, view.piece.section),)))
    made += [Statement(f"tried: {trend.factor} = {', '.join(trend.tried)}", trend.citations) for trend in rising]
    process = re.compile(r"sinter|anneal|calcin|hot[- ]press|cured|spin-coated|milled|melted", re.I)
    for digest in dict.fromkeys(view.document.hash for view, _ in helping):
        reading = next(reading for reading in shelf.readings if reading.document.hash == digest)
        for piece in reading.pieces:
            view = View(reading, piece)
            making = re.search(r"experiment|method|prepar|synthes|mixes", piece.section, re.I) and process.search(
                view.text
            )
            if making and (told := conditions_in(view)):
                made.append(Statement(told, (cite(reading.document, piece, piece.section),)))
    return _distinct(made)


_PART_OF = re.compile(r"\s*(?:of\b|excess|more|humidity|fly ash|[A-Z][A-Za-z]*\d)")
"""What follows a share that was set rather than measured."""
_ATMOSPHERE = re.compile(
    r"\b(?:in|under) (?:dry |pure |flowing )*(air|oxygen|argon|nitrogen|vacuum|hydrogen|water|liquid nitrogen)\b", re.I
)
_KINDS = {"degC": "temperature", "(kelvin)": "temperature", "(hour)": "time", "(minute)": "time", "(day)": "time",
          "(second)": "time", "share": "level", "(percent)": "share", "(megapascal)": "pressure"}  # fmt: skip


def conditions_in(view: View) -> str:
    """``temperature 1250 °C; time 10 h; in air``: what a sentence states, as written in it; empty for nothing."""
    made, end = [], 0
    for one in view.quantities:
        kind = _KINDS.get(one.unit or "")
        if kind and one.start >= end:  # the members of a list reach to the unit that they share
            end = one.end
            written = view.document.text[one.start : one.end].strip()
            if kind == "share" and not _PART_OF.match(view.document.text, one.end):
                continue  # a result, such as a density or an efficiency
            if kind == "temperature" and is_room(one) and not is_making(view, one):
                kind = "measured at"
            made.append(f"{kind} {written}")
    made += [match.group() for match in _ATMOSPHERE.finditer(view.text)]
    return "; ".join(dict.fromkeys(made))


def citations_of(way: Strategy) -> tuple[Citation, ...]:
    """The quotes of a strategy's effects."""
    return tuple(dict.fromkeys(effect.citation for effect in way.effects))
