"""Audit of a CIF as a crystallographer's validator would: is the file what it says it is?

The checks are those that checkCIF (https://checkcif.iucr.org, Spek, Acta Cryst. D65, 148, 2009) and the editors of
journals make of a structure's file, as far as they need no diffraction data. Partial occupancy and split sites are
legitimate. Nothing is mended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sozai.assistant.structures.cif_contents import audit_contents
from sozai.assistant.structures.cif_numbers import audit_cell, audit_displacements, audit_numbers, audit_radiation
from sozai.assistant.structures.cif_sites import (
    audit_multiplicities,
    audit_overlaps,
    place_sites,
    read_sites,
)
from sozai.assistant.structures.cif_symmetry import audit_metric, audit_symmetry, reporter
from sozai.assistant.structures.cif_text import Block, read_cif
from sozai.assistant.structures.finding import Finding
from sozai.errors import UserError

_ORDER = {"error": 0, "warning": 1, "note": 2}
MOST_OF_A_KIND = 5
"""Findings of one code that are kept; the last one says how many more there were."""


@dataclass(frozen=True)
class Audit:
    """What an audit found, worst first.

    Attributes:
        findings: errors, warnings, notes.
        blocks: names of the data blocks with atoms.
    """

    findings: tuple[Finding, ...]
    blocks: tuple[str, ...]

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """Errors and warnings."""
        return tuple(finding for finding in self.findings if finding.alarm)

    @property
    def sound(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"sound": self.sound, "blocks": list(self.blocks), "findings": [f.to_dict() for f in self.findings]}


def audit_file(path: str | Path) -> Audit:
    """Audit a CIF file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"the file cannot be read ({(error.strerror or str(error)).lower()})", str(path)) from error
    return audit_text(data)


def audit_text(data: bytes | str) -> Audit:
    """Audit a CIF's text; whatever is in it, this gives findings and does not raise."""
    read = read_cif(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
    findings = list(read.findings)
    with_atoms = [block for block in read.blocks if any(tag.startswith("_atom_site_") for tag in block.items)]
    if read.blocks and not with_atoms:
        told = "The file lists no atoms."
        findings.append(Finding("no-atoms", "error", read.blocks[0].line, "", told, "It is cut off or no structure."))
    for block in with_atoms:
        _block(block, findings)
    findings = _few(findings)
    findings.sort(key=lambda finding: (_ORDER[finding.severity], finding.line))
    return Audit(tuple(findings), tuple(block.name for block in with_atoms))


def _block(block: Block, findings: list[Finding]) -> None:
    report = reporter(findings, block.name)
    audit_numbers(block, report)
    cell = audit_cell(block, report)
    symmetry = audit_symmetry(block, report)
    sites = read_sites(block, report)
    audit_radiation(block, report)
    matrix = cell[0] if cell is not None else None
    audit_displacements(block, matrix, report)
    if cell is None or symmetry is None or matrix is None:
        return
    if symmetry.group:
        audit_metric(matrix, symmetry, cell[1], report)
    if not sites:
        if sites is not None:
            report("no-atoms", "error", block.line, "", "The block lists no atoms.", "It is cut off.")
        return
    place_sites(sites, matrix, symmetry, report)
    if symmetry.group:
        audit_multiplicities(block, sites, symmetry, report)
    audit_overlaps(sites, matrix, report)
    audit_contents(block, sites, float(np.linalg.det(matrix)), report)


def _few(findings: Sequence[Finding]) -> list[Finding]:
    """At most ``MOST_OF_A_KIND`` of a code and block, and how many more there were."""
    total = Counter((finding.code, finding.block) for finding in findings)
    seen: Counter[tuple[str, str]] = Counter()
    kept = []
    for finding in findings:
        key = (finding.code, finding.block)
        seen[key] += 1
        if seen[key] <= MOST_OF_A_KIND:
            kept.append(finding)
        elif seen[key] == MOST_OF_A_KIND + 1:
            more = total[key] - MOST_OF_A_KIND
            told = f"{more} more of the kind {finding.code}."
            kept.append(Finding(finding.code, finding.severity, finding.line, "", told, block=finding.block))
    return kept
