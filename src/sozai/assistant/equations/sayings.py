"""Conditions and numbers said in words."""

from __future__ import annotations

import re

from sozai.assistant.equations.draft import Draft, Said
from sozai.assistant.equations.random_start import random_start
from sozai.assistant.equations.vocabulary import ALL, FACES, FIXED, KEPT, NO_FLUX, ONE, START


def read_saying(clause: str, draft: Draft) -> bool:
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
    match = re.fullmatch(rf"({NO_FLUX}|{FIXED})\s+(?:at|on|through)\s+([xyz])\s*=\s*([^=<>]+)", clause, re.I)
    if match:
        kind = "neumann" if re.fullmatch(NO_FLUX, match[1], re.I) else "dirichlet"
        draft.conditions.append(Said("0", clause, kind=kind, at={match[2]: match[3].strip()}, bare=True))
        return True
    for word, kind in ((NO_FLUX, "neumann"), (FIXED, "dirichlet")):
        patterns = (
            rf"({ALL}|{ONE})\s+(?:are\s+|is\s+)?{word}",
            rf"{word}\s+(?:conditions?\s+)?(?:(?:at|on|through)\s+)?({ALL}|{ONE})",
            rf"({ALL})?{word}(?:\s+(?:boundar(?:y|ies)|boundary\s+conditions?|conditions?))?",
        )
        for pattern in patterns:
            match = re.fullmatch(pattern, clause, re.I)
            if match:
                draft.conditions.append(Said("0", clause, faces_of(match[1] or "boundary"), kind=kind, bare=True))
                return True
    match = re.fullmatch(rf"({ALL}|{ONE})\s*(?:{KEPT}|:\s*)(.+)", clause, re.I)
    if match and not re.search(r"[=<>]", match[3]):
        draft.conditions.append(Said(match[3], clause, faces_of(match[1]), kind="dirichlet", bare=True))
        return True
    match = re.fullmatch(
        rf"([-+]?[\d.]+(?:[eE][-+]?\d+)?(?:\s*[A-Za-z°%][^\s]*)?)\s+(?:on|at)\s+({ALL}|{ONE})", clause, re.I
    )
    if match:
        draft.conditions.append(Said(match[1], clause, faces_of(match[2]), kind="dirichlet", bare=True))
        return True
    match = re.fullmatch(rf"(?:{ONE}|({ALL}))\s*:\s*(.+=.+)", clause, re.I)
    if match:
        draft.conditions.append(Said(match[3], clause, faces_of(match[1] or match[2])))
        return True
    if re.fullmatch(r"(?:released\s+|starting\s+)?(?:from|at)\s+rest|initially\s+at\s+rest", clause, re.I):
        draft.conditions.append(Said("0", clause, ("t",), kind="initial", bare=True, derivative=1))
        return True
    match = re.fullmatch(
        r"(?:zero|no)\s+initial\s+velocity|initial\s+velocity\s*(?:of|is|=|:)?\s*(.+)|initially\s+no\s+velocity",
        clause,
        re.I,
    )
    if match:
        draft.conditions.append(Said(match[1] or "0", clause, ("t",), kind="initial", bare=True, derivative=1))
        return True
    match = re.fullmatch(r"(?:released|starting)\s+(?:from\s+rest\s+)?(?:at|from)\s+(-?[\d.].*)", clause, re.I)
    if match and clause.startswith("released"):
        draft.conditions.append(Said(match[1], clause, ("t",), kind="initial", bare=True))
        draft.conditions.append(Said("0", clause, ("t",), kind="initial", bare=True, derivative=1))
        return True
    if re.fullmatch(r"initially\s+(?:\w+[\s-])?(?:free|empty|clean)", clause, re.I):
        draft.conditions.append(Said("0", clause, ("t",), kind="initial", bare=True))
        return True
    random = random_start(clause, draft)
    if random is not None:
        draft.conditions.append(Said(random, clause, ("t",), kind="initial", bare=True))
        return True
    for pattern in (rf"(.+=.+?)\s+{START}", rf"{START}[:\s]+(.+=.+)", r"initial(?:ly)?\s*:?\s+(.+=.+)"):
        match = re.fullmatch(pattern, clause, re.I)
        if match:
            draft.conditions.append(Said(match[1], clause, ("t",), kind="initial"))
            return True
    for pattern in (
        r"initial\s+(?:(?:carbon|hydrogen|nitrogen|oxygen)\s+)?(?:condition|value|temperature|concentration|content|composition|"
        r"profile|shape|displacement|deflection|distribution|state|data)s?\s*(?:of|=|:|is)?\s*(.+)",
        r"(?:initially|starting)\s+(?:at|from|uniform(?:ly)?(?:\s+at)?)\s+(.+)",
        r"initially\s+(.+)",
        rf"(.+?)\s+{START}",
    ):
        match = re.fullmatch(pattern, clause, re.I)
        if match and not re.search(r"[=<>]", match[1]):
            draft.conditions.append(Said(match[1], clause, ("t",), kind="initial", bare=True))
            return True
    match = re.fullmatch(
        r"(?:a\s+|constant\s+|uniform\s+|heat\s+|volumetric\s+)*source(?:\s+term)?(?:\s*(?:of|=|:|[A-Za-z]\s*=)\s*|\s+(?=[-\d.]))(.+)",
        clause,
        re.I,
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


def faces_of(words: str | None) -> tuple[str, ...]:
    """The face that words name, the others, or all."""
    if words and re.search(r"\bother\b", words, re.I):
        return ("other",)
    for word, face in FACES.items():
        if words and re.search(rf"\b{word}\b", words, re.I):
            return (face,)
    return ("boundary",)


def take_supports(name: str, text: str, rest: str, draft: Draft) -> str:
    """Of a beam what its kind of support says of its ends; the text without these words."""
    kinds = {
        r"cantilever(?:ed)?": (("w = 0", "w' = 0"), ("w'' = 0", "w''' = 0")),
        r"simply[\s-]supported": (("w = 0", "w'' = 0"),) * 2,
        r"(?:doubly[\s-]clamped|clamped[\s-]clamped|fixed[\s-]fixed)": (("w = 0", "w' = 0"),) * 2,
    }
    for words, ends in kinds.items():
        if name == "beam" and re.search(rf"\b{words}\b", text, re.I):
            for face, stated in zip(("x-", "x+"), ends, strict=True):
                draft.conditions += [Said(one, words, (face,)) for one in stated]
            return re.sub(rf"\b{words}\b", " ", rest, flags=re.I)
    return rest
