"""The tasks on which all generators are compared, and how their samples are judged.

A judge sees samples in the domain's own form (a DataFrame, images, formulas) and turns them, like the held-out rows,
into the same fixed numbers; two scores on those numbers are the same for every task:

- distance: the energy distance between samples and held-out rows, over that between training and held-out rows
  (1 is as good as more real rows; it can come out below by luck);
- told apart: area under the ROC curve of gradient boosting that has to tell samples from held-out rows, cross-validated
  (0.5 cannot, 1 can always).
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sozai.materials import array, formulas, images
from sozai.materials.dataset import Dataset
from sozai.materials.tables import fields as table_fields


@dataclass
class Task:
    """One piece of work.

    Args:
        kind: the field kind that a system must serve.
        train, test: what it learns from and what it never sees.
        features: of domain objects (rows, columns).
        scale: turns mean nats a row into the reported likelihood; ``unit`` names it, ``best`` says which is better.
        extra: task-specific numbers from samples.
        budget: seconds of training at most.
        given: the training rows with conditions, for systems that need some.
        samples: how many are drawn and judged.
    """

    name: str
    title: str
    kind: str
    train: Dataset
    test: Dataset
    features: Callable[[Any], np.ndarray]
    likelihood: Callable[[float], float]
    unit: str
    extra: Callable[[Any], dict[str, float]]
    budget: float
    given: Dataset | None = None
    samples: int = 1000

    def judge(self, made: Any, seed: int) -> dict[str, float]:
        """Scores of samples."""
        real, fresh = self.features(restored(self.test)), self.features(made)
        rng = np.random.default_rng(seed)
        real, fresh = (each[rng.permutation(len(each))[: self.samples]] for each in (real, fresh))
        return {
            "distance": energy_distance(fresh, real) / self.floor,
            "told_apart": told_apart(fresh, real, seed),
            **self.extra(made),
        }

    @cached_property
    def floor(self) -> float:
        """Energy distance of training rows to held-out rows."""
        train, test = self.features(restored(self.train)), self.features(restored(self.test))
        return energy_distance(train[: self.samples], test[: self.samples])


def restored(dataset: Dataset) -> Any:
    """Real rows in the form that samples have."""
    return dataset.material.restore(dataset.values)


def energy_distance(one: np.ndarray, two: np.ndarray) -> float:
    """2 E|x - y| - E|x - x'| - E|y - y'| of the two empirical laws, never negative (G. Szekely and M. Rizzo, 2013)."""
    from scipy.spatial.distance import cdist

    rows = min(len(one), len(two))  # its expectation for equal laws depends on the numbers of rows
    one, two = one[:rows], two[:rows]
    return float(2 * cdist(one, two).mean() - cdist(one, one).mean() - cdist(two, two).mean())


def told_apart(fresh: np.ndarray, real: np.ndarray, seed: int) -> float:
    """Cross-validated area under the ROC curve of a classifier between both."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    rows = min(len(fresh), len(real))
    x = np.concatenate([fresh[:rows], real[:rows]])
    y = np.repeat([0, 1], rows)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = HistGradientBoostingClassifier(max_iter=60, random_state=seed)
    area = cross_val_score(model, x, y, cv=folds, scoring="roc_auc").mean()
    return float(max(area, 1 - area))


def nothing(_: Any) -> dict[str, float]:
    """No number of its own."""
    return {}


def moons(rows: int = 2000) -> Task:
    """Two half moons in the plane."""
    from sklearn.datasets import make_moons

    train, test = (
        array.dataset_of(make_moons(rows, noise=0.05, random_state=seed)[0].astype(np.float32)) for seed in (1, 2)
    )
    return Task("moons", "Two moons (2-D)", "continuous", train, test, _plain, float, "nats", nothing, 8)


