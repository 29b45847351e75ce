"""Halving and inheritance: the best third goes on, children learn on; killed anywhere, a search ends the same."""

from __future__ import annotations

import itertools
import math
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_search import evaluator_of

from plait.exceptions import InputError
from plait.fusion import Architecture, FusionSpace
from plait.fusion.stack import Member
from plait.fusion.stack.weights import Sizes, pieces_of, state_dict_of
from plait.search import Evaluator, Ledger, runner
from plait.search._base import Strategy
from plait.search.kept import KeptWeights
from plait.search.runner import BATCH, HALVED_FROM, PRUNING, Found, Search
from plait.search.stacked import Learned
from plait.search.strategies import STRATEGIES, progressive
from plait.search.surrogates import forest
from plait.training import Plan

SPACE = FusionSpace(
    {"a": (0, 1, 2), "b": (0, 1, 2)}, operations=("concat", "product"), activations=("relu", "tanh"), max_cells=2
)
NAMES = ("random", "progressive", "genetic")
SMALL_BATCH = 9
"""What batches are halved from in tests with a real evaluator: 3 of 9 survive."""

TRIALS = 27
PLAN = Plan(epochs=3, batch_size=32, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def _small_surrogate(monkeypatch) -> None:
    """How good the surrogate is does not matter here, nor what a trial costs."""
    monkeypatch.setattr(forest, "TREES", 5)
    monkeypatch.setattr(runner, "FIRST", BATCH)  # no clock decides how many are asked for at once
    for name, value in {"PARENTS": 6, "CHILDREN": 16}.items():
        monkeypatch.setattr(progressive, name, value)


@pytest.fixture
def small(monkeypatch) -> None:
    """Batches of nine, and halved."""
    monkeypatch.setattr(runner, "FEWEST", SMALL_BATCH)
    monkeypatch.setattr(runner, "HALVED_FROM", SMALL_BATCH)


@pytest.fixture
def without_anew(monkeypatch) -> None:
    """What is trained anew in the end does not come between."""
    monkeypatch.setattr(runner, "ANEW", 0)


class StoppedError(Exception):
    pass


def worth(architecture: Architecture) -> float:
    """A number that goes by the text alone."""
    return sum(map(ord, str(architecture))) % 97 / 10


class Remembering:
    """An evaluator whose scores go by all that was learned: weights that are lost or mixed up show in every score.

    Args:
        rungs: Told (texts, first, last) of every rung, if given.
    """

    plan = Plan(epochs=6)

    def __init__(self, rungs: list[tuple[list[str], int, int]] | None = None) -> None:
        self.rungs = [] if rungs is None else rungs
        self.begins: dict[str, list[str]] = {}

    def begun(self, architecture: Architecture, parents: Sequence[Member] = ()) -> Member:
        learned = [float(parent.weights[0]) for parent in parents if parent.weights is not None]
        self.begins[str(architecture)] = [str(parent.architecture) for parent in parents]
        return Member(architecture, weights=torch.tensor([sum(learned) / (3 * max(1, len(learned)))]))

    def rung(
        self, members: Sequence[Member], first: int, last: int, left: Callable[[], float] | None = None
    ) -> list[Learned]:
        self.rungs.append(([str(member.architecture) for member in members], first, last))
        found: list[Learned] = []
        for member in members:
            if found and left is not None and left() <= 0:
                break
            assert member.steps == first, "trained from where it was"
            weights = member.weights + (last - first) * worth(member.architecture) / 7
            moments = torch.stack([weights, -weights])
            after = Member(member.architecture, member.seed, weights, moments, last)
            found.append(Learned(after, float(weights[0]), seconds=0.125))
        return found


def strategy_of(name: str, trials: int = TRIALS) -> Strategy[Architecture]:
    return STRATEGIES[name](SPACE, 7, trials, worth)


def told(found: Found) -> tuple[Any, ...]:
    """All that was found but seconds."""
    trials = [{key: value for key, value in trial.items() if key != "seconds"} for trial in found.trials]
    return trials, found.best, found.surrogate, found.exhausted


def rows(ledger: Ledger) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in ledger.read()]


