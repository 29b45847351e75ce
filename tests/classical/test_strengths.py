"""What families of classical models choose by cross-validation."""

from __future__ import annotations

import numpy as np

from plait.classical import FAMILIES
from plait.classical.logistic import STRENGTHS


def test_the_strength_of_a_linear_model_goes_by_what_candidates_are_compared_by() -> None:
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(120, 4)), rng.integers(0, 2, 120)
    asked: list[float] = []

    def judge(chances: np.ndarray, truth: np.ndarray) -> float:
        np.testing.assert_array_equal(truth, targets)
        asked.append(float(np.abs(chances - 0.5).mean()))
        return float(len(asked) == 2)  # the second strength is best, whatever the loss says

    folds = np.arange(120) % 3
    model = FAMILIES["logistic"].fit(features, targets, 2, folds, 0, judge=judge)
    assert asked == sorted(asked), "the strongest comes first"
    assert STRENGTHS[1] == model.C
    flat = FAMILIES["logistic"].fit(features, targets, 2, folds, 0, judge=lambda *_: 1.0)
    assert flat.C == FAMILIES["logistic"].fit(features, targets, 2, folds, 0).C, "of equals, the loss decides"
