"""Words for what a fit's content names by keys: kinds, readers, stages, metrics, parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from plait.report.figures import MINUS, count, counted, short

KINDS: Final[Mapping[str, str]] = {
    "unimodal": "one modality alone",
    "late": "late fusion",
    "early": "early fusion",
    "architecture": "fusion architecture",
    "classical": "classical model",
    "ensemble": "ensemble",
}
"""Kinds of leaderboard rows, in the order of costs."""

HOW: Final[Mapping[str, str]] = {
    "unimodal": "The network of one modality decides alone.",
    "late": "Every modality's own network decides; a rule combines the decisions.",
    "early": "The near-raw inputs are put side by side and one network learns from all of them.",
    "architecture": "Hidden layers of the modalities' networks are combined by cells, and the last cell decides.",
    "classical": "A classical model from scikit-learn.",
    "ensemble": "A weighted average of several rows of the leaderboard.",
}
"""How a kind of leaderboard row decides, one sentence each."""

FAMILIES: Final[Mapping[str, str]] = {
    "logistic": "A linear model (logistic regression for classes, ridge regression for numbers)",
    "forest": "A forest of randomised trees",
    "boosting": "Boosted trees",
}
"""Families of classical models, each the beginning of a sentence about what it reads."""

STACK: Final = "A linear model weighs what classical models of each modality say of rows that they were not fitted on."

METRICS: Final[Mapping[str, str]] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "spearman": "Spearman's \N{GREEK SMALL LETTER RHO}",
}

LOWER_IS_BETTER: Final = frozenset({"log_loss", "mae", "rmse"})
"""As in `plait.tasks.score`, which takes torch to import; a test holds the two equal."""

LOSSES: Final[Mapping[str, str]] = {"regression": "squared error", "ordinal": "log loss of each cut in the order"}
"""Losses of task kinds whose loss is not the log loss."""

STAGES: Final[Mapping[str, str]] = {
    "split": "Splitting the rows",
    "decode": "Decoding the cells",
    "cache": "Computing the hidden states",
    "screen": "Screening modalities",
    "classical": "Fitting classical models",
    "search": "Searching for ways to fuse",
    "evaluate": "Comparing ways to combine",
    "folds": "Comparing again, judged by other rows",
    "ensemble": "Choosing an ensemble",
    "choose": "Choosing",
    "finetune": "Fine-tuning end to end",
    "thresholds": "Choosing thresholds",
    "refit": "Writing the predictor",
    "test": "Scoring the test rows",
    "report": "Drawing the report",
}


def metric_words(name: str) -> str:
    """A metric's name as it is written inside a sentence."""
    return METRICS.get(name, name.replace("_", " "))


def metric_head(name: str) -> str:
    """A metric's name as it is written where it stands alone."""
    words = metric_words(name)
    return words[:1].upper() + words[1:]


def stage_words(name: str, modalities: Sequence[str]) -> str:
    """What a stage of the fit did; `encode-N` belongs to the N-th modality."""
    stem, _, number = name.partition("-")
    if stem == "encode" and number.isdigit() and int(number) < len(modalities):
        return f"Learning {short(modalities[int(number)], 32)}"
    return STAGES.get(name, name.replace("-", " ").capitalize())


def listed(names: Sequence[str], most: int, many: str) -> str:
    """Names joined as in a sentence, or their count where there are more than `most`.

    Example:
        >>> listed(["image", "sound", "text"], 4, "modalities"), listed(["a"] * 24, 4, "modalities")
        ('image, sound and text', '24 modalities')
    """
    if len(names) > most:
        return f"{count(len(names))} {many}"
    cut = [short(name) for name in names]
    return " and ".join([", ".join(cut[:-1]), cut[-1]] if len(cut) > 1 else cut)


def classical_words(classical: Mapping[str, Any]) -> str:
    """How a classical model decides, in one sentence.

    Example:
        >>> classical_words({"family": "forest", "modalities": ["image", "view"], "raw": ["view"]})
        'A forest of randomised trees from scikit-learn reads view as it is, and of image the last hidden layer.'
    """
    if classical["family"] == "stack":
        return STACK
    raw = list(classical.get("raw", ()))
    others = [name for name in classical["modalities"] if name not in raw]
    parts = [f"{listed(raw, 4, 'modalities')} as {'it is' if len(raw) == 1 else 'they are'}"] if raw else []
    parts += [f"of {listed(others, 4, 'modalities')} the last hidden layer"] if others else []
    return (
        f"{FAMILIES.get(str(classical['family']), 'A classical model')} from scikit-learn reads {', and '.join(parts)}."
    )


