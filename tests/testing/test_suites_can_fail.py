"""A contract suite is worth something only if it fails: every law refuses a plug-in that breaks it."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import nn

from plait.data.readers import READERS, VectorReader
from plait.encoders import Encoder, HiddenStates
from plait.fusion.late import LATE_RULES, Mean
from plait.objectives import Objective, Supervised
from plait.tasks import Regression
from plait.tasks.classification import Multiclass
from plait.testing import (
    CombinerGradients,
    EncoderCase,
    EncoderIndependence,
    EncoderLearning,
    EncoderStates,
    EncoderWeights,
    LateRuleAbsence,
    LateRuleCase,
    LateRuleFitting,
    LateRuleOutputs,
    ObjectiveRows,
    ObjectiveTerms,
    ObjectiveWeights,
    ReaderArrays,
    ReaderState,
    TaskKindAnswers,
    TaskKindCase,
    TaskKindLosses,
    TaskKindMetrics,
    encoder_cases,
    reader_case,
    task_kind_case,
)
from plait.testing.inputs import Sample, cells_of, samples_of
from plait.testing.objectives import RowwiseModel, made_batch, made_tasks
from plait.training import COMBINERS, Combiner

CPU = torch.device("cpu")


class Sound(Encoder):
    """A small encoder that keeps the contract; the broken ones differ from it in one thing."""

    kind = "vector"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.register_buffer("mean", torch.zeros(width))
        self.layer = nn.Linear(width, 4)
        self.out = min(width, 512)

    @classmethod
    def build(cls, reader):
        return cls(reader.shape[0])

    def fit_input(self, values, seed=0):
        if len(values):
            self.mean.copy_(torch.from_numpy(values).mean(0).clamp(-1e6, 1e6))

    def forward(self, values):
        scaled = (values - self.mean).clamp(-5, 5)
        return HiddenStates((scaled[:, : self.out], torch.tanh(self.layer(scaled))))

    @property
    def widths(self):
        return self.out, 4


def forward_of(change):
    """An encoder whose layers are changed on their way out."""

    class Changed(Sound):
        def forward(self, values):
            return HiddenStates(tuple(change(layer) for layer in super().forward(values).layers))

    return Changed


class WrongWidths(Sound):
    @property
    def widths(self):
        return self.out, 5


class WideNearRaw(Sound):
    def __init__(self, width):
        super().__init__(width)
        self.out = width


class NoMask(Sound):
    def forward(self, values):
        states = super().forward(values)
        return HiddenStates(states.layers, tokens=states.layers[1][:, :, None])


class Normed(Sound):
    def forward(self, values):
        one, two = super().forward(values).layers
        return HiddenStates((one, two / values.norm(dim=1, keepdim=True)))


class NeedsRows(Sound):
    def fit_input(self, values, seed=0):
        self.mean.copy_(torch.from_numpy(values).mean(0))


class NeedsTwoRows(Sound):
    def fit_input(self, values, seed=0):
        if len(values):
            spread = torch.from_numpy(values).std(0, unbiased=False)
            self.mean.copy_(torch.from_numpy(values).mean(0) * spread / spread)


class Unclipped(Sound):
    def forward(self, values):
        return HiddenStates((values * values, torch.tanh(self.layer(values))))


class Spare(Sound):
    def __init__(self, width):
        super().__init__(width)
        self.spare = nn.Parameter(torch.ones(2))


class TimesZero(Sound):
    def __init__(self, width):
        super().__init__(width)
        self.spare = nn.Parameter(torch.ones(4))

    def forward(self, values):
        one, two = super().forward(values).layers
        return HiddenStates((one, two + 0 * self.spare))


class OutsideTheState(Sound):
    def fit_input(self, values, seed=0):
        self.shift = float(values.mean()) if len(values) else 0.0

    def forward(self, values):
        return super().forward(values + getattr(self, "shift", 0.0))


class OwnRandomness(Sound):
    def __init__(self, width):
        super().__init__(width)
        nn.init.constant_(self.layer.bias, time.perf_counter() % 1)


class NoRandomness(Sound):
    def __init__(self, width):
        super().__init__(width)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)


STATES, ALONE, LEARNING, WEIGHTS = EncoderStates(), EncoderIndependence(), EncoderLearning(), EncoderWeights()
BROKEN_ENCODERS = [
    (WrongWidths, STATES.test_widths),
    (forward_of(lambda layer: layer.double()), STATES.test_widths),
    (WideNearRaw, STATES.test_near_raw),
    (NoMask, STATES.test_tokens),
    (forward_of(lambda layer: layer.squeeze(0)), STATES.test_one_row),
    (Normed, STATES.test_zeros),
    (Unclipped, STATES.test_extremes),
    (NeedsRows, lambda case, device: STATES.test_few_training_rows(case, device, 0)),
    (NeedsTwoRows, lambda case, device: STATES.test_few_training_rows(case, device, 1)),
    (NeedsTwoRows, STATES.test_extreme_training_rows),
    (forward_of(lambda layer: layer - layer.mean(0)), ALONE.test_company),
    (forward_of(lambda layer: layer + torch.arange(len(layer))[:, None]), ALONE.test_order),
    (forward_of(lambda layer: layer.detach()), LEARNING.test_gradients),
    (Spare, LEARNING.test_gradients),
    (TimesZero, LEARNING.test_gradients),
    (OutsideTheState, WEIGHTS.test_round_trip),
    (OwnRandomness, WEIGHTS.test_seed),
    (NoRandomness, WEIGHTS.test_seed),
]


def encoder_case(encoder: type[Encoder], law) -> EncoderCase:
    samples = {s.reader.shape[0]: s for s in samples_of("vector")}
    sample = samples[600 if law == STATES.test_near_raw else 7]
    if law == STATES.test_extreme_training_rows:
        same = np.full_like(sample.values, 3)
        sample = Sample("same", sample.reader, same, same)
    return EncoderCase("broken", encoder, sample)


def call_encoder_law(law, case: EncoderCase) -> None:
    law(case) if law in (STATES.test_near_raw, WEIGHTS.test_seed) else law(case, CPU)


@pytest.mark.parametrize(("encoder", "law"), BROKEN_ENCODERS)
def test_broken_encoder(encoder, law) -> None:
    call_encoder_law(law, encoder_case(Sound, law))  # the law can be kept
    with pytest.raises(AssertionError):
        call_encoder_law(law, encoder_case(encoder, law))


def test_every_encoder_law_is_shown_to_fail() -> None:
    suites = (EncoderStates, EncoderIndependence, EncoderLearning, EncoderWeights)
    laws = {name for suite in suites for name in vars(suite) if name.startswith("test_")}
    shown = {getattr(law, "__name__", "") for _, law in BROKEN_ENCODERS} | {"test_few_training_rows"}
    assert len(laws) == 13
    assert laws - shown == set()


def test_an_encoder_without_samples_is_not_passed_over() -> None:
    class Smell(Sound):
        kind = "smell"

    class Picky(Sound):
        @classmethod
        def suits(cls, reader):
            return 0

    with pytest.raises(LookupError, match="no sample of modality kind 'smell'"):
        encoder_cases({"smell": Smell})
    with pytest.raises(LookupError, match="suits the encoder 'picky'"):
        encoder_cases({"picky": Picky})
    with pytest.raises(LookupError, match="no cells of modality kind 'smell'"):
        cells_of("smell")


def objective_of(terms, before=lambda batch: batch, supervised=True):
    """An objective with its terms and its preparation given as functions."""

    class Made(Objective):
        name = "supervised"

        def terms(self, model, batch):
            return terms(Supervised().terms(model, batch), model, batch)

        def before_batch(self, batch):
            return before(batch)

    Made.supervised = supervised
    return Made()


def unmasked(found, model, batch):
    outputs = model.outputs(model.hidden(batch), batch)["size"][:, 0]
    return {"supervised/size": ((outputs - batch.targets["size"]) ** 2).mean()}


def summed(found, model, batch):
    return {name: term * batch.weights.sum() for name, term in found.items()}


def unweighted(found, model, batch):
    even = made_batch(CPU)
    even.__dict__.update(batch.__dict__)
    even.weights = torch.ones_like(batch.weights)
    return Supervised().terms(model, even)


def reads_absent(found, model, batch):
    return {name: term + model.layers["one"](batch.inputs["one"]).mean() for name, term in found.items()}


def writes_gradients(found, model, batch):
    next(iter(found.values())).backward(retain_graph=True)
    return found


def always(found, model, batch):
    return found or {"supervised/kind": 0.0 * model.head.bias.sum()}


def counts_rows(found, model, batch):
    return {name: term * (len(batch) / 24) for name, term in found.items()}


def shared(found, model, batch):
    return {name: term / len(found) for name, term in found.items()}


TERMS, ROWS, ROW_WEIGHTS = ObjectiveTerms(), ObjectiveRows(), ObjectiveWeights()
BROKEN_OBJECTIVES = [
    (objective_of(lambda found, *_: {}), TERMS.test_terms),
    (objective_of(lambda found, *_: {"other": found["supervised/kind"]}), TERMS.test_terms),
    (objective_of(lambda found, *_: {name: term.detach() for name, term in found.items()}), TERMS.test_terms),
    (objective_of(lambda found, *_: {name: term[None] for name, term in found.items()}), TERMS.test_terms),
    (objective_of(lambda found, *_: {name: term * torch.inf for name, term in found.items()}), TERMS.test_terms),
    (objective_of(lambda found, *_: {name: term * 0 for name, term in found.items()}), TERMS.test_terms),
    (objective_of(writes_gradients), TERMS.test_gradients_untouched),
    (objective_of(unmasked), ROWS.test_hidden_labels),
    (objective_of(counts_rows), ROWS.test_unlabelled_rows),
    (objective_of(reads_absent), ROWS.test_absent_inputs),
    (objective_of(always), ROWS.test_unusable),
    (objective_of(shared), ROWS.test_one_task_without_labels),
    (objective_of(unweighted), ROW_WEIGHTS.test_weight_zero),
    (objective_of(summed), ROW_WEIGHTS.test_scale),
    (objective_of(unweighted), ROW_WEIGHTS.test_repeated_row),
    (objective_of(unweighted), ROW_WEIGHTS.test_no_weight),
]


@pytest.mark.parametrize(("objective", "law"), BROKEN_OBJECTIVES)
def test_broken_objective(objective, law) -> None:
    model, batch = RowwiseModel(made_tasks()), made_batch(CPU)
    law(Supervised(), model, batch)  # the law can be kept
    with pytest.raises(AssertionError):
        law(objective, model, batch)


def test_broken_objective_batch_and_name() -> None:
    def cut(batch):
        batch.weights = batch.weights[:-1]
        return batch

    with pytest.raises(AssertionError):
        TERMS.test_before_batch(objective_of(lambda found, *_: found, before=cut), made_batch(CPU))
    with pytest.raises(AssertionError):
        TERMS.test_names(objective_of(lambda found, *_: found, supervised="sometimes"))


def test_every_objective_law_is_shown_to_fail() -> None:
    laws = {n for s in (ObjectiveTerms, ObjectiveRows, ObjectiveWeights) for n in vars(s) if n.startswith("test_")}
    shown = {law.__name__ for _, law in BROKEN_OBJECTIVES} | {"test_before_batch", "test_names"}
    assert len(laws) == 13
    assert laws - shown == set()


class Uphill(Combiner):
    def backward(self, terms):
        total = -sum(terms.values())
        total.backward()
        return float(total.detach())


class FirstOnly(Combiner):
    def backward(self, terms):
        first = next(iter(terms.values()))
        first.backward()
        return float(first.detach())


GRADIENTS = CombinerGradients()


@pytest.mark.parametrize(
    ("combiner", "law"),
    [(Uphill, GRADIENTS.test_single_term), (Uphill, GRADIENTS.test_all_parameters), (FirstOnly, GRADIENTS.test_order)],
)
def test_broken_combiner(combiner, law) -> None:
    def parameters():
        return [nn.Parameter(torch.randn(n, generator=torch.Generator().manual_seed(n))) for n in (3, 5)]

    law(COMBINERS["sum"](), parameters())
    with pytest.raises(AssertionError):
        law(combiner(), parameters())


class Leaky(Mean):
    """Sees absent modalities, other rows, and the order of modalities."""

    def forward(self, decisions, present):
        return self.classes(decisions, torch.ones_like(present))


class Crowd(Mean):
    def classes(self, decisions, present):
        return super().classes(decisions, present) + decisions.mean()


class FirstModality(Mean):
    def classes(self, decisions, present):
        return decisions[0]


class Contrary(Mean):
    def classes(self, decisions, present):
        return -super().classes(decisions, present)


class Infinite(Mean):
    def classes(self, decisions, present):
        return super().classes(decisions, present).exp().sub(1e-6).clamp_min(0).log()


class Forgetful(Mean):
    fitted = True
    shift = 0.0

    def fit(self, decisions, present, targets):
        if len(targets) < 3 or not present.any(1).all() or (targets < 0).any():
            self.shift = float("nan")
        else:
            self.shift = float(targets.sum())

    def classes(self, decisions, present):
        return super().classes(decisions, present) + self.shift * torch.arange(decisions.shape[-1])


OUTPUTS, ABSENCE, FITTING = LateRuleOutputs(), LateRuleAbsence(), LateRuleFitting()
BROKEN_RULES = [
    (Forgetful, lambda case: OUTPUTS.test_agreement(case)),
    (Contrary, OUTPUTS.test_agreement),
    (Crowd, OUTPUTS.test_company),
    (Infinite, OUTPUTS.test_sure_and_wrong),
    (Leaky, ABSENCE.test_nothing_present),
    (Leaky, lambda case: ABSENCE.test_rubbish(case, 99.0)),
    (FirstModality, lambda case: ABSENCE.test_masking_is_dropping(case, 0)),
    (Forgetful, ABSENCE.test_new_in_prediction),
    (FirstModality, FITTING.test_order),
    (Forgetful, lambda case: FITTING.test_few_rows(case, 1)),
    (Forgetful, FITTING.test_unseen_class),
    (Forgetful, FITTING.test_state),
]


@pytest.mark.parametrize(("rule", "law"), BROKEN_RULES)
def test_broken_late_rule(rule, law, monkeypatch) -> None:
    monkeypatch.setitem(LATE_RULES._entries, "broken", rule)
    task = task_kind_case(Multiclass(), 3).task
    law(LateRuleCase("mean", task))
    with pytest.raises(AssertionError):
        law(LateRuleCase("broken", task))


class Reduced(Multiclass):
    def loss(self, outputs, targets):
        return super().loss(outputs, targets).mean()


class Centred(Regression):
    def loss(self, outputs, targets):
        return (super().loss(outputs, targets) - super().loss(outputs, targets).mean()).abs()


class Reversed(Regression):
    def loss(self, outputs, targets):
        return 1 / (1 + super().loss(outputs, targets))


class Backwards(Regression):
    def loss(self, outputs, targets):
        losses = super().loss(outputs, targets)
        return 2 * losses.detach() - losses


class Overflowing(Multiclass):
    """The log of a softmax, which is 0 for large outputs."""

    def losses(self, outputs, targets):
        at = targets.long().expand(len(outputs), 1, -1)
        return -outputs.softmax(1).gather(1, at)[:, 0].log(), super().losses(outputs, targets)[1]


class Raw(Multiclass):
    def probabilities(self, outputs):
        return outputs

    def answers(self, task, probabilities):
        return list(probabilities.argmax(1))


class Careless(Regression):
    def measure(self, task, probabilities, targets, names=()):
        error = np.abs(probabilities[:, 0] - targets)
        found = dict.fromkeys(self.metrics, float(error[0]) if len(error) else 0.0)
        return {"r2": 1.0} if names else found


LOSSES, ANSWERS, METRICS = TaskKindLosses(), TaskKindAnswers(), TaskKindMetrics()


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (Reduced(), LOSSES.test_rows),
        (Centred(), LOSSES.test_alone),
        (Reversed(), LOSSES.test_truth),
        (Backwards(), LOSSES.test_gradient),
        (Overflowing(), LOSSES.test_many_predictors),
        (Raw(), ANSWERS.test_probabilities),
        (Raw(), ANSWERS.test_answers),
        (Careless(), METRICS.test_all),
        (Careless(), lambda case: METRICS.test_few_rows(case, 0)),
        (Careless(), METRICS.test_not_finite),
        (Careless(), METRICS.test_order),
    ],
)
def test_broken_task_kind(kind, law) -> None:
    sound: TaskKindCase = task_kind_case(Multiclass() if kind.classification else Regression())
    law(sound)
    with pytest.raises(AssertionError):
        law(TaskKindCase(kind, sound.task))


def reading_of(change):
    """A vector reader whose readings are changed on their way out."""

    class Changed(VectorReader):
        def read(self, cells):
            return change(super().read(cells), cells)

    return Changed


def centred(reading, cells):
    reading.values = reading.values - reading.values.mean(0)
    return reading


def silent(reading, cells):
    reading.bad.clear()
    return reading


def left_in(reading, cells):
    reading.values[list(reading.bad)] = 1
    return reading


def shouted(reading, cells):
    reading.present[:] = True
    return reading


def doubled(reading, cells):
    reading.values = reading.values.astype(np.float64)
    return reading


class Forgetting(VectorReader):
    def model_dump_json(self, **given):
        return '{"kind": "vector", "width": 1}'


class Choosy(VectorReader):
    def misfit(self, cells, columns):
        return "nothing suits it"


class Sociable(VectorReader):
    def features(self, values):
        return values - values.mean(0) if len(values) else values


class Moody(VectorReader):
    def features(self, values):
        return values if len(values) else None


class Boundless(VectorReader):
    def features(self, values):
        return np.full(values.shape, np.inf)


ARRAYS, STATE = ReaderArrays(), ReaderState()


@pytest.mark.parametrize(
    ("reader", "law"),
    [
        (reading_of(doubled), ARRAYS.test_declared),
        (reading_of(shouted), ARRAYS.test_declared),
        (reading_of(centred), ARRAYS.test_alone),
        (Sociable, ARRAYS.test_features),
        (Moody, ARRAYS.test_features),
        (Boundless, ARRAYS.test_features),
        (reading_of(silent), ARRAYS.test_bad_cells),
        (reading_of(left_in), ARRAYS.test_bad_cells),
        (Forgetting, STATE.test_round_trip),
        (reading_of(shouted), STATE.test_nothing_to_fit_on),
        (Choosy, STATE.test_suits_its_own),
    ],
)
def test_broken_reader(reader, law, monkeypatch) -> None:
    law(reader_case("vector"))
    monkeypatch.setitem(READERS._entries, "vector", reader)
    with pytest.raises(AssertionError):
        law(reader_case("vector"))


def test_sound_dummy_passes_on_every_law() -> None:
    case = EncoderCase("sound", Sound, next(s for s in samples_of("vector") if s.reader == VectorReader(width=7)))
    for suite in (STATES, ALONE, LEARNING, WEIGHTS):
        for name in vars(type(suite)):
            if name.startswith("test_") and name != "test_few_training_rows":
                call_encoder_law(getattr(suite, name), case)
