"""What kind of thing an answer must hold beside the words of its question: how many, how long, which year, what price.

"How many cycles" asks for a number with cycles behind it, "how long" for a time: a passage without is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from sozai.assistant.answers.thesaurus import asked_quantity
from sozai.assistant.answers.values import same_unit, unit_of_head
from sozai.assistant.answers.view import View
from sozai.assistant.documents.words import stem
from sozai.assistant.extraction.quantities import find_quantities

Test = Callable[[View], bool]

_NUMBER_WORDS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|hundred|thousand|"
    "dozen|several|once|twice"
)
_HOW_MANY = re.compile(
    r"\bhow many (?P<things>(?!of\b)[\w%.-]+(?: (?!did|do|does|was|were|are|is|has|have|had|can|could|should|must|will|"
    r"in|of|for|per|to|with|on|at|from|give|gives|make|makes|bring|brings|shows?|need|needs)[\w%.-]+){0,2})", re.I
)  # fmt: skip
_WRITTEN = (
    (r"\b(?:what|which) year\b|^\s*when (?:was|were|did)\b", r"\b(?:1[89]|20)\d\d\b"),
    (r"\bhow much (?:money )?(?:does|do|did|is|are|would) .*\bcosts?\b|\b(?:the|what) (?:\w+ )?price of\b|"
     r"\bhow many (?:dollars|euros)\b", r"[$€£¥]|\b(?:USD|EUR|dollars?|euros?|cents?|yen|yuan)\b"),
    (r"\b(?:what|which) (?:compan(?:y|ies)|manufacturers?|brands?|suppliers?|firms?)\b|"
     r"\bwho (?:makes|sells|supplies)\b", r"\b(?:Inc|Ltd|GmbH|Corp|SE|AG|LLC|compan\w+|manufactur(?:er|ed by)\w*)\b"),
    (r"\b(?:what|which) (?:countr(?:y|ies)|cit(?:y|ies)|universit(?:y|ies)|institutes?)\b",
     r"\b(?:Universit|Institut|Laborator|Japan|China|Korea|German|France|U\.?S\.?A|America|Europe|India)\w*"),
)  # fmt: skip
_NO_UNIT = re.compile(r"\bhow (?:large|big|small)\b|\btoo (?:much|thick|long|hot|high|many)\b", re.I)
"""A size may be a length, an area or a volume; what is too thick may be told by an amount."""
_AMOUNT = re.compile(r"\bhow much\b|\bwhat (?:share|fraction|percentage|percent|portion)\b", re.I)
_TIMES = re.compile(r"\d[\s-]?(?:times|fold)\b|\b(?:twice|double|half)\b", re.I)
_IN_UNIT = re.compile(r"\bin (?P<unit>[a-z]+)\s*\??$", re.I)
_SPANS = re.compile(r"\b(?:second|minute|hour|day|week|month|year)s\b", re.I)


def counts_things(question: str) -> bool:
    """Whether a number of things is asked for."""
    return _HOW_MANY.search(question) is not None


@lru_cache(maxsize=64)
def tests_of(question: str) -> tuple[Test, ...]:
    """Tests that a passage must pass to be an answer of the kind asked for; none for most questions."""
    made: list[Test] = []
    for asks, holds in _WRITTEN:
        if re.search(asks, question, re.I):
            made.append(_holds(re.compile(holds)))
    quantity = asked_quantity(question)
    if quantity is not None and not _NO_UNIT.search(question):
        made.append(_has_unit(quantity[1]))
    elif (said := _IN_UNIT.search(question)) is not None and (unit := _unit(said["unit"])) is not None:
        made.append(_has_unit(unit))
    elif (many := _HOW_MANY.search(question)) is not None:
        made.append(_counts(many["things"]))
    elif _AMOUNT.search(question):
        made.append(lambda view: bool(view.quantities or view.columns))
    return tuple(made)


def _holds(written: re.Pattern[str]) -> Test:
    return lambda view: written.search(view.text) is not None


def _has_unit(unit: str) -> Test:
    def test(view: View) -> bool:
        if any(same_unit(one.unit, unit) for one in view.quantities if one.unit):
            return True
        if unit == "hour" and _SPANS.search(view.text):  # "within days"
            return True
        return any(same_unit(unit_of_head(column.head), unit) for column in view.columns)

    return test


def _unit(word: str) -> str | None:
    """The unit (pint) that a word of a question means; ``None`` where it means none."""
    measured = find_quantities(f"1 {word}")
    return measured[0].unit if measured else None


def _counts(things: str) -> Test:
    """Things that are counted stand behind a number ("ten thermal cycles"); those that are units behind theirs."""
    noun = things.split()[-1]
    if things.lower().startswith("times more"):
        return _holds(_TIMES)
    unit = _unit(things.split()[0])
    if unit is not None:
        return _has_unit(unit)
    written = re.compile(
        rf"(?<![\w.])(?:\d[\d,.]*|{_NUMBER_WORDS})(?:[\s-]+[^\s.;]+){{0,3}}?[\s-]+{re.escape(stem(noun))}", re.I
    )
    return lambda view: written.search(view.whole) is not None
