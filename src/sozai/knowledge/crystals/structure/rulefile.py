"""Read a structure's rule file (YAML or JSON) and say exactly what is wrong with it.

formula: NaZr2(PO4)3
space_group: R-3c
oxidation: {Na: 1, Zr: 4, P: 5, O: -2}
sites: [Na 6b, Zr 12c, P 18e, O 36f, O 36f]
polyhedra: [{Zr-O: 6, range: [1.9, 2.35]}, {P-O: 4}]
connect: [{Zr-P: corner, count: 6}, {P-P: none}]
density: [2.9, 3.5]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sozai.errors import UserError
from sozai.knowledge.crystals.rulefile import Loader, nearest
from sozai.knowledge.crystals.structure.parts import Parts, Place
from sozai.knowledge.crystals.structure.rules import StructureRules

KEYS = (
    "formula", "space_group", "sites", "polyhedra", "connect", "oxidation", "density", "distances", "bond_valence",
    "cell",
)  # fmt: skip
"""What a rule file may say."""


def read_structure_rules(path: str | Path) -> StructureRules:
    """The rules in a file.

    Raises:
        UserError: the file cannot be read, or a key or value is not allowed; with file, line, key and what is.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("there is no such rule file", str(path), "check the name of the file") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(f"the rule file cannot be read ({fault})", str(path), "give a YAML text file") from None
    return rules_of_text(text, str(path))


def rules_of_text(text: str, where: str = "rules") -> StructureRules:
    """The rules in YAML or JSON text.

    Raises:
        UserError: as for ``read_structure_rules``.
    """
    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            content = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(fault, "problem", None) or "it is no YAML"
        raise UserError(f"the rules cannot be read: {problem}", where + line, "mend the line") from None
    lines: dict[Place, int] = {}
    if node is not None:
        _collect(node, (), lines)
    return rules_of(content, where, lines)


def rules_of(content: Any, where: str = "rules", lines: Mapping[Place, int] | None = None) -> StructureRules:
    """The rules in plain Python types, e.g. from JSON.

    Args:
        content: a mapping with some of ``KEYS``.
        where: its name for messages.
        lines: line by path of keys, where known.

    Raises:
        UserError: a key or value is not allowed.
    """
    if not isinstance(content, Mapping) or not content:
        raise UserError("there are no rules in it", where, f"write some of {', '.join(KEYS)}, each with its value")
    read = Parts(content, where, lines or {})
    group = read.space_group()
    for key in content:
        if key not in KEYS:
            read.refuse((key,), f"'{key}' is no rule of a structure", nearest(key, KEYS))
    return StructureRules(
        formula=read.formula(),
        space_group=group.number if group else None,
        sites=read.sites(group),
        polyhedra=read.polyhedra(),
        connections=read.connections(),
        oxidation=read.oxidation(),
        density=None if content.get("density") is None else read.range(("density",), content["density"], "g/cm3"),
        distances=read.distances(),
        bond_valence=read.bond_valence(),
        cell=read.cell(group),
        where=where,
    )


def _collect(node: yaml.Node, path: Place, lines: dict[Place, int]) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _collect(value, (*path, key.value), lines)
            lines[*path, key.value] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            _collect(value, (*path, place), lines)
