"""Plain arrays of numbers: ``.npy`` files of (rows, columns)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sozai.errors import UserError
from sozai.fields import Field, number
from sozai.materials.dataset import Dataset, Material, Values


class Array(Material):
    """Rows of numbers without names."""

    kind = "array"

    def __init__(self, columns: int):
        self.columns = columns

    def restore(self, values: Values) -> np.ndarray:
        """(rows, columns)."""
        return values["x"]

    def write(self, made: np.ndarray, folder: Path) -> list[Path]:
        """``samples.npy``."""
        path = folder / "samples.npy"
        np.save(path, made)
        return [path]

    def to_dict(self) -> dict[str, Any]:
        """See ``Material``."""
        return {"kind": self.kind, "columns": self.columns}


def dataset_of(array: np.ndarray, where: str = "data") -> Dataset:
    """Rows of an array.

    Raises:
        UserError: it is not two-dimensional, or a number is missing.
    """
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number):
        raise UserError(f"an array of shape {array.shape} and type {array.dtype} is no table of numbers", where)
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0] + 1
        raise UserError("a value is missing or not finite", f"{where}, row {row}, column {column}")
    fields: dict[str, Field] = {"x": number(array.shape[1])}
    return Dataset(Array(array.shape[1]), fields, {}, {"x": array.astype(np.float32)})


def read_array(path: Path) -> Dataset:
    """A ``.npy`` file; see ``dataset_of``."""
    try:
        return dataset_of(np.load(path, allow_pickle=False), str(path))
    except (OSError, ValueError) as error:
        raise UserError(f"the array cannot be read ({type(error).__name__})", str(path)) from error
