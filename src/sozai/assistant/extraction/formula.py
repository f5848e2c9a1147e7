"""Formulas in running text: dopants, fractions, variables such as x, and what they are once x is known."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sozai.knowledge.crystals.wish import SYMBOLS

_RARE = frozenset(["Po", "At", "Rn", "Fr", "Ra", "Ac", "Pa", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr"])
"""In papers these letters are mostly words (At, No, Pa) or labels."""
ELEMENTS = [symbol for symbol in SYMBOLS if symbol not in _RARE]
_CATIONS = ("MA", "FA", "PEA")
"""Methylammonium and its like, written like elements in formulas of halide perovskites."""
_LONGEST = "|".join(sorted([*ELEMENTS, "Ln", "RE", "Me", *_CATIONS], key=len, reverse=True))
_VARIABLE = r"[xyzδd](?![a-z])"
_AMOUNT = (
    rf"(?:(?:_?\{{\s?|_)?(?:\((?:\d*\.?\d*\s?[-+/]\s?)?\d*\.?\d*(?:{_VARIABLE})?(?:/\d)?\)|"
    rf"(?:\d+(?:\.\d+)?|\.\d+|{_VARIABLE})?(?:\s?[-+±/]\s?(?:\d*\.?\d*(?:{_VARIABLE})|\d+(?:\.\d+)?(?![A-Za-z\d]|\.\d)))*)(?:\s?\}})?)"
)
_ATOM = rf"(?:{_LONGEST}){_AMOUNT}"
_GROUP = rf"[(\[](?:{_ATOM}|\((?:{_ATOM})+\){_AMOUNT})+[)\]]{_AMOUNT}"
FORMULA = re.compile(
    rf"(?<![A-Za-z\d._])(?:\d(?:\.\d+)?(?=[A-Z(]))?(?:{_ATOM}|{_GROUP})+(?:[·•]\s?\d?\.?\d*H_?\{{?2\}}?O)?(?:T_?\{{?\s?x\s?\}}?)?(?![A-Za-z])"
)
"""Finds candidates in a text of ``plain_signs``; see ``is_formula``."""
_WORDS = {
    "In",
    "As",
    "I",
    "He",
    "No",
    "At",
    "Be",
    "Os",
    "So",
    "Co",
    "Ho",
    "Cs",
    "Ni-",
    "Pa",
    "Hf-",
    "CaNO",
    "Si",
    "PC",
    "PS",
    "II",
    "VI",
    "IV",
    "III",
}


def is_formula(text: str) -> bool:
    """Whether a candidate is a formula rather than a word or an abbreviation in capitals."""
    bare = re.sub(r"[\s_{}]", "", text)
    symbols = re.findall(_LONGEST, bare)
    if bare in _WORDS or not symbols:
        return False
    if set(symbols) & set(_CATIONS) and not (
        {"Pb", "Sn", "Ge", "Bi", "Sb"} & set(symbols) and {"I", "Br", "Cl"} & set(symbols)
    ):
        return False
    counted = re.search(r"[A-Z][a-z]?(?:\d|[xyzδ]|\()|\)\d", bare) is not None
    if len(set(symbols)) == 1:
        return bool(
            re.fullmatch(
                r"(?:Bi|O|N|H|Fe|Cu|Ni|Co|Pd|Pt|Ag|Au|Si|Ti|Zn|Ru|Al|Sn|Ge|Se|Te|Cr|Mo|W|Nb|Ta|Zr|Mn|Ga|Sb|Pb|Cd|Mg|Li|Na|Ca|He|Ar|C60|C70)2?",
                bare,
            )
        ) and bare not in ("O", "N", "H", "W", "C")
    if counted:
        return not re.fullmatch(r"[A-Z]\d?", bare) and not re.fullmatch(r"[PSCVIBUKFNHO]{2,}\d+", bare)
    return any(len(symbol) == 2 for symbol in symbols) and len(bare) <= 14


def unknowns(formula: str) -> tuple[str, ...]:
    """Variables in the amounts of a formula; the vacancy's delta is none."""
    return tuple(
        sorted(set(re.findall(r"(?<![A-Za-z])[xyz](?![a-z])|(?<=[A-Za-z\d)])[xyz](?![a-z])", _plain(formula))))
    )


def elements(formula: str) -> list[str]:
    """The element symbols of a formula, in order."""
    return re.findall(_LONGEST, _plain(formula))


def resolve(formula: str, values: Mapping[str, float]) -> str | None:
    """The formula with numbers for its variables: Li7-xLa3Zr2-xTaxO12 with x = 0.4 is Li6.6La3Zr1.6Ta0.4O12.

    ``None`` when a variable is not given or an amount would be negative.
    """
    text = _plain(formula)
    if not set(unknowns(text)) <= set(values):
        return None
    pieces, place = [], 0
    # An amount is what stands between a symbol or a closing bracket and the next one.
    for match in re.finditer(rf"({_LONGEST}|\)|\])(\([^()A-Z]*\)|[^A-Z()\[\]]*)", text):
        pieces.append(text[place : match.start()] + match.group(1))
        amount = match.group(2)
        if re.search(r"[xyz]", amount):
            count = _evaluate(amount.strip("()"), values)
            if count is None or count < -1e-9:
                return None
            if count < 1e-9:
                pieces[-1] = pieces[-1][: -len(match.group(1))]  # none of it is left
                if match.group(1) in ")]":
                    return None
            else:
                pieces.append("" if abs(count - 1) < 1e-9 else f"{round(count, 4):g}")
        else:
            pieces.append(amount)
        place = match.end()
    return "".join(pieces) + text[place:]


def _evaluate(amount: str, values: Mapping[str, float]) -> float | None:
    total, delta = 0.0, ""
    if match := re.search(r"[-+±]δ$", amount):
        amount, delta = amount[: match.start()], match.group()
    if delta:
        return None
    terms = re.findall(r"([-+]?)\s?(\d+\.?\d*|\.\d+)?\s?\*?\s?([xyz])?(?:/(\d+))?", amount)
    for sign, number, variable, divisor in terms:
        if not (number or variable):
            continue
        term = float(number or 1) * (values[variable] if variable else 1.0) / float(divisor or 1)
        total += -term if sign == "-" else term
    return total


def _plain(formula: str) -> str:
    from sozai.assistant.extraction.units import plain_signs

    return re.sub(r"[\s_{}]", "", plain_signs(formula))
