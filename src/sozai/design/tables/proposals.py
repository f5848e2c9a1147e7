"""The next experiments: Bayesian optimisation over candidates of the generator, by BoTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sozai.design.tables.goals import Goal

MOST_BASELINE = 40
"""Measured rows that the acquisition compares with (the best): more cost time and change nothing."""
SAMPLES = 64


class Acquisition:
    """What an experiment at a point may gain, logarithmic: of one goal the improvement (qLogNEI, Ament et al.,
    arXiv 2310.20708), of several that of the front (qLogNEHVI, Daulton et al., arXiv 2105.08195).

    Of one goal the expectation is that over two beliefs of equal weight, the process and a forest whose trees are
    taken as draws of the truth: few rows do not tell which of them is right, and a table of materials has thresholds
    that no smooth process expects.

    Args:
        models: fitted processes of the learned quantities, in standard units.
        scales: middle and scale of each.
        goals: what is wanted.
        place: for each goal, the place of its model, or ``-1 - k`` where it is the k-th computed value of a row.
        points: of measured rows, (rows, size).
        computed: values of the computed goals of those rows, (rows, computed goals).
        measured: goals of those rows, (rows, goals): gives the reference point of the front.
        trees: of one goal, gives the trees' values at points in the goal's unit, (trees, rows).
        limits: conditions on learned quantities, as functions of (samples of all models) that are <= 0 where met.
        seed: same seed, same values.
    """

    def __init__(
        self,
        models: Sequence[Any],
        scales: Sequence[tuple[float, float]],
        goals: Sequence[Goal],
        place: Sequence[int],
        points: np.ndarray,
        computed: np.ndarray,
        measured: np.ndarray,
        trees: Callable[[np.ndarray], np.ndarray] | None = None,
        limits: Sequence[Callable[[Any], Any]] = (),
        seed: int = 0,
    ):
        import torch
        from botorch.acquisition.logei import qLogNoisyExpectedImprovement
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.acquisition.multi_objective.objective import GenericMCMultiOutputObjective
        from botorch.acquisition.objective import GenericMCObjective
        from botorch.models import ModelListGP
        from botorch.sampling import SobolQMCNormalSampler

        self._torch = torch
        self._size = points.shape[1]
        self._trees: Callable[[np.ndarray], np.ndarray] | None = None
        model: Any = models[0] if len(models) == 1 else ModelListGP(*models)
        scores = np.stack([goal.score(measured[:, k]) for k, goal in enumerate(goals)], axis=1)
        span = np.nanstd(scores, axis=0)
        span = np.where(span > 0, span, 1.0)
        extra = self._size

        def worth(samples: Any, X: Any = None) -> Any:  # BoTorch calls it X
            made = []
            for k, goal in enumerate(goals):
                if place[k] >= 0:
                    middle, scale = scales[place[k]]
                    value = samples[..., place[k]] * scale + middle
                else:
                    value = X[..., extra - 1 - place[k]].expand(samples.shape[:-1])
                made.append(goal.score(value) / span[k])
            return torch.stack(made, dim=-1)

        def first(samples: Any, X: Any = None) -> Any:
            return worth(samples, X)[..., 0]

        wide = _widened(model, self._size, computed.shape[1])
        scalar = (scores / span).mean(axis=1)
        best = np.argsort(-np.where(np.isfinite(scalar), scalar, -np.inf))[:MOST_BASELINE]
        baseline = self._tensor(points[best], computed[best])
        sampler = SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed)
        conditions = list(limits) or None
        shared: dict[str, Any] = {
            "model": wide, "X_baseline": baseline, "sampler": sampler, "constraints": conditions,
            "prune_baseline": False,
        }  # fmt: skip
        if len(goals) == 1:
            self._function: Any = qLogNoisyExpectedImprovement(objective=GenericMCObjective(first), **shared)
            if trees is not None and not limits:
                self._trees, self._goal, self._span = trees, goals[0], float(span[0])
                self._best = float(np.nanmax(scores[:, 0] / span[0]))
                self._reached = np.full(len(trees(points[:1])), self._best)
        else:
            reference = torch.as_tensor(np.nanmin(scores / span, axis=0) - 0.1)
            if len(scores) > 20:  # what is worse than most of the rows is no gain
                reference = torch.as_tensor(np.nanquantile(scores / span, 0.25, axis=0))
            self._function = qLogNoisyExpectedHypervolumeImprovement(
                ref_point=reference, objective=GenericMCMultiOutputObjective(worth), **shared
            )

    def __call__(self, points: np.ndarray, computed: np.ndarray) -> np.ndarray:
        """Values of points, (rows,)."""
        found: list[Any] = []
        with self._torch.no_grad():
            for start in range(0, len(points), 200):
                rows = self._tensor(points[start : start + 200], computed[start : start + 200])
                found.append(self._function(rows[:, None, :]).numpy())
        values = np.concatenate(found)
        if self._trees is None:
            return values
        gain = np.maximum(self._scored(points) - self._reached[:, None], 0.0).mean(axis=0)
        # A gain that no tree sees is small, not impossible.
        return np.logaddexp(values, np.log(gain + 1e-9)) - np.log(2)

    def pend(self, points: np.ndarray, computed: np.ndarray) -> None:
        """Reckon with experiments that are decided on and not yet measured."""
        self._function.set_X_pending(self._tensor(points, computed))
        if self._trees is not None:
            self._reached = np.maximum(self._best, self._scored(points).max(axis=1))

    def _scored(self, points: np.ndarray) -> np.ndarray:
        """The goal's score by each tree, (trees, rows)."""
        assert self._trees is not None
        return np.asarray(self._goal.score(self._trees(points))) / self._span

    def _tensor(self, points: np.ndarray, computed: np.ndarray) -> Any:
        return self._torch.as_tensor(np.concatenate([points, computed], axis=1), dtype=self._torch.double)


def _widened(model: Any, size: int, computed: int) -> Any:
    """The model, blind to the computed values that follow a point's coordinates."""
    if not computed:
        return model
    from botorch.models.model import Model

    class Widened(Model):  # type: ignore[misc]
        """Hands on the coordinates only."""

        num_outputs = model.num_outputs
        batch_shape = model.batch_shape

        def posterior(self, X: Any, *args: Any, **settings: Any) -> Any:
            return model.posterior(X[..., :size], *args, **settings)

    return Widened()