def reader_words(reader: Mapping[str, Any]) -> str:
    """What a reader makes of a cell.

    Example:
        >>> reader_words({"kind": "image", "channels": 1, "height": 8, "width": 8})
        '8 × 8 grey'
    """
    words = READER_WORDS.get(str(reader.get("kind")), _any_reader)
    try:
        return words(reader)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):  # a reader of a newer or older shape
        return _any_reader(reader)


def _image(reader: Mapping[str, Any]) -> str:
    size = f"{reader['height']} \N{MULTIPLICATION SIGN} {reader['width']}"
    return f"{size} {'grey' if reader['channels'] == 1 else 'colour'}"


def _audio(reader: Mapping[str, Any]) -> str:
    return f"{reader['rate'] / 1000:g} kHz, {reader['samples'] / reader['rate']:.2g} s"


def _vector(reader: Mapping[str, Any]) -> str:
    return counted(int(reader["width"]), "number")


def _tabular(reader: Mapping[str, Any]) -> str:
    found = Counter(field["kind"] for field in reader["fields"] if not field.get("again"))
    nouns = {"numeric": ("number", "numbers"), "categorical": ("category", "categories"), "date": ("date", "dates")}
    return ", ".join(counted(found[kind], *nouns[kind]) for kind in nouns if found[kind]) or "no column"


def _set(reader: Mapping[str, Any]) -> str:
    return f"{counted(len(reader['columns']), 'item')} of {reader_words(reader['item'])}"


def _text(reader: Mapping[str, Any]) -> str:
    learned = len(str(reader["merges"]).splitlines())
    return f"up to {counted(int(reader['tokens']), 'token')}, {counted(256 + learned, 'subword')}"


def _series(reader: Mapping[str, Any]) -> str:
    shape = f"{counted(int(reader['steps']), 'step')} of {counted(int(reader['channels']), 'channel')}"
    return shape if reader["every"] == 1 else f"{shape}, each the mean of {reader['every']}"


def _any_reader(reader: Mapping[str, Any]) -> str:
    """Every plain option of a reader that has no words of its own."""
    plain = {key: value for key, value in reader.items() if key != "kind" and isinstance(value, int | float | str)}
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in plain.items()) or "as it is"


READER_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "image": _image,
    "set": _set,
    "audio": _audio,
    "vector": _vector,
    "tabular": _tabular,
    "text": _text,
    "series": _series,
}


def score_words(metric: str | None, tasks: Sequence[Mapping[str, Any]]) -> str:
    """One sentence that says what the score is."""
    over = ", averaged over the targets" if len(tasks) > 1 else ""
    if metric is not None:
        turned = (
            " with its sign turned, so that higher is better" if metric in LOWER_IS_BETTER else "; higher is better"
        )
        return f"The score is {metric_words(metric)}{over}{turned}."
    losses = {LOSSES.get(task["kind"], "log loss") for task in tasks}
    return (
        f"The score is 1 {MINUS} loss / loss of the constant predictor{over} ({', '.join(sorted(losses))}): "
        "1 is perfect, 0 is no better than giving every row the same answer, below 0 is worse than that."
    )


def zero_words(metric: str | None) -> str:
    """What a score of 0 is; empty where it is nothing in particular."""
    return {None: "the constant predictor", "r2": "predicting the mean"}.get(metric, "")


def limit_words(limit: Mapping[str, Any]) -> str:
    """What ended the search."""
    if limit.get("trials") is not None:
        return f"{counted(limit['trials'], 'trial')}, no clock: the same seed gives the same result"
    if limit.get("seconds") is not None:
        return f"{limit['seconds']:,g} seconds for the whole fit"
    return "none"


def test_words(rows: int, finished: bool) -> str:
    """How the test rows were treated."""
    if not finished:
        return "The test rows have not been read yet: this fit is not finished."
    if rows == 0:
        return (
            "No row was kept for a test, so there are no test figures. The choice was made by the validation figures, "
            "which therefore flatter it a little."
        )
    were = "row was" if rows == 1 else "rows were"
    return (
        f"The {rows:,} test {were} read once, after the choice was written down, to score every row of the leaderboard "
        "in one pass; nothing was fitted, stopped or chosen by them."
    )
