"""One network for all targets beside one for each: who learns what, and where sharing does harm."""

from pathlib import Path

import numpy as np
import pytest
import torch

import plait
from made import made_rows, write_table
from plait.data.batches import Rows
from plait.fusion import Architecture, Candidate
from plait.fusion.stack import FusionStack, Member, Recipe, Sizes, StackFeed
from plait.fusion.stack.inputs import States
from plait.search.evaluator import Trial
from plait.search.sharing import apart, sharing, together
from plait.tasks import Task
from plait.tasks.score import Labels

ROWS, WIDTHS = 60, {"a": (4, 3, 2), "b": (5, 3, 2)}
ONE = Task(name="one", kind="binary", label_type="int", classes=("0", "1"), prior=(-0.7, -0.7))
OTHER = Task(name="other", kind="regression", label_type="float", prior=(0.0,))
CONCAT = Architecture.parse("c1 = relu(concat(a.1, b.1))")
SHARED = Candidate(name="shared", kind="architecture", architecture=CONCAT)


def rows() -> Rows:
    rng = np.random.default_rng(0)
    states = {name: rng.normal(size=(ROWS, sum(widths))).astype(np.float32) for name, widths in WIDTHS.items()}
    targets = {
        "one": rng.integers(0, 2, ROWS).astype(np.float32), "other": rng.normal(size=ROWS).astype(np.float32)
    }  # fmt: skip
    everybody = np.ones(ROWS, bool)
    return Rows(states, dict.fromkeys(states, everybody), targets, dict.fromkeys(targets, everybody), np.arange(ROWS))


def trained(member: Member, made: Rows, beside: tuple[Member, ...] = ()) -> Member:
    stack = FusionStack([member, *beside], Sizes(WIDTHS, (2, 1), 8), [ONE, OTHER], Recipe())
    moments = {(name, at): (torch.zeros(w), torch.ones(w)) for name, ws in WIDTHS.items() for at, w in enumerate(ws)}
    feed = StackFeed(stack.layout, States(made, WIDTHS, lambda *state: moments[state]))
    for epoch in range(5):
        order = np.random.default_rng(epoch).permutation(ROWS)
        for batch in feed.batches(np.split(order, 3)):
            stack.step(batch, lambda step: 1e-2)
    return stack.members()[0]


def test_a_member_that_learns_one_task_does_not_hear_of_the_other() -> None:
    made = rows()
    other = Rows(
        made.inputs, made.present, made.targets | {"other": made.targets["other"] * 100}, made.labelled, made.index
    )  # fmt: skip
    mine = Member(CONCAT, 3, only=("one",))
    learned = trained(mine, made)
    torch.testing.assert_close(trained(mine, other).weights, learned.weights)
    company = (Member(CONCAT, 4), Member(CONCAT, 3, only=("other",)))
    torch.testing.assert_close(trained(mine, made, company).weights, learned.weights, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(trained(Member(CONCAT, 3), made).weights, learned.weights)


def test_one_network_for_each_target_of_several() -> None:
    assert apart(SHARED, [ONE]) == []
    alone = apart(SHARED, [ONE, OTHER])
    assert [(one.name, one.only) for one in alone] == [
        ("shared, one alone", ("one",)), ("shared, other alone", ("other",)),
    ]  # fmt: skip
    many = [OTHER.model_copy(update={"name": f"t{number}"}) for number in range(30)]
    assert apart(SHARED, many) == []


def trial(candidate: Candidate, one: np.ndarray, other: np.ndarray) -> Trial:
    return Trial(candidate, ({"one": one, "other": other},), 0.0, (0.0,), 1.0)


def test_each_answers_its_own_and_harm_is_told() -> None:
    rng = np.random.default_rng(0)
    truth = Labels(
        {"one": rng.integers(0, 2, 200).astype(np.float32), "other": rng.normal(size=200).astype(np.float32)},
        {"one": np.ones(200, bool), "other": np.ones(200, bool)},
    )
    right = np.stack([1 - truth.targets["one"], truth.targets["one"]], axis=1) * 3
    good, bad = truth.targets["other"][:, None], np.zeros((200, 1), np.float32)
    alone = apart(SHARED, [ONE, OTHER])
    parts = [trial(alone[0], right, bad), trial(alone[1], -right, good)]
    composed = together(SHARED, parts, [ONE, OTHER], truth, None)
    np.testing.assert_array_equal(composed.outputs[0]["one"], right)
    np.testing.assert_array_equal(composed.outputs[0]["other"], good)
    assert composed.candidate.used == ("a", "b")
    told = sharing(trial(SHARED, right, bad), composed, [ONE, OTHER], truth, 0, None)
    assert told[0]["difference"] == pytest.approx(0)
    assert told[1]["difference"] == pytest.approx(-1, abs=0.02)
    assert told[1]["high"] < 0
    module = composed.candidate.build(WIDTHS, [ONE, OTHER])
    assert module.modalities == ("a", "b")


def test_a_fit_of_two_targets_tells_what_sharing_is_worth(tmp_path: Path) -> None:
    columns = made_rows()
    table = write_table(tmp_path, {name: columns[name] for name in ("view", "size", "ward", "label", "price")})
    predictor = plait.fit(table, ["label", "price"], out=tmp_path / "run", trials=1)
    told = predictor.manifest["sharing"]
    assert [one["target"] for one in told] == ["label", "price"]
    assert all(one["low"] <= one["difference"] <= one["high"] for one in told)
    names = [row["name"] for row in predictor.leaderboard_rows()]
    assert "concat of last layers, a network per target" in names
    assert not any(name.endswith(" alone") for name in names)
    assert "Learned together, or apart" in (tmp_path / "run" / "report.html").read_text()
