"""What is wrong with a CIF, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One defect of a file.

    Attributes:
        code: short name of the kind of defect, e.g. ``"occupancy-above-one"``.
        severity: ``"error"`` (the file is wrong or means something else than was meant), ``"warning"`` (very likely
            wrong) or ``"note"`` (worth knowing; no alarm).
        line: of the file, from 1; 0 when the defect is in no one line.
        where: the item or site, e.g. ``"O2"`` or ``"_cell_length_a"``.
        message: one sentence with the numbers.
        mend: what to do about it.
        numbers: by name.
        block: name of the data block.
    """

    code: str
    severity: Severity
    line: int
    where: str
    message: str
    mend: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    block: str = ""

    @property
    def alarm(self) -> bool:
        """Whether a person should act: an error or a warning."""
        return self.severity != "note"

    def sentence(self) -> str:
        """One line for a person."""
        line = f"line {self.line}: " if self.line else ""
        return f"{line}{self.where + ': ' if self.where else ''}{self.message}" + (f" {self.mend}" if self.mend else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)
