"""A text cut into clauses, and each clause told apart: range, number, equation, condition, or words.

Nothing is passed over: a clause, or a word in it, that has no meaning here is refused with what was not understood.
"""

from __future__ import annotations

import re

from sozai.assistant.equations.draft import Draft, Said
from sozai.assistant.equations.geometry import take_dimension, take_geometry
from sozai.assistant.equations.known import find_known
from sozai.assistant.equations.latex import is_latex, plain_mathematics
from sozai.assistant.equations.ranges import read_range
from sozai.assistant.equations.reactions import take_reactions
from sozai.assistant.equations.round_body import take_round_body
from sozai.assistant.equations.sayings import faces_of, read_saying, take_supports
from sozai.assistant.equations.scope import FUNCTIONS, OPERATORS
from sozai.assistant.equations.tokens import COORDINATES, GREEK, normalise, same_name
from sozai.assistant.equations.vocabulary import ALL, FILLER, NAME, ONE, SIDE, START, STOP
from sozai.assistant.equations.wording import retitled, rewritten, take_title
from sozai.errors import UserError

_MATHEMATICAL = frozenset((*FUNCTIONS, *OPERATORS, *GREEK))
"""Words of three and more letters that stand in formulas."""


def read_clauses(text: str) -> Draft:
    """The clauses of a text, told apart.

    Raises:
        UserError: LaTeX that cannot be read, or a clause without a meaning here.
    """
    draft = Draft(text.strip())
    if not draft.text:
        raise UserError("there is no equation", mend='type one, such as "du/dt = -2*u, u(0) = 1"')
    plain = plain_mathematics(text) if is_latex(text) else normalise(text)
    plain = re.sub(r"(\w)'s\b|\b([A-Z][a-z]+s)'(?=\s)", lambda m: f"{m[1]}s" if m[1] else m[2], plain)
    plain = take_reactions(plain, draft)
    named = find_known(plain)
    plain = take_round_body(plain, draft, named[0] if named else None)
    plain = take_dimension(retitled(plain, draft.notes), draft)
    if find_known(plain.partition(":")[0]) is None:
        plain = take_title(plain, draft)
    named = find_known(plain)
    if named:
        draft.known, plain = named[0], take_supports(named[0].name, plain, named[1], draft)
        plain = take_title(retitled(plain, draft.notes), draft)
        again = find_known(plain)
        if again and again[0] is draft.known:  # named twice: "carburisation: Fick's second law"
            plain = again[1]
    for clause in _split(rewritten(plain)):
        _read(clause, draft)
    return draft


def _split(text: str) -> list[str]:
    """At line ends, semicolons, commas outside brackets, and the words that join clauses."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        if depth < 0:
            raise UserError(
                "a closing bracket has no opening one",
                text[max(0, place - 40) : place + 1].strip(),
                "check the brackets",
            )
        if char in ";\n" or (char == "," and depth == 0):
            if depth:
                raise UserError(
                    "an opening bracket has no closing one", text[start:place].strip(), "check the brackets"
                )
            parts.append(text[start:place])
            start = place + 1
    if depth:
        raise UserError("an opening bracket has no closing one", text[start:].strip(), "check the brackets")
    parts.append(text[start:])
    pieces = []
    for part in parts:
        pieces += re.split(
            r"\s+(?:and|with|where|subject\s+to|such\s+that|starting\s+from(?=\s+\w+\s*=))\s+|^\s*(?:with|where|"
            r"and|when)\s+",
            part,
        )
    return [piece.strip() for piece in pieces if piece and piece.strip()]


def _read(clause: str, draft: Draft) -> None:
    clause = clause.strip().rstrip(".").strip()
    if not clause:
        return
    clause = take_geometry(clause, draft)
    bare = FILLER.sub("", clause).strip()
    if not _meaning(clause) and not re.search(r"\d|=", clause):
        return
    for one in dict.fromkeys((bare, clause)):
        if one and (read_range(one, draft) or read_saying(one, draft) or _mathematics(one, draft)):
            return
    left = _meaning(clause)
    raise UserError(
        f"these words were not understood: '{' '.join(left) or clause}'",
        f"'{clause}'",
        "write that part as an equation, e.g. u(0,t) = 0, u(x,0) = sin(pi*x), 0 < x < 1, D = 0.1, t = 0..1",
    )


def _meaning(clause: str) -> list[str]:
    return [word for word in re.findall(r"[\w.°/^'-]+", clause) if word.lower().strip(".-") not in STOP]


def _mathematics(clause: str, draft: Draft) -> bool:
    """Equations, and conditions with a place behind ``at`` or ``on``."""
    if clause.count("=") - 2 * clause.count("==") > 1 and " at " not in clause and " on " not in clause:
        sides = [side.strip() for side in clause.split("=")]
        for side in sides[:-1]:
            _mathematics(f"{side} = {sides[-1]}", draft)
        return True
    named = re.fullmatch(r"((?:[A-Za-z][a-z]{2,}\s+){1,3})([A-Za-z]\w*\s*=\s*[-+]?[\d.].*)", clause)
    if named and not any(word in _MATHEMATICAL for word in named[1].split()):
        return _mathematics(named[2], draft)  # uniform load q = 100
    where = re.fullmatch(r"(.+?=.+?)\s+(?:at|on|for|when|over)\s+(.+)", clause)
    if where:
        return _located(where[1], where[2], clause, draft)
    match = re.fullmatch(rf"({NAME})\s*=\s*(.+)", clause)
    base, _, suffix = match[1].rpartition("_") if match else ("", "", "")
    if base and suffix and set(suffix) <= set(COORDINATES):
        draft.equations.append(clause)  # u_t = ...; of D_x = 3 the assembly makes a number
        return True
    if match and not match[2].startswith("="):
        name = same_name(match[1])
        if draft.values.get(name, match[2]) != match[2]:
            raise UserError(
                f"two values are given for {name}: {draft.values[name]} and {match[2]}", f"'{clause}'", "leave one"
            )
        draft.values[name] = match[2]
        return True
    if "=" in clause or clause.startswith("Eq("):
        draft.equations.append(clause)
        return True
    return False


def _located(equation: str, where: str, clause: str, draft: Draft) -> bool:
    where = re.sub(r"^(?:the|a)\s+", "", where.strip())
    place = r"([xyzt])\s*=\s*([^&\s]+(?:\s+[A-Za-zµμ]+(?=\s*(?:&|$)))?)"
    places = re.findall(place, where)
    if places and not re.sub(rf"{place}|&|\s", "", where):
        for name, value in places:
            draft.conditions.append(Said(equation, clause, at={name: value}))
        return True
    if re.fullmatch(ALL, where, re.I) or re.fullmatch(rf"(?:all\s+|both\s+|whole\s+)?{SIDE}", where, re.I):
        draft.conditions.append(Said(equation, clause, faces_of(where)))
        return True
    if re.fullmatch(ONE, where, re.I):
        draft.conditions.append(Said(equation, clause, faces_of(where)))
        return True
    if re.fullmatch(START, f"at {where}", re.I) or re.fullmatch(r"(?:start|beginning)", where, re.I):
        draft.conditions.append(Said(equation, clause, ("t",), kind="initial"))
        return True
    return _trailing_range(equation, where, draft)


def _trailing_range(equation: str, where: str, draft: Draft) -> bool:
    """``u' = -u for 0 < t < 5``."""
    if read_range(where, draft) or read_range(f"for {where}", draft):
        return _mathematics(equation, draft)
    return False
