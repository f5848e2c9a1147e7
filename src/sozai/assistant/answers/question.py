"""What a question asks: its kind, materials, property, conditions, and the words that an answer must cover."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from sozai.assistant.answers.lexicon import ELEMENT_NAMES, element_of, empty_words, lexicon, pattern, synonyms
from sozai.assistant.answers.names import names_in
from sozai.assistant.documents.words import STOP, fold, stem
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.schema import built_in
from sozai.assistant.extraction.units import plain_signs
from sozai.errors import UserError

Kind = Literal["how to", "value", "comparison", "yes or no", "who", "why", "open"]
_HOW_TO = re.compile(
    r"\bhow (?:do|can|could|should|would|might|to|is|are)\b|\bways? (?:to|of)\b|"
    r"\bwhat (?:can|could|should) (?:i|we|one|be done)\b|"
    r"\b(?:strateg\w+|approach\w*|methods?) (?:to|for|of)\b|^\s*(?:improve|increase|raise|enhance|lower|reduce)\b",
    re.I,
)
_WHICH = r"\b(?:what|which) (?!is\b|was\b|are\b|were\b)(?:[\w-]+ ){0,3}"
_ASKED_UNITS = {
    rf"{_WHICH}temperature|\btemperature (?:was|is|of|for)": ("temperature", "degC"),
    r"\bhow long\b|\b(?:what|which) (?:time|duration)\b": ("time", "hour"),
    rf"{_WHICH}pressure\b": ("pressure", "megapascal"),
    r"\bhow (?:thick|large|big|small)\b": ("length", "micrometer"),
    rf"{_WHICH}voltage\b": ("voltage", "volt"),
}  # fmt: skip
_COMPARE = re.compile(
    r"\b(?:which|what) (?:\w+ ){0,3}(?:has|is|shows|conducts|gives|have) (?:the |a )?(?:\w+ )?(?:higher|lower|better|"
    r"larger|smaller|highest|lowest|more|less|best|harder|stronger)\b|\bcompare\b|\bversus\b|\bvs\b|"
    r"\bcompared (?:to|with)\b",
    re.I,
)
_VALUE = re.compile(
    r"\s*(?:what (?:is|was|are|were) the|what's the|"
    r"(?:at )?(?:which|what) (?:(?!the )\w+ ){0,3}(?:temperature|pressure|time|value|voltage|duration))",
    re.I,
)
_JUDGING = re.compile(r"\b(?:good|bad|harmful|detrimental|beneficial|useful|worth|safe|dangerous)\b", re.I)
"""Words that ask for a judgement: the quotes are the answer, not a yes or a no that code would have to make up."""
_YES_NO = re.compile(r"^\s*(?:is|are|does|do|did|can|could|was|were|has|have|will)\b", re.I)


_CLASSES = frozenset(("ceramic", "ceramics", "alloy", "alloys", "electrolyte", "electrolytes", "compound", "compounds"))
"""Kinds of material, which say nothing more where the material itself is named."""


@dataclass(frozen=True)
class Term:
    """A word that an answer must cover.

    Attributes:
        word: as asked.
        stems: any of which covers it.
        element: symbol, where it names an element.
        strong: it must stand in the quoted sentence itself (or its table's headings), not only around it.
    """

    word: str
    stems: frozenset[str]
    element: str | None = None
    strong: bool = False


@dataclass(frozen=True)
class Question:
    """A question as it was understood.

    Attributes:
        text: as asked.
        kind: of question.
        goal: +1 to raise, -1 to lower; 0 where nothing is to change.
        materials: names of them.
        terms: what an answer must cover beside them.
        conditions: quantities it names.
        unit: the answer's unit (pint) where one is asked for; empty where not known.
        asked: what the unit is of: ``"temperature"``, a property's name, ...
        schema: the property's name in the schema of ``sozai extract``; empty where it is none of these.
        highest: a comparison asks for the greatest (+1) or the least (-1).
    """

    text: str
    kind: Kind
    goal: int
    materials: tuple[str, ...]
    terms: tuple[Term, ...]
    conditions: tuple[Found, ...] = ()
    unit: str = ""
    asked: str = ""
    schema: str = ""
    highest: int = 0
    phrase: tuple[str, ...] = field(default=())


def read_question(text: str) -> Question:
    """Understand a question.

    Raises:
        UserError: it is empty, or has no word to look for.
    """
    text = " ".join(text.split())
    if not any(letter.isalpha() for letter in text):
        raise UserError(
            "there is no question", f"'{text[:60]}'", "ask such as: how do I raise the conductivity of LLTO?"
        )
    if len(text) > 1000:
        raise UserError("the question is longer than 1,000 letters", "question", "ask one thing at a time")
    named = names_in(text)
    kind = _kind(text)
    goal = _direction(text) if kind == "how to" else 0
    if kind == "how to" and goal == 0:
        kind = "open"
    conditions = tuple(
        found for found in find_quantities(text, taken=[(one.start, one.end) for one in named])
        if found.unit is not None or re.search(r"[=x]\s?$", plain_signs(text)[: found.start])
    )  # fmt: skip
    phrase = _property(text, kind, [one.text for one in named])
    schema, unit, asked = _schema(text, phrase, kind)
    taken = [(one.start, one.end) for one in named] + [(found.start, found.end) for found in conditions]
    terms = _terms(text, taken, phrase, kind, bool(named))
    if unit and not schema:  # the unit asks for "pressure"; the sentence need not
        terms = tuple(term for term in terms if term.word.lower() != asked)
    if not terms and not named:
        raise UserError(
            "there is no word to look for in this question", f"'{text[:60]}'", "name a material and a property"
        )
    highest = 0
    if kind == "comparison":
        highest = -1 if pattern("comparative_lower").search(text) or re.search(r"\bless\b", text, re.I) else 1
    materials = tuple(dict.fromkeys(one.text for one in named))
    return Question(text, kind, goal, materials, terms, conditions, unit, asked, schema, highest, tuple(phrase))


def _kind(text: str) -> Kind:
    if re.match(r"\s*who\b", text, re.I):
        return "who"
    if re.match(r"\s*(?:why\b|what (?:is|are) the (?:reason|cause)|how come)", text, re.I):
        return "why"
    if re.search(r"\bhow (?:much|many|long|large|high|hot|thick|often|fast|dense|hard|strong|big|small)\b", text, re.I):
        return "value"
    if _COMPARE.search(text):
        return "comparison"
    if _HOW_TO.search(text) and not re.match(
        r"\s*how (?:does|did|do) (?!i\b|we\b|you\b|one\b)\w+ .*(?:affect|change|influence)", text, re.I
    ):
        return "how to"
    if _VALUE.match(text):
        return "value"
    return "yes or no" if _YES_NO.match(text) and not _JUDGING.search(text) else "open"


def _direction(text: str) -> int:
    up, down = pattern("raise").search(text), pattern("lower").search(text)
    if not (up or down):
        if re.search(r"\b(?:higher|better|faster|stronger|harder|denser|tougher|more)\b", text, re.I):
            return 1
        if re.search(r"\b(?:avoid|prevent|less|lower|fewer|suppress|mitigate)\b", text, re.I):
            return -1
        return 0
    if up and down:
        return 1 if up.start() < down.start() else -1
    return 1 if up else -1


def _property(text: str, kind: Kind, materials: list[str]) -> list[str]:
    """The words of the property that is asked for, as far as the grammar of the question tells."""
    plain = plain_signs(text)
    change = rf"(?:{lexicon()['raise']}|{lexicon()['lower']})"
    stop = r"(?=\s+(?:of|for|in|at|between|with|when|after|by|using|on|be|was|is|are|from|does|did|do|show)\b|[?.,]|$)"
    rules = {
        "how to": [r"\bmake\b.*?\b(denser|harder|stronger|tougher|stiffer)\b",
                   rf"\b{change}\s+(?:the |its |their |a |an )?([\w\s'’-]+?){stop}",
                   r"(?:can|could|should|would|is|are)\s+(?:the )?([\w\s'’-]+?)(?:\s+(?:of|in)\s+.+?)?\s+be\s+"
                   + change],
        "value": [rf"what(?:'s| is| was| are| were)\s+the\s+([\w\s'’-]+?){stop}",
                  rf"(?:which|what)\s+([\w\s'’-]*?(?:temperature|pressure|time|voltage|value|duration)){stop}",
                  r"how (hard|strong|dense|high|tough)"],
        "comparison": [r"(?:higher|lower|better|larger|smaller|highest|lowest|best)\s+([\w\s'’-]+?)" + stop,
                       rf"compare\s+(?:the )?([\w\s'’-]+?){stop}"],
        "yes or no": [rf"\b{change}\s+(?:the |its )?([\w\s'’-]+?){stop}"],
        "open": [rf"(?:change|affect|influence)s?\s+(?:the |its )?([\w\s'’-]+?){stop}"],
    }  # fmt: skip
    for rule in rules.get(kind, []):
        if found := re.search(rule, plain, re.I):
            words = [word for word in re.findall(r"[A-Za-z][\w'’+-]*", found.group(1))]
            wanted = [word for word in words if word not in materials and word.lower() not in STOP]
            if wanted:
                return wanted
    return []


def _schema(text: str, phrase: list[str], kind: Kind) -> tuple[str, str, str]:
    """Name of the property in the schema of ``sozai extract``, the answer's unit and what it is of."""
    if kind == "value":
        for words, (asked, unit) in _ASKED_UNITS.items():
            if re.search(words, text, re.I) and not re.search(
                r"(?:transition|melting|critical|curie) temperature", text, re.I
            ):
                return "", unit, asked
        if re.search(r"\btransition\b|\bmelting\b|\bcurie\b", text, re.I):
            return "", "degC", "temperature"
    written = " ".join(phrase).lower().replace("-", " ")
    if not written:
        return "", "", ""
    best: tuple[int, str, str] = (0, "", "")
    for name, known in built_in().items():
        for other in known.names:
            other = other.lower().replace("-", " ")
            if re.search(rf"(?<!\w){re.escape(other)}(?!\w)", written) and len(other) > best[0]:
                if any(
                    re.search(rf"\b{re.escape(word.lower())}\s+{re.escape(other)}", written) for word in known.without
                ):
                    continue
                best = (len(other), name, known.unit)
    return best[1], best[2], written


def _terms(text: str, taken: list[tuple[int, int]], phrase: list[str], kind: Kind, materials: bool) -> tuple[Term, ...]:
    """Words to cover; those of the property must stand in the quote itself."""
    plain = plain_signs(text)
    strong = {word.lower() for word in phrase}
    implied = set(lexicon()["implied"])
    made: dict[str, Term] = {}
    for match in re.finditer(r"[^\W_]+(?:'s)?(?:[+])?", fold(plain)):
        word = match.group()
        if any(start <= match.start() < end for start, end in taken):
            continue
        element = element_of(word)
        if element:
            made[element] = Term(
                word, frozenset({stem(word), element.lower(), stem(ELEMENT_NAMES[element])}), element, True
            )
            continue
        lower = word.lower()
        key = stem(word)
        is_property = lower in strong
        asks_nothing = key in empty_words() or lower in STOP or len(key) < 2 or lower.isdigit()
        changes = kind in ("how to", "yes or no", "comparison", "open") and (
            pattern("raise").fullmatch(word) or pattern("lower").fullmatch(word)
            or pattern("comparative_raise").fullmatch(word) or pattern("comparative_lower").fullmatch(word)
        )  # fmt: skip
        if (materials and lower in _CLASSES) or _JUDGING.fullmatch(word) or lower in ("above", "below", "beyond"):
            continue
        if changes or (asks_nothing and not (is_property and kind != "value" and lower not in STOP)):
            continue
        if is_property and lower in implied and len(strong) > 1:
            continue
        made[key] = Term(word, synonyms().get(key, frozenset()) | {key}, None, is_property)
    return tuple(made.values())
