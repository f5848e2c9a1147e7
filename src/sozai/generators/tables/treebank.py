"""Fitted decision trees as plain arrays: kept without pickle, walked at the speed of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np


class TreeBank:
    """Trees of one forest or boosting, as arrays.

    Args:
        nodes: of all trees under each other, scikit-learn's structured array (feature, threshold, children, ...).
        values: of each node, (nodes,).
        sizes: nodes of each tree, (trees,).
        columns: that the trees read.
    """

    def __init__(self, nodes: np.ndarray, values: np.ndarray, sizes: np.ndarray, columns: int):
        self.nodes, self.values, self.sizes, self.columns = nodes, values, sizes, columns
        self.trees = self._walkable()

    @classmethod
    def of(cls, estimators: Any, columns: int) -> TreeBank:
        """From fitted scikit-learn trees; of trees with several outputs the first output's values are kept."""
        inner = [estimator.tree_ for estimator in estimators]
        nodes = np.concatenate([tree.__getstate__()["nodes"] for tree in inner])
        values = np.concatenate([tree.value[:, 0, 0] for tree in inner])
        return cls(nodes, values, np.array([tree.node_count for tree in inner]), columns)

    def __len__(self) -> int:
        return len(self.sizes)

    def leaves(self, points: np.ndarray, tree: int) -> np.ndarray:
        """The leaf that each point (rows, columns) falls into, (rows,)."""
        return self.trees[tree].apply(np.ascontiguousarray(points, np.float32))

    def total(self, points: np.ndarray) -> np.ndarray:
        """Sum of all trees' values, (rows,)."""
        narrow = np.ascontiguousarray(points, np.float32)
        made = np.zeros(len(points))
        for tree in self.trees:
            made += tree.predict(narrow)[:, 0]
        return made

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving."""
        fields = self.nodes.dtype.names or ()
        columns = {f"node.{name}": np.ascontiguousarray(self.nodes[name]) for name in fields}
        return {**columns, "values": self.values, "sizes": self.sizes, "columns": np.array([self.columns])}

    @classmethod
    def restore(cls, arrays: dict[str, np.ndarray]) -> TreeBank:
        """From ``arrays``; a field that this scikit-learn knows and the saved one did not is left at 0."""
        from sklearn.tree._tree import NODE_DTYPE

        nodes = np.zeros(len(arrays["values"]), dtype=NODE_DTYPE)
        for name in NODE_DTYPE.names:
            if f"node.{name}" in arrays:
                nodes[name] = arrays[f"node.{name}"]
        return cls(nodes, arrays["values"], arrays["sizes"].astype(int), int(arrays["columns"][0]))

    def _walkable(self) -> list[Any]:
        from sklearn.tree._tree import Tree

        made, start = [], 0
        for size in self.sizes:
            tree = Tree(self.columns, np.array([1], dtype=np.intp), 1)
            nodes = np.ascontiguousarray(self.nodes[start : start + size])
            values = np.ascontiguousarray(self.values[start : start + size], dtype=np.float64).reshape(-1, 1, 1)
            tree.__setstate__({"max_depth": 64, "node_count": int(size), "nodes": nodes, "values": values})
            made.append(tree)
            start += size
        return made
