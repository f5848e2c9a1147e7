"""Reactions as chemists write them, ``A + B <-> C -> D``, turned into their rate equations (law of mass action).

C. M. Guldberg and P. Waage, 1864. Each step has a rate constant times the product of its reactants' amounts, each to
the power of its stoichiometric number; ``k1``, ``k2`` ... in the order of the steps, ``k1r`` for the way back, or
names of one's own in brackets: ``A <-> B (kf, kr)``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from sozai.assistant.equations.draft import Draft
from sozai.errors import UserError

_NAME = r"[A-Z][A-Za-z0-9]*"
_TERM = rf"(?:\d+\.?\d*\s*)?{_NAME}"
_SIDE = rf"{_TERM}(?:\s*\+\s*{_TERM})*"
_ARROW = r"\s*(?:<-+>|<=+>|-+>)\s*"
_CONSTANTS = r"(?:\s*\(\s*[A-Za-z]\w*(?:\s*,\s*[A-Za-z]\w*)*\s*\))?"
_CHAIN = re.compile(rf"(?<!\w){_SIDE}(?:{_ARROW}{_SIDE}{_CONSTANTS})+(?!\s*\w*[(=])")
_ORDERS = {"zero": 0, "zeroth": 0, "first": 1, "second": 2, "third": 3}
_TITLE = re.compile(
    r"\b(?:(?P<order>zero|zeroth|first|second|third)[\s-]order\s+)?"
    r"(?:(?:elementary|consecutive|successive|parallel|competing|reversible|irreversible|chemical)\s+)*"
    r"(?:reactions?|kinetics|rate\s+equations?|reaction\s+(?:scheme|mechanism|network))"
    r"(?:\s+(?:of|for))?\s*:?\s*(?:the\s+)?(?=[A-Z0-9])"
)
Step = tuple[dict[str, float], dict[str, float], str]
"""Amounts before, amounts after, and the name of the rate constant."""
_SIGNS = {"→": "->", "⟶": "->", "⇌": "<->", "⇄": "<->", "↔": "<->", "⟷": "<->", "➝": "->"}


def take_reactions(text: str, draft: Draft) -> str:
    """The text without its reactions, whose rate equations are added to the draft.

    Species are unknowns of time by their own names; amounts at the start are read as of other unknowns, and also as
    ``[A]0 = 1``. What is only formed has none at the start where none is said, which is told.

    Raises:
        UserError: a reaction without a change, or an order that its stoichiometry does not have.
    """
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    chains = list(_CHAIN.finditer(text))
    if not chains or re.search(rf"\bd\s*{_NAME}\s*/\s*d\s*t\b|\b{_NAME}'", text):
        return text  # who writes the equations too has named the reaction as their title
    title = _TITLE.search(text)
    count = sum(len(re.findall(_ARROW, chain[0])) for chain in chains)
    single = count == 1 and not re.search(r"\bk1\b", text)
    numbers, steps = itertools.count(1), list[Step]()
    for chain in chains:
        steps += _steps(chain[0], numbers, single, text)
    species = list(dict.fromkeys(name for before, after, _ in steps for name in (*before, *after)))
    orders = [before for before, _, _ in steps]
    if title and title["order"]:
        orders = _stated_order(_ORDERS[title["order"]], steps)
    for name in species:
        terms = []
        for (before, after, constant), powers in zip(steps, orders, strict=True):
            change = after.get(name, 0.0) - before.get(name, 0.0)
            if change:
                amounts = "".join(f"*{each}" + (f"^{power:g}" if power != 1 else "") for each, power in powers.items())
                terms.append(f"{change:+g}*{constant}{amounts}")
        draft.equations.append(f"d{name}/dt = {' '.join(terms) or '0'}")
    for chain in reversed(chains):
        text = text[: chain.start()] + " ; " + text[chain.end() :]
    text = _TITLE.sub(" ", text + "A")[:-1] if not title else text[: title.start()] + " " + text[title.end() :]
    text = re.sub(r"\bk\s*_?\s*-\s*(\d)(?=\s*=)", r"k\1r", text)
    text = re.sub(rf"\[({_NAME})\]\s*(?:_?\s*0|_\{{0\}}|\(\s*0\s*\))\s*=", r"\1(0) =", text)
    text = re.sub(rf"(?<!\w)({'|'.join(map(re.escape, species))})_?0\s*=", r"\1(0) =", text)
    for name in _formed(steps):
        if not re.search(rf"(?<!\w){re.escape(name)}\s*\(\s*0\s*\)\s*=", text):
            text += f" ; {name}(0) = 0"
            draft.notes.append(f"No {name} was said to be there at the start: {name}(0) = 0.")
    return text


def _steps(chain: str, numbers: Iterator[int], single: bool, text: str) -> Iterator[Step]:
    """Each arrow is a step, a double one two, with the name of its constant."""
    sides = re.split(_ARROW, chain)
    arrows = re.findall(_ARROW, chain)
    for left, arrow, right in zip(sides, arrows, sides[1:], strict=False):
        names = re.search(r"\(([^()]*)\)\s*$", right)
        given = [name.strip() for name in names[1].split(",")] if names else []
        before, after = _amounts(left), _amounts(right)
        if before == after:
            raise UserError("nothing changes in this reaction", f"'{chain.strip()}'", "write what is formed of what")
        number = next(numbers)
        usual = (["kf", "kr"] if re.search(r"\bkf\b", text) else ["k", "kr"]) if single else []
        usual = usual or [f"k{number}", f"k{number}r"]
        constants = given + usual[len(given) :]
        yield before, after, constants[0]
        if "<" in arrow:
            yield after, before, constants[1]


def _amounts(side: str) -> dict[str, float]:
    """``2 A + B`` as ``{"A": 2, "B": 1}``."""
    side = re.sub(r"\([^()]*\)\s*$", "", side)
    amounts: dict[str, float] = {}
    for term in side.split("+"):
        number, name = re.fullmatch(rf"\s*(\d+\.?\d*)?\s*({_NAME})\s*", term).groups()  # type: ignore[union-attr]
        amounts[name] = amounts.get(name, 0.0) + float(number or 1)
    return amounts


def _stated_order(order: int, steps: list[Step]) -> list[dict[str, float]]:
    """Powers of the rate law where the text says its order; of one reactant any, of several their own."""
    powers = []
    for before, _, _ in steps:
        if len(before) == 1:
            powers.append({name: float(order) for name in before if order})
        elif sum(before.values()) == order:
            powers.append(before)
        else:
            raise UserError(
                f"the reaction was said to be of order {order}, and its reactants make it {sum(before.values()):g}",
                " + ".join(before),
                "leave out the order, or write the rate equation itself, as dA/dt = -k*A*B^2",
            )
    return powers


def _formed(steps: list[Step]) -> list[str]:
    """Species that no step begins with before another one has formed them."""
    there: set[str] = set()
    formed: dict[str, None] = {}
    for before, after, _ in steps:
        there |= {name for name in before if name not in formed}
        formed.update((name, None) for name in after if name not in there)
    return list(formed)
