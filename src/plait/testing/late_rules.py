"""The contract of late fusion rules: each class is one capability, each test one law; a subclass gives `case`.

A law that a rule does not keep, for a reason, is named in the subclass's `exempt`: {law: {rule: reason}}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from plait.fusion.late import LateFusion, LateRule
from plait.tasks._base import TASK_KIND_REGISTRY, Task

MODALITIES = 3
ROWS = 60


@dataclass(frozen=True)
class LateRuleCase:
    """A late fusion rule, by its name in the registry, on a task."""

    rule: str
    task: Task

    def __str__(self) -> str:
        return f"{self.rule}-{self.task.kind}"

    def decisions(self, seed: int = 0) -> Tensor:
        """Made decisions [M, rows, C], of different quality."""
        random = torch.Generator().manual_seed(seed)
        noise = torch.randn(MODALITIES, ROWS, self.task.outputs, generator=random)
        if not TASK_KIND_REGISTRY[self.task.kind].classification:
            return self.targets()[None, :, None] + noise * torch.tensor([0.3, 0.8, 2.0])[:, None, None]
        truth = torch.nn.functional.one_hot(self.targets().long(), self.task.outputs)
        sure = torch.tensor([3.0, 1.5, 0.5])[:, None, None]
        return (sure * truth + noise).log_softmax(-1)

    def present(self) -> Tensor:
        """Made presence [M, rows]: in every row at least the first or the last modality, in most all."""
        rows = torch.arange(ROWS)
        return torch.stack([rows % 5 != 0, rows % 7 != 0, rows % 4 != 1])

    def targets(self) -> Tensor:
        """Made targets [rows]."""
        if TASK_KIND_REGISTRY[self.task.kind].classification:
            return torch.arange(ROWS).remainder(self.task.outputs).float()
        return torch.randn(ROWS, generator=torch.Generator().manual_seed(7))

    def fitted(self, decisions: Tensor, present: Tensor, targets: Tensor | None = None) -> LateRule:
        """The rule, fitted on all rows if it needs that."""
        fusion = LateFusion(self.rule, [f"m{index}" for index in range(len(decisions))], [self.task])
        truth = self.targets() if targets is None else targets
        fusion.fit([decisions], present, [truth], [torch.ones(len(truth), dtype=torch.bool)])
        rule = fusion.rules[0]
        assert isinstance(rule, LateRule)
        return rule

    def answers(self, outputs: Tensor) -> Tensor:
        """Outputs as probabilities or numbers, which can be compared."""
        return TASK_KIND_REGISTRY[self.task.kind].probabilities(outputs)


class LateRuleSuite:
    """Base of the suites.

    Attributes:
        exempt: Reasons by law and rule, for laws that a rule does not keep.
        tolerance: How far answers may differ where they should be the same; rules that are fitted iterate.
    """

    exempt: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    tolerance: ClassVar[float] = 1e-3

    @pytest.fixture
    def case(self) -> LateRuleCase:
        """The rule under test; a subclass must give it."""
        raise NotImplementedError("give a fixture `case` that returns a LateRuleCase")

    def skip_if_exempt(self, law: str, rule: str) -> None:
        """Skip a law that the rule does not keep, with the reason."""
        if rule in self.exempt.get(law, {}):
            pytest.skip(f"{rule}: {self.exempt[law][rule]}")

    def assert_same(self, case: LateRuleCase, one: Tensor, two: Tensor, what: str) -> None:
        """Both outputs answer the same."""
        furthest = float((case.answers(one) - case.answers(two)).abs().max())
        assert furthest <= self.tolerance, f"{what} moves an answer by {furthest:.1e}"


class LateRuleOutputs(LateRuleSuite):
    """Outputs are finite, one row each, from that row alone."""

    def test_shape(self, case: LateRuleCase) -> None:
        """Outputs are [rows, task.outputs] and finite."""
        outputs = case.fitted(case.decisions(), case.present())(case.decisions(1), case.present())
        assert outputs.shape == (ROWS, case.task.outputs)
        assert bool(outputs.isfinite().all()), "an output is not finite"

    def test_company(self, case: LateRuleCase) -> None:
        """A row has the same outputs alone and among others."""
        rule, decisions, present = case.fitted(case.decisions(), case.present()), case.decisions(1), case.present()
        alone = torch.cat([rule(decisions[:, i : i + 1], present[:, i : i + 1]) for i in range(ROWS)])
        torch.testing.assert_close(alone, rule(decisions, present), rtol=1e-5, atol=1e-5)

    def test_sure_and_wrong(self, case: LateRuleCase) -> None:
        """Decisions that exclude the true class leave finite outputs."""
        far = case.decisions() * 1e4
        assert bool(case.fitted(case.decisions(), case.present())(far, case.present()).isfinite().all())
        assert bool(case.fitted(far, case.present())(far, case.present()).isfinite().all())

    def test_agreement(self, case: LateRuleCase) -> None:
        """What all modalities decide is decided: the class, or near the number."""
        first = case.decisions(2)[:1].expand(MODALITIES, -1, -1)
        everywhere = torch.ones(MODALITIES, ROWS, dtype=torch.bool)
        outputs = case.fitted(first, everywhere)(first, everywhere)
        if TASK_KIND_REGISTRY[case.task.kind].classification:
            sure = case.answers(first[0]).max(1).values > 0.9
            assert bool(sure.any())
            assert torch.equal(outputs.argmax(1)[sure], first[0].argmax(1)[sure])
        else:
            assert float((outputs - first[0]).abs().max()) < 0.2


class LateRuleAbsence(LateRuleSuite):
    """Absent modalities have no say."""

    def test_nothing_present(self, case: LateRuleCase) -> None:
        """A row without any modality gets the constant predictor's outputs."""
        rule = case.fitted(case.decisions(), case.present())
        outputs = rule(case.decisions(), torch.zeros(MODALITIES, ROWS, dtype=torch.bool))
        assert torch.equal(outputs, torch.tensor(case.task.prior).expand(ROWS, -1))

    @pytest.mark.parametrize("rubbish", [99.0, -99.0, float("nan"), float("inf")])
    def test_rubbish(self, case: LateRuleCase, rubbish: float) -> None:
        """What stands in the place of an absent decision does not matter, in fitting or after."""
        decisions, present = case.decisions(), case.present()
        other = torch.where(present[:, :, None], decisions, torch.tensor(rubbish))
        expected = case.fitted(decisions, present)(decisions, present)
        self.assert_same(case, case.fitted(decisions, present)(other, present), expected, "rubbish")
        self.assert_same(case, case.fitted(other, present)(decisions, present), expected, "rubbish in fitting")

    @pytest.mark.parametrize("gone", range(MODALITIES))
    def test_masking_is_dropping(self, case: LateRuleCase, gone: int) -> None:
        """A modality that is absent everywhere is as good as left out."""
        self.skip_if_exempt("test_masking_is_dropping", case.rule)
        kept = [index for index in range(MODALITIES) if index != gone]
        decisions, present = case.decisions(), case.present()
        masked = present.clone()
        masked[gone] = False
        dropped = case.fitted(decisions[kept], present[kept])(decisions[kept], present[kept])
        self.assert_same(case, case.fitted(decisions, masked)(decisions, masked), dropped, "masking")

    def test_new_in_prediction(self, case: LateRuleCase) -> None:
        """A modality that was absent in every row of fitting gives finite outputs where it turns up."""
        masked = case.present()
        masked[1] = False
        outputs = case.fitted(case.decisions(), masked)(case.decisions(1), torch.ones_like(masked))
        assert bool(outputs.isfinite().all())


