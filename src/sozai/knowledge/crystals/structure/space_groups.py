"""Space groups by any name that people write: number, short or full Hermann-Mauguin symbol, with or without setting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sozai.errors import UserError

_OVERLINED = re.compile(r"(\d)[\u0304\u0305]")  # 3 with a line above it
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆", "0123456")
_DASHES = str.maketrans("–—−‐‑", "-----")
_OLD_CUBIC = re.compile(r"^([pif][mnad]|i[a]|p[na])3([mncd]?)$")
_BEFORE_1992 = {"cmca": "cmce", "cmma": "cmme", "ccca": "ccce", "abm2": "aem2", "aba2": "aea2"}  # the glide plane e
_CHOICES = {"1": "1", "2": "2", "h": "H", "r": "R", "hexagonal": "H", "rhombohedral": "R"}


@dataclass(frozen=True)
class NamedGroup:
    """A space group as it was named.

    Attributes:
        number: international number.
        choice: setting as spglib names it (``"H"``, ``"R"``, ``"1"``, ``"2"``, ``"b1"``, ...); ``""``: the name does
            not tell, or there is only one.
        standard: whether the name leaves open or names the setting of the Tables that sozai uses (unique axis b and
            cell choice 1, origin choice 2, hexagonal axes).
    """

    number: int
    choice: str
    standard: bool


def named(text: str | int) -> NamedGroup | None:
    """The space group of a name, or ``None`` when there is none.

    Understood are 167, ``"R-3c"``, ``"R -3 2/c"``, ``"R-3c:H"``, ``"P2_1/n"``, ``"Pbnm"``, ``"Fd3m"`` (the cubic
    symbols from before 1983), ``"Fd-3m (No. 227)"``, ``"P 21/c"``, a line over a digit, and Schoenflies symbols with
    a caret (``"D3d^6"``).
    """
    if isinstance(text, bool):
        return None
    if isinstance(text, int):
        return NamedGroup(text, "", True) if 1 <= text <= 230 else None
    words = _plain(text)
    stated = re.search(r"\(?(?:no\.?|number|#|nr\.?)\s*(\d+)\)?", words)
    if stated:
        number, rest = int(stated[1]), (words[: stated.start()] + words[stated.end() :]).strip(" ,;()")
        found = named(rest) if rest else named(number)
        return found if found and found.number == number else None
    if words.isdecimal():
        return named(int(words))
    choice = ""
    suffix = re.search(r":\s*([12hr])\s*$|\(?\s*(hexagonal|rhombohedral)(?: axes| setting)?\s*\)?$", words)
    if suffix:
        choice, words = _CHOICES[suffix[1] or suffix[2]], words[: suffix.start()]
    origin = re.search(r"\(?origin(?: choice)? ([12])\)?$", words)
    if origin:
        choice, words = origin[1], words[: origin.start()]
    settings = _names().get(_squeezed(words))
    if settings is None:
        return None
    number = next(iter(settings.values()))
    if choice:
        return NamedGroup(number, choice, choice in "H2") if choice in settings else None
    standard = _standard_choice(number)
    return NamedGroup(number, "", True) if standard in settings else NamedGroup(number, next(iter(settings)), False)


def near(text: str) -> list[str]:
    """Names much like ``text``, for a message."""
    import difflib

    names = {_squeezed(short): short for short in _short_names()}
    return [names[key] for key in difflib.get_close_matches(_squeezed(_plain(text)), names, n=3, cutoff=0.5)]


def named_or_refused(text: str | int, where: str) -> NamedGroup:
    """``named``, or a ``UserError`` that tells what comes near."""
    found = named(text)
    if found is None:
        if isinstance(text, int) or str(text).strip().isdecimal():
            raise UserError(f"there is no space group {text}", where, "give a number from 1 to 230")
        close = near(str(text))
        mend = f"did you mean {' or '.join(close)}? " if close else ""
        raise UserError(f"there is no space group '{text}'", where, f"{mend}give its number, 1 to 230, or its symbol")
    return found


def symbol_of(number: int) -> str:
    """Short symbol, such as ``"R-3c"``."""
    return _short_names_by_number()[number]


def _plain(text: str) -> str:
    words = _OVERLINED.sub(r"-\1", text.translate(_SUBSCRIPTS).translate(_DASHES))
    words = re.sub(r"(?<=\d)\((\d)\)", r"\1", words)  # P2(1)/c
    return " ".join(words.replace("\u0304", "-").strip().strip("'\"").lower().split())


def _squeezed(words: str) -> str:
    """Without blanks and underscores; old cubic symbols get their bar."""
    plain = re.sub(r"[\s_{}$]", "", words.replace("\\bar", "-").replace("\\overline", "-"))
    old = _OLD_CUBIC.match(plain)
    return f"{old[1]}-3{old[2]}" if old else _BEFORE_1992.get(plain, plain)


def _short_names() -> list[str]:
    return list(_short_names_by_number().values())


@cache
def _short_names_by_number() -> dict[int, str]:
    from sozai.materials.wyckoff import space_group

    return {number: space_group(number).symbol for number in range(1, 231)}


@cache
def _standard_choice(number: int) -> str:
    from sozai.materials.wyckoff import space_group

    return str(_setting(space_group(number).hall_number).choice)


def _setting(hall: int) -> Any:
    """One of the 530 settings that spglib knows."""
    import spglib

    return spglib.get_spacegroup_type(hall)


@cache
def _names() -> Mapping[str, Mapping[str, int]]:
    """By squeezed name: number by setting; names that mean several space groups are left out."""
    names: dict[str, dict[str, int]] = {}
    for hall in range(1, 531):
        kind = _setting(hall)
        spellings = {kind.international_full, kind.schoenflies, *_spellings(kind.international)}
        if str(kind.choice) == _standard_choice(kind.number):
            spellings.add(kind.international_short)
        for spelling in spellings:
            key = _squeezed(_plain(re.sub(r"\s*:.*", "", spelling)))
            names.setdefault(key, {})[str(kind.choice)] = int(kind.number)
    return {key: numbers for key, numbers in names.items() if len(set(numbers.values())) == 1}


def _spellings(symbol: str) -> list[str]:
    """The symbol itself, and of a monoclinic one also without its axes of order 1 (``P 1 21/n 1``: ``P21/n``)."""
    variants = [part.strip() for part in symbol.split("=")]
    return [*variants, *(re.sub(r"^(\S)((?: 1)?) (\S+)((?: 1)?)$", r"\1 \3", v) for v in variants if " 1" in v)]
