"""The report: everything of a content is on the page, nothing is loaded or run, names are text and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from contents import (
    CLASS_METRICS,
    HOSTILE,
    PARTS,
    class_task,
    content,
    fusion,
    leaderboard,
    metrics_of,
    modality,
    number_task,
    row,
)

from plait.exceptions import InputError
from plait.report.figures import DASH, MINUS
from plait.report.page import render, write_report
from plait.report.words import METRICS, metric_head

LOADING = {"src", "srcset", "href", "data", "action", "poster", "background", "xlink:href", "formaction", "ping"}
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """A parsed page: its tags, the text of each, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append((self.open[-1] if self.open else "", " ".join(data.split())))

    @property
    def words(self) -> str:
        """All visible text."""
        return " ".join(text for tag, text in self.text if tag not in ("style", "title"))

    def count(self, tag: str, css: str | None = None) -> int:
        """How many of a tag there are, by class."""
        return sum(1 for name, attrs in self.tags if name == tag and _has_class(attrs, css))


def _has_class(attrs: dict[str, str | None], css: str | None) -> bool:
    return css is None or css in (attrs.get("class") or "").split()


def page_of(made: dict[str, Any]) -> Page:
    """The parsed page; the content must survive it, and JSON, unchanged."""
    before = copy.deepcopy(made)
    page = Page(render(json.loads(json.dumps(made))))
    assert made == before
    assert page.open == []
    return page


def no_test(**more: Any) -> dict[str, Any]:
    """A content without test rows."""
    made = content(parts={"train": 800, "validation": 200, "test": 0}, **more)
    made["metrics"]["test"] = None
    for one in made["leaderboard"]:
        one["test"], one["test_interval"] = None, [None, None]
    return made


def many_modalities() -> dict[str, Any]:
    """24 modalities of which the returned architecture reads two layers."""
    names = [f"view {number}" for number in range(24)]
    states = [{"modality": "view 0", "layer": 2}, {"modality": "view 3", "layer": 1}]
    cells = [
        {"sources": states, "operation": "concat", "activation": "relu"},
        {"sources": [{"cell": 1}], "operation": "concat", "activation": "relu"},
    ]
    text = "c1 = relu(concat(view 0.2, view 3.1)); c2 = relu(concat(c1))"
    made = content(modalities=[modality(name) for name in names])
    return made | {
        "used": ["view 0", "view 3"], "discarded": sorted(set(names) - {"view 0", "view 3"}),
        "architectures": [{"text": text, "cells": cells}],
    }  # fmt: skip


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "plain": content,
    "no test": no_test,
    "regression": lambda: content(tasks=[number_task("price")]),
    "three tasks": lambda: content(tasks=[class_task("ward", ["a", "b"]), number_task("price"), number_task("age")]),
    "one modality": lambda: content(
        modalities=[modality("image")], rows=[row("image", "unimodal", 0.7, 0.6, chosen=True)],
        choice={"sentence": "There is one modality, so there was nothing to fuse.", "fusion": None},
    ),
    "24 modalities": many_modalities,
    "no score": lambda: content(
        rows=[row("image", "unimodal", None, chosen=True, tied=True), row("late mean", "late", None)],
        choice={"sentence": "No validation row has a label.", "fusion": None},
    ),
    "1,000 classes": lambda: content(tasks=[class_task("name", [f"class {number}" for number in range(1000)])]),
    "no rows": lambda: no_test() | {"data": content(parts=dict.fromkeys(PARTS, 0))["data"]},
    "extreme": lambda: content(
        rows=[*leaderboard(), row("early", "early", -3e8, -2e9), row("odd", "late", 0.1, -40.0)]
    ),
    "unfinished": lambda: no_test(finished=False, stages={}),
    "unknown kinds": lambda: content(
        rows=[*leaderboard(), row("oracle", "oracle", 0.2)], modalities=[modality("smell", "smell")],
        stages={"brew": 1.0},
    ),
    "300 rows": lambda: content(
        rows=[*leaderboard(), *(row(f"c1 = relu(x.{n})", "architecture", 0.5 - n / 1000) for n in range(296))]
    ),
    "time limit": lambda: content(
        limit={"seconds": 120.0, "trials": None}, metric="rmse", tasks=[number_task("price")]
    ),
}  # fmt: skip


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    return CASES[request.param]()


