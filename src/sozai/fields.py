"""The typed fields a material is made of, and the one convention for their shapes.

A *batch* is a dictionary of tensors that share their first axis::

    batch["strength"]   (batch, *shape)          a field of the whole material
    batch["species"]    (batch, sites, *shape)   a field on sites: padded, and
    batch["mask"]       (batch, sites)           true where a site (or a sequence's place) is real

=============  ==========  ====================================================================
kind           dtype       values
=============  ==========  ====================================================================
continuous     float32     any number, in the data's own units
categorical    int64       0 .. categories - 1
periodic       float32     [0, 1), where 0 and 1 are the same (fractional coordinates, torsions)
rotation       float32     (3, 3) orthogonal matrices of determinant 1
image          float32     (channels, *spatial) in [-1, 1], two or three spatial axes
sequence       int64       (length,) tokens 0 .. categories - 1, padded at the end under the mask
=============  ==========  ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from sozai.errors import UserError

Kind = Literal["continuous", "categorical", "periodic", "rotation", "image", "sequence"]
KINDS: tuple[Kind, ...] = ("continuous", "categorical", "periodic", "rotation", "image", "sequence")
MASK = "mask"
"""Name of the mask in a batch; no field may bear it."""


@dataclass(frozen=True)
class Field:
    """What one entry of a batch holds.

    Args:
        kind: see the table above.
        shape: of one event, without the axes of batch and sites: ``()`` a number, ``(1, 8, 8)`` an image.
        categories: number of values of a categorical field, or of tokens of a sequence.
        sites: whether each site has its own event.
        levels: how many evenly spaced values a continuous or image field can take (17 for the digits'
            grey levels); 0 when it is not discretised. Likelihoods are then of the discrete values.
    """

    kind: Kind
    shape: tuple[int, ...] = ()
    categories: int = 0
    sites: bool = False
    levels: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"there is no field kind '{self.kind}'", mend=f"use one of {', '.join(KINDS)}")
        if self.kind in ("categorical", "sequence") and self.categories < 1:
            raise UserError(f"a {self.kind} field needs its number of categories")
        object.__setattr__(self, "shape", tuple(int(length) for length in self.shape))
        shapes = {"rotation": "(..., 3, 3)", "image": "(channels, height, width) or one more", "sequence": "(length,)"}
        wrong = {
            "rotation": self.shape[-2:] != (3, 3), "image": len(self.shape) not in (3, 4),
            "sequence": len(self.shape) != 1,
        }  # fmt: skip
        if wrong.get(self.kind) or min(self.shape, default=1) < 1:
            mend = f"use {shapes.get(self.kind, 'positive lengths')}"
            raise UserError(f"a {self.kind} field cannot have the shape {self.shape}", mend=mend)

    @property
    def size(self) -> int:
        """Numbers in one event."""
        return prod(self.shape)

    @property
    def discrete(self) -> bool:
        """Whether the values are categories."""
        return self.kind in ("categorical", "sequence")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; ``Field(**entries)`` reads it back."""
        return {
            "kind": self.kind, "shape": list(self.shape), "categories": self.categories, "sites": self.sites,
            "levels": self.levels,
        }  # fmt: skip


Fields = Mapping[str, Field]
"""Fields by name, in order."""


def number(*shape: int) -> Field:
    """A continuous field."""
    return Field("continuous", shape)


def category(categories: int, *shape: int) -> Field:
    """A categorical field."""
    return Field("categorical", shape, categories)


def image(*shape: int, levels: int = 0) -> Field:
    """An image field of ``(channels, *spatial)``."""
    return Field("image", shape, levels=levels)


def sequence(length: int, tokens: int) -> Field:
    """A sequence field."""
    return Field("sequence", (length,), tokens)
