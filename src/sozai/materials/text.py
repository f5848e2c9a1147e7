"""Plain text, a character a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sozai.errors import UserError
from sozai.fields import MASK, sequence
from sozai.materials.dataset import Dataset, Material, Values


class Text(Material):
    """Texts over an alphabet.

    Args:
        alphabet: the characters, in the order of their tokens.
    """

    kind = "text"

    def __init__(self, alphabet: str):
        self.alphabet = alphabet

    def restore(self, values: Values) -> list[str]:
        """Texts, without padding."""
        masks = values.get(MASK, np.ones_like(values["text"], dtype=bool))
        return [
            "".join(self.alphabet[token] for token in row[mask])
            for row, mask in zip(values["text"], masks, strict=True)
        ]

    def write(self, made: list[str], folder: Path) -> list[Path]:
        """``samples.txt``, texts apart by a line of dashes."""
        path = folder / "samples.txt"
        path.write_text("\n----\n".join(made) + "\n", encoding="utf-8")
        return [path]

    def to_dict(self) -> dict[str, Any]:
        """See ``Material``."""
        return {"kind": self.kind, "alphabet": self.alphabet}


def dataset_of(text: str, size: int) -> Dataset:
    """Windows of ``size`` characters, half overlapping.

    Raises:
        UserError: the text is shorter than two windows.
    """
    if len(text) < 2 * size:
        raise UserError(f"the text has {len(text)} characters, fewer than two windows of {size}", "text")
    alphabet = "".join(sorted(set(text)))
    code = {character: token for token, character in enumerate(alphabet)}
    tokens = np.array([code[character] for character in text])
    starts = range(0, len(tokens) - size + 1, max(1, size // 2))
    windows = np.stack([tokens[start : start + size] for start in starts])
    values = {"text": windows, MASK: np.ones_like(windows, dtype=bool)}
    return Dataset(Text(alphabet), {"text": sequence(size, len(alphabet))}, {}, values)


def read_text(path: Path, size: int) -> Dataset:
    """A text file; see ``dataset_of``.

    Raises:
        UserError: it cannot be read as UTF-8.
    """
    try:
        return dataset_of(path.read_text(encoding="utf-8"), size)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the text cannot be read ({type(error).__name__})", str(path), "save it as UTF-8") from error
