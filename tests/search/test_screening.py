"""Screening against scikit-learn's ridge, and on made tables of signals, copies, pairs and noise."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
from made_search import BOTH, KIND, SIZE, labels_of, presence_of, states_of
from planted import TRAIN, product
from sklearn.linear_model import Ridge

from plait.fusion.architecture import Architecture
from plait.search.screening import Screening
from plait.search.screening import screening as module
from plait.search.screening.coding import MOST_COLUMNS, code_of
from plait.search.screening.gains import CLUSTERS, students
from plait.search.screening.interactions import mixing, shrunk
from plait.search.screening.ridge import PENALTIES
from plait.tasks import Task
from plait.tasks.score import Labels

ROWS = 400
"""Rows of the small table; the last 160 are for validation."""


def small(chunk: int = 2048, seed: int = 0, **changed) -> Screening:
    """The screening of two modalities, a class and a number, with absences and missing labels."""
    labels = changed.pop("labels", None) or labels_of(ROWS)
    states = changed.pop("states", None) or states_of(labels_of(ROWS))
    present = changed.pop("present", None) or presence_of(ROWS, "".join(states))
    widths = changed.pop("widths", None) or dict.fromkeys(states, (4, 5, 3))
    tasks = changed.pop("tasks", BOTH)
    return Screening.of(states, present, widths, tasks, labels, np.arange(240), np.arange(240, ROWS), seed, chunk)


def classes(count: int) -> Task:
    """A task of so many classes."""
    return Task(name="y", kind="binary" if count == 2 else "multiclass", label_type="int",
                classes=tuple(map(str, range(count))), prior=(float(-np.log(count)),) * count)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A made table: what says something is among the first names, all others are noise."""

    states: dict[str, np.ndarray]
    labels: np.ndarray
    signals: tuple[str, ...]
    layers: int = 3

    def screened(self, seed: int = 0, here: float = 0.9) -> Screening:
        rows = len(self.labels)
        rng = np.random.default_rng([seed, 9])
        present = {name: rng.random(rows) < here for name in self.states}
        widths = {name: (values.shape[1] // self.layers,) * self.layers for name, values in self.states.items()}
        labels = Labels({"y": self.labels.astype(np.float32)}, {"y": np.ones(rows, np.bool_)})
        cut = 2 * rows // 3
        return Screening.of(
            self.states, present, widths, [classes(2)], labels, np.arange(cut), np.arange(cut, rows), seed
        )


def made(modalities: int, seed: int, rows: int = 3000, width: int = 16) -> Made:
    """0 says the label, 1 is a copy of it; 2 and 3 say it by the sign of one product; all else is noise.

    Of more than ten, 4 says it faintly, 5 and 6 by naming the same of five classes or not, and 7 is a copy of 2.
    """
    rng = np.random.default_rng([seed, modalities])
    names = [f"m{number:02d}" for number in range(modalities)]
    told = rng.integers(0, 2, rows)
    sign, hidden = 2 * told - 1, rng.choice([-1, 1], rows)
    states = {name: rng.normal(size=(rows, 3 * width)) for name in names}
    states["m00"][:, width : width + 4] += 0.4 * sign[:, None]
    states["m01"] = states["m00"] + 0.3 * rng.normal(size=states["m00"].shape)
    states["m02"][:, width + 3] = hidden * np.abs(rng.normal(size=rows))
    states["m03"][:, 2 * width + 1] = hidden * sign * np.abs(rng.normal(size=rows))
    if modalities > 10:
        states["m04"][:, 0] += 0.4 * sign
        one = rng.integers(0, 5, rows)
        other = np.where(told == 1, one, rng.integers(0, 5, rows))
        states["m05"][:, :5] += 2 * np.eye(5)[one]
        states["m06"][:, width : width + 5] += 2 * np.eye(5)[other]
        states["m07"] = states["m02"] + 0.3 * rng.normal(size=states["m02"].shape)
    count = 8 if modalities > 10 else 4
    return Made({name: values.astype(np.float32) for name, values in states.items()}, told, tuple(names[:count]))


# Ridge regression


def columns_of(sources, rows, states, present) -> np.ndarray:
    """What the sources of the small table are, standardised, the mean where absent, with presence, in plain NumPy."""
    train, parts = np.arange(240), []
    for name in sorted({name for name, _ in sources}):
        here = present[name]
        known = states[name][train[here[train]]].astype(np.float64)
        values = (states[name] - known.mean(0)) / known.std(0)
        values[~here] = 0
        cuts = [0, 4, 9, 12]
        parts += [values[:, cuts[layer] : cuts[layer + 1]] for own, layer in sorted(sources) if own == name]
        parts.append(((here - here[train].mean()) / here[train].std())[:, None])
    return np.concatenate(parts, axis=1)[rows]


@pytest.mark.parametrize("tasks", [(KIND,), (SIZE,), BOTH], ids=["class", "number", "both"])
@pytest.mark.parametrize(
    "sources", [[("a", 0)], [("a", 1), ("b", 2)], [("a", 0), ("a", 2), ("b", 0), ("b", 1)]], ids=str
)
def test_the_score_is_that_of_ridge_on_the_raw_matrices(tasks, sources) -> None:
    """An independent reference: scikit-learn's ridge, one indicator per class, errors summed over validation rows."""
    labels, states, present = labels_of(ROWS), states_of(labels_of(ROWS)), presence_of(ROWS)
    x = columns_of(sources, np.arange(ROWS), states, present)
    scores = []
    for task in tasks:
        here, values = labels.labelled[task.name], labels.targets[task.name].astype(np.float64)
        y = np.eye(2)[values.astype(int)] if task is KIND else values[:, None]
        train, held = np.flatnonzero(here[:240]), 240 + np.flatnonzero(here[240:])
        constant = np.square(y[held] - y[train].mean(0)).sum()
        found = []
        for penalty in PENALTIES:
            ridge = Ridge(alpha=penalty * len(train)).fit(x[train], y[train])
            found.append(1 - np.square(y[held] - ridge.predict(x[held]).reshape(y[held].shape)).sum() / constant)
        scores.append(max(found))
    assert small(tasks=tasks).score(sources) == pytest.approx(np.mean(scores), rel=1e-5, abs=1e-6)


def test_weights_are_those_of_ridge() -> None:
    screening = small(tasks=(SIZE,))
    labels, states, present = labels_of(ROWS), states_of(labels_of(ROWS)), presence_of(ROWS)
    x = columns_of([("a", 0), ("a", 1), ("a", 2)], np.arange(ROWS), states, present)
    (gram,) = screening._grams
    train = np.flatnonzero(labels.labelled["size"][:240])
    for penalty in PENALTIES:
        ridge = Ridge(alpha=penalty * len(train)).fit(x[train], labels.targets["size"][train].astype(np.float64))
        found = gram.solve(np.arange(13), penalty)
        np.testing.assert_allclose(found[1:, 0], ridge.coef_, rtol=1e-5, atol=1e-6)
        assert found[0, 0] == pytest.approx(ridge.intercept_, rel=1e-5)


def test_further_weights_are_those_of_ridge_on_residuals() -> None:
    (gram,) = small(tasks=(SIZE,))._grams
    labels, states, present = labels_of(ROWS), states_of(labels_of(ROWS)), presence_of(ROWS)
    x = columns_of([("a", 0), ("a", 1), ("a", 2)], np.arange(ROWS), states, present)
    train = np.flatnonzero(labels.labelled["size"][:240])
    used, added = np.arange(4), np.arange(4, 13)
    before = gram.solve(used, 0.01)
    left = labels.targets["size"][train] - before[0] - x[train][:, used] @ before[1:, 0]
    ridge = Ridge(alpha=0.1 * len(train)).fit(x[train][:, added], left)
    found = gram.further(added, used, before, 0.1)
    np.testing.assert_allclose(found[1:, 0], ridge.coef_, rtol=1e-5, atol=1e-6)
    assert found[0, 0] + x[train][:, added].mean(0) @ found[1:, 0] == pytest.approx(0, abs=1e-6)


def test_classes_are_corners_of_a_simplex() -> None:
    rng = np.random.default_rng(0)
    for count in (2, 3, 10):
        code = code_of(count, rng)
        assert code.shape == (count + 1, count - 1)
        np.testing.assert_allclose(code[:-1] @ code[:-1].T, np.eye(count) - 1 / count, atol=1e-12)
        assert not code[-1].any()
    many = code_of(1000, rng)
    assert many.shape == (1001, MOST_COLUMNS)
    assert np.square(many[:-1]).sum() == pytest.approx(999, rel=0.05)
    np.testing.assert_array_equal(mixing(3, 0), np.eye(3))
    assert np.square(mixing(50, 0)).sum() == pytest.approx(50)


def test_a_class_that_training_never_saw_is_no_class() -> None:
    labels = labels_of(ROWS)
    targets = dict(labels.targets, kind=np.where(np.arange(ROWS) > 300, -1, labels.targets["kind"]).astype(np.float32))
    assert small(labels=Labels(targets, labels.labelled)).score([("a", 2)]) < small().score([("a", 2)])


# Rows


@pytest.mark.parametrize("chunk", [1, 7, 239, 4096])
def test_chunks_change_nothing(chunk) -> None:
    one, other = small(), small(chunk)
    for sources in ([("a", 0)], [("a", 2), ("b", 1)]):
        assert other.score(sources) == pytest.approx(one.score(sources), rel=1e-9)
    assert [step.source for step in other.forward] == [step.source for step in one.forward]
    for pair, found in one.pairs.items():
        assert other.pairs[pair].t == pytest.approx(found.t, rel=1e-3, abs=1e-3)


class Counting:
    """States that remember the most rows read at once."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.most = values, values.shape, 0

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.most = max(self.most, len(rows))
        return self.values[rows]


def test_no_more_rows_than_a_chunk_are_in_memory() -> None:
    states = {name: Counting(values) for name, values in states_of(labels_of(ROWS)).items()}
    found = small(16, states=states)
    assert found.told() == small(16).told()
    assert {counting.most for counting in states.values()} == {16}


def test_of_many_rows_some_are_drawn_by_the_seed(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    assert small(seed=0).told() == small(seed=0).told()
    assert small(seed=0).told() != small(seed=1).told()


def test_the_order_of_modalities_does_not_matter() -> None:
    states = states_of(labels_of(ROWS))
    assert small(states={name: states[name] for name in "ba"}, present=presence_of(ROWS)).told() == small().told()


def test_what_stands_in_absent_rows_does_not_matter() -> None:
    states, present = states_of(labels_of(ROWS)), presence_of(ROWS)
    spoilt = {name: np.where(present[name][:, None], values, np.nan) for name, values in states.items()}
    assert small(states=spoilt).told() == small().told()


def test_a_modality_that_no_row_has_says_nothing() -> None:
    found = small(present=dict(presence_of(ROWS), b=np.zeros(ROWS, np.bool_)))
    assert found.score([("b", 2)]) == pytest.approx(0, abs=1e-9)
    assert found.score([("a", 2), ("b", 2)]) == pytest.approx(found.score([("a", 2)]))
    assert found.kept == ("a",)


def test_constant_columns_change_nothing() -> None:
    states = states_of(labels_of(ROWS))
    states["b"] = np.concatenate([np.full((ROWS, 3), 0.1, np.float32), states["b"][:, 3:]], axis=1)
    zeros = dict(states, b=np.concatenate([np.zeros((ROWS, 3), np.float32), states["b"][:, 3:]], axis=1))
    for layer in range(3):
        assert small(states=states).score([("b", layer)]) == pytest.approx(small(states=zeros).score([("b", layer)]))


def test_one_modality_alone() -> None:
    states = states_of(labels_of(ROWS))
    found = small(states={"a": states["a"]})
    assert found.kept == ("a",)
    assert list(found.pairs) == [("a", "a")]
    assert not found.layers


def test_tasks_without_labels_are_left_out() -> None:
    labels = labels_of(ROWS)
    none = np.arange(ROWS) < 240
    fewer = Labels(labels.targets, dict(labels.labelled, size=labels.labelled["size"] & none))
    sources = [("a", 2), ("b", 1)]
    assert small(labels=fewer).score(sources) == pytest.approx(small(tasks=(KIND,)).score(sources))
    nothing = Labels(labels.targets, {name: mask & none for name, mask in labels.labelled.items()})
    found = small(labels=nothing)
    assert found.score(sources) is None
    assert (found.kept, found.discarded) == (("a", "b"), ())
    assert found.hint(Architecture.parse("c1 = concat(a.0, b.0)")) < 0
    assert found.told()["modalities"] == {"a": {"verdict": "unsure"}, "b": {"verdict": "unsure"}}


@pytest.mark.parametrize("held", [1, 2, 3])
def test_with_a_handful_of_validation_rows_nothing_is_thrown_away(held) -> None:
    labels = labels_of(60, tasks=(KIND,))
    labels = Labels(labels.targets, {"kind": np.ones(60, np.bool_)})
    states = states_of(labels)
    here, widths = dict.fromkeys(states, np.ones(60, np.bool_)), dict.fromkeys(states, (4, 5, 2))
    found = Screening.of(states, here, widths, (KIND,), labels, np.arange(50), np.arange(50, 50 + held))
    assert found.discarded == ()
    json.dumps(found.told(), allow_nan=False)


def test_an_unknown_source_is_an_error() -> None:
    with pytest.raises(KeyError):
        small().score([("c", 0)])


# Wide layers


@pytest.mark.parametrize("width", [300, 700])
def test_a_wide_layer_keeps_the_direction_of_the_labels(width) -> None:
    """Also where principal directions say nothing of them."""
    rng = np.random.default_rng(0)
    rows = 3000
    told = rng.integers(0, 2, rows)
    loud = 5 * rng.normal(size=(rows, 140)) @ rng.normal(size=(140, width))
    values = loud + rng.normal(size=(rows, width)) + 2.0 * (2 * told[:, None] - 1) * rng.choice([-1, 1], width)
    found = Made({"wide": values.astype(np.float32)}, told, ("wide",), layers=1).screened(here=1.0)
    assert len(found._sketch.columns["wide", 0]) == 128
    assert found.score([("wide", 0)]) > 0.5


def test_many_columns_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_NUMBERS", 2 * 40**2)
    found = made(6, 0).screened()
    assert found._sketch.width <= 42
    assert found.score([("m00", 1)]) > 0.1


# Pairs


def test_the_product_of_two_numbers_among_many() -> None:
    rng = np.random.default_rng(0)
    states = {name: rng.normal(size=(3000, 16)) for name in "abc"}
    told = (states["a"][:, 3] * states["b"][:, 11] > 0).astype(int)
    found = Made({n: v.astype(np.float32) for n, v in states.items()}, told, ("a", "b"), layers=1).screened(here=1.0)
    assert abs(found.score([("a", 0), ("b", 0)])) < 0.05  # blind
    best = found.pairs["a", "b"]
    assert best.significant
    assert best.gain > 0.25  # (E|x|)^4 = 0.41 is the most that a product foretells of a sign
    assert 0 < best.standard_error < best.gain / 4
    assert [pair for pair, one in found.pairs.items() if one.significant] == [("a", "b")]
    assert (found.kept, found.discarded) == (("a", "b"), ("c",))


def test_same_or_different() -> None:
    rng = np.random.default_rng(1)
    rows = 3000
    told, one = rng.integers(0, 2, rows), rng.integers(0, 10, rows)
    other = np.where(told == 1, one, (one + rng.integers(1, 10, rows)) % 10)
    states = {name: 0.3 * rng.normal(size=(rows, 16)) for name in "abc"}
    states["a"][:, :10] += np.eye(10)[one]
    states["b"][:, 3:13] += np.eye(10)[other]
    found = Made({n: v.astype(np.float32) for n, v in states.items()}, told, ("a", "b"), layers=1).screened(here=1.0)
    assert abs(found.score([("a", 0), ("b", 0)])) < 0.05
    assert found.pairs["a", "b"].gain > 0.25
    assert (found.kept, found.discarded) == (("a", "b"), ("c",))


def test_the_layers_of_a_pair_are_told_apart() -> None:
    """The planted problem: an inner product of a.1 and b.2, of four layers each."""
    problem = product(0)
    states = {name: np.concatenate(layers, axis=1).astype(np.float32) for name, layers in problem.states.items()}
    rows = len(problem.labels)
    labels = Labels({"y": problem.labels.astype(np.float32)}, {"y": np.ones(rows, np.bool_)})
    here = dict.fromkeys(states, np.ones(rows, np.bool_))
    found = Screening.of(
        states, here, dict.fromkeys(states, (12,) * 4), [classes(2)], labels, np.arange(TRAIN), np.arange(TRAIN, rows)
    )
    right = (("a", 1), ("b", 2))
    assert [pair for pair, one in found.layers.items() if one.significant] == [right]
    points = [
        Architecture.parse(text)
        for text in (
            "c1 = product(a.1, b.2)",
            "c1 = relu(low-rank(a.1, b.2))",
            "c1 = relu(concat(a.1, b.2))",
            "c1 = product(a.2, b.1)",
        )
    ]
    hints = [found.hint(point) for point in points]
    assert hints[0] == hints[1]
    assert min(hints[:2]) > 0.2 + max(hints[2:])


def test_a_modality_that_bends_is_kept() -> None:
    """Its square, not itself, says the label."""
    rng = np.random.default_rng(2)
    states = {name: rng.normal(size=(3000, 16)) for name in "ab"}
    told = (np.abs(states["a"][:, 3]) > 0.67).astype(int)
    found = Made({n: v.astype(np.float32) for n, v in states.items()}, told, ("a",), layers=1).screened(here=1.0)
    assert found.pairs["a", "a"].significant
    assert (found.kept, found.discarded) == (("a",), ("b",))


def test_shrinking_leaves_signals_and_no_noise() -> None:
    """Against the least squared error among all that could be done with these singular vectors."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 90))
    sizes = np.linalg.svd(noise, compute_uv=False)
    assert (shrunk(sizes, (60, 90)) > 0).sum() <= 2
    truth = 60 * np.outer(np.eye(60)[0], np.eye(90)[0]) + 30 * np.outer(np.eye(60)[1], np.eye(90)[1])
    u, sizes, v = np.linalg.svd(truth + noise, full_matrices=False)
    found = shrunk(sizes, (60, 90))
    best = np.diag(u.T @ truth @ v.T)
    np.testing.assert_allclose(found[:2], best[:2], rtol=0.05)
    assert found[2:].max() < 3
    assert np.linalg.norm(u @ np.diag(found) @ v - truth) < 0.7 * np.linalg.norm(noise)


def test_students_t() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(CLUSTERS, 3))
    t, limit = students(values, 0.03)
    expected = values.mean(0) / (values.std(0, ddof=1) / np.sqrt(CLUSTERS))
    np.testing.assert_allclose(t, expected)
    assert limit == pytest.approx(2.387, abs=1e-3)  # the 1 % point of Student's t with 63 degrees of freedom
    filled = np.concatenate([values, np.zeros((5, 3))])
    np.testing.assert_allclose(students(filled, 0.03)[0], t)
    assert students(values[:2], 0.03)[1] == np.inf


def test_rows_of_a_group_are_one_piece_of_evidence() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(150), 20)
    told = rng.integers(0, 2, 150)[groups]
    states = {"a": (rng.normal(size=(150, 4))[groups] + 0.3 * (2 * told[:, None] - 1)).astype(np.float32)}
    here, rows = {"a": np.ones(3000, np.bool_)}, np.arange(3000)

    def error(groups: np.ndarray | None) -> float:
        labels = Labels({"y": told.astype(np.float32)}, {"y": np.ones(3000, np.bool_)}, groups)
        found = Screening.of(states, here, {"a": (4,)}, [classes(2)], labels, rows[:2000], rows[2000:])
        return found.alone["a"].standard_error

    assert error(groups) > 2.5 * error(None)


