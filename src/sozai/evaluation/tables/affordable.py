"""How long the comparisons of an augmentation study take, and which of them a time allows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from sozai.evaluation.tables.learners import learner
from sozai.evaluation.tables.nested import INNER, Setting
from sozai.evaluation.tables.prepare import Prepared

TEACHING = 6.0
"""Time of a generator's teachers and their cross-validation, where it has some, in fits of all learners on real rows:
boosting of several seeds, and four learners in five splits."""
LONG = 5.0
"""Seconds for the real rows from which time is taken as proportional to rows: to measure it would cost too much."""


@dataclass(frozen=True)
class Pace:
    """Seconds in which all learners are fitted once.

    Args:
        real: on the real rows.
        most: on these and so many times as many more.
        ratio: how many times.
    """

    real: float
    most: float
    ratio: float

    @classmethod
    def measured(cls, prepared: Prepared, setting: Setting, seed: int) -> Pace:
        """Of a study's learners, on its rows and on copies of them: time grows more slowly than their number."""
        ratio = max(setting.ratios)

        def once(rows: int) -> float:
            places = np.resize(np.arange(len(prepared.table)), rows)
            frame = prepared.table.frame[prepared.table.modelled].iloc[places]
            begun = time.monotonic()
            for name in setting.learners:
                learner(name, prepared.table, prepared.target, seed, rows).fit(frame, prepared.values[places])
            return time.monotonic() - begun

        rows = len(prepared.table)
        real = once(rows)
        return cls(real, real * (1 + ratio) if real > LONG else once(round(rows * (1 + ratio))), ratio)

    def fits(self, ratio: float) -> float:
        """With so many synthetic rows for each real one."""
        return self.real + (self.most - self.real) * min(ratio / self.ratio, 1.0)

    def fold(self, plan: Setting) -> float:
        """Of one outer fold."""
        top = self.fits(max(plan.ratios))
        taught = TEACHING * self.real
        if len(plan.fits) == len(plan.ratios) == len(plan.keeps) == 1:
            return taught + self.real + top
        tried = self.real + len(plan.fits) * (taught + self.fits(plan.ratios[0]))
        tried += (len(plan.ratios) - 1 + len(plan.keeps) - 1) * top
        return INNER * tried * (1 - 1 / INNER) + taught + self.real + top


def affordable(setting: Setting, pace: Pace, folds: int, seconds: float) -> tuple[Setting, str]:
    """What to compare where so many folds shall take no longer than that; the least there is if nothing does.

    Returns:
        The setting, or one with fewer recipes; and a note on what was left out, empty if nothing was.
    """
    plans = [setting, replace(setting, keeps=("all",)), replace(setting, ratios=setting.ratios[:1], keeps=("all",))]
    first = next(iter(setting.fits))
    plans.append(replace(plans[-1], fits={first: setting.fits[first]}))
    plan = next((plan for plan in plans if folds * pace.fold(plan) < seconds), plans[-1])
    if plan is setting:
        return setting, ""
    ratios = " and ".join(f"{ratio:g}" for ratio in plan.ratios)
    return plan, (
        f"To stay within the time, only rows of {', '.join(plan.fits)}, {ratios} for each real row and without "
        "filters, were tried; with more --minutes all are."
    )
