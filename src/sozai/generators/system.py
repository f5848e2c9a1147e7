"""A named system of the catalog as a generator: fit, sample, save, load on any dataset."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from sozai.errors import UserError
from sozai.fields import Field
from sozai.generators import saved
from sozai.generators.base import Generator, Progress
from sozai.generators.core import Core
from sozai.generators.recipes.recipe import Recipe
from sozai.generators.tensors import Batch, as_batch, join, rows_of, seeded, split, take, to
from sozai.generators.train import device_of, train
from sozai.materials.dataset import Dataset, Material, material_from

CHUNK = 512
"""Rows drawn at a time."""
TRAINING = ("steps", "batch_size", "every", "ema", "clip", "patience", "schedule", "warmup")
"""Settings of the training loop, which share the constructor with those of the parts."""

IMAGES_A_BATCH = 32
"""At most, on a CPU and unless told otherwise: there many small steps on images come further than few large ones."""


class System(Generator):
    """A recipe of the catalog and what it has learned.

    Args:
        recipe: which system.
        settings: of its parts and of its training; both have the recipe's defaults.
    """

    def __init__(self, recipe: Recipe, **settings: Any):
        self.recipe, self.name = recipe, recipe.name  # type: ignore[misc]
        self.chosen = {name: settings.pop(name) for name in TRAINING if name in settings}
        self.training = {**recipe.training, **self.chosen}
        self.settings = settings
        self.core: Core | None = None
        self.material: Material | None = None
        self.log: dict[str, Any] = {}

    def build(self, fields: Mapping[str, Field], conditions: Mapping[str, Field]) -> Core:
        """The untrained core.

        Raises:
            UserError: a setting that the system does not have, or fields that it does not serve.
        """
        for name, field in fields.items():
            wanted = [field.kind, *(["sites"] if field.sites else [])]
            if any(each not in self.recipe.serves for each in wanted):
                raise UserError(
                    f"{self.name} does not generate {' on '.join(wanted)} fields",
                    f"field '{name}'",
                    f"it serves {', '.join(self.recipe.serves)}; see 'sozai systems'",
                )
        if conditions and not self.recipe.conditional:
            raise UserError(f"{self.name} takes no conditions", "given", "leave them out, or choose another system")
        try:
            return self.recipe.build(dict(fields), dict(conditions), **self.settings)
        except TypeError as error:
            if "unexpected keyword" in str(error):
                setting = str(error).rpartition("argument ")[2]
                raise UserError(
                    f"{self.name} has no setting {setting}", "settings", f"see 'sozai systems {self.name}'"
                ) from error
            raise

    def fit(
        self,
        data: Any,
        on_progress: Progress | None = None,
        *,
        folder: Path | str | None = None,
        held_out: float = 0.1,
        seed: int = 0,
        device: str = "auto",
        max_time: float | str = float("inf"),
        tensorboard: bool = False,
        card: Mapping[str, Any] | None = None,
        **training: Any,
    ) -> Self:
        """Learn from a dataset; goes on from the checkpoint in ``folder``.

        Args:
            data: a ``Dataset``, DataFrame, array of numbers (rows, columns), list of formulas, or path.
            on_progress: called each round.
            folder: for the checkpoint and, at the end, weights and settings.
            held_out: share of the rows kept for early stopping.
            seed: same seed, same weights on the same device.
            device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
            max_time: stop after this time; seconds or ``"10m"``.
            tensorboard: also log for TensorBoard.
            card: what to keep beside the weights about the data.
            training: ``steps``, ``batch_size`` and others of ``generators.train.train``.

        Raises:
            UserError: too few rows, fields that the system does not serve, or a loss that is not finite.
            KeyboardInterrupt: stopped before the first round ended, so that nothing was learned.
        """
        dataset = as_dataset(data)
        if len(dataset) < 8:
            raise UserError(f"{len(dataset)} rows are too few to learn from", "training data", "give at least 8")
        if not 0 <= held_out < 1:
            raise UserError(f"{held_out:g} is no share of the rows", "held_out", "give 0 or more, below 1")
        batch = as_batch(dataset.values, {**dataset.fields, **dataset.conditions})
        with seeded(seed):
            core = self.build(dataset.fields, dataset.conditions)
            rest, kept = split(batch, held_out, seed) if held_out else (batch, None)
            wanted = {**self.chosen, **training}
            settings = {"batch_size": 128, **self.recipe.training, **wanted}
            small = device_of(device).type == "cpu" and any(f.kind == "image" for f in dataset.fields.values())
            most = IMAGES_A_BATCH if small and "batch_size" not in wanted else settings["batch_size"]
            settings["batch_size"] = min(settings["batch_size"], most, rows_of(rest))
            self.training = settings  # anew for each fit: what the rows of one allow does not bind the next
            self.log = train(
                core, rest, kept, folder, seed=seed, device=device, max_time=max_time, tensorboard=tensorboard,
                on_progress=on_progress, **settings,
            )  # fmt: skip
        if not self.log["rounds"]:
            raise KeyboardInterrupt
        self.core, self.material = core, dataset.material
        self.data_card = {"rows": len(dataset), "seed": seed, **(card or {})}
        if folder is not None:
            self.save(folder)
        return self

    def sample(
        self,
        count: int,
        given: Mapping[str, Any] | None = None,
        seed: int = 0,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> Any:
        """Draw rows and return them as the data came: a DataFrame, images, formulas, texts, an array.

        Args:
            count: how many.
            given: conditions by name, one value for all rows or ``count`` values each; those not named are free.
            seed: same seed, same rows.
            on_progress: called with (done, count, note).
            options: of the family, e.g. ``steps=20``, ``guidance=2``, ``sampler="ddim"``, ``temperature=0.8``.

        Raises:
            UserError: unknown conditions or options, or not fitted.
        """
        batch = self.sample_batch(count, given, seed, on_progress, **options)
        material = self._fitted_material()
        return material.restore({name: tensor.cpu().numpy() for name, tensor in batch.items()})

    def sample_batch(
        self,
        count: int,
        given: Mapping[str, Any] | None = None,
        seed: int = 0,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> Batch:
        """Like ``sample``, as tensors by field."""
        core = self._fitted()
        if count < 1:
            raise UserError(f"{count} rows cannot be drawn", "count", "give 1 or more")
        conditions = self._conditions(given or {}, count)
        parts = []
        with seeded(seed), torch.no_grad():
            for start in range(0, count, CHUNK):
                size = min(CHUNK, count - start)
                rows = take(conditions, slice(start, start + size)) if conditions else None
                parts.append(core.sample(size, rows, **options))
                if on_progress:
                    on_progress(start + size, count, "rows")
        return join(parts)

    def translate(self, data: Any, source: str = "a", seed: int = 0) -> dict[str, Any]:
        """Rows of one domain, and what they become in the other; for systems fitted to two domains.

        Args:
            data: a dataset like one of the two that it was fitted to.
            source: of which domain, ``"a"`` (the first) or ``"b"``.
            seed: of what is random.

        Raises:
            UserError: the system does not translate, or the data is of another shape.
        """
        core, dataset = self._fitted(), as_dataset(data)
        if set(core.fields) != {"a", "b"}:
            raise UserError(f"{self.name} does not translate", "translate", "train such as cyclegan on two sets")
        if source not in core.fields or list(dataset.fields.values()) != [core.fields[source]]:
            raise UserError("the data is not like the domain's", "translate", f"give what '{source}' was trained on")
        batch = as_batch({source: next(iter(dataset.values.values()))}, {source: core.fields[source]})
        with seeded(seed), torch.no_grad():
            parts = [
                core.sample(min(CHUNK, rows_of(batch) - at), take(batch, slice(at, at + CHUNK)))
                for at in range(0, rows_of(batch), CHUNK)
            ]
        values = {name: tensor.cpu().numpy() for name, tensor in join(parts).items()}
        return self._fitted_material().restore(values)

    def log_prob(self, data: Any) -> np.ndarray:
        """Log-density or its lower bound of each row, nats; see the recipe's ``likelihood``.

        Raises:
            UserError: the system has none.
        """
        core = self._fitted()
        if self.recipe.likelihood == "none":
            raise UserError(f"{self.name} has no likelihood", "log_prob", "see 'sozai systems' for those that have")
        dataset = as_dataset(data)
        batch = to(as_batch(dataset.values, {**core.fields, **core.conditions}), core.device)
        with seeded(0), torch.no_grad():
            pieces = [core.log_prob(take(batch, slice(at, at + CHUNK))) for at in range(0, rows_of(batch), CHUNK)]
        return torch.cat(pieces).cpu().numpy()

    def save(self, folder: Path | str) -> None:
        """Write ``weights.safetensors`` and ``settings.json``."""
        core = self._fitted()
        content = {
            "system": self.name,
            "fields": {name: field.to_dict() for name, field in core.fields.items()},
            "conditions": {name: field.to_dict() for name, field in core.conditions.items()},
            "material": self._fitted_material().to_dict(),
            "settings": self.settings,
            "training": {**self.training, "seconds": round(self.log.get("seconds", 0), 1)}
            | {key: self.log.get(key) for key in ("best_step", "best_held_out", "interrupted")},
            "data": self.data_card,
            "parameters": sum(weight.numel() for weight in core.parameters()),
        }
        saved.save(core, folder, content)

    @classmethod
    def load(cls, folder: Path | str | None = None, device: str = "auto") -> Self:
        """Read what ``save`` wrote.

        Raises:
            UserError: files are missing, damaged, or of another generator.
        """
        from sozai.generators.catalog import recipe

        made: list[Self] = []

        def build(content: dict[str, Any]) -> Core:
            system = cls(recipe(content["system"]), **content["settings"])
            made.append(system)
            fields, conditions = (
                {name: Field(**entries) for name, entries in content[part].items()} for part in ("fields", "conditions")
            )
            return system.build(fields, conditions)

        core, content = saved.load(str(folder), build, "a generator", "train one with 'sozai train'")
        system = made[0]
        system.core = core.to(device_of(device))
        system.material = material_from(content["material"])
        system.training, system.data_card = content["training"], content["data"]
        return system

    def card(self) -> dict[str, Any]:
        """Name, settings, training and data."""
        core = self._fitted()
        return {
            "name": self.name,
            "settings": self.settings,
            "training": self.training,
            "data": self.data_card,
            "parameters": sum(weight.numel() for weight in core.parameters()),
        }

    def wrapped(self, sampler: Recipe, data: Any = None, seed: int = 0, **settings: Any) -> System:
        """The same fitted diffusion under another sampler; its weights are shared, not trained again.

        Args:
            sampler: a recipe with ``sampler`` set.
            data: training data, for samplers that fit something (a path, variances, a head).
            seed: of that fit.
            settings: of the sampler.

        Raises:
            UserError: this is no diffusion that samplers can wrap, or the sampler needs data.
        """
        core = self._fitted()
        from sozai.generators.samplers import catalog
        from sozai.generators.samplers.base import Sampler

        own = getattr(core, "sampler", None)
        if not isinstance(own, Sampler):
            raise UserError(f"{self.name} is no diffusion that a sampler can wrap", "wraps", "fit such as ddpm or vdm")

        chosen = {"sampler": sampler.name, "sampler_settings": settings}
        other = System(self.recipe, **{**self.settings, **chosen})
        other.core = copy.copy(core)  # shares the weights
        made = catalog.make(sampler.name, core.codec.event, **settings).to(core.device).within(own)
        other.core._modules = {**core._modules, "sampler": made}
        if data is not None:
            dataset = as_dataset(data)
            batch = to(as_batch(dataset.values, {**core.fields, **core.conditions}), core.device)
            with seeded(seed):
                other.core.finish(batch)
        other.material, other.data_card, other.log = self.material, self.data_card, self.log
        return other

    def _conditions(self, given: Mapping[str, Any], count: int) -> Batch:
        core, material = self._fitted(), self._fitted_material()
        batch: Batch = {}
        for name, value in given.items():
            if name not in core.conditions:
                raise UserError(
                    f"'{name}' is no condition of this generator",
                    "given",
                    f"it was trained with {', '.join(core.conditions) or 'none'}",
                )
            field = core.conditions[name]
            many = isinstance(value, (list, tuple, np.ndarray)) and len(value) == count and not field.shape
            values = [material.condition(name, each) for each in (value if many else [value] * count)]
            batch[name] = torch.tensor(values, dtype=torch.int64 if field.discrete else torch.float32)
        from sozai.generators.conditions import complete

        return complete(batch, core.conditions, count, core.device)

    def _fitted(self) -> Core:
        if self.core is None:
            raise UserError(f"this {self.name} has not been fitted", mend="call fit, or sozai.load(folder)")
        return self.core

    def _fitted_material(self) -> Material:
        if self.material is None:
            raise UserError(f"this {self.name} has not been fitted", mend="call fit, or sozai.load(folder)")
        return self.material


def as_dataset(data: Any) -> Dataset:
    """A ``Dataset`` from what people have at hand.

    Raises:
        UserError: it is nothing that is known.
    """
    import pandas as pd

    from sozai.materials import array, formulas, images
    from sozai.materials.dataset import read_dataset
    from sozai.materials.tables import fields

    if isinstance(data, Dataset):
        return data
    if isinstance(data, (str, Path)):
        return read_dataset(data)
    if isinstance(data, pd.DataFrame):
        return fields.dataset_of(data)
    if isinstance(data, (np.ndarray, torch.Tensor)):
        values = np.asarray(data)
        return array.dataset_of(values) if values.ndim == 2 else images.dataset_of(values)
    if isinstance(data, (list, tuple)) and data and all(isinstance(each, str) for each in data):
        return formulas.dataset_of(data)
    raise UserError(
        f"{type(data).__name__} is nothing to learn from", "data", "give a DataFrame, array, path or Dataset"
    )
