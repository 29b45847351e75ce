"""The search on the page: its words, its pictures, the means by choice, and pages of runs that have no search."""

from __future__ import annotations

import doctest
import random
import re
from statistics import fmean
from typing import Any

import pytest
from contents import HOSTILE, content, fusion, modality
from hypothesis import given
from hypothesis import strategies as st
from searches import FINETUNE, found, search, some_modalities, tree
from test_page import page_of

from plait.fusion.architecture import Architecture
from plait.report import figures
from plait.report.figures import MINUS, large
from plait.report.matters import matters
from plait.report.page import render
from plait.report.progress import MOST_DOTS, SIDE, progress, surrogate
from plait.report.searched import finetuned, paid, searched


def trial(text: str, score: float | None, proposer: str = "random", level: int = 1) -> dict[str, Any]:
    return {"text": text, "score": score, "level": level, "proposer": proposer, "seconds": 0.1}


def with_search(count: int = 3, trials: int = 64, **more: Any) -> dict[str, Any]:
    """A content with a found architecture, a search and fine-tuning."""
    modalities = some_modalities(count)
    architecture = tree(random.Random(count), modalities, 3)
    told = search(modalities, trials, finalists=[str(architecture)])
    return found(architecture, modalities, search=told, finetune=FINETUNE, **more)


def test_the_search_is_told() -> None:
    page = page_of(with_search())
    for words in (
        "There are 123 billion architectures of up to 3 cells", "7 operations (concat, product, low-rank,",
        "They were searched by progressive search, which tries small architectures first",
        "64 trials: 32 by progressive and 32 by random.", "Random search at the same budget",
        "Before its one batch a surrogate foretold", "The 10 best trials", "How much each choice matters",
        "averages over what was tried, not effects", "Mean with it", "Layer read",
    ):  # fmt: skip
        assert words in page.words, words
    assert page.count("section") == 6


@pytest.mark.parametrize("key", ["search", "gates", "finetune"])
@pytest.mark.parametrize("gone", [True, False])
def test_what_is_missing_is_not_spoken_of(key: str, gone: bool) -> None:
    made = with_search()
    if gone:
        made.pop(key, None)
    else:
        made[key] = None
    words = page_of(made).words
    told = {"search": "The search There are", "gates": "into a gate", "finetune": "Fine-tuning end to end"}
    assert told[key] not in words
    assert all(text in words for one, text in told.items() if one not in (key, "gates"))


@pytest.mark.parametrize("count", [2, 3, 6, 12, 24])
def test_pages_of_any_number_of_modalities(count: int) -> None:
    page = page_of(with_search(count))
    assert page.count("svg", "diagram") == 1
    assert page.count("table", "layers") == 1


def test_five_thousand_trials_make_no_large_page() -> None:
    made = with_search(6, 5_000)
    assert len(render(made)) < 400_000
    made["search"]["trials"] *= 3
    text = render(made)
    assert len(text) < 600_000
    assert "One of 3 trials is drawn." in text


def test_an_empty_search_and_one_without_scores() -> None:
    made = with_search()
    made["search"] |= {"trials": [], "surrogate": [], "finalists": []}
    assert "None was tried." in page_of(made).words
    made["search"]["trials"] = [trial("c1 = relu(concat(image.1, sound.1))", None)] * 3
    page = page_of(made)
    assert "3 trials: 3 by random." in page.words
    assert page.count("svg", "field") == 0


def test_a_strange_search_is_told_as_it_is() -> None:
    made = with_search()
    made["search"] |= {
        "strategy": HOSTILE, "trials": [trial(HOSTILE, 0.4, HOSTILE), trial("c1 = frown(mix(a.1, b.2))", 0.5, level=9)],
        "finalists": [HOSTILE], "surrogate": [{"after": 1, "asked": 1, "spearman": None}],
    }  # fmt: skip
    made["search"]["space"] |= {"size": 12 * 10**80, "operations": [HOSTILE]}
    page = page_of(made)
    assert page.count("script") == 0
    assert f"{12 / 10} \N{MULTIPLICATION SIGN} 10⁸¹ architectures" in page.words
    assert "it cannot be told how well" in page.words
    assert "How much each choice matters" not in page.words


@given(st.integers(0, 10**60))
def test_large_counts_are_near(value: int) -> None:
    text = large(value).replace(",", "")
    for word, digits in (("million", 6), ("billion", 9), ("trillion", 12)):
        text = text.replace(f" {word}", f"e{digits}")
    raised = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
    text = re.sub(" \N{MULTIPLICATION SIGN} 10(.*)", lambda at: f"e{at[1].translate(raised)}", text)
    assert float(text) == pytest.approx(value, rel=0.051)


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(figures).failed == 0


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1.0)), max_size=40), st.sampled_from([None, "accuracy"]))
def test_the_best_so_far_rises_and_ends_at_the_best(scores: list[float | None], metric: str | None) -> None:
    told = progress([trial("", score) for score in scores], "progressive", metric)
    known = [score for score in scores if score is not None]
    assert (told is None) == (not known)
    if told is None:
        return
    (series,) = told.series
    heights = [int(y) for y in re.findall(r"(?:V|M\d+ )(\d+)", series.line)]
    assert heights == sorted(heights, reverse=True)
    dots = re.findall(r"M(\d+) (\d+)h0", series.dots[0].path)
    assert len(dots) == len(known)
    assert min(int(y) for _, y in dots) == heights[-1]
    assert all(0 <= int(number) <= SIDE for pair in dots for number in pair)
    assert len(dots) <= MOST_DOTS


