"""English names of the elements and of their anions, for reading what people write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from sozai.knowledge.crystals.wish import SYMBOLS

_NAMES = [
    "hydrogen",
    "helium",
    "lithium",
    "beryllium",
    "boron",
    "carbon",
    "nitrogen",
    "oxygen",
    "fluorine",
    "neon",
    "sodium",
    "magnesium",
    "aluminium",
    "silicon",
    "phosphorus",
    "sulfur",
    "chlorine",
    "argon",
    "potassium",
    "calcium",
    "scandium",
    "titanium",
    "vanadium",
    "chromium",
    "manganese",
    "iron",
    "cobalt",
    "nickel",
    "copper",
    "zinc",
    "gallium",
    "germanium",
    "arsenic",
    "selenium",
    "bromine",
    "krypton",
    "rubidium",
    "strontium",
    "yttrium",
    "zirconium",
    "niobium",
    "molybdenum",
    "technetium",
    "ruthenium",
    "rhodium",
    "palladium",
    "silver",
    "cadmium",
    "indium",
    "tin",
    "antimony",
    "tellurium",
    "iodine",
    "xenon",
    "caesium",
    "barium",
    "lanthanum",
    "cerium",
    "praseodymium",
    "neodymium",
    "promethium",
    "samarium",
    "europium",
    "gadolinium",
    "terbium",
    "dysprosium",
    "holmium",
    "erbium",
    "thulium",
    "ytterbium",
    "lutetium",
    "hafnium",
    "tantalum",
    "tungsten",
    "rhenium",
    "osmium",
    "iridium",
    "platinum",
    "gold",
    "mercury",
    "thallium",
    "lead",
    "bismuth",
    "polonium",
    "astatine",
    "radon",
    "francium",
    "radium",
    "actinium",
    "thorium",
    "protactinium",
    "uranium",
    "neptunium",
    "plutonium",
    "americium",
    "curium",
    "berkelium",
    "californium",
    "einsteinium",
    "fermium",
    "mendelevium",
    "nobelium",
    "lawrencium",
]
_OTHER = {"aluminum": "Al", "sulphur": "S", "cesium": "Cs", "phosphorous": "P", "wolfram": "W", "natrium": "Na"}
ANIONS: Mapping[str, str] = {
    "oxide": "O", "sulfide": "S", "sulphide": "S", "selenide": "Se", "telluride": "Te", "fluoride": "F",
    "chloride": "Cl", "bromide": "Br", "iodide": "I", "nitride": "N", "phosphide": "P", "arsenide": "As",
    "antimonide": "Sb", "carbide": "C", "silicide": "Si", "boride": "B", "hydride": "H", "germanide": "Ge",
}  # fmt: skip
"""Anion by the name of its compounds."""
OXO_ANIONS: Mapping[str, str] = {
    "phosphate": "P", "sulfate": "S", "sulphate": "S", "silicate": "Si", "borate": "B", "carbonate": "C",
    "nitrate": "N", "titanate": "Ti", "zirconate": "Zr", "niobate": "Nb", "tantalate": "Ta", "tungstate": "W",
    "molybdate": "Mo", "vanadate": "V", "chromate": "Cr", "manganate": "Mn", "ferrate": "Fe", "cobaltate": "Co",
    "nickelate": "Ni", "cuprate": "Cu", "aluminate": "Al", "gallate": "Ga", "germanate": "Ge", "stannate": "Sn",
    "arsenate": "As", "antimonate": "Sb", "bismuthate": "Bi", "ruthenate": "Ru", "iridate": "Ir", "uranate": "U",
}  # fmt: skip
"""Central atom by the name of its compounds with oxygen."""


@cache
def names() -> Mapping[str, str]:
    """Symbol by name in small letters, British and American."""
    return {**dict(zip(_NAMES, SYMBOLS, strict=True)), **_OTHER}


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(r"\b(" + "|".join(sorted(names(), key=len, reverse=True)) + r")s?\b", re.IGNORECASE)


def symbols_for_names(text: str) -> str:
    """The text with every element's name replaced by its symbol."""
    return _pattern().sub(lambda match: names()[match[1].lower()], text)
