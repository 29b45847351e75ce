"""The search: every trial is in the ledger, a stopped one goes on as if it had not been, limits are kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_search import evaluator_of

from plait.fusion import Architecture, Candidate, FusionSpace
from plait.fusion.stack import Member
from plait.search import Ledger, Trial, runner
from plait.search._base import Strategy
from plait.search.runner import BATCH, FEWEST, HALVED_FROM, MOST, PATIENCE, PRUNING, Found, Search
from plait.search.stacked import Learned
from plait.search.strategies import STRATEGIES, progressive
from plait.search.surrogates import forest
from plait.training import Plan

SPACE = FusionSpace(
    {"a": (0, 1, 2), "b": (0, 1, 2)}, operations=("concat", "product"), activations=("relu", "tanh"), max_cells=2
)
SMALL = FusionSpace({"a": (0, 1), "b": (2,)}, operations=("concat",), activations=("relu", "tanh"), max_cells=1)


@pytest.fixture(autouse=True)
def _small_surrogate(monkeypatch) -> None:
    """How good the surrogate is does not matter here, nor what a trial costs."""
    monkeypatch.setattr(forest, "TREES", 5)
    monkeypatch.setattr(runner, "FIRST", BATCH)  # no clock decides how many are asked for at once
    for name, value in {"PARENTS": 6, "CHILDREN": 16}.items():
        monkeypatch.setattr(progressive, name, value)


class StoppedError(Exception):
    pass


def scored(architecture: Architecture) -> float:
    """A score that goes by the text alone; 0.1 and the like, so that bits are lost where they are not kept."""
    return sum(map(ord, str(architecture))) % 97 / 10


class Cheap:
    """An evaluator that remembers what it was asked."""

    def __init__(self, score: Callable[[Architecture], float | None] = scored) -> None:
        self.score, self.asked = score, []

    plan = Plan(epochs=3)

    def begun(self, architecture: Architecture, parents: Sequence[Member] = ()) -> Member:
        return Member(architecture)

    def rung(
        self, members: Sequence[Member], first: int, last: int, left: Callable[[], float] | None = None
    ) -> list[Learned]:
        found: list[Learned] = []
        for member in members:
            if found and left is not None and left() <= 0:
                break
            self.asked.append(str(member.architecture))
            found.append(Learned(member, self.score(member.architecture), seconds=0.125))
        return found


def ledger_of(path: Path, name: str = "trials") -> Ledger:
    return Ledger(path / f"{name}.sqlite")


def strategy_of(name: str, space: FusionSpace = SPACE, budget: int | None = 50) -> Strategy[Architecture]:
    return STRATEGIES[name](space, 7, budget, scored)


def stops_after(count: int) -> Callable[[], None]:
    numbers = itertools.count(1)

    def advance() -> None:
        if next(numbers) == count:
            raise StoppedError

    return advance


def told(found: Found) -> tuple[Any, ...]:
    """All that was found but seconds."""
    trials = [{key: value for key, value in trial.items() if key != "seconds"} for trial in found.trials]
    return trials, found.best, found.surrogate, found.exhausted


def rows(ledger: Ledger) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in ledger.read()]


def both(search: Search, trials: int = 50) -> Found:
    for name in ("progressive", "random"):
        search.run(name, strategy_of(name), trials)
    return search.found


def test_every_trial_is_in_the_ledger(tmp_path) -> None:
    ledger, evaluator = ledger_of(tmp_path), Cheap()
    found = both(Search(evaluator, ledger, seed=3))
    written = ledger.read()
    assert [row["name"] for row in written] == evaluator.asked == [trial["text"] for trial in found.trials]
    assert len(written) == 100
    for row, trial in zip(written, found.trials, strict=True):
        point = Architecture.parse(row["name"])
        assert row["candidate"]["architecture"] == point.model_dump(exclude_defaults=True, mode="json")
        assert row["score"] == trial["score"] == scored(point)
        assert (row["seed"], row["kind"], row["proposer"]) == (3, "architecture", trial["proposer"])
        assert trial["level"] == len(point.cells)
        assert (row["seconds"], trial["seconds"]) == (0.125, 0.125)
    assert [row["rung"] for row in written] == [number // FEWEST for number in range(50)] * 2
    assert {row["passes"] for row in written} == {evaluator.plan.epochs}, "so few are trained to the end at once"
    assert [row["proposer"] for row in written] == ["progressive"] * 50 + ["random"] * 50


def test_the_best_of_each_strategy_are_remembered(tmp_path) -> None:
    search = Search(Cheap(), ledger_of(tmp_path), 0)
    found = both(search)
    search.run("similarity", strategy_of("similarity"), 20, finalists=1)
    assert {name: len(best) for name, best in found.best.items()} == {"progressive": 3, "random": 3, "similarity": 1}
    for name, best in found.best.items():
        scores = sorted((trial["score"] for trial in found.trials if trial["proposer"] == name), reverse=True)
        assert [scored(point) for point in best] == scores[: len(best)]
    assert [one.asked for one in found.surrogate] == [one.asked for one in strategy_quality(search)]
    assert found.surrogate


def strategy_quality(search: Search) -> list[Any]:
    """What the surrogate of a progressive search foretells that is told the same scores."""
    strategy = strategy_of("progressive")
    scores = [(t["text"], t["score"]) for t in search.found.trials if t["proposer"] == "progressive"]
    for start in range(0, 50, FEWEST):
        asked = strategy.ask(min(FEWEST, 50 - start))
        assert [str(point) for point in asked] == [text for text, _ in scores[start : start + FEWEST]]
        strategy.tell(asked, [score for _, score in scores[start : start + FEWEST]])
    return strategy.quality


@pytest.mark.parametrize("stop", [1, 8, 9, 40, 50, 51, 70, 99])
def test_a_stopped_search_goes_on_where_its_ledger_ends(tmp_path, stop) -> None:
    one, other = ledger_of(tmp_path, "one"), ledger_of(tmp_path, "other")
    whole = both(Search(Cheap(), one, 0))
    first = Cheap()
    with pytest.raises(StoppedError):
        both(Search(first, other, 0, stops_after(stop)))
    written = [row["name"] for row in other.read()]
    before, within = (0, stop) if stop <= 50 else (50, stop - 50)
    assert written == first.asked, "what was trained is written down before anybody is told"
    assert len(written) == before + min(50, math.ceil(within / FEWEST) * FEWEST)  # whole batches
    second = Cheap()
    again = both(Search(second, other, 0))
    assert told(again) == told(whole)
    assert second.asked == [row["name"] for row in one.read()][len(written) :]
    assert rows(other) == rows(one)
    third = Cheap()
    assert told(both(Search(third, other, 0))) == told(whole)
    assert third.asked == []


def test_stopped_again_and_again(tmp_path) -> None:
    one, other = ledger_of(tmp_path, "one"), ledger_of(tmp_path, "other")
    whole = both(Search(Cheap(), one, 0))
    for _ in range(3):
        with pytest.raises(StoppedError):
            both(Search(Cheap(), other, 0, stops_after(len(other.read()) + 20)))
    assert told(both(Search(Cheap(), other, 0))) == told(whole)
    assert rows(other) == rows(one)


def test_more_trials_than_before_go_on_and_keep_what_was_there(tmp_path) -> None:
    """The last batch was smaller: what stands in the ledger of it stays."""
    ledger = ledger_of(tmp_path)
    Search(Cheap(), ledger, 0).run("random", strategy_of("random"), 20)
    evaluator = Cheap()
    search = Search(evaluator, ledger, 0)
    search.run("random", strategy_of("random"), 50)
    written = [row["name"] for row in ledger.read()]
    assert len(written) == len(set(written)) == 50
    assert set(written) == {trial["text"] for trial in search.found.trials}
    assert len(evaluator.asked) == 30


def test_each_strategy_is_told_its_own_trials_alone(tmp_path) -> None:
    """What another strategy evaluated is evaluated again: the budgets are to be equal."""
    ledger, evaluator = ledger_of(tmp_path), Cheap()
    search = Search(evaluator, ledger, 0)
    for name in ("random", "progressive"):
        search.run(name, strategy_of(name, SMALL), 10)
    assert len(evaluator.asked) == 2 * SMALL.size()
    assert len(set(evaluator.asked)) == SMALL.size()
    competitors = ledger_of(tmp_path, "other")
    point = SMALL[0]
    made = Candidate(name=str(point), kind="architecture", architecture=point)
    competitors.record([Trial(made, (), 9.0, (9.0,), 0.0)], "competitors", 0, 0)
    search = Search(Cheap(), competitors, 0)
    search.run("random", strategy_of("random", SMALL), None)
    assert {trial["text"]: trial["score"] for trial in search.found.trials}[str(point)] == scored(point)
    assert len(competitors.read()) == 1 + SMALL.size()


@pytest.mark.parametrize(
    ("trials", "size"),
    [(1, 1), (FEWEST, FEWEST), (200, 25), (HALVED_FROM * 8, HALVED_FROM), (8 * BATCH, BATCH), (2000, BATCH)],
)
def test_an_eighth_of_the_trials_is_asked_for_at_once(tmp_path, trials, size) -> None:
    """Within bounds; without a number of trials as many as there may be."""
    for number in (trials, None):
        strategy, counts = strategy_of("random"), []
        strategy.ask = lambda count, counts=counts: counts.append(count) or []
        Search(Cheap(), ledger_of(tmp_path), 0).run("random", strategy, number)
        assert counts == [BATCH if number is None else size]


@pytest.mark.parametrize("trials", [1, 7, 8, 9, 40, 200])
def test_the_number_of_trials_is_kept(tmp_path, trials) -> None:
    advanced = []
    search = Search(Cheap(), ledger_of(tmp_path), 0, lambda: advanced.append(1))
    search.run("progressive", strategy_of("progressive", budget=trials), trials)
    assert len(search.found.trials) == len(advanced) == trials
    assert {row["name"] for row in search.ledger.read()} == {trial["text"] for trial in search.found.trials}
    assert len({trial["text"] for trial in search.found.trials}) == trials
    assert not search.found.exhausted


@pytest.mark.parametrize("name", list(STRATEGIES))
@pytest.mark.parametrize("trials", [None, 1000])
def test_a_small_space_is_exhausted(tmp_path, name, trials) -> None:
    search = Search(Cheap(), ledger_of(tmp_path), 0)
    search.run(name, strategy_of(name, SMALL, trials), trials)
    assert search.found.exhausted
    assert {trial["text"] for trial in search.found.trials} == set(map(str, SMALL))
    assert len(search.found.trials) == SMALL.size() < BATCH
    best = max(map(scored, SMALL))
    assert scored(search.found.best[name][0]) == best


def test_a_space_is_not_exhausted_before_its_last_point(tmp_path) -> None:
    search = Search(Cheap(), ledger_of(tmp_path), 0)
    search.run("random", strategy_of("random", SMALL), SMALL.size() - 1)
    assert not search.found.exhausted
    search.run("random", strategy_of("random", SMALL), SMALL.size())
    assert search.found.exhausted


def countdown(calls: int) -> Callable[[], float]:
    """Time that is over after so many looks at the clock."""
    left = iter(range(calls, 0, -1))
    return lambda: float(next(left, 0))


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_time_ends_a_search_within_a_batch(tmp_path, name) -> None:
    evaluator = Cheap()
    search = Search(evaluator, ledger_of(tmp_path), 0)
    search.run(name, strategy_of(name, budget=None), None, countdown(10))
    assert len(evaluator.asked) == len(search.found.trials) == len(search.ledger.read()) == 11
    assert len(search.found.best[name]) == 3


def test_without_time_one_trial_is_done(tmp_path) -> None:
    search = Search(Cheap(), ledger_of(tmp_path), 0)
    search.run("random", strategy_of("random"), None, lambda: 0.0)
    search.run("progressive", strategy_of("progressive"), 5, lambda: -1.0)
    assert [trial["proposer"] for trial in search.found.trials] == ["random", "progressive"]


@pytest.mark.parametrize("looks", [BATCH - 1, BATCH])
def test_time_between_rungs_ends_a_search_too(tmp_path, looks) -> None:
    """Once it is over after the first rung of a batch, no survivor goes on, and no other batch is begun."""
    search = Search(Cheap(), ledger_of(tmp_path), 0)
    search.run("random", strategy_of("random"), None, countdown(looks))
    assert len(search.found.trials) == BATCH
    assert search.found.cut
    passes = [row["passes"] for row in search.ledger.read()]
    assert passes == [1] * BATCH + [3] * (looks - BATCH + 1)


class Cut(Cheap):
    """An evaluator whose trainings after the first `whole` ones are cut short by time; these have the best scores."""

    def __init__(self, whole: int) -> None:
        super().__init__()
        self.whole = whole

    def rung(self, members, first, last, left=None):
        before = len(self.asked)
        found = super().rung(members, first, last, left)
        late = [before + place >= self.whole for place in range(len(found))]
        return [replace(one, score=one.score + 100 * cut, cut=cut) for one, cut in zip(found, late, strict=True)]


@pytest.mark.parametrize(("whole", "counted"), [(0, FEWEST), (1, 1), (FEWEST, FEWEST), (FEWEST + 3, FEWEST + 3)])
def test_trainings_that_time_cut_short_count_where_there_are_no_others(tmp_path, whole, counted) -> None:
    left = iter([1.0] * (2 * FEWEST - 1))
    search = Search(Cut(whole), ledger_of(tmp_path), 0)
    search.run("random", strategy_of("random"), 50, lambda: next(left, 0.0))
    assert len(search.found.trials) == len(search.ledger.read()) == counted
    assert {trial["score"] >= 100 for trial in search.found.trials} == {whole == 0}
    assert {row["passes"] == 0 for row in search.ledger.read()} == {whole == 0}
    assert search.found.best["random"]
    assert search.found.cut
    again, fresh = (Search(Cheap(), ledger, 0) for ledger in (search.ledger, ledger_of(tmp_path, "fresh")))
    for one in (again, fresh):
        one.run("random", strategy_of("random"), 50)
    assert told(again.found) == told(fresh.found), "with more time, nothing that was cut short counts any more"


def test_a_search_that_is_cut_short_again_ends_with_what_it_has(tmp_path) -> None:
    for trials in (50, None):
        ledger = ledger_of(tmp_path, str(trials))
        searches = [Search(Cut(0), ledger, 0) for _ in range(2)]
        for search in searches:
            left = iter([1.0] * 5)
            search.run("random", strategy_of("random"), trials, lambda left=left: next(left, 0.0))
            assert search.found.best["random"]
            assert search.found.cut


def test_finalists_are_not_those_of_trainings_that_were_cut_short(tmp_path) -> None:
    """Of a strategy whose points inherit weights, the best are trained anew, if there is time for it."""
    evaluator, name = Cut(100), "genetic"
    search = Search(evaluator, ledger_of(tmp_path), 0)
    search.run(name, strategy_of(name, budget=None), None, countdown(140))
    assert len(evaluator.asked) > 100, "some were cut short"
    scores = {trial["text"]: trial["score"] for trial in search.found.trials}
    assert max(scores.values()) < 100
    assert scores[str(search.found.best[name][0])] == max(scores.values())
    # Nor is the only one that needs no training anew better than all others for that.
    strategy, other = strategy_of(name), Search(Cut(0), ledger_of(tmp_path, "other"), 0)
    heir, orphan = strategy.ask(2)
    strategy.tell([heir, orphan], [9.0, 1.0])
    strategy.parents[heir] = (orphan,)
    assert other._anew(name, strategy, [heir, orphan], lambda: 0.0) == []


def test_time_between_batches_ends_a_search_too(tmp_path) -> None:
    search = Search(Cheap(), ledger_of(tmp_path), 0)
    search.run("random", strategy_of("random"), 50, countdown(FEWEST - 1))
    assert len(search.found.trials) == FEWEST
    assert search.found.cut


def test_under_a_clock_the_first_batch_is_small_and_later_ones_take_what_it_allows(tmp_path, monkeypatch) -> None:
    """With a second for a trial and 100 to spend: batches of no more than a quarter of what is left."""
    monkeypatch.setattr(runner, "FIRST", 8)
    clock = [0.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])

    class Slow(Cheap):
        def rung(self, members, first, last, left=None):
            clock[0] += len(members) * (last - first) / self.plan.epochs
            return super().rung(members, first, last, None)

    sizes: list[int] = []

    class Counted(STRATEGIES["random"]):
        def ask(self, count):
            sizes.append(count)
            return super().ask(count)

    Search(Slow(), ledger_of(tmp_path), 0).run("random", Counted(SPACE, 7, None), None, lambda: 100 - clock[0])
    assert sizes[0] == 8
    assert sizes[1] == 23
    assert all(8 <= size <= 64 for size in sizes)
    assert 100 <= clock[0] <= 108


@pytest.mark.parametrize("looks", [20, 70, 100])
def test_more_time_than_before_goes_on_and_keeps_what_was_there(tmp_path, looks) -> None:
    """A rung that time cut short, the first or the second, is finished; nothing in the ledger is lost or done twice."""
    one, other = ledger_of(tmp_path, "one"), ledger_of(tmp_path, "other")
    Search(Cheap(), one, 0).run("random", strategy_of("random"), None, countdown(looks))
    before = one.read()
    assert len(before) % (BATCH + math.ceil(BATCH / 3))
    evaluator = Cheap()
    search = Search(evaluator, one, 0)
    search.run("random", strategy_of("random"), None, countdown(200))
    assert one.read()[: len(before)] == before
    trained = [(row["name"], row["passes"]) for row in one.read()]
    assert len(trained) == len(set(trained))
    assert len(search.found.trials) > BATCH
    whole = Search(Cheap(), other, 0)
    whole.run("random", strategy_of("random"), None, countdown(100))
    assert search.found.trials[:BATCH] == whole.found.trials[:BATCH]


def test_a_space_whose_last_batch_was_cut_short_is_not_exhausted(tmp_path) -> None:
    """All was asked for, but not all was evaluated."""
    search = Search(Cheap(), ledger_of(tmp_path), 0)
    search.run("random", strategy_of("random", SMALL), None, countdown(3))
    assert len(search.found.trials) < SMALL.size() < BATCH
    assert not search.found.exhausted


def test_a_search_by_time_tells_the_strategy_its_budget(tmp_path) -> None:
    strategy = strategy_of("progressive", budget=None)
    Search(Cheap(), ledger_of(tmp_path), 0).run("progressive", strategy, 40, lambda: 1e9)
    assert strategy.budget is not None
    assert strategy.budget == MOST
    given = strategy_of("progressive", budget=33)
    Search(Cheap(), ledger_of(tmp_path, "other"), 0).run("progressive", given, 20, lambda: 1e9)
    assert given.budget == 33


def test_what_cannot_be_scored_is_written_down_and_never_the_best(tmp_path) -> None:
    def some(architecture: Architecture) -> float | None:
        return None if scored(architecture) > 5 else scored(architecture)

    ledger = ledger_of(tmp_path)
    search = Search(Cheap(some), ledger, 0)
    found = both(search)
    missing = [row for row in ledger.read() if row["score"] is None]
    assert 10 < len(missing) < 90
    assert all(scored(point) <= 5 for best in found.best.values() for point in best)
    again = Cheap(some)
    assert told(both(Search(again, ledger, 0))) == told(found)
    assert again.asked == []  # nor is it tried again


def test_trials_of_another_key_go(tmp_path) -> None:
    ledger = ledger_of(tmp_path)
    assert not ledger.claim("one")
    both(Search(Cheap(), ledger, 0))
    assert ledger_of(tmp_path).claim("one")
    assert len(ledger.read()) == 100
    assert not ledger_of(tmp_path).claim("other")
    assert ledger.read() == []
    assert not ledger.claim("one")  # and come back no more
    evaluator = Cheap()
    both(Search(evaluator, ledger, 0))
    assert len(evaluator.asked) == 100
    assert ledger.claim("one")


def test_a_ledger_that_nobody_claimed_is_cleared(tmp_path) -> None:
    ledger = ledger_of(tmp_path)
    Search(Cheap(), ledger, 0).run("random", strategy_of("random"), 3)
    assert not ledger.claim("one")
    assert ledger.read() == []


def test_with_the_evaluator_itself(tmp_path) -> None:
    """StoppedError and resumed, trained networks and all; scores come back from the ledger to the bit."""
    plan = Plan(epochs=1, batch_size=32, seed=0)
    space = FusionSpace({"a": (0, 1), "b": (1, 2)}, activations=("relu",), max_cells=2)

    def run(ledger: Ledger, advance: Callable[[], None] = lambda: None) -> Found:
        search = Search(evaluator_of(80).by(plan, 1), ledger, 0, advance)
        search.run("progressive", strategy_of("progressive", space, 20), 20)
        return search.found

    one, other = ledger_of(tmp_path, "one"), ledger_of(tmp_path, "other")
    whole = run(one)
    with pytest.raises(StoppedError):
        run(other, stops_after(18))
    assert told(run(other)) == told(whole)
    assert rows(other) == rows(one)
    assert all(trial["score"] is not None and trial["seconds"] > 0 for trial in whole.trials)
    evaluator = evaluator_of(80).by(replace(plan, epochs=2), 2)
    assert (evaluator.plan.epochs, evaluator.seeds) == (2, 2)
    (trial,) = evaluator.evaluate(
        [Candidate(name="best", kind="architecture", architecture=whole.best["progressive"][0])]
    )
    assert len(trial.scores) == 2


def signal(architecture: Architecture) -> float:
    """What only a.1 and b.2 carry; every further source costs a little."""
    states = {source.state for cell in architecture.cells for source in cell.sources if source.state is not None}
    return 5.0 * (("a", 1) in states) + 3.0 * (("b", 2) in states) - 0.01 * architecture.size


def test_pruning_keeps_what_is_needed_and_ends_at_one_source(tmp_path) -> None:
    start = Architecture.parse("c1 = relu(concat(a.1, b.0)); c2 = tanh(product(a.2, b.2, c1))")
    evaluator = Cheap(signal)
    search = Search(evaluator, ledger_of(tmp_path), 0)
    search.prune(SPACE, start, 100)
    best = search.found.best[PRUNING]
    assert all(point in SPACE and point.size < start.size for point in best)
    needed = best[0]  # one source less costs most here
    assert {source.state for cell in needed.cells for source in cell.sources if source.cell is None} == {
        ("a", 1), ("b", 2),
    }  # fmt: skip
    assert best[-1].size == 1
    assert str(best[-1]).endswith("(concat(a.1))")
    assert {trial["proposer"] for trial in search.found.trials} == {PRUNING}
    again = Search(Cheap(signal), ledger_of(tmp_path), 0)
    again.prune(SPACE, start, 100)
    assert again.evaluator.asked == []
    assert told(again.found) == told(search.found)


def test_pruning_keeps_to_its_trials_and_to_time(tmp_path) -> None:
    start = Architecture.parse("c1 = relu(concat(a.1, b.0)); c2 = tanh(product(a.2, b.2, c1))")
    for most in (0, 3, 7):
        search = Search(Cheap(signal), ledger_of(tmp_path, str(most)), 0)
        search.prune(SPACE, start, most)
        assert len(search.found.trials) <= most
    search = Search(Cheap(signal), ledger_of(tmp_path, "time"), 0)
    search.prune(SPACE, start, None, lambda: 0.0)
    assert search.found.trials == []
    assert search.found.best[PRUNING] == []


def test_a_search_by_time_stops_when_nothing_gets_better(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE", 2 * BATCH)
    monkeypatch.setattr(runner, "MOST", 5 * BATCH)
    assert MOST > PATIENCE > 2 * BATCH
    search = Search(Cheap(lambda point: 1.0), ledger_of(tmp_path), 0)
    search.run("random", strategy_of("random", budget=None), None, lambda: 1e9)
    assert len(search.found.trials) == 3 * BATCH, "the first batch is better than nothing, two others are not"
    better = itertools.count()
    search = Search(Cheap(lambda point: float(next(better))), ledger_of(tmp_path, "other"), 0)
    search.run("random", strategy_of("random", budget=None), None, lambda: 1e9)
    assert len(search.found.trials) == 5 * BATCH
    assert not search.found.cut