def test_strategies_are_counted_apart() -> None:
    trials = [trial("", 0.5, "progressive"), trial("", 0.6, "progressive", 2), trial("", 0.9, "random", 5)]
    told = progress(trials, "progressive", None)
    assert told is not None
    assert [(series.key, series.trials, series.best) for series in told.series] == [
        ("searched", 2, "0.600"), ("other-1", 1, "0.900"),
    ]  # fmt: skip
    assert told.series[0].dots[0].path[:4] == told.series[1].dots[0].path[:4] == "M250"
    assert [shape for shape, _ in told.shapes] == ["round", "square", "ring"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.8, 0.7, None], "could be trusted"), ([0.4, 0.5], "a rough guide"),
        ([0.9], "These are 16 architectures, too few"), ([-0.2, 0.1], "could not be trusted"),
        ([None], "cannot be told how well"),
    ],
)  # fmt: skip
def test_what_the_surrogate_was_worth(values: list[float | None], words: str) -> None:
    told = surrogate([{"after": 16 * n, "asked": 16, "spearman": value} for n, value in enumerate(values)])
    assert told is not None
    assert words in told.words
    assert surrogate([]) is None


def test_means_are_those_of_the_trials() -> None:
    made = with_search(3, 200)
    told = matters(made)
    assert told is not None
    scored = {
        one["text"]: (Architecture.parse(one["text"]), one["score"])
        for one in reversed(made["search"]["trials"])
        if one["score"] is not None
    }
    assert told.trials == len(scored)
    tanh = [score for text, (_, score) in scored.items() if "tanh(" in text]
    shown = next(mean for mean in dict(told.choices)["Activation"] if mean.label == "tanh")
    assert (shown.value, shown.n) == (f"{fmean(tanh):.3f}", str(len(tanh)))
    sound = [score for text, (_, score) in scored.items() if "sound." in text]
    rest = [score for text, (_, score) in scored.items() if "sound." not in text]
    split = next(split for split in told.splits if split.name == "sound")
    assert (split.with_it, split.without[0]) == ((f"{fmean(sound):.3f}", str(len(sound))), f"{fmean(rest):.3f}")
    layer = [score for text, (_, score) in scored.items() if "sound.2" in text]
    reached = next(row for row in told.layers if row.name == "sound").cells[2]
    assert reached is not None
    assert (reached.value, reached.n) == (f"{fmean(layer):.3f}", str(len(layer)))


def test_a_disaster_does_not_drown_the_means() -> None:
    made = with_search()
    made["search"]["trials"] += [trial("c1 = tanh(max(image.1, sound.1))", -1e9)]
    assert f"Scores below {MINUS}1 count as {MINUS}1 (1)." in page_of(made).words


def test_operations_count_where_they_combine() -> None:
    modalities = some_modalities(2)
    texts = ("c1 = relu(concat(image.1)); c2 = relu(max(sound.1, c1))", "c1 = tanh(mean(image.1, sound.2))")
    told = search(modalities) | {"trials": [trial(text, 0.5) for text in texts]}
    means = matters(found(Architecture.parse(texts[0]), modalities, search=told))
    assert means is not None
    assert {mean.label for mean in dict(means.choices)["Operation"]} == {"max", "mean"}


def test_finalists_are_marked_among_the_best() -> None:
    made = with_search()
    best = max((one for one in made["search"]["trials"] if one["score"] is not None), key=lambda one: one["score"])
    made["search"]["finalists"] = [best["text"]]
    told = searched(made)
    assert told is not None
    assert [one.finalist for one in told.best] == [True] + [False] * 9
    assert told.best[0].text == best["text"]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.1, 0.2, "scores 0.150 higher than image, the best of a single modality (95 % interval +0.100 to +0.200)."),
        (-0.3, -0.1, f"scores 0.200 lower than image, the best of a single modality (95 % interval {MINUS}0.300"),
    ],
)
def test_whether_fusion_paid(low: float, high: float, words: str) -> None:
    made = content(choice={"sentence": "So it is.", "fusion": fusion(low, high)})
    assert words in paid(made)
    assert paid(made) in page_of(made).words


def test_nothing_to_fuse() -> None:
    made = content(modalities=[modality("image")], choice={"sentence": "So.", "fusion": None})
    assert paid(made).startswith("Nothing to fuse")


def test_fine_tuning_is_told() -> None:
    made = content(finetune=FINETUNE)
    assert "5 passes over the training rows, was tried and was kept: 0.910 before, 0.920 after" in page_of(made).words
    assert "was not kept" in finetuned(content(finetune=FINETUNE | {"kept": False, "epochs": 1}))
    assert "not tried" in finetuned(content(finetune=FINETUNE | {"tried": False}))
    assert finetuned(content()) == ""
    unknown = dict.fromkeys(("before", "after", "difference", "standard_error"))
    assert "None" not in finetuned(content(finetune=FINETUNE | unknown))