# Many modalities


@pytest.mark.parametrize("seed", range(5))
def test_six_modalities(seed) -> None:
    table = made(6, seed)
    found = table.screened(seed)
    assert found.kept == table.signals
    assert found.discarded == ("m04", "m05")
    assert found.alone["m00"].significant
    assert not found.alone["m02"].significant
    assert found.pairs["m02", "m03"].significant


@pytest.mark.parametrize("seed", range(4))
def test_sixteen_of_twenty_four_are_noise(seed) -> None:
    table = made(24, seed)
    found = table.screened(seed)
    assert set(table.signals) <= set(found.kept)
    assert len(found.discarded) >= 14  # of 40 seeds, 3 kept one or two of the 16 (seed 3 is one of them)
    assert found.pairs["m02", "m03"].gain > 0.05
    assert found.pairs["m03", "m07"].gain > 0.05


def test_where_all_is_noise_nothing_is_found_and_nothing_thrown_away() -> None:
    sizes = []
    for seed in range(3):
        table = made(24, seed, rows=1500)
        found = Made(table.states, np.random.default_rng(seed).permutation(table.labels), ()).screened(seed)
        assert not found.forward
        assert len(found.kept) == 24
        sizes += [one.t for one in found.pairs.values()]
    assert len(sizes) == 900
    assert np.mean(np.array(sizes) > 2) < 0.08  # the higher of two tests: 5 %
    assert np.mean(np.array(sizes) > 3) < 0.015


