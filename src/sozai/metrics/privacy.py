"""Whether generated rows betray which rows a generator learned from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sozai.materials.tables.table import Table
from sozai.metrics.fidelity import COPY, MOST_ROWS, _points, nearest

CONSPICUOUS = 0.65
"""An attack with a larger area under the curve is told as a risk."""


def membership_audit(
    members: pd.DataFrame, others: pd.DataFrame, synthetic: pd.DataFrame, table: Table | None = None
) -> dict[str, Any]:
    """An attack that guesses which rows were learned from: those to which generated rows come nearest.

    The score of a row is its distance to the nearest generated row (distance-to-closest attack, Hayes et al.,
    1705.07663; Chen et al., GAN-Leaks, 1909.03935). ``members`` and ``others`` must be random parts of one table: then
    an area of 0.5 means that the generated rows tell nothing, 1 that they tell all.

    Args:
        members: rows that the generator learned from.
        others: rows that it has not seen.
        synthetic: rows that it drew.
        table: what the columns are.

    Returns:
        ``auc``; ``tpr_at_fpr5``: the share of members found where 5% of the others are accused; ``copies``: share of
        generated rows equal to a member; ``distance``: median distance of generated rows to the closest member over
        that of the others; ``members``, ``others``: how many; ``sentence``.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    names = table.modelled if table is not None else list(members.columns)
    parts = [frame[names].iloc[:MOST_ROWS] for frame in (members, others, synthetic)]
    known, strange, made = _points(parts)
    near = np.concatenate([nearest(made, known), nearest(made, strange)])
    label = np.repeat([1, 0], [len(known), len(strange)])
    auc = float(roc_auc_score(label, -near))
    false, true, _ = roc_curve(label, -near)
    found = float(np.interp(0.05, false, true))
    to_members, real = nearest(known, made), nearest(known, strange)
    middle = float(np.median(real))
    copies = float((to_members < COPY).mean())
    risk = "a risk: do not share these rows as if they were anonymous" if auc > CONSPICUOUS else "little"
    return {
        "auc": auc,
        "tpr_at_fpr5": found,
        "copies": copies,
        "distance": float(np.median(to_members)) / middle if middle > 0 else None,
        "members": len(known),
        "others": len(strange),
        "sentence": f"an attacker who sees generated rows tells learned from other rows with an area of {auc:.2f} "
        f"(0.5 is guessing): {risk}",
    }
