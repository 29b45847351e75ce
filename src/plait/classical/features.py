"""Features of several modalities side by side, as a family of estimators wants them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from plait.classical._base import Family
from plait.data.readers._base import Features

CLIP: Final = 20.0
"""Standardised numbers are clipped at so many deviations, as encoders clip them."""

TERMS: Final = 10.0
"""A row of weighed terms has length 1; it is made so much longer to stand beside standardised numbers."""

REDUCED: Final = 50
"""Directions of terms that trees see (latent semantic analysis)."""

SPARSE: Final = 8
"""A number of a sparse row takes a linear model as long as so many of a dense one."""


def numbers_in(features: Features) -> int:
    """How many numbers are kept of some rows; of terms, those that occur."""
    return int(features.nnz if sparse.issparse(features) else features.size)


def columns_of(parts: Sequence[Features], family: Family) -> int:
    """How many numbers of a row an estimator works on once features are prepared and stand side by side.

    Terms count as so many as take as long. Where some are terms, a wide family has all numbers as sparse rows.
    """
    terms = [sparse.issparse(part) for part in parts]
    if not family.wide:
        widths = [int(part.shape[1]) for part in parts]
        return sum(min(REDUCED, width) if term else width for width, term in zip(widths, terms, strict=True))
    each = sum(numbers_in(part) / max(1, int(part.shape[0])) for part in parts)
    return math.ceil(SPARSE * each if any(terms) else each)


def preparation(features: Features, family: Family, seed: int) -> Any:
    """What is fitted on the training rows of one modality before an estimator sees it; None where that is nothing.

    Args:
        features: [rows, n], of training rows that have the modality.
        family: Of the estimator.
        seed: Of the directions of terms.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if not sparse.issparse(features):
        if family.plain:
            return None
        scaled = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
        return scaled.fit(features.astype(np.float64))
    weighed = TfidfTransformer(sublinear_tf=True)
    directions = 0 if family.wide else min(REDUCED, features.shape[0] - 1, features.shape[1] - 1)
    steps = make_pipeline(weighed, TruncatedSVD(directions, random_state=seed) if directions > 0 else "passthrough")
    with np.errstate(divide="ignore", invalid="ignore"):  # where no row has any term
        return steps.fit(features.astype(np.float64))


def prepared(features: Features, present: NDArray[np.bool_], steps: Any, family: Family) -> Features:
    """Features of one modality after its preparation, [rows, m], in 64-bit floating point.

    A row that lacks the modality has NaN (`Family.plain`), or the training mean, which is 0; of terms, none. What no
    training row had was never prepared: all rows lack it (of numbers, plain families ask no split).
    """
    if steps is None and (sparse.issparse(features) or not family.plain):
        present = np.zeros_like(present)
    rows = np.flatnonzero(present)
    known = features[rows].astype(np.float64)
    found = known if steps is None or len(rows) == 0 else steps.transform(known)
    if family.wide and sparse.issparse(found):
        return _spread(sparse.csr_array(found) * TERMS, rows, len(present))
    if sparse.issparse(found):  # too few rows or terms for directions: their sum, and no matrix of a whole vocabulary
        found = np.asarray(found.sum(axis=1)).reshape(-1, 1)
    components = getattr(steps[-1], "components_", None) if steps is not None else None
    alone = 1 if sparse.issparse(features) else features.shape[1]
    width = alone if components is None else len(components)
    told = np.full((len(present), width), np.nan if family.plain else 0.0)
    if len(rows):
        told[rows] = found if family.plain else found.clip(-CLIP, CLIP)
    return told


def _spread(found: Any, rows: NDArray[np.int64], total: int) -> Features:
    """Sparse rows at their places among empty ones, [total, n]; with 32-bit places, which scikit-learn wants."""
    lengths = np.zeros(total, np.int64)
    lengths[rows] = np.diff(found.indptr)
    ends = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)
    return sparse.csr_array((found.data, found.indices.astype(np.int32), ends), shape=(total, found.shape[1]))


def side_by_side(parts: Mapping[str, Features], present: Mapping[str, NDArray[np.bool_]]) -> Features:
    """Prepared features of several modalities, each followed by whether a row has it; those of one stand alone."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    pieces = [piece for name, part in parts.items() for piece in (part, present[name][:, None].astype(np.float64))]
    if any(sparse.issparse(piece) for piece in pieces):
        return sparse.csr_array(sparse.hstack([sparse.csr_array(piece) for piece in pieces]))
    return np.concatenate(pieces, axis=1)
