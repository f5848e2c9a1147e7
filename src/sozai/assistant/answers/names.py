"""Which material a name means: formulas by composition, short names by what the library says they stand for."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sozai.assistant.answers.lexicon import COMMON_NAMES
from sozai.assistant.documents.document import Document
from sozai.assistant.documents.outline import word_set
from sozai.assistant.extraction.formula import FORMULA, is_formula
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.units import plain_signs
from sozai.knowledge.crystals.wish import SYMBOLS
from sozai.materials.tables.compositions import amounts_of

_SHORT = re.compile(r"(?<![A-Za-z0-9])(?:\d{1,2}[A-Z]-)?[A-Z][A-Za-z]{0,4}[A-Z][A-Za-z0-9.]*")
_GROUP = re.compile(r"\((?:[A-Z][a-z]?[\d.xyz-]*,\s?)+[A-Z][a-z]?[\d.xyz-]*\)$")
"""Elements that share a site, before the rest of a formula: (Bi,Sr)FeO3."""
_AMOUNT = re.compile(r"([A-Z][a-z]?)([\d.]*)")
NO_MATERIALS = word_set(
    "XRD SEM TEM EIS DSC TGA EDS EDX XPS NMR DFT FTIR SPS CVD PVD ALD UV IR AC DC RT HV MPa GPa kPa mS kHz MHz "
    "GHz meV eV CO2 PhD SIMS AFM ICP BET PCE VOC JSC OCV ASR HRTEM STEM MD AIMD II III IV VI XANES EXAFS USA EU "
    "pH DOI "
)


@dataclass(frozen=True)
class Named:
    """A material's name in a text.

    Attributes:
        start, end: its place.
        text: as written, signs unified.
    """

    start: int
    end: int
    text: str


@lru_cache(maxsize=20_000)
def names_in(text: str) -> tuple[Named, ...]:
    """Formulas and short names (``LLTO``, ``FAPbI3``) in a text."""
    plain = plain_signs(text)
    found: list[Named] = []
    for match in FORMULA.finditer(plain):
        written = match.group().rstrip(" -_{+/(")
        if is_formula(written) and written not in NO_MATERIALS and len(elements(written)) >= 2:
            group = _GROUP.search(plain, max(0, match.start() - 40), match.start())
            start, end = group.start() if group else match.start(), match.start() + len(written)
            found.append(Named(start, end, _bare(plain[start:end])))
    starts, formulas = [one.start for one in found], tuple(found)
    for match in _SHORT.finditer(plain):
        written = match.group().rstrip(".")
        written = written[:-1] if written.endswith("s") and written[:-1].isupper() else written  # SOFCs
        last = bisect_right(starts, match.start()) - 1
        inside = last >= 0 and match.start() < formulas[last].end
        if not inside and written not in NO_MATERIALS and sum(map(str.isupper, written)) >= 2:
            found.append(Named(match.start(), match.start() + len(written), written))
    return tuple(sorted(found, key=lambda one: one.start))


class Aliases:
    """What short names stand for, as the documents of a library define them.

    Args:
        documents: of the library.
    """

    def __init__(self, documents: Iterable[Document]):
        self._meanings: dict[str, set[str]] = {}
        for document in documents:
            if document.facts.get("kind") == "table":
                continue
            for short, long in _definitions(document.text).items():
                self._meanings.setdefault(_bare(short), set()).add(_bare(long))

    def forms(self, name: str) -> set[str]:
        """Every way in which the documents write a material, its own name first of all."""
        bare = _bare(plain_signs(name))
        made = {bare} | self._meanings.get(bare, set())
        made |= {short for short, longs in self._meanings.items() if bare in longs}
        for short in list(made):
            made |= self._meanings.get(short, set())
        return made | {common for common, formula in COMMON_NAMES.items() if formula == bare}

    def same(self, one: str, other: str) -> bool:
        """Whether two names mean the same material, or the second a composition of the first's family."""
        if one == other or other in self.forms(one):
            return True
        return any(related(form, other) for form in self.forms(one))

    def formula(self, name: str) -> str | None:
        """A formula of a material, where its name is one or the documents give one; one without variables if any."""
        made = [form for form in self.forms(name) if len(elements(form)) >= 2 and is_formula(form)]
        return min(made, key=lambda form: (bool(re.search(r"[xyzδ]", form)), len(form), form), default=None)


@lru_cache(maxsize=256)
def _definitions(text: str) -> dict[str, str]:
    return dict(Names(text).meanings)


@lru_cache(maxsize=4096)
def elements(formula: str) -> frozenset[str]:
    """Elements of a formula; none where it is no formula."""
    found = _AMOUNT.findall(re.sub(r"[\s(){}\[\]_·]", "", formula))
    symbols = [symbol if symbol in SYMBOLS else symbol[0] for symbol, _ in found]
    return frozenset(symbols) if all(symbol in SYMBOLS for symbol in symbols) else frozenset()


@lru_cache(maxsize=4096)
def related(one: str, other: str) -> bool:
    """Whether two formulas are the same, or the second is the first with a dopant: ``Li6.4La3Zr1.4Ta0.6O12`` of LLZO.

    The anions must agree within 5 %, and the second may have one or two elements more.
    """
    first, second = _amounts(one), _amounts(other)
    if not (first and second) or not set(first) <= set(second) or len(set(second) - set(first)) > 2:
        return False
    anions = [symbol for symbol in ("O", "S", "Se", "F", "Cl", "Br", "I", "N") if symbol in second]
    if not anions or any(symbol not in first for symbol in anions):
        return False
    alike = all(abs(first[symbol] - second[symbol]) <= 0.05 * max(first[symbol], 1) for symbol in anions)
    if set(first) == set(second):
        return alike and all(abs(first[symbol] - second[symbol]) <= 0.15 * first[symbol] for symbol in first)
    return alike and len(first) >= 3


def _amounts(formula: str) -> dict[str, float]:
    """Atoms by element, with a tenth for a variable: ``SrMo1-xMgxO3`` is SrMo0.9Mg0.1O3; empty where it is none."""
    bare = re.sub(r"(\d(?:\.\d+)?)-[xyz]", lambda found: f"{float(found[1]) - 0.1:g}", _bare(formula))
    return amounts_of(re.sub(r"(?<=[A-Za-z)])[xyz](?![a-z])", "0.1", bare)) or {}


def _bare(name: str) -> str:
    """A name without blanks and without what is said of missing oxygen: ``O3-δ`` is ``O3``."""
    return re.sub(r"(?<=[O\d)])\s*[-+±]+\s*[δx]$", "", re.sub(r"[\s_{}^$]", "", name))
