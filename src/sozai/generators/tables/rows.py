"""What all methods share: learn, draw, obey rules and wishes, be audited, be kept."""

from __future__ import annotations

import hashlib
import json
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.files import output_folder, write_json
from sozai.generators.base import Progress, seconds_of
from sozai.generators.tables.base import TableGenerator
from sozai.generators.tables.given import Wish, drawn
from sozai.generators.tables.groups import Closure
from sozai.generators.tables.impute import filled
from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.read import as_table
from sozai.materials.tables.table import Table, described

LEAST_ROWS = 8
WEIGHTS, SETTINGS = "rows.safetensors", "settings.json"
Arrays = dict[str, np.ndarray]


class RowGenerator(TableGenerator):
    """A method that learns the modelled columns of a table.

    Args:
        audit: whether each fit is followed by a membership audit, on a twin that learned half of the rows.
        missing: ``"keep"``: blanks are drawn as they occur; ``"fill"``: they are filled before learning, from similar
            rows, and none is drawn.
        settings: of the method.
    """

    def __init__(self, *, audit: bool = True, missing: str = "keep", **settings: Any):
        if missing not in ("keep", "fill"):
            raise UserError(f"'{missing}' is no way to treat blanks", "missing", "use keep or fill")
        unknown = [name for name in settings if name not in self.defaults()]
        if unknown:
            known = ", ".join(self.defaults()) or "none"
            raise UserError(f"{self.name} has no setting '{unknown[0]}'", "settings", f"it has {known}")
        self.audit, self.missing = audit, missing
        self.settings = {**self.defaults(), **settings}
        self.chosen = dict(settings)
        self.table: Table | None = None
        self.rules = TableRules()
        self.target: str | None = None
        self.closures: list[Closure] = []
        self.scales: dict[str, float] = {}
        self.report: dict[str, Any] = {}

    # What a method does

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Its settings."""
        return {}

    @abstractmethod
    def _learn(self, table: Table, target: str | None, seed: int, deadline: float, on_progress: Progress) -> None:
        """Learn the rows; ``deadline`` is a time of ``time.monotonic``."""

    @abstractmethod
    def _draw(self, count: int, generator: np.random.Generator) -> pd.DataFrame:
        """Rows as the method makes them."""

    @abstractmethod
    def _state(self) -> tuple[Arrays, dict[str, Any]]:
        """What it learned, as arrays and plain JSON."""

    @abstractmethod
    def _restore(self, arrays: Arrays, content: Mapping[str, Any]) -> None:
        """Take what ``_state`` gave."""

    def _relabelled(self, frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
        """Rows whose features were changed, with the target that befits them now; by default as they are."""
        return frame

    # What a person does

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
        """See ``TableGenerator``."""
        begun, cpu = time.monotonic(), time.process_time()
        budget = seconds_of(max_time)
        data = as_table(data)
        target = None if target is None else data.column(target).name  # the file's whole heading will do too
        table = _modelled(data, target)
        if self.missing == "fill":
            table = filled(table, seed)
        known = set(table.columns)
        self.rules = TableRules(rule for rule in (rules or TableRules()).rules if known.issuperset(rule.columns))
        self.table, self.target = table, target
        self.scales = _scales(table)
        self.closures = [Closure.fit(group, table) for group in table.groups]
        tell: Progress = on_progress or (lambda done, total, note: None)
        # The twin learns half of the rows and is about as costly as the fit itself.
        self._learn(table, target, seed, begun + budget * (0.6 if self.audit else 1.0), tell)
        self.report = {"rows": len(table), "rows_given": len(data), "seed": seed,
                       "fit_cpu_seconds": round(time.process_time() - cpu, 2)}  # fmt: skip
        if self.audit:
            self.report["audit"] = self._audited(table, seed, begun + budget - time.monotonic(), tell)
            self.report["cpu_seconds_with_audit"] = round(time.process_time() - cpu, 2)
        return self

    def sample(
        self,
        count: int,
        given: Sequence[str] | None = None,
        seed: int = 0,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """See ``TableGenerator``."""
        table = self._fitted()
        if count < 1:
            raise UserError(f"{count} rows cannot be drawn", "count", "give 1 or more")
        if options:
            raise UserError(f"{self.name} has no sampling option '{next(iter(options))}'", "options", "leave it out")
        wish = Wish(list(given or []), table, self.rules)
        return drawn(self, count, wish, np.random.default_rng(seed), on_progress)

    @property
    def known(self) -> Table:
        """What the columns are, over the rows that were learned or, once loaded, the values that were seen."""
        return self._fitted()

    def close(self, frame: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
        """Rows whose parts of a whole sum as in the data."""
        for closure in self.closures:
            frame = closure.apply(frame, generator)
        return frame

    def card(self) -> dict[str, Any]:
        """See ``Generator``."""
        return {"name": self.name, "settings": self.settings, "missing": self.missing, "target": self.target,
                **self.report}  # fmt: skip

    def save(self, folder: Path | str) -> None:
        """Write ``rows.safetensors`` and ``settings.json``."""
        from safetensors.numpy import save_file

        table = self._fitted()
        target = output_folder(folder)
        arrays, content = self._state()
        numbers = [name for name in table.modelled if table.columns[name].numeric]
        arrays = {f"method.{name}": np.ascontiguousarray(value) for name, value in arrays.items()}
        for at, name in enumerate(numbers):  # what wishes are answered from: the data's values
            arrays[f"seen.{at}"] = np.unique(table.frame[name].dropna().to_numpy(float))
        save_file(arrays or {"empty": np.zeros(1)}, target / WEIGHTS)
        write_json(
            target / SETTINGS,
            {
                "table_generator": self.name,
                "settings": self.chosen,
                "audit": self.audit,
                "missing": self.missing,
                "target": self.target,
                "table": table.to_dict(),
                "closures": [closure.to_dict() for closure in self.closures],
                "scales": self.scales,
                "rules": self.rules.to_dict(),
                "report": self.report,
                "state": content,
                "weights": _digest(target),
            },
        )

    @classmethod
    def load(cls, folder: Path | str | None = None) -> Self:
        """Read what ``save`` wrote.

        Raises:
            UserError: files are missing, damaged, or of another generator.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        source = Path(str(folder))
        try:
            content = json.loads((source / SETTINGS).read_text(encoding="utf-8"))
            arrays = load_file(source / WEIGHTS)
            if _digest(source) != content["weights"]:
                raise UserError("the weights are not those that the settings name", str(source), "copy them again")
            made = cls._made(content)
            made.target, made.report, made.scales = content["target"], content["report"], content["scales"]
            made.table = _remembered(content["table"], arrays)
            made.rules = TableRules.from_dict(content["rules"], list(made.table.columns))
            made.closures = [
                Closure(group, np.asarray(own["sums"], float), own["balance"], own["low"], own["high"])
                for group, own in zip(made.table.groups, content["closures"], strict=True)
            ]
            own = {key.removeprefix("method."): value for key, value in arrays.items() if key.startswith("method.")}
            made._restore(own, content["state"])
        except FileNotFoundError as error:
            raise UserError(
                "there is no generator of table rows here", str(source), "name a folder of 'save'"
            ) from error
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"the generator cannot be read ({type(error).__name__})",
                str(source),
                "the files are damaged: fit again",
            ) from error
        return made

    def twin(self) -> Self:
        """An unfitted one with the same settings, not to be audited."""
        return type(self)(audit=False, missing=self.missing, **self.chosen)

    @classmethod
    def _made(cls, content: Mapping[str, Any]) -> Self:
        """Unfitted, from what ``save`` wrote."""
        return cls(audit=content["audit"], missing=content["missing"], **content["settings"])

    def _audited(self, table: Table, seed: int, left: float, tell: Progress) -> dict[str, Any]:
        """The membership audit of a twin that learned half of the rows."""
        from sozai.metrics.privacy import membership_audit

        order = np.random.default_rng(seed).permutation(len(table))
        half = len(order) // 2
        if half < LEAST_ROWS:
            return {"note": f"{len(table)} rows are too few for an audit"}
        if left <= 0:
            return {"note": "no time was left for the audit"}
        members, others = table.rows(np.sort(order[:half])), table.rows(np.sort(order[half:]))
        tell(0, 0, "auditing: a twin learns half of the rows")
        twin = self.twin()
        twin.fit(members, tell, rules=self.rules, target=self.target, seed=seed, max_time=max(left, 1.0))
        made = twin.sample(min(max(4 * half, 200), 5000), seed=seed)
        return membership_audit(members.frame, others.frame, made, table)

    def _fitted(self) -> Table:
        if self.table is None:
            raise UserError(f"this {self.name} has not been fitted", mend="call fit, or load a folder")
        return self.table


