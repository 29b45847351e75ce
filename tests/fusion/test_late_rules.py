"""Late fusion rules, against their formulas in double precision and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

from plait.encoders import HiddenStates
from plait.fusion import LATE_RULES, LateFusion, SingleModality
from plait.fusion.late import decisions_of
from plait.tasks import TASK_KIND_REGISTRY, Task

SHARES = np.array([0.2, 0.5, 0.3])
KIND = Task(
    name="kind", kind="multiclass", label_type="str", classes=("a", "b", "c"), prior=tuple(map(float, np.log(SHARES)))
)
SIZE = Task(name="size", kind="regression", label_type="float", prior=(0.0,))
seeds = st.integers(0, 2**32 - 1)


def made(task: Task, seed: int = 0, rows: int = 50, modalities: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(decisions [M, B, C], present [M, B], targets [B]); modalities get worse and worse; no row is empty."""
    rng = np.random.default_rng(seed)
    present = rng.random((modalities, rows)) < 0.75
    present[rng.integers(0, modalities, rows), np.arange(rows)] = True
    quality = np.linspace(2, 0.3, modalities)[:, None, None]
    if task is SIZE:
        truth = rng.normal(size=rows)
        return truth[None, :, None] + rng.normal(size=(modalities, rows, 1)) / quality, present, truth
    truth = rng.permutation(np.arange(rows) % 3)
    logits = rng.normal(size=(modalities, rows, 3)) + quality * np.eye(3)[truth]
    return logits - np.log(np.exp(logits).sum(2, keepdims=True)), present, truth.astype(float)


def rule_of(name: str, task: Task, modalities: int = 3):
    return LATE_RULES[name](task, modalities)


def fitted(name: str, task: Task, decisions: np.ndarray, present: np.ndarray, targets: np.ndarray):
    rule = rule_of(name, task, len(decisions))
    if rule.fitted:
        rule.fit(tensor(decisions), torch.from_numpy(present), tensor(targets))
    return rule


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).float()


