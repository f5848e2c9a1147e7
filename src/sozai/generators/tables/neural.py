"""The neural systems of the catalog on tables, through the same representation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.generators.base import Progress
from sozai.generators.catalog import recipe
from sozai.generators.system import System
from sozai.generators.tables.classical import ScoreGenerator
from sozai.generators.tables.representation import CategoryCode
from sozai.generators.tables.rows import Arrays
from sozai.materials.tables.fields import dataset_of
from sozai.materials.tables.table import Table

SYSTEMS = {"tvae": "vae"}
"""Where the name among tables is not that of the catalog: TVAE (Xu et al., 1907.00503) is a VAE of such rows."""
PATIENCE = 10
"""Rounds without a better held-out loss, where the recipe names none."""
BLANK = "(blank)"


class Neural(ScoreGenerator):
    """A named system, fitted to normal scores and categories, stopped early on held-out rows.

    Args:
        name: in ``NEURAL``.
        system: settings of the system and of its training, e.g. ``{"steps": 500}``; see ``sozai systems``.
        settings: of ``ScoreGenerator``.
    """

    def __init__(self, name: str, **settings: Any):
        self.name = name  # type: ignore[misc]
        self.recipe = recipe(SYSTEMS.get(name, name))
        super().__init__(**settings)
        self.system: System | None = None

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """See ``RowGenerator``."""
        return {**super().defaults(), "system": {}}

    def twin(self) -> Self:
        """See ``RowGenerator``."""
        return type(self)(self.name, audit=False, missing=self.missing, **self.chosen)

    def _learn(self, table: Table, target: str | None, seed: int, deadline: float, on_progress: Progress) -> None:
        self._deadline, self._tell = deadline, on_progress
        super()._learn(table, target, seed, deadline, on_progress)

    def _learn_scores(self, scores: np.ndarray, seed: int) -> None:
        frame = self._fields_of(scores)
        training = {"patience": PATIENCE, **self.recipe.training, **self.settings["system"]}
        self.system = System(self.recipe, **training)
        left = max(self._deadline - time.monotonic(), 1.0)
        # Few rows: one in five decides when to stop, else one in ten.
        held_out = 0.2 if len(frame) < 500 else 0.1
        self.system.fit(dataset_of(frame), self._tell, held_out=held_out, seed=seed, max_time=left)

    def _draw_scores(self, count: int, generator: np.random.Generator) -> np.ndarray:
        if self.system is None:
            raise UserError(f"this {self.name} has not been fitted", mend="call fit, or load a folder")
        made = self.system.sample(count, seed=int(generator.integers(2**31)))
        parts = []
        for at, (name, code) in enumerate(self.code.codes.items()):
            values = made[str(at)]
            if isinstance(code, CategoryCode) and self._categories:
                texts = pd.Series(values.to_numpy(object)).where(lambda each: each != BLANK, None)
                parts.append(self._scores(name, texts))
            else:
                parts.append(values.to_numpy(float))
        return np.stack(parts, 1)

    @property
    def _categories(self) -> bool:
        return "categorical" in self.recipe.serves

    def _scores(self, name: str, texts: pd.Series) -> np.ndarray:
        from scipy.special import ndtri

        from sozai.generators.tables.representation import EDGE

        code = self.code.codes[name]
        assert isinstance(code, CategoryCode)
        return ndtri(np.clip(code.encode(texts), EDGE, 1 - EDGE))

    def _fields_of(self, scores: np.ndarray) -> pd.DataFrame:
        """Scores of numbers, and categories as texts where the system knows such; columns are called 0, 1, ..."""
        rows = self.code.decode(scores)
        made: dict[str, Any] = {}
        for at, (name, code) in enumerate(self.code.codes.items()):
            texts = isinstance(code, CategoryCode) and self._categories
            made[str(at)] = rows[name].fillna(BLANK) if texts else scores[:, at]
        return pd.DataFrame(made)

    def save(self, folder: Path | str) -> None:
        """Also the system, in the folder ``system``."""
        super().save(folder)
        if self.system is not None:
            self.system.save(Path(folder) / "system")

    @classmethod
    def _made(cls, content: Mapping[str, Any]) -> Self:
        return cls(
            content["table_generator"], audit=content["audit"], missing=content["missing"], **content["settings"]
        )

    @classmethod
    def load(cls, folder: Path | str | None = None) -> Self:
        """See ``RowGenerator``."""
        made = super().load(folder)
        made.system = System.load(Path(str(folder)) / "system")
        return made

    def _density(self) -> Arrays:
        return {}
