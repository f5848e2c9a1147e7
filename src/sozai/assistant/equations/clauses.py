"""A text cut into clauses, and each clause told apart: range, number, equation, condition, or words.

Nothing is passed over: a clause, or a word in it, that has no meaning here is refused with what was not understood.
"""

from __future__ import annotations

import re

from sozai.assistant.equations.draft import Draft, Said
from sozai.assistant.equations.known import find_known
from sozai.assistant.equations.latex import is_latex, plain_mathematics
from sozai.assistant.equations.tokens import COORDINATES, normalise, same_name
from sozai.errors import UserError

_N = r"[-+]?[^\s,;<>=\[\]()]+"
_NAME = r"[A-Za-z]\w*"
_FILLER = re.compile(
    r"^(?:(?:please|solve|find|compute|with|where|and|on|for|in|the|a|an|let|given|subject\s+to|such\s+that|by|over|"
    r"initial\s+conditions?|boundary\s+conditions?|initial\s+values?|ivp|bvp|ode|pde|system|equations?|"
    r"conditions?|of|is|"
    r"problem|parameters?|domain|numerically)(?::\s*|\s+(?![=*/^+(-])))+",
    re.IGNORECASE,
)
_STOP = set(
    [
        "a",
        "an",
        "the",
        "of",
        "on",
        "in",
        "at",
        "with",
        "and",
        "for",
        "is",
        "are",
        "be",
        "held",
        "kept",
        "fixed",
        "its",
        "it",
        "that",
        "this",
        "where",
        "by",
        "to",
        "from",
        "as",
        "solve",
        "equation",
        "problem",
        "one",
        "two",
        "three",
        "dimensional",
        "dimension",
        "long",
        "wide",
        "high",
        "thick",
        "domain",
        "there",
        "under",
        "subject",
        "please",
        "which",
        "has",
        "have",
        "having",
        "whose",
        "time",
        "space",
        "start",
        "everywhere",
    ]
)
_FACES = {
    "left": "x-",
    "right": "x+",
    "bottom": "y-",
    "lower": "y-",
    "top": "y+",
    "upper": "y+",
    "front": "z-",
    "back": "z+",
}
_SIDE = r"(?:ends?|sides?|faces?|edges?|walls?|boundar(?:y|ies)|surfaces?)"
_ALL = (
    rf"(?:both\s+{_SIDE}|all\s+{_SIDE}|(?:the\s+)?(?:ends|sides|faces|edges|walls|boundary|boundaries)|"
    rf"everywhere\s+on\s+the\s+boundary|the\s+whole\s+boundary)"
)
_ONE = rf"(?:the\s+)?(left|right|bottom|lower|top|upper|front|back)(?:\s*-?\s*(?:hand\s+)?{_SIDE})?"
_KEPT = r"(?:(?:are|is|be)\s+)?(?:held|kept|fixed|maintained|set)?\s*(?:constant\s+)?(?:at|to|=|:|equal\s+to)\s*"
_NO_FLUX = (
    r"(?:insulated|thermally\s+insulated|adiabatic|sealed|reflecting|no[\s-]?flux|zero[\s-]?flux|"
    r"traction[\s-]?free|free|impermeable|homogeneous\s+neumann)"
)
_FIXED = r"(?:fixed|clamped|held|pinned|no[\s-]?slip|grounded|homogeneous\s+dirichlet|absorbing)"
_START = (
    r"(?:at\s+the\s+(?:start|beginning)|at\s+(?:the\s+)?(?:initial\s+)?time\s+(?:t\s*=\s*)?0|"
    r"at\s+t\s*=\s*0|initially|to\s+begin\s+with|to\s+start\s+with)"
)


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
    named = find_known(plain)
    if named:
        draft.known, plain = named
    for clause in _split(_rewritten(plain)):
        _read(clause, draft)
    return draft