def _modelled(data: Table, target: str | None) -> Table:
    """The modelled columns, rows with a target only where one is named."""
    if target is not None and target not in data.modelled:
        raise UserError(f"'{target}' is a {data.columns[target].kind}, which is not modelled", "target",
                        "choose a column of numbers or categories")  # fmt: skip
    table = data.select(data.modelled)
    if not table.columns:
        raise UserError("there is no column of numbers or categories to learn from", data.source,
                        "correct the columns' kinds")  # fmt: skip
    if target is not None:
        table = table.rows(table.frame[target].notna().to_numpy())
    table = table.rows(table.frame.notna().any(axis=1).to_numpy())
    if len(table) < LEAST_ROWS:
        of = f" with a value of '{target}'" if target else ""
        raise UserError(f"{len(table)} rows{of} are too few to learn from", data.source, f"give at least {LEAST_ROWS}")
    return table


def _scales(table: Table) -> dict[str, float]:
    spread = {name: float(table.frame[name].std()) for name in table.numeric}
    return {name: value for name, value in spread.items() if value > 0}


def _remembered(content: Mapping[str, Any], arrays: Arrays) -> Table:
    """The table's description over the values that were seen (not its rows)."""
    columns = content["columns"]
    numbers = [name for name, column in columns.items() if column["kind"] in ("continuous", "count")]
    seen: dict[str, Any] = {name: pd.Series(arrays[f"seen.{at}"]) for at, name in enumerate(numbers)}
    seen |= {name: pd.Series(list(column["levels"]), dtype=object) for name, column in columns.items()
             if name not in numbers}  # fmt: skip
    return described(pd.DataFrame(seen, columns=list(columns)), content)


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
