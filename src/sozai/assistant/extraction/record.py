"""One measured value out of a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sozai.assistant.documents.document import Span


@dataclass(frozen=True)
class Quantity:
    """A number with its unit, as written and as meant.

    Attributes:
        span: of the number and its unit in the text.
        text: what stands there.
        value: in ``unit``; of a range the middle.
        unit: normalised (pint), ``""`` for a pure number.
        low, high: of a range, or value minus and plus its stated error; ``None`` where there is none.
        relation: ``"<"``, ``">"``, ``"~"`` or ``"="``.
    """

    span: Span
    text: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    relation: Literal["=", "<", ">", "~"] = "="


@dataclass(frozen=True)
class Record:
    """A material, a property, its value and the conditions it was measured at.

    Attributes:
        material: as written, or as resolved (``"Li7-xLa3Zr2-xTaxO12"`` with x = 0.4 is ``"Li6.6La3Zr1.6Ta0.4O12"``).
        material_span: where its name stands.
        property: a property of the schema, e.g. ``"ionic_conductivity"``.
        quantity: its value.
        conditions: by name (``"temperature"``, ``"frequency"``, ...).
        method: e.g. ``"EIS"``; empty when not said.
        sentence: place of the sentence or table that says so.
        doubts: reasons to look at it before use; such a record is flagged, not hidden.
        probability: that all of it is right; ``None`` where there is no model of it (tables, a person).
        cited: the work that the value is attributed to, e.g. ``"[12]"``; empty when it is the document's own.
        by: ``"rules"``, ``"rules and network"`` (``reread``), ``"network"`` where it found a value that the rules had
            left, or the language model that proposed it; checked alike.
    """

    material: str
    material_span: Span
    property: str
    quantity: Quantity
    sentence: Span
    conditions: Mapping[str, Quantity] = field(default_factory=dict)
    method: str = ""
    doubts: tuple[str, ...] = ()
    by: str = "rules"
    cited: str = ""
    probability: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)
