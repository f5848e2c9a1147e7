"""Rules from whatever a person gives: a rule file or plain words; and rules written out again."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

from sozai.knowledge.crystals.structure.rulefile import read_structure_rules
from sozai.knowledge.crystals.structure.rules import Site, StructureRules
from sozai.knowledge.crystals.structure.words import rules_of_words

ENDINGS = (".yaml", ".yml", ".json")


def rules_from(source: str | Path) -> StructureRules:
    """Rules in a file (what exists, or ends in .yaml, .yml or .json), or else in words.

    Raises:
        UserError: as ``read_structure_rules`` and ``rules_of_words``.
    """
    text = str(source)
    if isinstance(source, Path) or text.lower().endswith(ENDINGS) or _is_file(text):
        return read_structure_rules(text)
    return rules_of_words(text)


def to_content(rules: StructureRules) -> dict[str, Any]:
    """The rules in the plain types of a rule file; ``rules_of(to_content(rules))`` gives them back."""
    content: dict[str, Any] = {
        "formula": rules.formula,
        "space_group": rules.space_group,
        "sites": [_site(site) for site in rules.sites],
        "polyhedra": [
            {
                f"{rule.centre}-{','.join(rule.ligands)}": rule.coordination,
                **({"range": _range((rule.low or 0.0, rule.high))} if rule.high is not None else {}),
                **({"length": rule.length} if rule.length is not None else {}),
                **({"shape": rule.shape} if rule.shape is not None else {}),
            }
            for rule in rules.polyhedra
        ],
        "connect": [
            {f"{rule.first}-{rule.second}": rule.how, **({"count": rule.count} if rule.count is not None else {})}
            for rule in rules.connections
        ],
        "oxidation": {element: int(q) if q == int(q) else q for element, q in rules.oxidation.items()},
        "density": rules.density and _range(rules.density),
        "distances": {pair: _range(limits) for pair, limits in rules.distances.items()},
        "bond_valence": rules.bond_valence,
        "cell": {name: _range(limits) for name, limits in rules.cell.items()},
    }
    return {key: value for key, value in content.items() if value}


def to_yaml(rules: StructureRules) -> str:
    """The rules as the text of a rule file."""
    import yaml

    lines = []
    for key, value in to_content(rules).items():
        written = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
        lines.append(f"{key}: {written.removesuffix('...' + chr(10)).strip()}")
    return "\n".join(lines) + "\n"


def _site(site: Site) -> Any:
    position = f"{site.multiplicity or ''}{site.letter or ''}"
    if site.coordinates is None:
        return f"{site.element} {position}".strip()
    return {
        "element": site.element,
        **({"position": position} if position else {}),
        "at": [float(value) for value in site.coordinates],
    }


def _range(limits: tuple[float, float]) -> list[float | None]:
    return [round(value, 6) if isfinite(value) else None for value in limits]


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # words longer than a file's name may be
        return False