class LateRuleFitting(LateRuleSuite):
    """Fitting copes with what validation rows may be, and all of it is in the state dict."""

    def test_order(self, case: LateRuleCase) -> None:
        """The order of modalities does not matter."""
        order = [2, 0, 1]
        decisions, present = case.decisions(), case.present()
        expected = case.fitted(decisions, present)(decisions, present)
        other = case.fitted(decisions[order], present[order])(decisions[order], present[order])
        self.assert_same(case, other, expected, "the order of modalities")

    @pytest.mark.parametrize("rows", [0, 1, 2])
    def test_few_rows(self, case: LateRuleCase, rows: int) -> None:
        """Fitted on no row or few, the outputs are finite."""
        few = torch.arange(rows)
        rule = case.fitted(case.decisions()[:, few], case.present()[:, few], case.targets()[few])
        assert bool(rule(case.decisions(), case.present()).isfinite().all())

    def test_unseen_class(self, case: LateRuleCase) -> None:
        """Rows of a class that training never saw (-1) do not upset fitting."""
        if not TASK_KIND_REGISTRY[case.task.kind].classification:
            return
        targets = torch.where(torch.arange(ROWS) % 9 == 0, -1.0, case.targets())
        rule = case.fitted(case.decisions(), case.present(), targets)
        assert bool(rule(case.decisions(), case.present()).isfinite().all())

    def test_state(self, case: LateRuleCase) -> None:
        """A fresh rule with a fitted one's state dict gives the same outputs, to the bit."""
        rule = case.fitted(case.decisions(), case.present())
        other = type(rule)(case.task, MODALITIES)
        other.load_state_dict(rule.state_dict())
        assert torch.equal(other(case.decisions(1), case.present()), rule(case.decisions(1), case.present()))
