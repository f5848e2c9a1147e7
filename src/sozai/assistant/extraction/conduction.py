"""Whether a document's bare "conductivity" is that of electrons: "the conductivity of polypyrrole"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.unnamed import Value

_ELECTRONS = re.compile(
    r"polyaniline|polypyrrole|polythiophene|polyacetylene|PEDOT|\bPANI|\bPPy\b|P3HT|conjugated|"
    r"conduct(?:ing|ive) polymer|semiconduct|percolation|carbon (?:nanotube|black|fib)|graphene|graphite|"
    r"\b[MS]WC?NTs?\b|\bCNTs?\b|fullerene|thermoelectric|Seebeck|antistatic|iodine",
    re.IGNORECASE,
)
_IONS = re.compile(
    r"electrolyte|ionic|\bions?\b|proton|hydroxide|lithium|Li\+|fuel cell|transference|exchange (?:capacity|membrane)|"
    r"sulfonated|batter(?:y|ies)|oxygen|SOFC|garnet|NASICON",
    re.IGNORECASE,
)


def of_electrons(values: Sequence[Value], plain: str, schema: Sequence[Property]) -> list[Value]:
    """The values with "conductivity" alone read as electronic where the text is on conductors of electrons only.

    Args:
        values: of a sentence.
        plain: the document's text, signs unified.
        schema: the properties; without ``electronic_conductivity`` nothing is changed.
    """
    electronic = next((property_ for property_ in schema if property_.name == "electronic_conductivity"), None)
    bare = [v for v in values if v.property.name == "ionic_conductivity" and _is_bare(v, plain)]
    if electronic is None or not bare or _ELECTRONS.search(plain) is None or _IONS.search(plain) is not None:
        return list(values)
    return [replace(v, property=electronic) if v in bare else v for v in values]


def _is_bare(value: Value, plain: str) -> bool:
    return value.cue is None or plain[value.cue[0] : value.cue[1]].lower() in ("conductivity", "conductivities")