def _rewritten(text: str) -> str:
    """Forms whose "and" or comma would be cut, in others that stay whole."""
    text = re.sub(r"\bbetween\s+(\S+)\s+and\s+(\S+)", r"in [\1, \2]", text)
    text = re.sub(
        rf"\b(?:both\s+)?ends\s+{_KEPT}({_N}(?:\s*[A-Za-z°]+)?)\s+and\s+({_N}(?:\s*[A-Za-z°]+)?)(?=\s*(?:,|;|$|"
        rf"\n|and|for))",
        r"left end at \1, right end at \2",
        text,
    )
    text = re.sub(r"\bleft\s+and\s+right\b", "both", text)
    text = re.sub(
        r"\b((?:at|on)\s+([xyz])\s*=\s*[^,;\s]+)\s*(?:and|,|&)\s*(?:at\s+|on\s+)?(\2\s*=\s*[^,;\s]+)(?!\s*(?:<|\.\.))",
        r"\1 & \3",
        text,
    )
    text = re.sub(r"\b(at\s+([xyz])\s*=\s*[^,;\s]+)\s*(?:and|,)\s*(-?\d[\d.]*)(?=\s*(?:,|;|$|\n))", r"\1 & \2=\3", text)
    return re.sub(r"(?<=[\w)\]])\.(?=\s+[A-Z]|\s*$)", ";", text)


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
    clause = _geometry(clause, draft)
    bare = _FILLER.sub("", clause).strip()
    if not _meaning(clause) and not re.search(r"\d|=", clause):
        return
    for one in dict.fromkeys((bare, clause)):
        if one and (_range(one, draft) or _words(one, draft) or _mathematics(one, draft)):
            return
    left = _meaning(clause)
    raise UserError(
        f"these words were not understood: '{' '.join(left) or clause}'",
        f"'{clause}'",
        "write that part as an equation, e.g. u(0,t) = 0, u(x,0) = sin(pi*x), 0 < x < 1, D = 0.1, t = 0..1",
    )


def _meaning(clause: str) -> list[str]:
    return [word for word in re.findall(r"[\w.°/^'-]+", clause) if word.lower().strip(".-") not in _STOP]


def _geometry(clause: str, draft: Draft) -> str:
    """Take from a clause what it says of the body: its dimension and lengths."""
    number = r"(\d[\d.eE+-]*\s*(?:[a-zµμ]+)?)"
    for pattern, dimension in (
        (r"\b(?:1[\s-]?-?[dD]|one[\s-]dimension(?:al|s)?)\b", 1),
        (r"\b(?:2[\s-]?-?[dD]|two[\s-]dimension(?:al|s)?)\b", 2),
        (r"\b(?:3[\s-]?-?[dD]|three[\s-]dimension(?:al|s)?)\b", 3),
    ):
        if re.search(pattern, clause):
            draft.dimension = dimension
            clause = re.sub(rf"(?:in\s+)?{pattern}", " ", clause)
    bodies = (
        (r"rod|bar|wire|line|interval|slab|film|string|pipe|channel", 1),
        (r"square|plate|rectangle|sheet|membrane", 2),
        (r"cube|box|block|brick", 3),
    )
    for words, dimension in bodies:
        by = rf"{number}\s*(?:by|x|\*)\s*{number}(?:\s*(?:by|x|\*)\s*{number})?\s+(?:{words})\b"
        patterns = (
            rf"(?:on|in|along|through|of|over)?\s*\b(?:a|an|the)?\s*unit\s+(?:{words})\b",
            rf"(?:on|in|along|through|of|over)?\s*(?:a|an|the)?\s*{by}",
            rf"(?:on|in|along|through|of|over)?\s*\b(?:a|an|the)?\s*\b{number}(?:[\s-]+(?:long|thick|"
            rf"wide))?\s+(?:{words})\b",
            rf"(?:on|in|along|through|of|over)?\s*\b(?:a|an|the)?\s*(?:{words})\s+(?:of\s+|with\s+)?(?:length|"
            rf"side|thickness|width|edge|size)?\s*(?:of\s+|=\s*)?{number}(?:\s+(?:long|thick|wide))?(?=\s|$)",
        )
        for pattern in patterns:
            match = re.search(pattern, clause)
            if match:
                sizes = [size for size in match.groups() if size] or ["1"]
                sizes = sizes * dimension if len(sizes) == 1 else sizes
                draft.dimension = len(sizes)
                for axis, size in zip("xyz", sizes, strict=False):
                    draft.ranges[axis] = ("0", size.strip())
                clause = clause[: match.start()] + " " + clause[match.end() :]
                return clause.strip()
        plain = re.search(rf"(?:on|in|along|through|of|over)?\s*\b(?:a|an|the)\s+(?:{words})\b", clause)
        if plain and not draft.dimension:
            draft.dimension = dimension
            clause = (clause[: plain.start()] + " " + clause[plain.end() :]).strip()
    return clause.strip()


