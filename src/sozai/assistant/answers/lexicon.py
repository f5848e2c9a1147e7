"""The words of ``lexicon.yaml``, compiled."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

from sozai.assistant.documents.words import stem
from sozai.knowledge.crystals.wish import SYMBOLS

_NAMES = (
    "hydrogen helium lithium beryllium boron carbon nitrogen oxygen fluorine neon sodium magnesium aluminium "
    "silicon phosphorus sulfur chlorine argon potassium calcium scandium titanium vanadium chromium manganese iron "
    "cobalt nickel copper zinc gallium germanium arsenic selenium bromine krypton rubidium strontium yttrium "
    "zirconium niobium molybdenum technetium ruthenium rhodium palladium silver cadmium indium tin antimony "
    "tellurium iodine xenon caesium barium lanthanum cerium praseodymium neodymium promethium samarium europium "
    "gadolinium terbium dysprosium holmium erbium thulium ytterbium lutetium hafnium tantalum tungsten rhenium "
    "osmium iridium platinum gold mercury thallium lead bismuth polonium astatine radon francium radium actinium "
    "thorium protactinium uranium neptunium plutonium americium curium berkelium californium einsteinium fermium "
    "mendelevium nobelium lawrencium "
)
ELEMENT_NAMES = dict(zip(SYMBOLS, _NAMES.split(), strict=True))
"""English names by symbol."""
OTHER_SPELLINGS = {"aluminum": "Al", "sulphur": "S", "cesium": "Cs", "chloride": "Cl", "bromide": "Br", "iodide": "I",
                   "fluoride": "F", "sulfide": "S", "tungstate": "W", "niobate": "Nb"}  # fmt: skip
COMMON_NAMES = {"silica": "SiO2", "alumina": "Al2O3", "zirconia": "ZrO2", "titania": "TiO2", "magnesia": "MgO",
                "ceria": "CeO2", "yttria": "Y2O3", "lithia": "Li2O", "lime": "CaO"}  # fmt: skip


@cache
def lexicon() -> dict[str, Any]:
    """The file as it stands."""
    import yaml

    return yaml.safe_load(files("sozai.assistant.answers").joinpath("lexicon.yaml").read_text(encoding="utf-8"))


@cache
def pattern(name: str) -> re.Pattern[str]:
    """One of the file's patterns, at word boundaries."""
    return re.compile(rf"(?<![A-Za-z])(?:{lexicon()[name]})(?![A-Za-z])", re.I)


@cache
def families() -> dict[str, re.Pattern[str]]:
    """Families of strategies in their order."""
    return {name: re.compile(rf"(?<![A-Za-z])(?:{text})", re.I) for name, text in lexicon()["families"].items()}


@cache
def synonyms() -> dict[str, frozenset[str]]:
    """Stems that mean the same, by stem."""
    made: dict[str, frozenset[str]] = {}
    for group in lexicon()["synonyms"]:
        stems = frozenset(stem(word) for word in group)
        for word in stems:
            made[word] = made.get(word, frozenset()) | stems
    return made


@cache
def empty_words() -> frozenset[str]:
    """Stems that ask nothing."""
    return frozenset(stem(word) for word in lexicon()["empty"].split())


def element_of(word: str) -> str | None:
    """Symbol of an element named by its English name, or by a symbol that is no English word."""
    if word in ELEMENT_NAMES and len(word) == 2 and word not in {"In", "As", "At", "No", "He", "Be"}:
        return word
    lower = word.lower()
    if lower in OTHER_SPELLINGS:
        return OTHER_SPELLINGS[lower]
    return next((symbol for symbol, name in ELEMENT_NAMES.items() if name == lower and lower != "lead"), None)