class Place:
    """A folder with a ledger and weights, where a search may be begun any number of times."""

    def __init__(self, path: Path, make: Callable[[], Any], keeps: bool = True) -> None:
        path.mkdir()
        self.path, self.make, self.keeps = path, make, keeps
        self.ledger = Ledger(path / "trials.sqlite")

    def run(
        self, name: str, trials: int = TRIALS, advance: Callable[[], None] = lambda: None,
        left: Callable[[], float] | None = None,
    ) -> Search:  # fmt: skip
        search = Search(self.make(), self.ledger, 0, advance, self.path if self.keeps else None)
        search.run(name, strategy_of(name, trials), trials, left)
        return search

    def files(self) -> list[str]:
        return sorted(path.name for path in self.path.glob("*.safetensors*"))


def evaluator() -> Evaluator:
    return evaluator_of(80).by(PLAN, 1)


# What inherits is compared by trainings of equal length


class Flattering(Remembering):
    """What began with weights of others scores higher for that."""

    def rung(self, members, first, last, left=None):
        heirs = {str(member.architecture): bool(self.begins.get(str(member.architecture))) for member in members}
        return [
            replace(one, score=worth(one.member.architecture) + 100 * heirs[str(one.member.architecture)])
            for one in super().rung(members, first, last, left)
        ]


def test_finalists_are_those_of_fresh_trainings(tmp_path) -> None:
    place = Place(tmp_path / "run", Flattering)
    search = place.run("genetic", 48)
    written = place.ledger.read()
    anew = [row for row in written if row["proposer"] == "genetic, anew"]
    assert 0 < len(anew) <= runner.ANEW
    assert len({row["name"] for row in written}) + len(anew) <= 48, "they are part of the budget"
    assert all(row["score"] < 100 for row in anew)
    best = search.found.best["genetic"]
    assert len(best) == 3
    assert [worth(one) for one in best] == sorted((row["score"] for row in anew), reverse=True)[:3]


def test_nothing_is_trained_anew_where_nobody_inherits(tmp_path) -> None:
    place = Place(tmp_path / "run", Flattering)
    place.run("random", 48)
    assert {row["proposer"] for row in place.ledger.read()} == {"random"}


# Survivors


@pytest.mark.usefixtures("without_anew")
@pytest.mark.parametrize("name", NAMES)
def test_the_best_third_goes_on(tmp_path, name) -> None:
    trials = 8 * HALVED_FROM
    asked: list[tuple[list[str], int, int]] = []
    place = Place(tmp_path / "run", lambda: Remembering(asked))
    search = place.run(name, trials)
    written = place.ledger.read()
    assert len(asked) == 16
    told_of: dict[str, float] = {}
    before: list[dict[str, Any]] = []
    for number, (texts, first, last) in enumerate(asked):
        mine = [row for row in written if row["rung"] == number]
        assert [row["name"] for row in mine] == texts
        assert {row["passes"] for row in mine} == {last}
        assert (first, last, len(texts)) == ((0, 2, 24) if number % 2 == 0 else (2, 6, 8))
        if number % 2:
            ranked = sorted(before, key=lambda row: (-row["score"], row["name"]))
            assert {row["name"] for row in ranked[:8]} == set(texts)
            assert texts == [row["name"] for row in before if row["name"] in texts], "in the order they were asked for"
        before = mine
        told_of |= {row["name"]: row["score"] for row in mine}
    assert {trial["text"]: trial["score"] for trial in search.found.trials} == told_of, "the last score of each counts"
    assert len(search.found.trials) == trials
    seconds = [trial["seconds"] for trial in search.found.trials]
    assert sorted(set(seconds)) == [0.125, 0.25]
    assert seconds.count(0.25) == trials // 3