def test_every_leaderboard_row_is_on_the_page(case: dict[str, Any]) -> None:
    page = page_of(case)
    names = [text for tag, text in page.text]
    assert all(one["name"] in names for one in case["leaderboard"])
    assert page.count("tr", "chosen") == 1
    assert case["choice"]["sentence"] in names


def test_nothing_is_loaded_or_run(case: dict[str, Any]) -> None:
    page = page_of(case)
    assert page.count("script") == page.count("iframe") == page.count("img") == page.count("object") == 0
    links = [value for _, attrs in page.tags for name, value in attrs.items() if name in LOADING]
    assert links == ["data:,"]  # the empty icon, so that no browser asks a server for one
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    text = render(case)
    assert "url(" not in text
    assert "@import" not in text
    assert "http://" not in text
    assert "https://" not in text
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_check_for_loading_would_find_something() -> None:
    page = Page('<p onclick="x()"><img src="https://example.org/a.png"></p>')
    assert page.count("img") == 1
    assert [name for _, attrs in page.tags for name in attrs if name in LOADING or name.startswith("on")] == [
        "onclick",
        "src",
    ]


def test_no_place_is_left_empty_or_none(case: dict[str, Any]) -> None:
    page = page_of(case)
    for word in ("None", "nan", "inf", "undefined", "{{", "}}"):
        assert word not in page.words.replace("undefined on these rows", "").split(), word


def test_positions_stay_inside_their_pictures(case: dict[str, Any]) -> None:
    names = ("x", "x1", "x2", "cx", "width")
    told = [attrs.get(name) or "" for tag, attrs in page_of(case).tags if tag != "meta" for name in names]
    shares = [float(value.removesuffix("%")) for value in told if value.endswith("%")]
    assert len(shares) > 2
    assert all(0 <= share <= 100 for share in shares)


def hostile() -> dict[str, Any]:
    """Every name that comes from a table or its caller is hostile."""
    made = content(
        tasks=[class_task(HOSTILE, [HOSTILE, "fine"])], modalities=[modality(HOSTILE, HOSTILE, encoder=HOSTILE)],
        rows=[row(HOSTILE, HOSTILE, 0.5, 0.4, chosen=True)], notes=[HOSTILE],
        used=[], discarded=[HOSTILE, HOSTILE + "2"],
        choice={"sentence": HOSTILE, "fusion": fusion()}, architectures=[{"text": HOSTILE, "cells": []}],
        versions={"plait": HOSTILE}, stages={HOSTILE: 1.0, "encode-0": 1.0},
    )  # fmt: skip
    made["modalities"][0]["reader"] = {"kind": HOSTILE, HOSTILE: HOSTILE}
    made["data"]["table"] = HOSTILE
    made["schema"]["columns"][-1] |= {"name": HOSTILE, "role": "group", "reason": HOSTILE}
    made["data"]["labelled"][HOSTILE]["train"] = 1
    return made


def test_names_are_text_and_nothing_else() -> None:
    text = render(hostile())
    page = Page(text)
    assert page.count("script") == 0
    assert HOSTILE not in text
    assert sum(HOSTILE in words for _, words in page.text) > 15
    quoted = content(modalities=[modality('" onload="x()')], rows=[row('" onload="x()', "unimodal", 0.5, chosen=True)])
    assert not any(name.startswith("on") for _, attrs in page_of(quoted).tags for name in attrs)


