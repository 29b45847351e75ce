"""What stands in every leaderboard."""

from __future__ import annotations

from plait.fusion import LATE_RULES
from plait.search import competitors
from plait.tasks import Task

WIDTHS = {"b": (9, 8, 7, 6, 2), "a": (9, 8, 2), "c": (9, 8, 7, 6, 5, 4, 2)}  # L is 3, 1 and 5


def test_everything_that_always_competes() -> None:
    found = competitors(WIDTHS)
    assert [one.name for one in found[:3]] == ["a", "b", "c"]
    assert {one.rule for one in found if one.kind == "late"} == set(LATE_RULES)
    assert all(one.modalities == ("a", "b", "c") for one in found if one.kind == "late")
    named = {one.name: str(one.architecture) for one in found if one.architecture}
    assert named == {
        "early": "c1 = relu(concat(a.0, b.0, c.0)); c2 = relu(concat(c1))",
        "concat of last layers": "c1 = relu(concat(a.1, b.3, c.5))",
    }
    assert [one.cost for one in found] == sorted(one.cost for one in found)
    assert len({one.name for one in found}) == len(found)


def test_one_modality_stands_alone() -> None:
    assert [one.kind for one in competitors({"a": (3, 4, 2)})] == ["unimodal"]


def test_what_screening_discards_competes_alone_and_is_not_fused() -> None:
    found = competitors(WIDTHS, ["c", "a"])
    assert [one.name for one in found if one.kind == "unimodal"] == ["a", "b", "c"]
    assert all(one.used == ("a", "c") for one in found if one.kind != "unimodal")


def test_a_late_rule_that_does_not_suit_a_task_does_not_compete() -> None:
    classes = tuple(map(str, range(101)))
    few, many = (
        Task(name="t", kind="multiclass", label_type="int", classes=names, prior=(-1.0,) * len(names))
        for names in (classes[:100], classes)
    )
    rules = [{one.rule for one in competitors(WIDTHS, tasks=(task,)) if one.kind == "late"} for task in (few, many)]
    assert rules == [set(LATE_RULES), set(LATE_RULES) - {"stacking"}]
