"""Surrogates learn what can be learned, from few scores, the same each time, and touch nothing else."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from plait.search.surrogates import SURROGATES, lstm
from plait.testing.strategies import Word, WordSpace, made_score

SPACE = WordSpace(6, 4)


def words(count: int, seed: int = 0) -> list[Word]:
    """Different words, as many of each length as there are."""
    rng = np.random.default_rng(seed)
    found: dict[Word, None] = {}
    while len(found) < count:
        found[SPACE.sample(rng, int(rng.integers(1, 5)))] = None
    return list(found)


def encoded(points: list[Word]) -> np.ndarray:
    return np.stack([SPACE.encode(point) for point in points])


def in_order(point: Word) -> float:
    """Goes by the order of letters, and on what comes after what."""
    return float(sum(b > a for a, b in itertools.pairwise(point)) + 0.3 * point[-1])


@pytest.fixture(params=list(SURROGATES))
def kind(request):
    return SURROGATES[request.param]


@pytest.mark.parametrize("score", [made_score, in_order])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_learns_what_can_be_learned(kind, score, seed) -> None:
    points = words(400, seed)
    surrogate, scores = kind(seed), np.array([score(point) for point in points])
    surrogate.fit(encoded(points[:200]), scores[:200])
    told = surrogate.predict(encoded(points[200:]))
    assert told.shape == (200,)
    assert told.dtype == np.float64
    assert spearmanr(told, scores[200:]).statistic > 0.5
    assert abs(told.mean() - scores[200:].mean()) < 0.5


def test_it_learns_nothing_from_noise(kind) -> None:
    points, scores = words(400), np.random.default_rng(0).normal(size=400)
    surrogate = kind(0)
    surrogate.fit(encoded(points[:200]), scores[:200])
    assert abs(spearmanr(surrogate.predict(encoded(points[200:])), scores[200:]).statistic) < 0.25


def test_the_same_seed_foretells_the_same_and_no_generator_is_touched(kind) -> None:
    points = words(60)
    scores = np.array([made_score(point) for point in points])
    told = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(told))
        before = torch.get_rng_state(), str(np.random.get_state(legacy=False))
        surrogate = kind(seed)
        surrogate.fit(encoded(points), scores)
        told.append(surrogate.predict(encoded(points)))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert str(np.random.get_state(legacy=False)) == before[1]
    assert (told[0] == told[1]).all()
    assert (told[0] != told[2]).any()


@pytest.mark.parametrize("scores", [(1.0, 1.0), (0.0, 1e-9), (-1e6, 1e6)])
def test_two_scores_will_do(kind, scores) -> None:
    surrogate = kind(0)
    surrogate.fit(encoded([(1,), (2, 3)]), np.array(scores))
    told = surrogate.predict(encoded(words(20)))
    assert np.isfinite(told).all()
    assert told.min() >= 2 * min(scores) - max(scores) - 1
    assert told.max() <= 2 * max(scores) - min(scores) + 1


def test_numbers_that_no_scored_point_has(kind) -> None:
    """And levels that none has."""
    surrogate = kind(0)
    surrogate.fit(encoded([(1,), (2,), (1, 2)]), np.array([0.0, 1.0, 2.0]))
    assert np.isfinite(surrogate.predict(encoded([(5, 5, 5, 5), (0,), (3, 3)]))).all()


def test_a_word_is_foretold_the_same_in_any_company(kind) -> None:
    points = words(100)
    surrogate = kind(0)
    surrogate.fit(encoded(points), np.array([made_score(point) for point in points]))
    whole = surrogate.predict(encoded(points))
    alone = np.concatenate([surrogate.predict(encoded([point])) for point in points])
    np.testing.assert_allclose(whole, alone, atol=1e-5)


def test_training_is_bounded(monkeypatch) -> None:
    """As many steps for 1,000 scores as for 10."""
    steps = []
    real = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self, *args: steps.append(1) or real(self, *args))
    for count in (10, 1000):
        points = words(count)
        started = time.process_time()
        SURROGATES["lstm"](0).fit(encoded(points), np.array([made_score(point) for point in points]))
        assert time.process_time() - started < 10  # 0.5 s
        assert len(steps) == lstm.STEPS
        steps.clear()


def test_levels_that_a_point_does_not_have_do_not_count() -> None:
    """The network is read off at a word's last letter: what a longer space pads with is never seen."""
    points, longer = words(80), WordSpace(6, 7)
    scores = np.array([made_score(point) for point in points])
    told = []
    for space in (SPACE, longer):
        surrogate = SURROGATES["lstm"](0)
        codes = np.stack([space.encode(point) for point in points])
        surrogate.fit(codes, scores)
        told.append(surrogate.predict(codes))
    np.testing.assert_allclose(*told, atol=1e-4)