def test_lone_surrogates_do_not_stop_the_report(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", content(notes=["a broken \ud800 letter"]))
    assert "a broken ? letter" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_headline_tells_what_was_learned_and_whether_fusion_paid() -> None:
    page = page_of(content())
    assert "digit from image and sound" in page.words
    assert "Returned: late product , late fusion, chosen among 4 candidates by the validation rows." in page.words
    for figure in ("0.890", "95 % interval 0.840 to 0.940", "0.870", "80.0 %", "75.0 %", "+0.150", "+0.100 to +0.200"):
        assert figure in page.words
    assert "Fusion pays" in page.words


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 0.2, "Fusion pays"), (-0.1, 0.2, "Whether fusion pays is undecided"), (-0.3, -0.1, "Fusion makes it worse")],
)
def test_the_verdict_follows_the_interval(low: float, high: float, verdict: str) -> None:
    page = page_of(content(choice={"sentence": "So it is.", "fusion": fusion(low, high)}))
    assert ("b", verdict) in page.text


def test_the_verdict_is_that_fusion_does_not_pay_where_one_modality_was_returned() -> None:
    page = page_of(content(choice={"sentence": "So it is.", "fusion": fusion(-0.1, 0.2)}, used=["image"]))
    assert ("b", "Fusion does not pay") in page.text


def test_several_targets_have_their_figures_in_the_headline_and_all_metrics_below() -> None:
    made = content(tasks=[class_task("ward", ["a", "b"]), number_task("price")])
    made["metrics"]["test"]["price"]["metrics"]["spearman"] = None
    page = page_of(made)
    assert "Accuracy of ward" in page.words
    assert "R² of price" in page.words
    assert all(words in [text for _, text in page.text] for words in map(metric_head, METRICS))
    assert f"{METRICS['spearman']} 0.8000 {DASH}" in page.words


def test_without_a_test_part_there_is_no_test_column() -> None:
    page = page_of(no_test())
    assert ("th", "Test") not in page.text
    assert ("th", "Validation") in page.text
    assert "No row was kept for a test" in page.words
    assert page.count("circle", "mt") == 0


def test_the_picture_marks_the_chosen_and_the_tied() -> None:
    page = page_of(content())
    assert page.count("div", "chosen") == 1
    assert page.words.count("returned") >= 2
    assert ("span", "tie") in page.text
    assert page.count("circle", "mv") == 4 + 2  # four rows, the legend, the difference
    assert page.count("div", "k-unimodal") == 2


def test_scores_far_below_are_cut_and_told() -> None:
    page = page_of(content(rows=[*leaderboard(), row("early", "early", -30.0, -31.0)]))
    assert f"The axis is cut: 1 row has a score further left, down to {MINUS}31.00" in page.words
    assert page.count("path", "mv") == page.count("path", "mt") == 1


def test_a_long_leaderboard_is_drawn_in_part_and_tabled_in_full() -> None:
    made = CASES["300 rows"]()
    made["leaderboard"].sort(key=lambda one: -one["validation"])
    page = page_of(made)
    assert "of 300 rows are drawn; the table has all." in page.words
    assert page.count("details") == 2
    assert not any("open" in attrs for tag, attrs in page.tags if tag == "details")
    assert page.count("tr", "k-architecture") == 297
    assert page.count("div", "k-architecture") < 60


def test_thirty_of_many_classes_are_drawn() -> None:
    made = CASES["1,000 classes"]()
    made["data"]["classes"]["name"]["train"][777] = 90
    page = page_of(made)
    assert ("th", "class 777") in page.text
    assert ("th", "class 999") not in page.text
    assert "The 30 most frequent of 1,000 classes; the other 970 have" in page.words


def test_missing_cells_and_labels_are_counted_by_part() -> None:
    made = content(tasks=[class_task("ward", ["a", "b"]), number_task("price")])
    assert "Every row has all its labels." in page_of(made).words
    made["data"]["labelled"]["price"]["train"] = 350
    made["data"]["present"]["image"] = {"train": 700, "validation": 75, "test": 0}
    page = page_of(made)
    assert "image 0 75 · 50 % 150 · 100 %" in page.words
    assert "price 350 · 50 % 0 0" in page.words


def test_complete_tables_say_so() -> None:
    made = content()
    made["data"]["present"] = dict.fromkeys(("image", "sound"), made["data"]["rows"])
    assert "No row lacks a modality." in page_of(made).words