def test_the_strategy_is_told_the_last_scores(tmp_path) -> None:
    class Told(STRATEGIES["random"]):
        heard: list[tuple[list[Architecture], list[float | None]]] = []  # noqa: RUF012

        def learn(self, points, scores):
            self.heard.append((list(points), list(scores)))

    strategy = Told(SPACE, 7, 200)
    search = Search(Remembering(), Ledger(tmp_path / "trials.sqlite"), 0)
    search.run("told", strategy, 200)
    heard = [(str(point), score) for points, scores in strategy.heard for point, score in zip(points, scores)]  # noqa: B905
    assert heard == [(trial["text"], trial["score"]) for trial in search.found.trials]
    assert [len(points) for points, _ in strategy.heard] == [25] * 8
    assert [point for points, _ in strategy.heard for point in points] == list(strategy.asked)
    best = max(heard, key=lambda pair: pair[1])
    assert str(search.found.best["told"][0]) == best[0]


def test_small_batches_and_short_plans_are_not_halved(tmp_path, monkeypatch) -> None:
    asked: list[tuple[list[str], int, int]] = []
    Place(tmp_path / "few", lambda: Remembering(asked)).run("random", HALVED_FROM * 8 - 8)
    assert {(first, last) for _, first, last in asked} == {(0, 6)}
    asked.clear()
    monkeypatch.setattr(Remembering, "plan", Plan(epochs=1))
    Place(tmp_path / "short", lambda: Remembering(asked)).run("random", HALVED_FROM * 8)
    assert {(first, last) for _, first, last in asked} == {(0, 1)}


