"""The search in words: where and how it looked, what it found, whether end-to-end training was tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from plait.report.figures import count, counted, interval, is_known, large, number, short, signed
from plait.report.headline import verdict
from plait.report.matters import Matters, matters
from plait.report.progress import Progress, Surrogate, progress, surrogate

MOST_BEST: Final = 10

STRATEGIES: Final[Mapping[str, str]] = {
    "progressive": "progressive search, which tries small architectures first and then grows the best ones where a "
    "surrogate expects the most",
    "random": "random search, which draws architectures evenly",
    "genetic": "genetic search, which crosses and mutates the best; children inherit their parents' weights",
    "greedy": "greedy search, which grows the best architectures in the order of what screening foretells",
    "exhaustive": "exhaustive search, which tries one architecture after another",
    "similarity": "similarity, which merges the layers whose hidden states are most alike",
}
"""What a strategy does; others are called by their name."""

Content = Mapping[str, Any]


@dataclass(frozen=True)
class Best:
    """One of the best trials."""

    text: str
    score: str
    cells: str
    proposer: str
    finalist: bool


@dataclass(frozen=True)
class Searched:
    """What the section shows."""

    sentences: tuple[str, ...]
    progress: Progress | None
    surrogate: Surrogate | None
    best: tuple[Best, ...]
    matters: Matters | None


def searched(content: Content) -> Searched | None:
    """The search; None where there was none."""
    told = content.get("search")
    if told is None:
        return None
    return Searched(
        tuple(_sentences(told)),
        progress(told["trials"], told["strategy"], content["metric"]),
        surrogate(told["surrogate"]),
        _best(told),
        matters(content),
    )


def _sentences(told: Content) -> list[str]:
    space, strategy = told["space"], told["strategy"]
    cells, size = space["max_cells"], space["size"]
    first = (
        f"There are {large(size)} architectures of up to {counted(cells, 'cell')} over all layers, with "
        f"{counted(len(space['operations']), 'operation')} ({', '.join(space['operations'])}) and "
        f"{counted(len(space['activations']), 'activation')} ({', '.join(space['activations'])})."
    )
    if dropped := (told.get("screening") or {}).get("discarded"):
        what = "what it says" if len(dropped) == 1 else "what they say"
        first = (
            f"Screening discarded {', '.join(dropped)}: {what}, alone or multiplied with another modality, is not "
            f"beyond chance. {first}"
        )
    tried = Counter(trial["proposer"] for trial in told["trials"])
    if not tried:
        return [first, "None was tried."]
    sentences = [first, f"They were searched by {STRATEGIES.get(strategy, strategy)}."]
    counts = " and ".join(f"{count(n)} by {name}" for name, n in tried.items())
    sentences.append(f"{counted(sum(tried.values()), 'trial')}: {counts}.")
    if "random" in tried and strategy != "random":
        sentences.append("Random search at the same budget is the measure of what the strategy is worth.")
    return sentences


def _best(told: Content) -> tuple[Best, ...]:
    known: dict[str, Content] = {}
    for trial in told["trials"]:
        if is_known(trial["score"]):
            known.setdefault(trial["text"], trial)
    finalists = set(told["finalists"])
    ordered = sorted(known.values(), key=lambda trial: -trial["score"])[:MOST_BEST]
    return tuple(
        Best(
            one["text"],
            number(one["score"], 4),
            count(one["level"]),
            one["proposer"],
            any(name.endswith(one["text"]) for name in finalists),
        )
        for one in ordered
    )


def paid(content: Content) -> str:
    """Whether fusion paid, against what, with the interval, in one sentence."""
    fusion = content["choice"]["fusion"]
    if fusion is None:
        alone = len(content["modalities"]) == 1
        why = "there is one modality" if alone else "there is no pair of a fused row and a single modality"
        return f"{verdict(content)}: {why}."
    gap = fusion["difference"]
    more = "higher" if gap is not None and gap >= 0 else "lower"
    size = number(abs(gap)) if is_known(gap) else number(None)
    ends = f"{signed(fusion['low'])} to {signed(fusion['high'])}"
    if not is_known(fusion["low"]) or not is_known(fusion["high"]):
        ends = interval(None, None)
    found = any(fusion["better"] == one["text"] for one in content["architectures"])
    better = "this architecture" if found else short(fusion["better"], 90)
    return (
        f"{verdict(content)}: in validation, {better} scores {size} {more} than {short(fusion['than'])}, "
        f"the best of a single modality (95 % interval {ends})."
    )


def finetuned(content: Content) -> str:
    """Whether the returned architecture was fine-tuned end to end; empty where nothing is known of it."""
    told = content.get("finetune")
    if told is None:
        return ""
    if not told["tried"]:
        return "Fine-tuning end to end was not tried."
    passes = counted(told["epochs"], "pass", "passes")
    error = f", standard error {number(told['standard_error'])}" if is_known(told["standard_error"]) else ""
    ending = "was kept" if told["kept"] else "was not kept"
    return (
        f"Fine-tuning end to end, {passes} over the training rows, was tried and {ending}: {number(told['before'])} "
        f"before, {number(told['after'])} after (difference {signed(told['difference'])}{error})."
    )
