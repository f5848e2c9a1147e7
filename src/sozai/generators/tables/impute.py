"""Blanks filled from similar rows."""

from __future__ import annotations

import numpy as np

from sozai.generators.tables.representation import Representation
from sozai.materials.tables.table import Table

DONORS = 5
"""Rows from whose values one is drawn."""


def filled(table: Table, seed: int = 0) -> Table:
    """A table without blanks: each is taken from one of the most similar rows that have the value (hot deck).

    Similar: near in the columns' quantiles, a blank being half the line away from anything. Columns that are blank
    altogether stay so.
    """
    if not table.frame.isna().to_numpy().any():
        return table
    from scipy.spatial import cKDTree

    generator = np.random.default_rng(seed)
    places = np.where(table.frame.isna().to_numpy(), 0.5, Representation.fit(table).places(table.frame))
    frame = table.frame.copy()
    for at, name in enumerate(frame.columns):
        blank = frame[name].isna().to_numpy()
        known = np.flatnonzero(~blank)
        if not blank.any() or not len(known):
            continue
        others = np.delete(places, at, axis=1)
        if not others.shape[1]:
            donors = generator.choice(known, int(blank.sum()))
        else:
            few = min(DONORS, len(known))
            near = cKDTree(others[known]).query(others[blank], k=few)[1].reshape(-1, few)
            donors = known[near[np.arange(len(near)), generator.integers(0, few, len(near))]]
        values = frame[name].to_numpy(copy=True)
        values[blank] = table.frame[name].to_numpy()[donors]
        frame[name] = values
    return table.with_frame(frame)