def _range(clause: str, draft: Draft) -> bool:
    """``0 < x < 1``, ``t = 0..10``, ``x in [0, 1]``, ``x from 0 to 1``, ``for 1 h``, ``until t = 5``."""
    chain = re.fullmatch(rf"(.+?)\s*<=?\s*({_NAME}(?:\s*,\s*{_NAME})*)\s*<=?\s*(.+)", clause)
    if chain and not re.search(r"[<=>]", chain[1] + chain[3]):
        return _set_ranges(draft, chain[2], chain[1], chain[3], clause)
    dots = re.fullmatch(rf"({_NAME})\s*=\s*(.+?)\s*\.\.+\s*(.+)", clause)
    if dots:
        return _set_ranges(draft, dots[1], dots[2], dots[3], clause)
    inside = re.fullmatch(
        rf"\(?({_NAME}(?:\s*,\s*{_NAME})*)\)?\s+in\s*[\[(]\s*(.+?)\s*,\s*(.+?)\s*[\])](?:\s*\^\s*\d)?(.*)", clause
    )
    if inside:
        unit = inside[4].strip()
        return _set_ranges(draft, inside[1], f"{inside[2]} {unit}", f"{inside[3]} {unit}", clause)
    span = re.fullmatch(rf"(?:for\s+)?({_NAME})\s+(?:from|=)\s+(.+?)\s+to\s+(.+)", clause)
    if span:
        return _set_ranges(draft, span[1], span[2], span[3], clause)
    whole = re.fullmatch(r"\[\s*([^,\]]+),\s*([^,\]]+)\s*\]", clause)
    if whole:
        return _set_ranges(draft, "x", whole[1], whole[2], clause)
    end = re.fullmatch(
        r"(?:(?:run\s+)?(?:for|until|up\s+to|over|during|to)\s+(?:a\s+time\s+(?:of\s+)?)?)?(?:(t|time)\s*(?:=|"
        r"<=?|up\s+to|until|to)\s*)?(\d[\d.eE+-]*\s*[a-z]*)",
        clause,
    )
    if (
        end
        and (
            end[1]
            or re.fullmatch(
                r"[\d.eE+-]+\s*(?:s|sec|seconds?|ms|us|ns|min|minutes?|h|hr|hours?|d|days?|weeks?|months?|years?|yr)",
                end[2],
            )
        )
        and clause != end[2]
    ):
        return _set_ranges(draft, "t", "0", end[2], clause)
    until = re.fullmatch(r"(?:for|until|up\s+to)\s+(\d[\d.eE+-]*\s*[a-z]*)", clause)
    if until:
        return _set_ranges(draft, "t", "0", until[1], clause)
    short = re.fullmatch(r"(\d[\d.eE+-]*)\s*(s|sec|seconds?|ms|min|minutes?|h|hr|hours?|days?|weeks?|years?)", clause)
    if short:
        return _set_ranges(draft, "t", "0", clause, clause)
    return False


def _set_ranges(draft: Draft, names: str, low: str, high: str, clause: str) -> bool:
    for name in re.split(r"\s*,\s*", names):
        pair = (low.strip(), high.strip())
        if re.search(r"[A-Za-z%°]", pair[1]) and re.fullmatch(r"[-+.\deE]+", pair[0]):
            unit = re.sub(r"^[-+.\d\s]+(?:[eE][-+]?\d+)?", "", pair[1])
            pair = (f"{pair[0]} {unit}", pair[1]) if float(pair[0]) else pair
        if draft.ranges.get(same_name(name), pair) != pair:
            raise UserError(f"two ranges are given for {name}", f"'{clause}'", "leave one")
        draft.ranges[same_name(name)] = pair
    return True


