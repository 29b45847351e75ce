"""Sentiment of spoken utterances from what is said, how it sounds and how it looks (CMU-MOSI; Poria et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from plait.recipes._base import Prepared, Recipe, Told

if TYPE_CHECKING:
    import pandas as pd

VIEWS: Final[tuple[str, ...]] = ("text", "audio", "video")
NEAR: Final = 8
"""Utterances before, and after, that are context."""

FOLDS: Final = 5
"""Validation utterances are of nine videos: too few to tell anything apart, so all training videos take turns."""


class Sentiment(Recipe):
    """Three vectors per utterance, the speakers of the official test rows apart.

    With the switch `context`, every view also says what the utterances around are like: the nearest before and after,
    and the means of those before and after. With `series`, utterances before and after are series instead, the nearest
    first, each a modality of its own. Context carries no labels.
    """

    name: ClassVar[str] = "sentiment"
    summary: ClassVar[str] = "CMU-MOSI: positive or negative, from features of text, audio and video"
    file: ClassVar[str] = "cmu_mosi_utterance/mosi_utterance.parquet"
    options: ClassVar[Mapping[str, str]] = {
        "context": "every view with the utterances around it, of the same video",
        "series": "utterances before and after, of the same video, as series of their own",
        **{view: f"{view} alone" for view in VIEWS},
    }  # fmt: skip

    def prepare(self, table: pd.DataFrame) -> Prepared:
        """Official split; validation videos are carved out of the training ones."""
        self.require(table, ["video_id", "segment", "split", "label", *VIEWS])
        made = table.sort_values(["video_id", "segment"]).reset_index(drop=True)
        views = [view for view in VIEWS if view in self.switches] or list(VIEWS)
        inputs = list(views)
        for view in views if self.switches & {"context", "series"} else ():
            before, after = neighbours(made, view)
            if "series" in self.switches:
                made[f"{view}_before"], made[f"{view}_after"] = before, after
                inputs += [f"{view}_before", f"{view}_after"]
            if "context" in self.switches:
                made[view] = within(made[view].tolist(), before, after)
        made = made[["video_id", "split", "label", *inputs]]
        test = (made["split"] == "test").to_numpy()
        kinds = {name: "series" for name in inputs if name not in VIEWS}
        return Prepared(
            made[~test].drop(columns="split").reset_index(drop=True),
            made[test].drop(columns="split").reset_index(drop=True), ("label",),
            {"inputs": inputs, "group": "video_id", "kinds": kinds, "metric": "accuracy", "folds": FOLDS},
        )  # fmt: skip

    def tell(self, predictor: Any, prepared: Prepared, seed: int) -> Told:
        """Accuracy and macro-F1 of what was returned, beside logistic regressions on the same rows."""
        metrics = predictor.evaluate(prepared.test)["tasks"]["label"]["metrics"]
        rows = [row for row in predictor.leaderboard_rows() if row["test"] is not None]
        told: dict[str, Any] = {
            "recipe": self.name, "rows": len(prepared.test), "chosen": next(r["name"] for r in rows if r["chosen"]),
            "accuracy": metrics["accuracy"], "macro_f1": metrics["macro_f1"],
            "alone": {row["name"]: row["test"] for row in rows if row["kind"] == "unimodal"},
            "logistic regression": baselines(prepared),
        }  # fmt: skip
        lines = [
            f"{told['rows']} test utterances; returned: {told['chosen']}",
            f"  plait                     accuracy {told['accuracy']:.4f}, macro F1 {told['macro_f1']:.4f}",
            *(f"  {name:<25} accuracy {value:.4f}" for name, value in told["alone"].items()),
            *(
                f"  logistic regression, {name:<5} accuracy {one['test']:.4f}; cross-validated by training video "
                f"{one['cross-validated']:.4f}"
                for name, one in told["logistic regression"].items()
            ),
        ]
        return Told(told, tuple(lines))


def neighbours(table: pd.DataFrame, view: str) -> tuple[list[Any], list[Any]]:
    """Features of the utterances before, and after, of the same video, the nearest first; None where there are none.

    Args:
        table: Sorted by video and segment.
        view: Whose features.
    """
    features, videos = table[view].tolist(), table["video_id"].tolist()
    starts = [at for at in range(len(videos)) if at == 0 or videos[at] != videos[at - 1]]
    before: list[Any] = []
    after: list[Any] = []
    for start, end in zip(starts, [*starts[1:], len(videos)], strict=True):
        for at in range(start, end):
            before.append([list(features[i]) for i in range(at - 1, max(start, at - NEAR) - 1, -1)] or None)
            after.append([list(features[i]) for i in range(at + 1, min(end, at + NEAR + 1))] or None)
    return before, after


def within(features: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> list[list[float]]:
    """Every utterance's features within its dialogue, five times as many.

    Its own, those of the nearest utterance before and after, and the means of all those before and after that are
    context; 0 where there is none.
    """
    found = []
    for own, *sides in zip(features, before, after, strict=True):
        known = [np.zeros((1, len(own))) if side is None else np.asarray(side, np.float64) for side in sides]
        parts = [np.asarray(own, np.float64), *(side[0] for side in known), *(side.mean(axis=0) for side in known)]
        found.append([float(value) for value in np.concatenate(parts)])
    return found


def baselines(prepared: Prepared) -> dict[str, dict[str, float]]:
    """Accuracy of logistic regressions on each view, and on all of them side by side: on test rows, and in
    cross-validation over the training videos. Where the latter is far higher, the training features know their labels.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    views = [view for view in VIEWS if view in prepared.train]
    parts = [
        {view: np.stack(frame[view].tolist()).astype(np.float64) for view in views}
        for frame in (prepared.train, prepared.test)
    ]
    for part in parts:
        part["all"] = np.concatenate([part[view] for view in views], axis=1)
    found = {}
    for name in parts[0]:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1_000))
        truth, videos = prepared.train["label"], prepared.train["video_id"]
        held_out = cross_val_score(model, parts[0][name], truth, groups=videos, cv=GroupKFold(5))
        model.fit(parts[0][name], truth)
        test = float(model.score(parts[1][name], prepared.test["label"]))
        found[name] = {"test": test, "cross-validated": float(held_out.mean())}
    return found
