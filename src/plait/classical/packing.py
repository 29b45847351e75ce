"""Forests as a few arrays instead of hundreds of objects: skops takes seconds for what NumPy reads in milliseconds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

import numpy as np

PARTS: Final = ("forest", "counts", "depths", "seeds", "nodes", "values")
"""Keys of the dict that stands in the place of a forest: itself with one tree that has no nodes, and of every tree how
many nodes it has, how deep it is and its seed; then the nodes of all trees, and what they answer, one after another."""


def packed(model: Any) -> Any:
    """A model with such a dict in the place of every forest; nothing of the model itself is changed."""
    return _mapped(model, lambda part: _packed(part) if hasattr(part, "estimators_") else part)


def unpacked(model: Any) -> Any:
    """The model that was packed.

    Raises:
        ValueError, TypeError, AttributeError, KeyError: The arrays do not fit one another, or are not those of trees.
    """
    return _mapped(model, lambda part: _unpacked(part) if isinstance(part, dict) and "forest" in part else part)


def _mapped(part: Any, change: Callable[[Any], Any]) -> Any:
    """The same dicts and lists, with something else in the place of what they hold."""
    changed = change(part)
    if changed is not part:
        return changed
    if isinstance(part, dict):
        return {name: _mapped(one, change) for name, one in part.items()}
    return [_mapped(one, change) for one in part] if type(part) is list else part


def _packed(forest: Any) -> dict[str, Any]:
    trees = forest.estimators_
    states = [tree.tree_.__getstate__() for tree in trees]
    shell, bare = copy.copy(forest), copy.copy(trees[0])
    del bare.tree_
    shell.estimators_ = [bare]
    return {
        "forest": shell,
        "counts": np.array([state["node_count"] for state in states], np.int64),
        "depths": np.array([state["max_depth"] for state in states], np.int64),
        "seeds": np.array([tree.random_state for tree in trees], np.int64),
        "nodes": np.concatenate([state["nodes"] for state in states]),
        "values": np.concatenate([state["values"] for state in states]),
    }


def _unpacked(parts: dict[str, Any]) -> Any:
    from sklearn.tree._tree import Tree

    forest, counts, depths, seeds, nodes, values = (parts[name] for name in PARTS)
    (bare,) = forest.estimators_
    if not len(counts) == len(depths) == len(seeds) or (counts < 1).any() or len(nodes) != counts.sum():
        raise ValueError("a forest whose parts do not fit one another")
    classes = np.atleast_1d(getattr(bare, "n_classes_", 1)).astype(np.intp)
    ends = np.cumsum(counts)
    forest.estimators_ = []
    for start, end, depth, seed in zip(ends - counts, ends, depths, seeds, strict=True):
        one = copy.copy(bare)
        one.random_state = int(seed)
        one.tree_ = Tree(int(bare.n_features_in_), classes, int(bare.n_outputs_))
        one.tree_.__setstate__(
            {"max_depth": int(depth), "node_count": int(end - start), "nodes": nodes[start:end],
             "values": np.ascontiguousarray(values[start:end])}
        )  # fmt: skip
        forest.estimators_.append(one)
    return forest