def test_forward_selection_takes_each_modality_once_and_goes_up() -> None:
    found = made(24, 0).screened()
    sources = [step.source for step in found.forward]
    assert len({name for name, _ in sources}) == len(sources) > 1
    scores = [0.0] + [step.score for step in found.forward]
    for before, after, step, taken in zip(scores, scores[1:], found.forward, range(1, 9), strict=False):
        assert after - before == pytest.approx(step.gain)
        assert found.score(sources[:taken]) == pytest.approx(after)


# Hints and what is told


def test_a_hint_is_the_score_the_products_and_the_price() -> None:
    found = made(24, 0).screened()
    gain = found.layers[("m02", 1), ("m03", 2)].gain
    copy = found.layers[("m03", 2), ("m07", 1)].gain
    assert min(gain, copy) > 0.05

    def hint(text: str) -> float:
        return found.hint(Architecture.parse(text))

    both = [("m02", 1), ("m03", 2)]
    plain = found.score(both) - 2 * module.PRICE
    assert hint("c1 = concat(m02.1, m03.2)") == pytest.approx(plain)
    assert hint("c1 = product(m02.1, m03.2)") == pytest.approx(plain + gain)
    assert hint("c1 = concat(m02.1); c2 = product(m03.2, c1)") == pytest.approx(plain + gain)
    assert hint("c1 = product(m02.1, m03.2); c2 = relu(concat(c1))") == pytest.approx(plain + gain)
    three = found.score([*both, ("m07", 1)]) - 3 * module.PRICE  # the copy does not earn twice
    assert hint("c1 = product(m02.1, m03.2, m07.1)") == pytest.approx(three + max(gain, copy))
    noise = found.score([("m10", 0), ("m11", 0)]) - 2 * module.PRICE
    assert hint("c1 = product(m10.0, m11.0)") == pytest.approx(noise)
    assert hint("c1 = concat(m10.0, m10.0)") < hint("c1 = concat(m10.0)")


def test_what_is_told_survives_json() -> None:
    found = made(6, 0).screened()
    told = json.loads(json.dumps(found.told(), allow_nan=False))
    assert told == found.told()
    assert told["kept"] == list(found.kept)
    assert told["discarded"] == ["m04", "m05"]
    assert told["pairs"][0]["modalities"] == ["m02", "m03"]
    assert len(told["pairs"]) == 6 * 7 / 2
    assert told["modalities"]["m00"].keys() == {"verdict", "layer", "score", "standard_error", "significant"}
    assert told["forward"][0]["source"] == ["m00", 1]


def test_a_table_screened_twice_is_screened_the_same() -> None:
    assert made(6, 1).screened(3).told() == made(6, 1).screened(3).told()
