"""Materials as typed fields and back: what a generator learns from, whatever the material.

dataset = read_dataset("concrete.csv", given=["Strength"])
dataset.values["Cement"]          # numpy arrays by field, shapes as in sozai.fields
dataset.material.restore(values)  # a DataFrame again
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sozai.errors import UserError
from sozai.fields import Field

Values = Mapping[str, np.ndarray]
"""Arrays by field name; see ``sozai.fields`` for shapes and types."""
KINDS = ("table", "images", "formulas", "text", "array")
"""What ``read_dataset`` reads."""


class Material(ABC):
    """What is needed to turn fields back into the domain's own objects; plain JSON, kept beside the weights."""

    kind: ClassVar[str]

    @abstractmethod
    def restore(self, values: Values) -> Any:
        """The domain's object (a DataFrame, images, formulas, texts) from arrays."""

    @abstractmethod
    def write(self, made: Any, folder: Path) -> list[Path]:
        """Write what ``restore`` returned; returns the files."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """JSON that ``material_from`` reads."""

    def condition(self, name: str, value: str | float) -> float | int:
        """A condition's value as a person writes it, as the field's number.

        Raises:
            UserError: it is none.
        """
        try:
            return float(value)
        except ValueError:
            raise UserError(f"'{value}' is no number", f"condition '{name}'") from None


@dataclass
class Dataset:
    """Rows of one kind of material.

    Args:
        material: the way back.
        fields: what is generated.
        conditions: what is given.
        values: arrays of both.
    """

    material: Material
    fields: dict[str, Field]
    conditions: dict[str, Field]
    values: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))


def material_from(content: Mapping[str, Any]) -> Material:
    """From ``Material.to_dict``."""
    settings = dict(content)
    return _kinds()[settings.pop("kind")](**settings)


def read_dataset(
    path: Path | str,
    kind: str = "auto",
    given: Sequence[str] = (),
    columns: Sequence[str] = (),
    size: int = 32,
    limit: int | None = None,
) -> Dataset:
    """Read a table (CSV, TSV, Excel, parquet), a folder or archive of images, a list of formulas, a text or an array.

    Args:
        path: the file or folder.
        kind: ``table``, ``images``, ``formulas``, ``text``, ``array``, or ``auto``: by the file's name and
            content.
        given: columns of a table that are conditions.
        columns: columns of a table to use; by default all.
        size: edge in pixels of image patches, or characters of a text's windows.
        limit: at most so many rows, the first ones.

    Raises:
        UserError: it cannot be read, or does not hold what it should; the message says where.
    """
    source = Path(path)
    if not source.exists():
        raise UserError("there is no such file or folder", str(source))
    kind = guess(source) if kind == "auto" else kind
    if kind not in KINDS:
        raise UserError(f"there is no kind of data '{kind}'", "kind", f"use one of {', '.join(KINDS)}")
    if given and kind != "table":
        raise UserError(f"conditions are columns of a table, and {kind} have none", "given")
    if kind == "table":
        from sozai.materials.tables.fields import read_table

        dataset = read_table(source, given, columns)
    elif kind == "images":
        from sozai.materials.images import read_images

        dataset = read_images(source, size)
    elif kind == "formulas":
        from sozai.materials.formulas import read_formulas

        dataset = read_formulas(source)
    elif kind == "text":
        from sozai.materials.text import read_text

        dataset = read_text(source, size)
    else:
        from sozai.materials.array import read_array

        dataset = read_array(source)
    if limit is not None:
        dataset.values = {name: values[:limit] for name, values in dataset.values.items()}
    return dataset


def guess(path: Path) -> str:
    """The kind of data a file holds, by its name.

    Raises:
        UserError: the name tells nothing.
    """
    name = path.name.lower().removesuffix(".gz")
    if path.is_dir() or name.endswith((".tar", ".zip", ".tgz", ".png", ".tif", ".tiff", ".jpg")):
        return "images"
    if name.endswith((".csv", ".tsv", ".parquet", ".xlsx")):
        return "table"
    if name.endswith(".txt"):
        return "text"
    if name.endswith(".npy"):
        return "array"
    raise UserError("the file's name does not tell what it holds", str(path), "name it with --kind")


class Domains(Material):
    """Two sets of one kind and shape, unpaired, between which a system translates.

    Args:
        a, b: ``to_dict`` of the materials.
        field: name of the only field of both.
    """

    kind = "domains"

    def __init__(self, a: Mapping[str, Any], b: Mapping[str, Any], field: str):
        self.sides, self.field = {"a": material_from(a), "b": material_from(b)}, field

    def restore(self, values: Values) -> dict[str, Any]:
        """The domain's objects by side."""
        return {name: self.sides[name].restore({self.field: array}) for name, array in values.items()}

    def write(self, made: dict[str, Any], folder: Path) -> list[Path]:
        """A folder for each side."""
        paths = []
        for name, objects in made.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            paths += self.sides[name].write(objects, folder / name)
        return paths

    def to_dict(self) -> dict[str, Any]:
        """See ``Material``."""
        return {"kind": self.kind, "field": self.field, **{name: each.to_dict() for name, each in self.sides.items()}}


def join_domains(one: Dataset, two: Dataset) -> Dataset:
    """Two datasets as the fields ``a`` and ``b``; rows of the smaller repeat.

    Raises:
        UserError: they are not of one kind and shape.
    """
    if one.conditions or two.conditions or len(one.fields) != 1 or one.fields != two.fields:
        raise UserError(
            "both must hold images, or arrays, of one shape", "the two sets", "give such as two folders of micrographs"
        )
    [(name, field)] = one.fields.items()
    rows = np.arange(max(len(one), len(two)))
    values = {side: each.values[name][rows % len(each)] for side, each in (("a", one), ("b", two))}
    return Dataset(Domains(one.material.to_dict(), two.material.to_dict(), name), {"a": field, "b": field}, {}, values)


def _kinds() -> dict[str, type[Material]]:
    from sozai.materials.array import Array
    from sozai.materials.formulas import Formulas
    from sozai.materials.images import Images
    from sozai.materials.tables.fields import Table
    from sozai.materials.text import Text

    return {each.kind: each for each in (Table, Images, Formulas, Text, Array, Domains)}