def ring(rows: int = 2000) -> Task:
    """Eight Gaussians on a circle: mode collapse shows as lost modes."""
    angles = 2 * np.pi * np.arange(8) / 8
    centres = 2 * np.stack([np.cos(angles), np.sin(angles)], 1)

    def draw(seed: int) -> Dataset:
        rng = np.random.default_rng(seed)
        return array.dataset_of(
            (centres[rng.integers(8, size=rows)] + 0.1 * rng.normal(size=(rows, 2))).astype(np.float32)
        )

    def modes(made: np.ndarray) -> dict[str, float]:
        away = np.linalg.norm(made[:, None] - centres, axis=-1)
        near = away.min(1) < 0.3
        hit = np.bincount(away.argmin(1)[near], minlength=8) > len(made) / 80  # a tenth of its share
        return {"modes of 8": float(hit.sum()), "within 3 sd": float(near.mean())}

    return Task("ring", "Eight Gaussians (2-D)", "continuous", draw(1), draw(2), _plain, float, "nats", modes, 8)


def digits() -> Task:
    """Handwritten digits, 8 by 8 pixels of 17 grey levels."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(pixels))
    train_rows, test_rows = order[:1297], order[1297:]
    sets = [
        images.dataset_of((pixels[rows].reshape(-1, 1, 8, 8) / 8 - 1), levels=17) for rows in (train_rows, test_rows)
    ]
    grey = [restored(each).reshape(len(each), -1) / 255 for each in sets]
    pca = PCA(24, random_state=0).fit(grey[0])
    classifier = LogisticRegression(max_iter=500).fit(grey[0], labels[train_rows])

    def classes(made: np.ndarray) -> dict[str, float]:
        share = np.bincount(classifier.predict(made.reshape(len(made), -1) / 255), minlength=10) / len(made)
        entropy = -(share[share > 0] * np.log(share[share > 0])).sum()
        return {"classes (perplexity)": float(np.exp(entropy))}

    return Task(
        "digits", "Digits (8x8 images)", "image", *sets, lambda made: pca.transform(made.reshape(len(made), -1) / 255),
        lambda nats: -nats / (64 * np.log(2)), "bits/dim", classes, 20, samples=300,
    )  # fmt: skip


def concrete(path: Path) -> Task:
    """UCI concrete strength: 8 ingredients and ages, and the strength; duplicates removed before the split."""
    frame = pd.read_csv(path / "tables" / "concrete.csv").drop_duplicates(ignore_index=True)
    order = np.random.default_rng(0).permutation(len(frame))
    held_out = frame.iloc[order[:300]].reset_index(drop=True)
    rest = frame.iloc[order[300:]].reset_index(drop=True)
    mean, deviation = rest.mean(), rest.std(ddof=0)

    def features(made: pd.DataFrame) -> np.ndarray:
        return ((made[frame.columns] - mean) / deviation).to_numpy()

    shift = float(np.log(deviation).sum())
    task = Task(
        "concrete", "Concrete (a real table, 9 columns)", "continuous", table_fields.dataset_of(rest),
        table_fields.dataset_of(held_out), features, lambda nats: nats + shift, "nats, standardised columns", nothing,
        12,
    )  # fmt: skip
    task.given = table_fields.dataset_of(rest, ["Strength"])
    return task


def compositions(path: Path, rows: int = 4000) -> Task:
    """Formulas of the OQMD with oxygen, a random sample."""
    frame = pd.read_csv(path / "tables" / "oqmd_formulas.csv.gz")
    oxides = frame["formula"][frame["formula"].str.contains(r"O\d|O$", regex=True)]
    chosen = oxides.sample(rows + 1000, random_state=0).to_numpy()
    whole = formulas.dataset_of(chosen)
    order = np.random.default_rng(0).permutation(len(whole))
    sets = [
        Dataset(whole.material, whole.fields, {}, {name: values[part] for name, values in whole.values.items()})
        for part in (order[:-1000], order[-1000:])
    ]
    place = {element: at for at, element in enumerate(whole.material.elements)}  # type: ignore[attr-defined]
    known = set(restored(sets[0]))

    def features(made: list[str]) -> np.ndarray:
        table_ = np.zeros((len(made), len(place) + 2))
        for row, formula in enumerate(made):
            counts = formulas.parse(formula) if formula else {}
            total = sum(counts.values()) or 1
            for element, count in counts.items():
                table_[row, place[element]] = count / total
            table_[row, -2:] = len(counts) / 3, np.log1p(total) / 3
        return table_

    def chemistry(made: list[str]) -> dict[str, float]:
        from sozai.knowledge.crystals.chemistry import smact_valid

        return {
            "charge neutral": float(
                np.mean([bool(formula) and smact_valid(formulas.parse(formula)) for formula in made])
            ),
            "distinct": len(set(made)) / len(made),
            "not in training": float(np.mean([formula not in known for formula in made])),
        }

    return Task(
        "compositions",
        "Compositions (oxides of the OQMD)",
        "categorical",
        *sets,
        features,
        float,
        "nats",
        chemistry,
        15,
    )


def grains(path: Path, size: int = 32, rows: int = 3000) -> Task:
    """Patches of micrographs of polycrystals; the last fifth of the micrographs is held out."""
    import io

    from PIL import Image
    from sklearn.decomposition import PCA

    stacks: list[list[np.ndarray]] = [[], []]
    with tarfile.open(path / "micrographs" / "polycrystal_grains.tar") as archive:
        members = sorted(m.name for m in archive.getmembers() if "/images/" in m.name and m.name.endswith(".png"))
        for number, name in enumerate(members):
            stream = archive.extractfile(name)
            assert stream is not None
            grey = np.asarray(
                Image.open(io.BytesIO(stream.read())).convert("L").resize((128, 128), Image.Resampling.BOX)
            )
            stacks[number >= 0.8 * len(members)] += images._patches(grey, size)
    rng = np.random.default_rng(0)
    sets = []
    for stack, most in zip(stacks, (rows, 800), strict=True):
        chosen = np.stack(stack)[rng.permutation(len(stack))[:most], None]
        sets.append(images.dataset_of(chosen / 127.5 - 1, levels=256))
    pca = PCA(16, random_state=0).fit(_image_features(restored(sets[0])))

    def features(made: np.ndarray) -> np.ndarray:
        return pca.transform(_image_features(made))

    real = _correlation(restored(sets[1]))

    def structure(made: np.ndarray) -> dict[str, float]:
        return {"two-point error": float(np.abs(_correlation(made) - real).mean() / np.abs(real).mean())}

    return Task(
        "grains", f"Grains (micrographs, {size}x{size})", "image", *sets, features,
        lambda nats: -nats / (size**2 * np.log(2)), "bits/dim", structure, 30, samples=200,
    )  # fmt: skip


def _plain(made: np.ndarray) -> np.ndarray:
    return np.asarray(made, dtype=float)


def _image_features(made: np.ndarray) -> np.ndarray:
    """What a metallographer compares: grey-level quantiles, two-point correlations, gradient sizes, coarse pixels."""
    grey = made[:, 0].astype(float) / 255
    quantiles = np.quantile(grey.reshape(len(grey), -1), np.linspace(0.05, 0.95, 10), axis=1).T
    down, right = np.diff(grey, axis=1), np.diff(grey, axis=2)
    gradients = np.stack(
        [np.abs(down).mean((1, 2)), np.abs(right).mean((1, 2)), down.std((1, 2)), right.std((1, 2))], 1
    )
    coarse = grey.reshape(len(grey), 8, grey.shape[1] // 8, 8, grey.shape[2] // 8).mean((2, 4)).reshape(len(grey), -1)
    spectrum = np.abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))) ** 2
    correlation = np.fft.ifft2(spectrum).real[:, 0, : grey.shape[1] // 2] / grey[0].size
    return np.concatenate([quantiles, 4 * gradients, coarse, 20 * correlation], 1)


def _correlation(made: np.ndarray) -> np.ndarray:
    """Mean two-point autocovariance of the grey levels by distance along both axes, periodic."""
    grey = made[:, 0].astype(float) / 255
    spectrum = np.abs(np.fft.fft2(grey - grey.mean())) ** 2
    covariance = np.fft.ifft2(spectrum).real.mean(0) / grey[0].size
    half = grey.shape[1] // 2
    return np.concatenate([covariance[0, :half], covariance[:half, 0]])


def tasks(data: Path | None) -> list[Task]:
    """All tasks; those on data sets need the folder that holds them."""
    made = [moons(), ring(), digits()]
    if data is not None:
        made += [concrete(data), compositions(data), grains(data)]
    return made
