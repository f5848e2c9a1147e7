"""What a sentence says was raised or lowered, by what, and from which value to which."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from sozai.assistant.answers.evidence import Effect, cite
from sozai.assistant.answers.lexicon import pattern
from sozai.assistant.answers.question import Question
from sozai.assistant.answers.values import amount_in, same_unit
from sozai.assistant.answers.view import View
from sozai.assistant.documents.document import Span
from sozai.assistant.documents.words import tokens
from sozai.assistant.extraction.quantities import Found, find_quantities

_CLAUSE = re.compile(
    r";\s|,\s(?=(?:but|whereas|while|which|so that|because|since|and (?:the|raised|lowered|increased|"
    r"decreased|thereby))\b)|"
    r"\s(?=(?:but|whereas|because)\b)|:\s|\.\s"
)
_CAUSE = re.compile(
    r"\b(?:with|after|by|upon|on|through|via|using|under|in|for|above|below|beyond|at|when)\b\s+(?=[\w\d])", re.I
)


@dataclass(frozen=True)
class Change:
    """A property that a clause says was changed.

    Attributes:
        effect: direction and values.
        cause: the words of the clause that say by what, verbatim pieces of the quote.
        score: how plainly it says so.
    """

    effect: Effect
    cause: str
    score: float


def changes(view: View, question: Question) -> list[Change]:
    """The changes of the asked property in a sentence; at most one for each clause."""
    made = []
    subject = ""
    for start, end in _clauses(view.text):
        clause = view.text[start:end]
        change = _in_clause(view, question, clause, start, subject)
        subject = _subject(clause) or subject
        if change is not None:
            made.append(change)
    return made


def _clauses(text: str) -> list[tuple[int, int]]:
    places, start = [], 0
    for mark in _CLAUSE.finditer(text):
        if text[: mark.start()].count("(") > text[: mark.start()].count(")"):
            continue
        places.append((start, mark.start()))
        start = mark.end()
    places.append((start, len(text)))
    return [(a, b) for a, b in places if text[a:b].strip()]


def _in_clause(view: View, question: Question, clause: str, offset: int, subject: str) -> Change | None:
    prop = _property_place(clause, question, bool(subject)) or _unit_place(view, question, clause, offset)
    if prop is None:
        return None
    verb = _verb(clause, prop)
    if verb is None:
        return None
    place, direction, plain = verb
    behind = clause[place[1] : prop[0]] if place[1] <= prop[0] else ""
    if re.search(r"\b(?:of|from|in) (?:the )?\w+ and\b", behind):
        return None
    negated = pattern("negation").search(clause[max(0, place[0] - 25) : place[0]])
    before, after, factor = _before_after(view, question, offset, offset + len(clause), offset + place[0])
    if factor is not None and plain and not negated and direction * (1 if factor > 1 else -1) < 0 and factor != 1:
        direction = -direction  # the numbers say more than a comparative
    cause = _cause(clause, place, prop, question) or subject
    effect = Effect(
        0 if negated else direction, before, after, factor, cite(view.document, view.piece, view.piece.section)
    )
    score = 1.0 + (0.5 if after else 0.0) + (0.5 if factor else 0.0)
    return Change(effect, cause, score)


def _property_place(clause: str, question: Question, pronoun: bool) -> tuple[int, int] | None:
    """Where the clause names the property: its last word, near its other words."""
    strong = [term for term in question.terms if term.strong and not term.element]
    if not strong:
        return None
    head = strong[-1]
    for match in re.finditer(r"[^\W_]+", clause):
        if set(word.lower() for word in tokens(match.group())) & head.stems:
            lead = frozenset(word.lower() for word in tokens(clause[max(0, match.start() - 60) : match.end() + 30]))
            if all(term.stems & lead for term in strong):
                return match.span()
    found = re.search(r"\b(?:rais|increas|lower|decreas|reduc|improv)\w+\s+(it)\b", clause, re.I)
    return found.span(1) if found and pronoun else None


def _unit_place(view: View, question: Question, clause: str, offset: int) -> tuple[int, int] | None:
    """Where a clause gives a value whose unit alone tells the property."""
    if not view.tells_by_unit(question):
        return None
    start = view.piece.start + offset
    for one in view.quantities:
        if start <= one.start < start + len(clause) and same_unit(one.unit, question.unit):
            return one.start - start, one.end - start
    return None


def _verb(clause: str, prop: tuple[int, int]) -> tuple[tuple[int, int], int, bool] | None:
    """The verb of change nearest to the property: its place, its direction, and whether it is only a comparative."""
    found = []
    for name, direction, comparative in (
        ("raise", 1, False), ("lower", -1, False), ("comparative_raise", 1, True), ("comparative_lower", -1, True),
    ):  # fmt: skip
        for match in pattern(name).finditer(clause):
            if comparative and not 0 <= prop[0] - match.end() <= 35:
                continue
            gap = prop[0] - match.end() if match.end() <= prop[0] else match.start() - prop[1]
            between = clause[min(match.end(), prop[1]) : max(match.start(), prop[0])]
            crossed = len(pattern("raise").findall(between)) + len(pattern("lower").findall(between))
            found.append((crossed * 50 + gap + (10 if comparative else 0), match.span(), direction, comparative))
    if not found:
        return None
    _, place, direction, comparative = min(found)
    return place, direction, comparative


def _subject(clause: str) -> str:
    """Words before the first verb of change, or the whole clause where it has none."""
    verbs = [found.start() for name in ("raise", "lower") if (found := pattern(name).search(clause)) and found.start()]
    return _trimmed(clause[: min(verbs)] if verbs else clause)


def _trimmed(cause: str) -> str:
    """Without the words that only link it to the rest of the sentence."""
    cause = re.sub(r"^(?:and|but|whereas|while|which|so that|because|since|however|in contrast to [^,]+)\b,?\s*", "",
                   cause.strip(" ,"), flags=re.I)  # fmt: skip
    cause = re.sub(r"(?:\s+(?:and|did|does|do|not|has|have|had|was|were|is|are|also|further))+$", "", cause)
    cause = re.sub(r"\s+(?:showed|shows|had|has|have|reached|gave|gives|exhibit\w*)(?: the| an?)?$", "", cause)
    empty = re.fullmatch(
        r"(?:it|this|that|which|they|both|these|the|a)?|(?:the |a )?(?:[\w-]+ )?(?:bulk|total)", cause, re.I
    )
    return "" if empty or pattern("because").match(cause) else cause


def _cause(clause: str, verb: tuple[int, int], prop: tuple[int, int], question: Question) -> str:
    if verb[0] < prop[0]:  # "X raised the conductivity of ..."
        return _trimmed(clause[: verb[0]])
    lead = clause[: prop[0]]  # "with X the conductivity rose ..."
    words = "|".join(re.escape(word) for word in question.phrase) or "$^"
    lead = re.sub(rf"\b(?:(?:the|a|an|its|their|our)\s+)?(?:[\w-]+\s+)?(?:{words})\b.*$", "", lead, flags=re.I).strip(
        " ,"
    )
    lead = re.sub(r"\b(?:the|a|an|its|our)\s+(?:[\w-]+\s+){0,2}[\w-]*$", "", lead).strip(" ,")
    if _CAUSE.match(lead) and len(lead) > 5:
        return lead
    tail = clause[verb[1] :]
    causes = [found for found in _CAUSE.finditer(tail) if not re.match(r"(?:at|in|for|on)\b", found.group(), re.I)]
    if causes:
        return tail[causes[-1].start() :].strip(" ,.")
    return _trimmed(lead) if len(lead.split()) > 2 else ""


def _before_after(view: View, question: Question, start: int, end: int, verb: int) -> tuple[str, str, float | None]:
    """Values before and after as written, and their quotient."""
    first, last = view.piece.start + start, view.piece.start + end
    found = [one for one in view.quantities if first <= one.start < last and one.unit is not None]
    wanted = [one for one in found if same_unit(one.unit, question.unit)] if question.unit else found
    wanted = [one for one in wanted if one.unit not in ("degC", "(hour)", "(day)", "(minute)")] or []
    pairs = sorted(pairwise(found), key=lambda pair: pair[0].start < view.piece.start + verb)  # behind the verb first
    for old, new in pairs:
        if old.change == "from" and new.change == "to" and old in wanted and new in wanted:
            if _spread(view.document.text, first, old.start):
                continue
            first_end = min(old.end, new.start) if old.end <= new.start else old.number_end
            return view.document.text[old.start : first_end].strip(), _text(view, new), _quotient(old, new)
    text = view.document.text
    for one in wanted:  # a range behind "from" in a clause of change is a change
        parts = re.fullmatch(r"(\S+(?:\s?[x×]\s?10\^?-?\d+)?)\s+to\s+(.+)", _text(view, one))
        spread = _spread(text, first, one.start)
        if spread or one.start < view.piece.start + verb:
            continue
        if (
            parts
            and one.low is not None
            and one.high
            and re.search(r"\bfrom\s+$", text[max(first, one.start - 8) : one.start])
        ):
            rises = float(f"{one.low:.6g}") == (find_quantities(parts.group(1)) or [one])[0].value
            factor = one.high / one.low if one.low > 0 else None
            return parts.group(1), parts.group(2), factor if rises or factor is None else 1 / factor
    for number, old in enumerate(wanted):
        if re.search(r"\bfrom\s+(?:about\s+)?$", text[max(first, old.start - 14) : old.start]):
            for new in wanted[number + 1 :]:
                if re.search(r"\bto\s+(?:about\s+)?$", text[old.end : new.start]) and new.unit == old.unit:
                    return _text(view, old), _text(view, new), _quotient(old, new)
    behind = [one for one in wanted if one.start >= view.piece.start + verb]
    for new in behind:
        if re.search(
            r"\b(?:to|reached|of|gave)\s+(?:only\s+|about\s+)?$", text[max(first, new.start - 14) : new.start]
        ):
            return "", _text(view, new), None
    return "", "", None


def _spread(text: str, first: int, place: int) -> bool:
    """Whether two values are the ends of a range rather than before and after: "in the range from 308 to 1220"."""
    return (
        re.search(r"\b(?:rang|var[iy]|span|between)\w*\b[^.;]{0,25}$", text[max(first, place - 40) : place], re.I)
        is not None
    )


def _text(view: View, one: Found) -> str:
    return view.document.quote(Span(one.start, one.end)).strip()


def _quotient(old: Found, new: Found) -> float | None:
    converted = amount_in(new.value, new.unit, old.unit or "")
    value = new.value if converted is None else converted
    return value / old.value if old.value > 0 and value > 0 else None
