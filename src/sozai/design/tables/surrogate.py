"""What predicts a measured quantity: a Gaussian process and a forest together, with calibrated intervals.

Both judge each measured row by models that did not see it: the process by those of other folds or, of many rows, by its
leave-one-out predictions in closed form, the forest by its out-of-bag ones. From these come the weights of the two and,
by conformal prediction, the intervals.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from sozai.screening import potentials

MOST_OF_PROCESS = 600
"""Rows that the Gaussian process takes; of more, the best, and the others at random."""
MOST_OF_SCALES = 200
"""Rows from which its length scales are learned; their number costs by its cube, and decides little."""
FEW = 150
"""Up to so many rows the process is judged by folds with length scales of their own."""
MOST_OF_FOREST = 20_000
TREES = 200
SMALLEST_SPREAD = 0.02
"""Least standard deviation of a prediction, in standard deviations of the measured values: experiments scatter."""


class Surrogate:
    """Predicts one quantity from points (``Encoding``).

    Repeated measurements at one point are averaged before anything is fitted.
    The intervals are those of the jackknife (Steinberger and Leeb 2016; out-of-bag as in Kim, Xu and Barber,
    arXiv 2002.09025), with residuals divided by the predicted spread (Papadopoulos et al. 2008). On rows like the
    measured ones they hold the truth about as often as they say; how often they do elsewhere must be tried
    (``generalization``).

    Args:
        seed: same seed, same predictions.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(self, points: np.ndarray, values: np.ndarray, *, high_is_better: bool = True) -> Self:
        """Learn from measured points, (rows, size) and (rows,); rows without a value are passed over."""
        points, values = averaged(points, values)
        rng = np.random.default_rng(self.seed)
        scaled = self._scaled(points, values)
        chosen = _share(scaled if high_is_better else -scaled, MOST_OF_PROCESS, rng)
        self.process = _fit_process(points[chosen], scaled[chosen], rng)
        trees = _share(scaled, MOST_OF_FOREST, rng)
        self._fit_forest(points[trees], scaled[trees])
        # Rows that only one of the two has seen cannot weigh them against each other.
        both, in_process, in_forest = np.intersect1d(chosen, trees, return_indices=True)
        judge = held_out if len(chosen) <= FEW else leave_one_out
        mean, variance = judge(self.process, points[chosen], scaled[chosen])
        bag_mean, bag_variance = self._out_of_bag(points[trees])
        one, two = (mean[in_process], variance[in_process]), (bag_mean[in_forest], bag_variance[in_forest])
        known = np.isfinite(two[0])
        truth, one, two = scaled[both][known], (one[0][known], one[1][known]), (two[0][known], two[1][known])
        self.weight = _weight(one[0], two[0], truth)
        joint, spread = self._mixed(one, two)
        self._scores = np.sort(np.abs(truth - joint) / spread)
        return self

    def fit_for_choice(self, points: np.ndarray, values: np.ndarray, start: Any = None) -> Self:
        """As ``fit``, but only what an ``Acquisition`` needs: no intervals.

        Args:
            points: (rows, size), each once.
            values: (rows,).
            start: a process fitted before, whose length scales the search begins with.
        """
        scaled = self._scaled(points, values)
        self.process = fit_process(points, scaled, start)
        self._fit_forest(points, scaled)
        return self

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation at points, both (rows,)."""
        mean, spread = self._mixed(self._by_process(points), self._by_forest(points))
        return mean * self.scale + self.middle, spread * self.scale

    def interval(self, points: np.ndarray, level: float = 0.9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, lower and upper end of the interval that is to hold the truth in this share of cases."""
        mean, spread = self.predict(points)
        wide = self.factor(level) * spread
        return mean, mean - wide, mean + wide

    def factor(self, level: float) -> float:
        """Half width of the interval in predicted standard deviations."""
        count = len(self._scores)
        rank = int(np.ceil((count + 1) * level))
        # Too few residuals to know so rare a miss: the largest, widened by how much is not known.
        return float(self._scores[rank - 1]) if rank <= count else float(self._scores[-1]) * (count + 1) / count

    def by_tree(self, points: np.ndarray) -> np.ndarray:
        """What each tree of the forest says, (trees, rows)."""
        values = np.stack([tree.predict(points) for tree in self.forest.estimators_])
        return values * self.scale + self.middle

    def _mixed(
        self, one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and spread of a mixture of two."""
        w = self.weight
        mean = w * one[0] + (1 - w) * two[0]
        variance = w * one[1] + (1 - w) * two[1] + w * (1 - w) * (one[0] - two[0]) ** 2
        return mean, np.sqrt(np.maximum(variance, SMALLEST_SPREAD**2))

    def _scaled(self, points: np.ndarray, values: np.ndarray) -> np.ndarray:
        self.points, self.values = points, values
        self.middle, self.scale = float(values.mean()), float(values.std()) or 1.0
        return (values - self.middle) / self.scale

    def _fit_forest(self, points: np.ndarray, values: np.ndarray) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        self.forest = ExtraTreesRegressor(
            TREES, bootstrap=True, min_samples_leaf=1, max_features=max(1, round(points.shape[1] * 0.6)),
            random_state=self.seed,
        ).fit(points, values)  # fmt: skip

    def _by_process(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        means, variances = [], []
        with torch.no_grad():
            for start in range(0, len(points), 2000):
                posterior = self.process.posterior(torch.as_tensor(points[start : start + 2000], dtype=torch.double))
                means.append(posterior.mean[:, 0].numpy())
                variances.append(posterior.variance[:, 0].numpy())
        return np.concatenate(means), np.concatenate(variances)

    def _by_forest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total, square = np.zeros(len(points)), np.zeros(len(points))
        for tree in self.forest.estimators_:
            one = tree.predict(points)
            total, square = total + one, square + one**2
        mean = total / TREES
        return mean, np.maximum(square / TREES - mean**2, 0.0)

    def _out_of_bag(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance over the trees that did not see a row; NaN of one that all saw."""
        count, total, square = (np.zeros(len(points)) for _ in range(3))
        for tree, seen in zip(self.forest.estimators_, self.forest.estimators_samples_, strict=True):
            out = np.ones(len(points), bool)
            out[seen] = False
            if out.any():
                one = tree.predict(points[out])
                count[out] += 1
                total[out] += one
                square[out] += one**2
        with np.errstate(all="ignore"):
            mean = total / count
            return mean, np.maximum(square / count - mean**2, 0.0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Calculate on one thread: on matrices this small the others only wait, on a shared machine eight times as long."""
    from threadpoolctl import threadpool_limits

    with potentials.one_thread(), threadpool_limits(1):
        yield


def averaged(points: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points without repetition and the mean of what was measured at each; blanks passed over."""
    known = np.isfinite(values)
    unique, place = np.unique(points[known], axis=0, return_inverse=True)
    place = place.ravel()
    return unique, np.bincount(place, values[known]) / np.bincount(place)


def fit_process(points: np.ndarray, values: np.ndarray, start: Any = None, steps: int = 60) -> Any:
    """A Gaussian process with one length scale a dimension, in BoTorch's standard form (Hvarfner et al. 2402.02229).

    Args:
        points: (rows, size), about 0 .. 1.
        values: (rows,), of mean 0 and variance 1.
        start: a process fitted before, whose length scales the search begins with.
        steps: of the search (L-BFGS) at most.
    """
    import torch
    from botorch import settings
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    x, y = torch.as_tensor(points, dtype=torch.double), torch.as_tensor(values, dtype=torch.double)[:, None]
    with settings.validate_input_scaling(False):
        model = SingleTaskGP(x, y, outcome_transform=None)
    if start is not None:
        model.load_state_dict(start.state_dict())
    fit_gpytorch_mll(
        ExactMarginalLogLikelihood(model.likelihood, model), optimizer_kwargs={"options": {"maxiter": steps}}
    )
    return model.eval()


def _fit_process(points: np.ndarray, values: np.ndarray, rng: np.random.Generator) -> Any:
    """As ``fit_process``; of many rows the length scales are learned from a share."""
    if len(points) <= MOST_OF_SCALES:
        return fit_process(points, values)
    import torch

    some = _share(values, MOST_OF_SCALES, rng)
    model = fit_process(points[some], values[some])
    x, y = torch.as_tensor(points, dtype=torch.double), torch.as_tensor(values, dtype=torch.double)
    model.set_train_data(x, y, strict=False)
    return model.eval()


def held_out(model: Any, points: np.ndarray, values: np.ndarray, folds: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of each row by a process that learned its length scales too from other folds, mean and variance.

    On few rows the closed form flatters: its length scales have seen the row.
    """
    import torch

    fold = np.random.default_rng(len(points)).permutation(np.arange(len(points)) % folds)
    mean, variance = np.empty(len(points)), np.empty(len(points))
    for each in range(folds):
        out = fold == each
        one = fit_process(points[~out], values[~out], model, steps=12)
        with torch.no_grad():
            posterior = one.posterior(torch.as_tensor(points[out], dtype=torch.double))
            mean[out], variance[out] = posterior.mean[:, 0].numpy(), posterior.variance[:, 0].numpy()
    return mean, variance


def leave_one_out(model: Any, points: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of each row by the others, mean and variance without noise (Rasmussen and Williams, eq. 5.12)."""
    import torch

    with torch.no_grad():
        x = torch.as_tensor(points, dtype=torch.double)
        mean = model.mean_module(x).numpy()
        noise = float(model.likelihood.noise)
        covariance = model.covar_module(x).to_dense().numpy() + noise * np.eye(len(points))
    inverse = np.linalg.inv(covariance)
    diagonal = np.diag(inverse)
    residual = inverse @ (values - mean) / diagonal
    return values - residual, np.maximum(1 / diagonal - noise, 0.0)


def _weight(one: np.ndarray, two: np.ndarray, truth: np.ndarray) -> float:
    """Share of the first in the mean that errs least, drawn towards a half where there is little to tell."""
    gap = one - two
    ridge = float(np.mean((truth - two) ** 2)) + 1e-12
    return float(np.clip((gap @ (truth - two) + 0.5 * ridge) / (gap @ gap + ridge), 0.0, 1.0))


def _share(values: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Places of all rows, or of the best quarter and a random rest."""
    if len(values) <= most:
        return np.arange(len(values))
    order = np.argsort(-values)
    rest = rng.permutation(order[most // 4 :])[: most - most // 4]
    return np.sort(np.concatenate([order[: most // 4], rest]))