def test_pruning_is_not_halved(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(runner, "HALVED_FROM", 2)
    asked: list[tuple[list[str], int, int]] = []
    search = Search(Remembering(asked), Ledger(tmp_path / "trials.sqlite"), 0, folder=tmp_path)
    search.prune(SPACE, Architecture.parse("c1 = relu(concat(a.1, b.0)); c2 = tanh(product(a.2, b.2, c1))"), 40)
    assert {(first, last) for _, first, last in asked} == {(0, 6)}
    assert search.found.best[PRUNING]
    assert not list(tmp_path.glob("*.safetensors"))


def test_what_has_no_score_does_not_go_on(tmp_path) -> None:
    """Not even where nothing better is left; a batch without any score ends with its first rung."""

    class Failing(Remembering):
        healthy = 3

        def rung(self, members, first, last, left=None):
            found = super().rung(members, first, last, left)
            for number, learned in enumerate(found):
                learned.score = learned.score if number < self.healthy else None
            return found

    for healthy in (3, 0):
        asked: list[tuple[list[str], int, int]] = []
        Failing.healthy = healthy
        place = Place(tmp_path / str(healthy), lambda asked=asked: Failing(asked))
        search = place.run("random", HALVED_FROM * 8)
        assert len(search.found.trials) == HALVED_FROM * 8
        assert sum(trial["score"] is not None for trial in search.found.trials) == 8 * healthy
        assert {len(texts) for texts, first, _ in asked if first} == ({3} if healthy else set())
        assert len(search.found.best["random"]) == (3 if healthy else 0)


@pytest.mark.usefixtures("small")
def test_survivors_are_what_they_were_with_the_evaluator_itself(tmp_path) -> None:
    """A survivor of two rungs has the score of three passes in one go."""
    place = Place(tmp_path / "run", evaluator)
    search = place.run("random")
    assert [len(list(group)) for _, group in itertools.groupby(place.ledger.read(), lambda row: row["rung"])] == [
        9, 3, 9, 3, 9, 3,
    ]  # fmt: skip
    whole = evaluator()
    last = [row for row in place.ledger.read() if row["passes"] == 3]
    made = [whole.begun(Architecture.parse(row["name"])) for row in last]
    for row, learned in zip(last, whole.rung(made, 0, 3), strict=True):
        assert row["score"] == pytest.approx(learned.score, abs=1e-5)
    assert place.files() == []
    assert search.found.best["random"][0] in [Architecture.parse(row["name"]) for row in last]


# Killed and resumed


class Killer:
    """Raises at the n-th of all moments at which a search may be killed, and counts them."""

    def __init__(self, monkeypatch, at: int | None) -> None:
        self.at, self.moments = at, 0
        self.place: list[str] = []
        write, record, sweep = KeptWeights.write, Ledger.record, KeptWeights.sweep

        def killed_write(kept: KeptWeights, rung: int) -> None:
            self("before the weights are written")
            write(kept, rung)

        def killed_record(ledger: Ledger, *told: Any) -> None:
            self("between weights and ledger")
            record(ledger, *told)

        def killed_sweep(kept: KeptWeights, rung: int | None) -> None:
            self("between ledger and sweeping")
            sweep(kept, rung)

        monkeypatch.setattr(KeptWeights, "write", killed_write)
        monkeypatch.setattr(Ledger, "record", killed_record)
        monkeypatch.setattr(KeptWeights, "sweep", killed_sweep)

    def __call__(self, what: str = "told of a trial") -> None:
        self.place.append(what)
        self.moments += 1
        if self.moments == self.at:
            raise StoppedError


def killed_anywhere(path: Path, monkeypatch, make: Callable[[], Any], name: str, trials: int, every: int = 1) -> int:
    """Kill a search at each moment in turn, and let a fresh one go on; returns at how many it was killed."""
    whole = Place(path / "whole", make)
    with monkeypatch.context() as patch:
        killer = Killer(patch, None)
        wanted = told(whole.run(name, trials, killer).found)
    ledger = rows(whole.ledger)
    assert whole.files() == []
    # Being told of a trial is one moment, whichever of its batch it is: the first of each and the last of all do.
    moments = [
        at + 1
        for at, what in enumerate(killer.place)
        if what != "told of a trial" or killer.place[at - 1] != what or at == killer.moments - 2
    ][::every]
    for at in moments:
        place = Place(path / str(at), make)
        with monkeypatch.context() as patch, pytest.raises(StoppedError):
            place.run(name, trials, Killer(patch, at))
        again = place.run(name, trials)
        assert told(again.found) == wanted, killer.place[at - 1]
        assert rows(place.ledger) == ledger
        assert place.files() == []
    return len(moments)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", NAMES)
def test_killed_anywhere_it_ends_the_same(tmp_path, monkeypatch, name) -> None:
    count = killed_anywhere(tmp_path, monkeypatch, Remembering, name, TRIALS)
    assert count >= 3 * 2 * 2 + 4


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", NAMES)
def test_killed_anywhere_it_ends_the_same_with_the_evaluator_itself(tmp_path, monkeypatch, name) -> None:
    """Bit for bit: weights, moments and steps come back from their files."""
    killed_anywhere(tmp_path, monkeypatch, evaluator, name, TRIALS, every=2)


@pytest.mark.usefixtures("small")
def test_killed_again_and_again(tmp_path, monkeypatch) -> None:
    """Each process gets no further than a rung."""
    whole = Place(tmp_path / "whole", Remembering)
    wanted = told(whole.run("genetic").found)
    place = Place(tmp_path / "run", Remembering)
    killed = 0
    while True:
        with monkeypatch.context() as patch:
            killer = Killer(patch, 4)
            try:
                found = place.run("genetic").found
                break
            except StoppedError:
                killed += 1
                # Only moments before something new is written count: what is told again is no progress.
                assert killer.moments == 4
    assert killed >= 3
    assert told(found) == wanted
    assert rows(place.ledger) == rows(whole.ledger)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("lost", ["no folder", "file gone"])
def test_weights_that_are_gone_are_learned_again(tmp_path, monkeypatch, lost) -> None:
    """Survivors whose rung is written down but whose weights are not there have all their passes all the same."""
    whole = Place(tmp_path / "whole", Remembering)
    wanted = told(whole.run("random").found)
    place = Place(tmp_path / "run", Remembering, keeps=lost != "no folder")
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        place.run("random", TRIALS, Killer(patch, 4))
    assert [row["passes"] for row in place.ledger.read()] == [2] * 9
    for file in place.files():
        (place.path / file).unlink()
    assert told(place.run("random").found) == wanted
    assert rows(place.ledger) == rows(whole.ledger)


@pytest.mark.usefixtures("small")
def test_a_rung_that_time_cut_short_is_finished(tmp_path) -> None:
    whole = Place(tmp_path / "whole", Remembering)
    wanted = told(whole.run("random").found)
    for looks in range(1, 25, 3):
        place = Place(tmp_path / str(looks), Remembering)
        left = iter([1.0] * looks)
        cut = place.run("random", left=lambda left=left: next(left, 0.0))
        assert cut.found.cut
        before = rows(place.ledger)
        assert told(place.run("random").found) == wanted
        assert rows(place.ledger)[: len(before)] == before
        done = [(row["name"], row["passes"], row["score"]) for row in rows(place.ledger)]
        assert sorted(done) == sorted((row["name"], row["passes"], row["score"]) for row in rows(whole.ledger))


@pytest.mark.usefixtures("without_anew")
@pytest.mark.usefixtures("small")
def test_only_what_the_last_rung_left_lies_in_the_folder(tmp_path) -> None:
    """Never more than a file of each strategy; what others put there stays."""
    other = tmp_path / "run" / "weights.safetensors"
    seen: set[int] = set()

    def advance() -> None:
        seen.add(len(place.files()))
        assert other.exists()

    place = Place(tmp_path / "run", Remembering)
    other.write_bytes(b"x")
    place.run("genetic", advance=advance)
    assert seen == {2}
    assert place.files() == ["weights.safetensors"]


@pytest.mark.usefixtures("small")
def test_strategies_do_not_share_weights(tmp_path, monkeypatch) -> None:
    """Killed in the second strategy, the first one's are swept, and neither reads the other's."""
    whole, place = Place(tmp_path / "whole", Remembering), Place(tmp_path / "run", Remembering)

    def both(where: Place, advance: Callable[[], None] = lambda: None) -> Found:
        search = Search(Remembering(), where.ledger, 0, advance, where.path)
        for name in ("genetic", "random"):
            search.run(name, strategy_of(name), TRIALS)
        return search.found

    wanted = told(both(whole))
    with monkeypatch.context() as patch:
        killer = Killer(patch, None)
        both(Place(tmp_path / "count", Remembering), killer)
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        both(place, Killer(patch, killer.moments - 30))
    assert len(place.files()) <= 2
    assert told(both(place)) == wanted
    assert place.files() == []


def test_a_damaged_file_of_weights_is_told(tmp_path) -> None:
    kept = KeptWeights(tmp_path, "random")
    kept.keep([Member(SPACE[0], 3, torch.ones(4), torch.zeros(2, 4), 5), Member(SPACE[1])], [])
    kept.write(2)
    again = KeptWeights(tmp_path, "random")
    again.read(2)
    member, fresh = again.get(SPACE[0]), again.get(SPACE[1])
    assert (member.seed, member.steps, fresh.weights, fresh.moments) == (3, 5, None, None)
    assert torch.equal(member.weights, torch.ones(4))
    assert torch.equal(member.moments, torch.zeros(2, 4))
    other = KeptWeights(tmp_path, "genetic")
    other.read(2)
    assert other.members == {}
    path = kept.path(2)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="is damaged"):
        KeptWeights(tmp_path, "random").read(2)