def _words(clause: str, draft: Draft) -> bool:
    """Conditions and numbers said in words."""
    if re.fullmatch(
        r"(?:periodic(?:\s+(?:boundary\s+conditions?|boundaries|ends|sides))?|(?:boundary|ends|sides|"
        r"boundaries)\s+(?:is\s+|are\s+)?periodic)(?:\s+in\s+all\s+directions)?",
        clause,
        re.I,
    ):
        draft.conditions.append(Said("", clause, ("boundary",), kind="periodic", bare=True))
        return True
    match = re.fullmatch(r"periodic\s+in\s+([xyz])", clause, re.I)
    if match:
        draft.conditions.append(Said("", clause, (f"{match[1]}-", f"{match[1]}+"), kind="periodic", bare=True))
        return True
    for word, kind in ((_NO_FLUX, "neumann"), (_FIXED, "dirichlet")):
        patterns = (
            rf"({_ALL}|{_ONE})\s+(?:are\s+|is\s+)?{word}",
            rf"{word}\s+(?:conditions?\s+)?(?:(?:at|on|through)\s+)?({_ALL}|{_ONE})",
            rf"({_ALL})?{word}(?:\s+(?:boundar(?:y|ies)|boundary\s+conditions?|conditions?))?",
        )
        for pattern in patterns:
            match = re.fullmatch(pattern, clause, re.I)
            if match:
                draft.conditions.append(Said("0", clause, _faces(match[1] or "boundary"), kind=kind, bare=True))
                return True
    match = re.fullmatch(rf"({_ALL}|{_ONE})\s*(?:{_KEPT}|:\s*)(.+)", clause, re.I)
    if match and not re.search(r"[=<>]", match[3]):
        draft.conditions.append(Said(match[3], clause, _faces(match[1]), kind="dirichlet", bare=True))
        return True
    match = re.fullmatch(rf"(?:{_ONE}|({_ALL}))\s*:\s*(.+=.+)", clause, re.I)
    if match:
        draft.conditions.append(Said(match[3], clause, _faces(match[1] or match[2])))
        return True
    if re.fullmatch(r"(?:released\s+|starting\s+)?(?:from|at)\s+rest|initially\s+at\s+rest", clause, re.I):
        draft.conditions.append(Said("0", clause, ("t",), kind="initial", bare=True, derivative=1))
        return True
    match = re.fullmatch(
        r"(?:initially\s+|starting\s+from\s+)?(?:random\s+)?noise\s+(?:of|"
        r"with\s+amplitude)\s+(?:amplitude\s+)?([\d.eE+-]+)(?:\s+(?:around|"
        r"about)\s+([\d.eE+-]+))?(?:\s+at\s+the\s+start)?",
        clause,
        re.I,
    )
    if match:
        draft.conditions.append(Said(f"{match[2] or 0} + noise({match[1]})", clause, ("t",), kind="initial", bare=True))
        return True
    for pattern in (rf"(.+=.+?)\s+{_START}", rf"{_START}[:\s]+(.+=.+)", r"initial(?:ly)?\s*:?\s+(.+=.+)"):
        match = re.fullmatch(pattern, clause, re.I)
        if match:
            draft.conditions.append(Said(match[1], clause, ("t",), kind="initial"))
            return True
    for pattern in (
        r"initial\s+(?:condition|value|temperature|concentration|profile|state|data)s?\s*(?:of|=|:|is)?\s*(.+)",
        r"(?:initially|starting)\s+(?:at|from|uniform(?:ly)?(?:\s+at)?)\s+(.+)",
        r"initially\s+(.+)",
        rf"(.+?)\s+{_START}",
    ):
        match = re.fullmatch(pattern, clause, re.I)
        if match and not re.search(r"[=<>]", match[1]):
            draft.conditions.append(Said(match[1], clause, ("t",), kind="initial", bare=True))
            return True
    match = re.fullmatch(
        r"(?:a\s+|constant\s+|uniform\s+)*source(?:\s+term)?\s*(?:of|=|:|[A-Za-z]\s*=)\s*(.+)", clause, re.I
    )
    if match:
        draft.source = match[1]
        return True
    match = re.fullmatch(r"(?:an?\s+|the\s+)?((?:[A-Za-z]+\s+){0,2}[A-Za-z]{3,})\s*(?:of|is|=|:)?\s+(-?\d.*)", clause)
    if (
        match
        and "=" not in match[2]
        and (" " in match[1] or "=" not in clause)
        and match[1].split()[0].lower() not in ("for", "until", "over", "up")
    ):
        draft.spoken.append((match[1].strip().lower(), match[2]))
        return True
    return False


def _faces(words: str | None) -> tuple[str, ...]:
    for word, face in _FACES.items():
        if words and re.search(rf"\b{word}\b", words, re.I):
            return (face,)
    return ("boundary",)


def _mathematics(clause: str, draft: Draft) -> bool:
    """Equations, and conditions with a place behind ``at`` or ``on``."""
    if clause.count("=") - 2 * clause.count("==") > 1 and " at " not in clause and " on " not in clause:
        sides = [side.strip() for side in clause.split("=")]
        for side in sides[:-1]:
            _mathematics(f"{side} = {sides[-1]}", draft)
        return True
    where = re.fullmatch(r"(.+?=.+?)\s+(?:at|on|for|when|over)\s+(.+)", clause)
    if where:
        return _located(where[1], where[2], clause, draft)
    match = re.fullmatch(rf"({_NAME})\s*=\s*(.+)", clause)
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
    places = re.findall(r"([xyzt])\s*=\s*([^&\s]+)", where)
    if places and not re.sub(r"([xyzt])\s*=\s*([^&\s]+)|&|\s", "", where):
        for name, value in places:
            draft.conditions.append(Said(equation, clause, at={name: value}))
        return True
    if re.fullmatch(_ALL, where, re.I) or re.fullmatch(rf"(?:all\s+|both\s+|whole\s+)?{_SIDE}", where, re.I):
        draft.conditions.append(Said(equation, clause, ("boundary",)))
        return True
    if re.fullmatch(_ONE, where, re.I):
        draft.conditions.append(Said(equation, clause, _faces(where)))
        return True
    if re.fullmatch(_START, f"at {where}", re.I) or re.fullmatch(r"(?:start|beginning)", where, re.I):
        draft.conditions.append(Said(equation, clause, ("t",), kind="initial"))
        return True
    return _trailing_range(equation, where, draft)


def _trailing_range(equation: str, where: str, draft: Draft) -> bool:
    """``u' = -u for 0 < t < 5``."""
    if _range(where, draft) or _range(f"for {where}", draft):
        return _mathematics(equation, draft)
    return False
