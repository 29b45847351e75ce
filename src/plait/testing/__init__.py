"""Contract suites for plug-ins, one module per kind: subclass, give the fixture, and pytest tries every law.

They need pytest, and a `gpu` marker (laws that have a `device` are tried on CUDA too, under that marker). Put
`pytest.register_assert_rewrite("plait.testing")` into your `conftest.py` to see the values of a failed comparison.
"""

from plait.testing.combiners import CombinerGradients
from plait.testing.encoders import (
    EncoderCase,
    EncoderIndependence,
    EncoderLearning,
    EncoderStates,
    EncoderWeights,
    encoder_cases,
)
from plait.testing.late_rules import LateRuleAbsence, LateRuleCase, LateRuleFitting, LateRuleOutputs
from plait.testing.objectives import ObjectiveRows, ObjectiveTerms, ObjectiveWeights
from plait.testing.operations import (
    OperationAbsence,
    OperationCase,
    OperationIndependence,
    OperationNumbers,
    operation_cases,
)
from plait.testing.readers import ReaderArrays, ReaderCase, ReaderState, reader_case
from plait.testing.strategies import StrategyCase, StrategyQuestions, StrategyScores, StrategySeeds, WordSpace
from plait.testing.task_kinds import TaskKindAnswers, TaskKindCase, TaskKindLosses, TaskKindMetrics, task_kind_case

__all__ = [
    "CombinerGradients",
    "EncoderCase",
    "EncoderIndependence",
    "EncoderLearning",
    "EncoderStates",
    "EncoderWeights",
    "LateRuleAbsence",
    "LateRuleCase",
    "LateRuleFitting",
    "LateRuleOutputs",
    "ObjectiveRows",
    "ObjectiveTerms",
    "ObjectiveWeights",
    "OperationAbsence",
    "OperationCase",
    "OperationIndependence",
    "OperationNumbers",
    "ReaderArrays",
    "ReaderCase",
    "ReaderState",
    "StrategyCase",
    "StrategyQuestions",
    "StrategyScores",
    "StrategySeeds",
    "TaskKindAnswers",
    "TaskKindCase",
    "TaskKindLosses",
    "TaskKindMetrics",
    "WordSpace",
    "encoder_cases",
    "operation_cases",
    "reader_case",
    "task_kind_case",
]
