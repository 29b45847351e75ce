"""Linear CKA: how alike two layers are, whatever their width and however they are rotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 2_000


def linear_cka(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019, eq. 3 with HSIC of linear kernels).

    ||Y'X||_F^2 / (||X'X||_F ||Y'Y||_F) for centred X and Y; 0 where one of them is constant.

    Args:
        one: Activations [rows, widths].
        other: Activations [rows, other width] of the same rows.

    Returns:
        0 (unlike) to 1 (the same up to rotation and scale).
    """
    x, y = _centred(one), _centred(other)
    if x.shape[1] > len(x) or y.shape[1] > len(y):  # the same by Gram matrices of rows
        kx, ky = x @ x.T, y @ y.T
        cross, own = float((kx * ky).sum()), float(np.linalg.norm(kx) * np.linalg.norm(ky))
    else:
        cross = float(np.linalg.norm(y.T @ x) ** 2)
        own = float(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    return cross / own if own > 0 else 0.0


def _centred(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Less the mean of every column; a constant column is 0 to the bit, not what rounding leaves of it."""
    centred = np.asarray(values, np.float64) - np.mean(values, axis=0, dtype=np.float64)
    return np.where(np.ptp(values, axis=0) > 0, centred, 0.0)


def layer_similarities(
    states: Mapping[str, NDArray[np.float32]],
    present: Mapping[str, NDArray[np.bool_]],
    widths: Mapping[str, Sequence[int]],
    rows: NDArray[np.int64],
    seed: int = 0,
) -> dict[tuple[str, int, str, int], float]:
    """Linear CKA of every layer of every modality with every layer of every other one.

    Args:
        states: Layers side by side by modality, [all rows, sum of widths].
        present: By modality, [all rows] of bool; a pair goes by the rows that have both.
        widths: By modality, widths of layers 0..L+1.
        rows: Positions of the rows to use (validation rows); of more than 2,000, 2,000 drawn ones are used.
        seed: Decides which.

    Returns:
        By (modality, layer, other modality, layer), modalities in sorted order; 0 for a pair that no two rows have.
    """
    chosen = np.sort(np.random.default_rng([seed, 0xCCA]).permutation(rows)[:MOST_ROWS])
    names = sorted(widths)
    layers = {name: np.split(np.asarray(states[name][chosen]), np.cumsum(widths[name])[:-1], axis=1) for name in names}
    found = {}
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both = present[one][chosen] & present[other][chosen]
            for i, x in enumerate(layers[one]):
                for j, y in enumerate(layers[other]):
                    found[one, i, other, j] = linear_cka(x[both], y[both]) if both.sum() > 1 else 0.0
    return found


def last_similarities(
    states: Mapping[str, NDArray[np.float32]],
    present: Mapping[str, NDArray[np.bool_]],
    widths: Mapping[str, Sequence[int]],
    rows: NDArray[np.int64],
    seed: int = 0,
) -> dict[tuple[str, str], float]:
    """Linear CKA of the last hidden layers of every two modalities, by names in sorted order.

    Arguments are those of `layer_similarities`; a pair that no two rows have is 0.
    """
    ends = {name: sum(sizes[:-1]) for name, sizes in widths.items()}
    last = {name: states[name][:, ends[name] - sizes[-2] : ends[name]] for name, sizes in widths.items()}
    found = layer_similarities(last, present, {name: sizes[-2:-1] for name, sizes in widths.items()}, rows, seed)
    return {(one, other): value for (one, _, other, _), value in found.items()}