# Inheritance


class Watching:
    """The evaluator itself, and what it was asked.

    `begun` has (member, parents) and `learned` what came of it last, by text; `first` the scores of every first rung,
    with what was inherited and without.
    """

    def __init__(self, rows: int, plan: Plan) -> None:
        self.inner, self.plan = evaluator_of(rows, plan=plan), plan
        self.sizes = self.inner.trainer.sizes
        self.begins: dict[str, tuple[Member, list[Member]]] = {}
        self.learned: dict[str, Learned] = {}
        self.first: list[tuple[list[float], list[float]]] = []

    def begun(self, architecture: Architecture, parents: Sequence[Member] = ()) -> Member:
        member = self.inner.begun(architecture, parents)
        self.begins[str(architecture)] = (member, list(parents))
        return member

    def rung(
        self, members: Sequence[Member], first: int, last: int, left: Callable[[], float] | None = None
    ) -> list[Learned]:
        found = self.inner.rung(members, first, last, left)
        self.learned |= {str(learned.member.architecture): learned for learned in found}
        if not first:
            fresh = self.inner.rung([self.inner.begun(member.architecture) for member in members], 0, last)
            self.first.append(([learned.score for learned in found], [learned.score for learned in fresh]))
        return found


def same_uses(child: Member, parent: Member, sizes: Sizes) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(child's, parent's) weights of the same cell, operation and source, written out anew."""
    own, theirs = (state_dict_of(pieces_of(member.architecture, sizes), member.weights) for member in (child, parent))
    found = {name: (own[name], theirs[name]) for name in own if name.startswith("heads.")}
    cells = zip(child.architecture.cells, parent.architecture.cells, strict=False)
    for number, (mine, other) in enumerate(cells):
        if mine.operation != other.operation:
            continue
        for place, source in enumerate(mine.sources):
            if source in other.sources:
                at, to = (f"cells.{number}.projections.{p}." for p in (place, other.sources.index(source)))
                for part in ("weight", "bias"):
                    found[at + part] = own[at + part], theirs[to + part]
    return found


@pytest.mark.usefixtures("without_anew")
@pytest.mark.usefixtures("small")
def test_children_begin_with_what_their_parents_know(tmp_path) -> None:
    made = Watching(80, PLAN)
    strategy = strategy_of("genetic")
    search = Search(made, Ledger(tmp_path / "trials.sqlite"), 0, folder=tmp_path)
    search.run("genetic", strategy, TRIALS)
    assert len(strategy.parents) >= 9
    checked = 0
    for text, (member, parents) in made.begins.items():
        assert [parent.architecture for parent in parents] == list(strategy.parents.get(member.architecture, ()))
        assert member.steps == 0
        assert member.moments is None
        for parent in parents:
            newest = made.learned[str(parent.architecture)].member
            assert torch.equal(parent.weights, newest.weights), "as it was when it was last trained"
        for parent in parents[:1]:  # a later one is asked for what this one does not have
            for name, (mine, theirs) in same_uses(member, parent, made.sizes).items():
                assert torch.equal(mine, theirs), (text, name)
                checked += not name.startswith("heads.")
        if not parents:
            assert torch.equal(member.weights, Member(member.architecture, PLAN.seed).fresh(made.sizes).weights)
    assert checked > 10


@pytest.mark.usefixtures("without_anew")
def test_first_generations_and_other_strategies_begin_fresh(tmp_path) -> None:
    for name in ("random", "progressive"):
        made = Remembering()
        Search(made, Ledger(tmp_path / f"{name}.sqlite"), 0).run(name, strategy_of(name, 60), 60)
        assert not any(made.begins.values())
    made = Remembering()
    Search(made, Ledger(tmp_path / "genetic.sqlite"), 0).run("genetic", strategy_of("genetic", 60), 60)
    begins = list(made.begins.values())
    assert not any(begins[:8])
    assert sum(map(bool, begins[8:])) > 40


@pytest.mark.usefixtures("without_anew")
@pytest.mark.usefixtures("small")
def test_what_was_left_behind_in_the_first_rung_may_be_a_parent(tmp_path) -> None:
    """It is in the population, so its weights are kept as long as it is."""
    made = Remembering()
    strategy = strategy_of("genetic", 90)
    strategy._winner = lambda members: members[int(strategy.rng.integers(len(members)))]  # anybody may
    Search(made, Ledger(tmp_path / "trials.sqlite"), 0, folder=tmp_path).run("genetic", strategy, 90)
    ended = {text for texts, first, _ in made.rungs if first for text in texts}
    parents = [str(parent) for parents in strategy.parents.values() for parent in parents]
    assert any(parent not in ended for parent in parents)
    assert {child: list(map(str, parents)) for child, parents in strategy.parents.items()} == {
        child: made.begins[str(child)] for child in strategy.parents
    }


@pytest.mark.usefixtures("without_anew")
def test_later_generations_start_better_for_what_they_inherit(tmp_path) -> None:
    """After one pass, on a problem that takes more than one: better than the same children without parents."""
    made = Watching(300, Plan(epochs=1, batch_size=32, learning_rate=3e-3))
    Search(made, Ledger(tmp_path / "trials.sqlite"), 0).run("genetic", strategy_of("genetic", 48), 48)
    (first, *later) = made.first
    assert first[0] == pytest.approx(first[1], abs=1e-5)
    inherited, fresh = (np.array([pair[side] for pair in later]).mean() for side in (0, 1))
    assert inherited > fresh + 0.05
    generations = [float(np.mean(pair[0])) for pair in made.first]
    assert generations[-1] > generations[0]


# The ledger cannot be written


def locked_from(monkeypatch, ledger: Ledger, rung: int) -> sqlite3.Connection:
    """Another program takes the file for itself before a rung is written."""
    plain = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: plain(*args, **{**more, "timeout": 0.05}))
    other = plain(ledger.path, isolation_level=None, check_same_thread=False)
    record = Ledger.record

    def recorded(mine: Ledger, trials, proposer, number, *rest) -> None:
        if number == rung:
            other.execute("BEGIN EXCLUSIVE")
        record(mine, trials, proposer, number, *rest)

    monkeypatch.setattr(Ledger, "record", recorded)
    return other


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("rung", [0, 1, 2, 3])
def test_a_ledger_that_another_program_has_locked(tmp_path, monkeypatch, rung) -> None:
    whole = Place(tmp_path / "whole", Remembering)
    wanted = told(whole.run("genetic").found)
    place = Place(tmp_path / "run", Remembering)
    place.ledger.read()
    with monkeypatch.context() as patch, closing(locked_from(patch, place.ledger, rung)) as other:
        with pytest.raises(InputError, match=r"cannot be written \(database is locked\); what was done before is kept"):
            place.run("genetic")
        other.execute("ROLLBACK")
    searched = [row for row in rows(whole.ledger) if row["proposer"] == "genetic"]
    assert rows(place.ledger) == [row for row in searched if row["rung"] < rung]
    assert told(place.run("genetic").found) == wanted
    assert rows(place.ledger) == rows(whole.ledger)


@pytest.mark.usefixtures("small")
def test_a_disk_that_is_full(tmp_path, monkeypatch) -> None:
    """The file may not grow any more from some page on: what is there is whole rungs."""
    whole = Place(tmp_path / "whole", Remembering)
    wanted = told(whole.run("progressive").found)
    plain = sqlite3.connect
    reached = set()
    for most in range(4, math.ceil((whole.path / "trials.sqlite").stat().st_size / 4096) + 1, 2):
        place = Place(tmp_path / str(most), Remembering)

        def full(*args: Any, most: int = most, **more: Any) -> sqlite3.Connection:
            connection = plain(*args, **more)
            connection.execute(f"PRAGMA max_page_count={most}").fetchone()
            return connection

        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", full)
            with pytest.raises(InputError, match=r"cannot be written \(database or disk is full\).*--resume"):
                place.run("progressive")
        there = rows(place.ledger)
        assert there == rows(whole.ledger)[: len(there)]
        assert len(there) in {0, 9, 12, 21, 24, 33}
        reached.add(len(there))
        assert told(place.run("progressive").found) == wanted
        assert rows(place.ledger) == rows(whole.ledger)
    assert len(reached) >= 2


@pytest.mark.usefixtures("small")
def test_weights_that_cannot_be_written(tmp_path, monkeypatch) -> None:
    """The rung they belong to is not in the ledger either."""
    whole, place = Place(tmp_path / "whole", Remembering), Place(tmp_path / "run", Remembering)
    wanted = told(whole.run("genetic").found)
    plain, count = runner.KeptWeights.write, itertools.count()

    def full(kept: KeptWeights, rung: int) -> None:
        if next(count) == 2:
            raise InputError("x.safetensors cannot be written (No space left on device); is the disk full?")
        plain(kept, rung)

    with monkeypatch.context() as patch:
        patch.setattr(KeptWeights, "write", full)
        with pytest.raises(InputError, match="disk full"):
            place.run("genetic")
    assert len(place.ledger.read()) == 12
    assert told(place.run("genetic").found) == wanted
    assert rows(place.ledger) == rows(whole.ledger)


def test_constants_fit_together() -> None:
    assert runner.FEWEST < HALVED_FROM <= BATCH
