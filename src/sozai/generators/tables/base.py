"""What every generator of table rows is, whatever its method."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import pandas as pd

from sozai.generators.base import Generator, Progress
from sozai.knowledge.tables.ruleset import TableRules


class TableGenerator(Generator):
    """Learns the rows of a table and draws new ones that obey its rules.

    Settings go into the constructor; all have defaults that serve 50 to 1,000 rows.
    """

    @abstractmethod
    def fit(  # type: ignore[override]
        self,
        data: Any,
        on_progress: Progress | None = None,
        *,
        rules: TableRules | None = None,
        target: str | None = None,
        seed: int = 0,
        max_time: float | str = float("inf"),
    ) -> Self:
        """Learn from the modelled columns of a table.

        Args:
            data: a ``Table``, a DataFrame or a file's path; missing values are allowed where the method says so.
            on_progress: called with (done, total, note).
            rules: that each drawn row obeys.
            target: the column that is to be predicted, for methods that treat it apart.
            seed: same seed, same result.
            max_time: seconds, or such as ``"30s"``.

        Raises:
            UserError: too few rows, or nothing to model.
        """

    @abstractmethod
    def sample(  # type: ignore[override]
        self,
        count: int,
        given: Sequence[str] | None = None,
        seed: int = 0,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """``count`` rows with the columns of the table that was learned, all hard rules obeyed.

        Args:
            count: rows.
            given: conditions that each row fulfils too, as in rules: ``"strength >= 120"``, ``"cement = 400"``.
            seed: same seed, same rows.
            on_progress: called with (done, count, note).

        Raises:
            UserError: the conditions contradict the rules, or no row that fulfils them was found.
        """
