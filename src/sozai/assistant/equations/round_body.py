"""Spheres and long cylinders: by their symmetry a problem of one coordinate, the distance from the centre.

J. Crank, The Mathematics of Diffusion, 2nd ed. 1975, chapters 5 and 6: the Laplacian is u_rr + (2/r) u_r in a sphere
and u_rr + (1/r) u_r in a cylinder, and at the centre there is no slope.
"""

from __future__ import annotations

import re

from sozai.assistant.equations.draft import Draft, Said
from sozai.assistant.equations.known import Known
from sozai.assistant.equations.vocabulary import KEPT
from sozai.errors import UserError

_ROUND = (
    r"sphere|ball|spherical\s+(?:particle|grain|pellet|crystal)|cylinder|cylindrical\s+(?:rod|wire|bar|fib(?:er|re))"
)
_BODY = rf"(?:(?:solid|long|infinite(?:ly\s+long)?|single|small|steel|glass|metal|active)\s+)*(?P<body>{_ROUND})"
_NUMBER = r"\d+\.?\d*(?:[eE][-+]?\d+)?(?:\s*[a-zµμ]+)?"
_SIZE = rf"(?P<size>radius|diameter)\s*(?:of\s+|is\s+)?(?:(?P<letter>[A-Za-z]\w*)\s*=\s*)?(?P<number>{_NUMBER})"
_LEAD = r"(?P<lead>\b(?:in|into|inside|of|out\s+of|through|on|for)\s+)?(?:\b(?:an?|the)\s+)?"
_FORMS = (
    rf"{_LEAD}\b{_BODY}\s*(?:,\s*)?(?:of|with|whose|has)?\s*(?:an?\s+|the\s+)?{_SIZE}(?=[\s,;.]|$)",
    rf"{_LEAD}\b(?P<number>{_NUMBER})[\s-]+(?P<size>radius|diameter)\s+{_BODY}\b",
    rf"{_LEAD}\bunit\s+{_BODY}\b",
)
_ANY = re.compile(rf"\b(?:{_ROUND}|spherical|cylindrical|disc|disk|annulus|particle\s+of\s+radius)\b", re.IGNORECASE)
_SCALAR = ("heat", "fick", "fisher-kpp", "poisson", "laplace", "helmholtz", "allen-cahn")


def take_round_body(text: str, draft: Draft, known: Known | None) -> str:
    """The text without a sphere or cylinder, of which the draft is told; ``x`` is then the distance from its centre.

    Raises:
        UserError: its size is not said, or the equation is none whose Laplacian is known here.
    """
    found = _ANY.search(text)
    if found is None:
        return text
    if known is None or known.name not in _SCALAR:
        raise UserError(
            "of round bodies only equations with the Laplacian of one quantity are solved, called by name",
            f"'{found[0]}'",
            "name it (heat equation, diffusion, Poisson ...), or write the equation itself for a box, with x the "
            "radius: c_t = D*(c_xx + 2/x*c_x), c_x(0,t) = 0",
        )
    match = next((m for form in _FORMS if (m := re.search(form, text, re.IGNORECASE))), None)
    if match is None:
        raise UserError(
            "the size of the round body is not said, or it is hollow or flat, which is not solved",
            f"'{found[0]}'",
            "write: in a sphere of radius 5 um; in a long cylinder of diameter 2 mm",
        )
    said = match.groupdict()
    number = said.get("number") or "1"
    if said.get("size") == "diameter":
        parts = re.fullmatch(r"([\d.]+(?:[eE][-+]?\d+)?)(.*)", number)
        number = f"{float(parts[1]) / 2!r}{parts[2]}" if parts else number
    draft.round = 1 if said["body"].lower().startswith("cylind") else 2
    draft.conditions.append(Said("0", "no slope at the centre", ("x-",), kind="neumann", bare=True))
    body = "sphere" if draft.round == 2 else "long cylinder"
    draft.notes.append(f"x is the distance from the centre of the {body}, about which all is symmetric.")
    # A rod as long as the radius: the names of equations look for a body behind them ("cooling of a ...").
    text = f"{text[: match.start()]} {said['lead'] or 'in'} a rod of length {number.strip()}, {text[match.end() :]}"
    text = re.sub(r"\b(?:at|on)\s+(?:the\s+)?(?:outer\s+)?surface\b", "at the right end", text)
    text = re.sub(rf"\b(?:the\s+)?(?:outer\s+)?surface\s+(?={KEPT}|insulated|=)", "right end ", text)
    letter = said.get("letter")
    if letter and re.search(rf"\b{letter}\b", text):
        text += f"; {letter} = {number}"
    return text if known.name == "fisher-kpp" else re.sub(r"\br\b(?!\s*\()", "x", text)


def in_radius(text: str, power: int) -> str:
    """An equation with ``laplacian(u)`` written out for a sphere (power 2) or a cylinder (1)."""
    return re.sub(r"laplacian\((\w+)\)", rf"(diff(\1, x, 2) + {power}/x*diff(\1, x))", text)