def answers(rule, decisions: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Probabilities, or numbers."""
    outputs = rule(tensor(decisions), torch.from_numpy(present))
    return TASK_KIND_REGISTRY[rule.task.kind].probabilities(outputs).double().numpy()


def rows_of(decisions: np.ndarray, present: np.ndarray) -> list[np.ndarray]:
    """Per row, the decisions [modalities present, C]."""
    return [decisions[present[:, row], row] for row in range(decisions.shape[1])]


def normalised(values: np.ndarray) -> np.ndarray:
    return values / values.sum()


@given(seeds)
def test_mean(seed) -> None:
    decisions, present, _ = made(KIND, seed)
    expected = [np.exp(row).mean(0) for row in rows_of(decisions, present)]
    np.testing.assert_allclose(answers(rule_of("mean", KIND), decisions, present), expected, atol=1e-5)
    numbers, present, _ = made(SIZE, seed)
    expected = [row.mean(0) for row in rows_of(numbers, present)]
    np.testing.assert_allclose(answers(rule_of("mean", SIZE), numbers, present), expected, atol=1e-5)


@given(seeds)
def test_product(seed) -> None:
    """Kittler et al. 1998: p(y)^-(M-1) prod_m p_m(y)."""
    decisions, present, targets = made(KIND, seed)
    expected = [normalised(np.exp(row).prod(0) / SHARES ** (len(row) - 1)) for row in rows_of(decisions, present)]
    rule = fitted("product", KIND, decisions, present, targets)
    np.testing.assert_allclose(answers(rule, decisions, present), expected, atol=1e-5)


def test_product_of_independent_evidence_is_bayes_rule() -> None:
    rng = np.random.default_rng(0)
    likelihoods = rng.uniform(0.1, 1, (2, 1, 3))  # p(x_m | y)
    single = likelihoods * SHARES / (likelihoods * SHARES).sum(2, keepdims=True)
    both = normalised(likelihoods.prod(0)[0] * SHARES)
    present = np.ones((2, 1), bool)
    np.testing.assert_allclose(answers(rule_of("product", KIND, 2), np.log(single), present)[0], both, atol=1e-6)


@given(seeds)
def test_max(seed) -> None:
    decisions, present, targets = made(KIND, seed)
    expected = [normalised(np.exp(row).max(0)) for row in rows_of(decisions, present)]
    rule = fitted("max", KIND, decisions, present, targets)
    np.testing.assert_allclose(answers(rule, decisions, present), expected, atol=1e-5)


def residual_variances(decisions: np.ndarray, present: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.array([((d[p, 0] - targets[p]) ** 2).mean() for d, p in zip(decisions, present, strict=True)])


@given(seeds)
def test_numbers_weighted_by_precision_and_the_surest_number(seed) -> None:
    decisions, present, targets = made(SIZE, seed)
    variances = residual_variances(decisions, present, targets)
    np.testing.assert_allclose(fitted("max", SIZE, decisions, present, targets).variance, variances, rtol=1e-4)
    product = answers(fitted("product", SIZE, decisions, present, targets), decisions, present)
    surest = answers(fitted("max", SIZE, decisions, present, targets), decisions, present)
    for row in range(decisions.shape[1]):
        here = present[:, row]
        precision = normalised(1 / variances[here])
        assert product[row, 0] == pytest.approx((precision * decisions[here, row, 0]).sum(), abs=1e-4)
        assert surest[row, 0] == pytest.approx(decisions[here, row, 0][variances[here].argmin()], abs=1e-5)


def test_a_modality_that_fitting_never_saw_counts_as_the_constant_predictor() -> None:
    decisions, _, targets = made(SIZE)
    present = np.array([[True] * 50, [True] * 50, [False] * 50])
    for name in ("product", "max"):
        assert fitted(name, SIZE, decisions, present, targets).variance[2] == 1


@given(seeds)
def test_vote(seed) -> None:
    decisions, present, _ = made(KIND, seed)
    found = answers(rule_of("vote", KIND), decisions, present)
    for row, voters in enumerate(rows_of(decisions, present)):
        votes = np.bincount(voters.argmax(1), minlength=3)
        mean = np.exp(voters).mean(0)
        np.testing.assert_allclose(found[row], (votes + mean) / (len(voters) + 1), atol=1e-5)


@given(seeds, st.integers(2, 7), st.floats(0.01, 30))
def test_a_vote_is_never_overruled_and_ties_are_broken_by_the_mean(seed, modalities, sharpness) -> None:
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(modalities, 40, 3))
    decisions = logits - np.log(np.exp(logits - logits.max(2, keepdims=True)).sum(2, keepdims=True))
    decisions -= logits.max(2, keepdims=True)
    present = rng.random((modalities, 40)) < 0.8
    present[0] = True
    found = answers(rule_of("vote", KIND, modalities), decisions, present)
    for row, voters in enumerate(rows_of(decisions, present)):
        votes = np.bincount(tensor(voters).argmax(1).numpy(), minlength=3)
        leading = np.flatnonzero(votes == votes.max())
        mean = np.exp(voters).mean(0)[leading]
        assert found[row].argmax() in leading
        if len(leading) == 1 or np.sort(mean)[-1] - np.sort(mean)[-2] > 1e-4:
            assert found[row].argmax() == leading[mean.argmax()]


@given(seeds)
def test_vote_of_numbers_is_the_median(seed) -> None:
    decisions, present, _ = made(SIZE, seed)
    expected = [np.median(row, axis=0) for row in rows_of(decisions, present)]
    np.testing.assert_allclose(answers(rule_of("vote", SIZE), decisions, present), expected, atol=1e-5)


def loss_of(task: Task, outputs: torch.Tensor, targets: np.ndarray) -> float:
    return float(TASK_KIND_REGISTRY[task.kind].loss(outputs, tensor(targets)).mean())


@pytest.mark.parametrize("task", [KIND, SIZE], ids=lambda task: task.name)
@given(seed=seeds)
@settings(max_examples=25)
def test_weighted_mean(task, seed) -> None:
    decisions, present, targets = made(task, seed)
    rule = fitted("weighted-mean", task, decisions, present, targets)
    weights = rule.weights.double().numpy()
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    found = answers(rule, decisions, present)
    values = np.exp(decisions) if task is KIND else decisions
    for row in range(decisions.shape[1]):
        here = present[:, row]
        share = normalised(weights[here])[:, None]  # renormalised over those present
        np.testing.assert_allclose(found[row], (share * values[here, row]).sum(0), atol=1e-4)
    best = rule(tensor(decisions), torch.from_numpy(present))
    even = rule_of("mean", task)(tensor(decisions), torch.from_numpy(present))
    assert loss_of(task, best, targets) <= loss_of(task, even, targets) + 1e-6


def test_weighted_mean_finds_the_good_modality() -> None:
    decisions, _, targets = made(SIZE, rows=400)
    everywhere = np.ones((3, 400), bool)
    assert fitted("weighted-mean", SIZE, decisions, everywhere, targets).weights.argmax() == 0
    truth = decisions.copy()
    truth[1, :, 0] = targets
    assert float(fitted("weighted-mean", SIZE, truth, everywhere, targets).weights[1]) > 0.9


def test_weights_that_nearly_vanish_are_renormalised_all_the_same() -> None:
    rule = rule_of("weighted-mean", SIZE, 2)
    rule.weights.copy_(torch.tensor([1.0, 1e-20]))
    found = answers(rule, np.array([[[5.0], [5.0]], [[3.0], [3.0]]]), np.array([[True, False], [True, True]]))
    assert found[:, 0].tolist() == pytest.approx([5, 3])


def stacking_features(task: Task, decisions: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Side by side: numbers, or log probabilities of at least -10 less their mean; the prior's where one is absent."""
    filled = np.where(present[:, :, None], decisions, np.array(task.prior))
    if task is not SIZE:
        filled = np.maximum(filled, -10)
        filled = filled - filled.mean(2, keepdims=True)
    return np.concatenate(list(filled), axis=1)


TWO = Task(name="two", kind="binary", label_type="str", classes=("a", "b"), prior=(-0.5, -0.93))


def halved(decisions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decisions on two classes made of those on three, and their targets."""
    logits = decisions[:, :, :2]
    return logits - np.log(np.exp(logits).sum(2, keepdims=True)), (targets == 1).astype(float)


@pytest.mark.parametrize("task", [KIND, TWO], ids=lambda task: task.name)
@pytest.mark.parametrize("seed", range(4))
def test_stacking_classes_is_scikit_learns_logistic_regression(task, seed) -> None:
    decisions, present, targets = made(KIND, seed, rows=90)
    new, here, _ = made(KIND, seed + 100)
    if task is TWO:
        (decisions, targets), (new, _) = halved(decisions, targets), halved(new, targets)
    model = LogisticRegression(max_iter=1000, tol=1e-6).fit(stacking_features(task, decisions, present), targets)
    expected = model.predict_proba(stacking_features(task, new, here))
    rule = fitted("stacking", task, decisions, present, targets)
    np.testing.assert_allclose(answers(rule, new, here), expected, atol=0.03)  # the rule stops at a tolerance of 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_stacking_numbers_is_scikit_learns_ridge(seed) -> None:
    decisions, present, targets = made(SIZE, seed)
    new, here, _ = made(SIZE, seed + 100)
    model = Ridge(alpha=1.0).fit(stacking_features(SIZE, decisions, present), targets)
    expected = model.predict(stacking_features(SIZE, new, here))
    found = answers(fitted("stacking", SIZE, decisions, present, targets), new, here)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-4)


def test_stacking_where_a_class_is_missing_from_the_fitting_rows() -> None:
    decisions, present, targets = made(KIND, rows=90)
    keep = targets != 1
    for kept in (keep, targets != 2, (targets == 0) | (targets == 2)):
        rule = fitted("stacking", KIND, decisions[:, kept], present[:, kept], targets[kept])
        found = answers(rule, decisions[:, kept], present[:, kept])
        gone = sorted({0, 1, 2} - set(targets[kept].astype(int)))
        assert (found[:, gone] < 0.01).all()
        assert (found[:, gone] > 0).all()
        assert (found.argmax(1) == targets[kept]).mean() > 0.7


def test_stacking_leaves_out_classes_that_training_never_saw() -> None:
    decisions, present, targets = made(KIND, rows=90)
    unseen = np.where(np.arange(90) % 4 == 0, -1, targets)
    keep = unseen >= 0
    one = fitted("stacking", KIND, decisions, present, unseen)
    two = fitted("stacking", KIND, decisions[:, keep], present[:, keep], targets[keep])
    assert torch.equal(one.weights, two.weights)
    assert torch.equal(one.bias, two.bias)


def test_stacking_that_cannot_be_fitted_is_the_mean() -> None:
    decisions, present, _ = made(SIZE)
    everywhere = np.ones_like(present)
    np.testing.assert_allclose(answers(rule_of("stacking", SIZE), decisions, everywhere), decisions.mean(0), atol=1e-5)
    logs, _, _ = made(KIND)
    one_class = fitted("stacking", KIND, logs, everywhere, np.ones(50))
    np.testing.assert_allclose(one_class.weights, rule_of("stacking", KIND).weights)


@pytest.mark.parametrize("task", [KIND, SIZE], ids=lambda task: task.name)
@pytest.mark.parametrize("name", sorted(set(LATE_RULES) - {"stacking"}))
@given(seed=seeds)
@settings(max_examples=15)
def test_masking_equals_dropping_after_fitting(task, name, seed) -> None:
    """Fitted on complete rows, then asked without a modality: as if the rule had never heard of it."""
    decisions, _, targets = made(task, seed)
    rule = fitted(name, task, decisions, np.ones(decisions.shape[:2], bool), targets)
    new, present, _ = made(task, seed + 1)
    gone = seed % 3
    kept = [index for index in range(3) if index != gone]
    present[gone] = False
    assume(present.any())
    less = rule_of(name, task, 2)
    for key, value in rule.state_dict().items():
        less.state_dict()[key].copy_(value[kept])
    np.testing.assert_allclose(answers(less, new[kept], present[kept]), answers(rule, new, present), atol=1e-4)


@pytest.mark.parametrize("name", list(LATE_RULES))
def test_one_modality_decides_alone(name) -> None:
    decisions, _, targets = made(KIND, rows=200, modalities=1)
    everywhere = np.ones((1, 200), bool)
    found = answers(fitted(name, KIND, decisions, everywhere, targets), decisions, everywhere)
    sure = np.exp(decisions[0]).max(1) > 0.8
    assert sure.any()
    assert (found.argmax(1)[sure] == decisions[0].argmax(1)[sure]).all()
    if name not in ("stacking", "vote"):
        np.testing.assert_allclose(found, np.exp(decisions[0]), atol=1e-4)


def states_of(outputs: dict[str, np.ndarray]) -> dict[str, HiddenStates]:
    return {name: HiddenStates((torch.zeros(len(v), 1), tensor(v))) for name, v in outputs.items()}


def test_late_fusion_splits_the_outputs_of_several_tasks() -> None:
    rng = np.random.default_rng(0)
    outputs = {"b": rng.normal(size=(6, 4)), "a": rng.normal(size=(6, 4))}
    fusion = LateFusion("mean", ("b", "a"), (KIND, SIZE))
    present = {name: torch.ones(6, dtype=torch.bool) for name in outputs}
    found = fusion(states_of(outputs), present)
    chances = np.mean([np.exp(v[:, :3]) / np.exp(v[:, :3]).sum(1, keepdims=True) for v in outputs.values()], axis=0)
    np.testing.assert_allclose(found["kind"].exp(), chances, atol=1e-5)
    np.testing.assert_allclose(found["size"][:, 0], (outputs["a"][:, 3] + outputs["b"][:, 3]) / 2, atol=1e-5)
    logs, numbers = decisions_of({name: tensor(v) for name, v in outputs.items()}, (KIND, SIZE))
    assert logs.shape == (2, 6, 3)
    assert numbers.shape == (2, 6, 1)
    torch.testing.assert_close(logs.exp().sum(2), torch.ones(2, 6))


def test_rules_are_fitted_on_labelled_rows_only() -> None:
    decisions, present, targets = made(SIZE)
    labelled = np.arange(50) % 3 != 0
    hidden = np.where(labelled, targets, 1e6)

    def weights(truth: np.ndarray) -> torch.Tensor:
        fusion = LateFusion("weighted-mean", ("a", "b", "c"), (SIZE,))
        mask = [torch.from_numpy(labelled)]
        fusion.fit([tensor(decisions)], torch.from_numpy(present), [tensor(truth)], mask)
        return fusion.rules[0].weights

    assert torch.equal(weights(hidden), weights(targets))
    assert not torch.allclose(weights(targets), torch.full((3,), 1 / 3))


def test_a_single_modality_answers_its_outputs_or_the_prior() -> None:
    alone = SingleModality("a", (KIND, SIZE))
    outputs = np.random.default_rng(0).normal(size=(4, 4))
    found = alone(states_of({"a": outputs}), {"a": torch.tensor([True, False, True, False])})
    np.testing.assert_allclose(found["kind"][[0, 2]], outputs[[0, 2], :3], atol=1e-6)
    np.testing.assert_allclose(found["kind"][[1, 3]].exp(), [SHARES, SHARES], atol=1e-6)
    np.testing.assert_allclose(found["size"][:, 0], [outputs[0, 3], 0, outputs[2, 3], 0], atol=1e-6)
    assert alone.modalities == ("a",)