def test_columns_set_aside_are_listed_with_the_reason() -> None:
    page = page_of(content())
    assert "voice ignored ignored: looks like an id" in page.words


def test_an_architecture_is_written_out_and_its_layers_are_filled() -> None:
    page = page_of(many_modalities())
    assert "It reads 2 of 24 modalities." in page.words
    assert "c1 = relu(concat(view 0.2, view 3.1)) c2 = relu(concat(c1))" in page.words
    read = [words for words in titles(page) if words.endswith(", read")]
    assert read == ["view 0, layer 2: hidden, 16 wide, read", "view 3, layer 1: hidden, 32 wide, read"]
    assert "22 discarded modalities" in page.words


def titles(page: Page) -> list[str]:
    """What drawings tell when they are pointed at."""
    return [words for tag, words in page.text if tag == "title"]


def test_late_fusion_reads_the_networks_outputs() -> None:
    read = [words for words in titles(page_of(content())) if words.endswith(", read")]
    assert read == [f"{name}, layer 3: outputs, 3 wide, read" for name in ("image", "sound")]


def test_a_modality_without_a_network_is_named_all_the_same() -> None:
    page = page_of(content(discarded=["diary"]))
    assert "diary discarded, no network" in page.words


def test_how_it_was_made() -> None:
    made = content(notes=["6 rows equal a training row."])
    page = page_of(made)
    for words in (
        "Learning image 4.4 s", "All stages 1 min 08 s", "Seed 7", "2 trials, no clock", "python 3.11.7",
        "6 rows equal a training row.", f"1 {MINUS} loss / loss of the constant predictor (log loss)",
        "The 150 test rows were read once, after the choice was written down",
    ):  # fmt: skip
        assert words in page.words, words


def test_a_metric_as_score_is_explained_and_not_shown_twice() -> None:
    page = page_of(content(metric="accuracy"))
    assert "The score is accuracy; higher is better." in page.words
    assert "Balanced accuracy 80.0 %" in page.words
    page = page_of(CASES["time limit"]())
    assert "The score is RMSE with its sign turned, so that higher is better." in page.words
    assert "120 seconds for the whole fit" in page.words


def test_intervals_over_groups_say_so() -> None:
    made = content()
    made["schema"]["columns"].append({"name": "patient", "role": "group", "kind": None, "reason": "said so"})
    assert "bootstrap over groups of patient" in page_of(made).words


def test_an_unfinished_fit_says_so() -> None:
    page = page_of(no_test(finished=False))
    assert "This fit is not finished" in page.words
    assert "have not been read yet" in page.words


def test_undefined_metrics_are_dashes() -> None:
    made = content()
    made["metrics"] = {part: metrics_of(made["tasks"], None) for part in ("validation", "test")}
    page = page_of(made)
    at = page.words.index("Metric Validation")
    assert page.words[at:].count(DASH) >= 2 * len(CLASS_METRICS)


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "file" / "report.html", content())


def test_a_real_run_draws_and_holds_its_leaderboard(made_run: Path) -> None:
    made = json.loads((made_run / "plait.json").read_text(encoding="utf-8"))
    page = Page((made_run / "report.html").read_text(encoding="utf-8"))
    names = [text for _, text in page.text]
    assert len(made["leaderboard"]) > 5
    assert all(one["name"] in names for one in made["leaderboard"])
    assert all(one["name"] in names for one in made["modalities"])


def test_rows_that_took_turns_are_told() -> None:
    text = Page(render(content(folds={"parts": 5, "rows": 428}))).words
    assert "428 rows in 5 turns" in text
    assert "chosen among" in text
    assert "by 428 rows in 5 turns, each by what learned from the others" in text
    assert "by the validation rows" in Page(render(content(folds=None))).words
    several = content(weights={"file": "weights.safetensors", "sha256": "0" * 64, "models": 5})
    assert "5 of its kind, each learned without some of the rows" in Page(render(several)).words
