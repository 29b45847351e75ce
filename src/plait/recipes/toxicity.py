"""Toxicity of molecules: twelve assays with missing labels (Tox21; DeepTox, Mayr et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from plait.recipes._base import Prepared, Recipe, Told

if TYPE_CHECKING:
    import pandas as pd

TASKS: Final = (
    "NR-AR", "NR-AR-LBD", "NR-AhR", "NR-Aromatase", "NR-ER", "NR-ER-LBD", "NR-PPAR-gamma", "SR-ARE", "SR-ATAD5",
    "SR-HSE", "SR-MMP", "SR-p53",
)  # fmt: skip
FINGERPRINT: Final = "morgan2_1024_packbits"
BITS: Final = 1_024
DRAWS: Final = 1_000


class Toxicity(Recipe):
    """Descriptors as a table, fingerprints as a vector, SMILES as text; one head per assay, masked where unlabelled."""

    name: ClassVar[str] = "toxicity"
    summary: ClassVar[str] = "12 assays of Tox21 with missing labels, from descriptors, fingerprints and SMILES"
    file: ClassVar[str] = "tox21/tox21.parquet"

    def prepare(self, table: pd.DataFrame) -> Prepared:
        """Rows of `set` leaderboard are the test; a molecule that could not be parsed has no fingerprint.

        Candidates are compared by the default score, not by the AUROC that is told: of some 900 validation rows a few
        dozen are positive in an assay, and their order alone tells candidates apart far less than their probabilities.
        """
        self.require(table, ["smiles", "set", "parsed", FINGERPRINT, *TASKS])
        bits = [np.frombuffer(cell, np.uint8) if cell is not None else None for cell in table[FINGERPRINT]]
        unpacked: Any = [
            np.unpackbits(one)[:BITS].astype(np.float32) if one is not None and fine else None
            for one, fine in zip(bits, table["parsed"], strict=True)
        ]
        descriptors = [name for name in table.columns if str(name).startswith("d_")]
        made = table[["smiles", *descriptors, *TASKS]].assign(fingerprint=unpacked)
        made.loc[~table["parsed"].to_numpy(bool), descriptors] = np.nan
        for task in TASKS:
            made[task] = made[task].astype("Int64")
        test = (table["set"] == "leaderboard").to_numpy()
        inputs = ("smiles", "fingerprint", *descriptors)
        return Prepared(
            made[~test].reset_index(drop=True), made[test].reset_index(drop=True), TASKS,
            {"inputs": inputs, "kinds": {"smiles": "text"}},
        )  # fmt: skip

    def tell(self, predictor: Any, prepared: Prepared, seed: int) -> Told:
        """Mean AUROC over the assays, with paired intervals against a model per assay on the same features."""
        truth = prepared.test[list(TASKS)].to_numpy(np.float64, na_value=np.nan)
        chances = predictor.predict_proba(prepared.test.drop(columns=list(TASKS)))
        scores = {"plait": np.stack([chances[f"{task}__1"].to_numpy() for task in TASKS], axis=1)}
        scores |= baselines(prepared, seed)
        rows = draws(len(truth), seed)
        told: dict[str, Any] = {"rows": len(truth), "recipe": self.name, "chosen": _chosen(predictor), "models": {}}
        ours = np.array([mean_auroc(truth[at], scores["plait"][at]) for at in rows])
        for name, found in scores.items():
            drawn = ours if name == "plait" else np.array([mean_auroc(truth[at], found[at]) for at in rows])
            told["models"][name] = {
                "mean_auroc": mean_auroc(truth, found), "interval": _ends(drawn),
                "by_task": {task: auroc(truth[:, i], found[:, i]) for i, task in enumerate(TASKS)},
                "plait_less_it": None if name == "plait" else [
                    mean_auroc(truth, scores["plait"]) - mean_auroc(truth, found), *_ends(ours - drawn)
                ],
            }  # fmt: skip
        return Told(told, tuple(_lines(told)))


def baselines(prepared: Prepared, seed: int) -> dict[str, NDArray[np.float64]]:
    """Chances [test rows, assays] of one model per assay on descriptors and fingerprint bits."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = features(prepared.train), features(prepared.test)
    models: dict[str, Any] = {
        "logistic regression per assay": make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)),
        "random forest per assay": RandomForestClassifier(500, class_weight="balanced_subsample", random_state=seed),
    }
    found: dict[str, NDArray[np.float64]] = {}
    for name, model in models.items():
        columns = []
        for task in TASKS:
            known = prepared.train[task].notna().to_numpy()
            model.fit(train[known], prepared.train[task][known].to_numpy(np.int64))
            columns.append(model.predict_proba(test)[:, 1])
        found[name] = np.stack(columns, axis=1)
    return found


def features(frame: pd.DataFrame) -> NDArray[np.float32]:
    """Descriptors and fingerprint bits side by side [rows, numbers]; 0 where a molecule has none."""
    descriptors = frame[[name for name in frame.columns if str(name).startswith("d_")]].to_numpy(np.float32)
    bits = np.stack([np.zeros(BITS, np.float32) if one is None else one for one in frame["fingerprint"]])
    return np.concatenate([np.nan_to_num(descriptors), bits], axis=1)


def auroc(truth: NDArray[np.float64], chances: NDArray[np.float64]) -> float | None:
    """AUROC on labelled rows; None where one of both classes is missing."""
    from sklearn.metrics import roc_auc_score

    known = ~np.isnan(truth)
    return float(roc_auc_score(truth[known], chances[known])) if len(np.unique(truth[known])) == 2 else None


def mean_auroc(truth: NDArray[np.float64], chances: NDArray[np.float64]) -> float:
    """Mean over the assays that have both classes."""
    found = [auroc(truth[:, i], chances[:, i]) for i in range(truth.shape[1])]
    return float(np.mean([one for one in found if one is not None]))


def draws(count: int, seed: int) -> list[NDArray[np.int64]]:
    """Bootstrap draws of row positions."""
    rng = np.random.default_rng([seed, 0x70C5])
    return [rng.integers(0, count, count) for _ in range(DRAWS)]


def _ends(drawn: NDArray[np.float64]) -> list[float]:
    return [float(end) for end in np.quantile(drawn, [0.025, 0.975])]


def _chosen(predictor: Any) -> str:
    return str(next(row["name"] for row in predictor.leaderboard_rows() if row["chosen"]))


def _lines(told: dict[str, Any]) -> list[str]:
    lines = [f"{told['rows']} test molecules, mean AUROC over {len(TASKS)} assays; returned: {told['chosen']}"]
    for name, one in told["models"].items():
        low, high = one["interval"]
        line = f"  {name:<32} {one['mean_auroc']:.4f}  ({low:.4f} to {high:.4f})"
        if one["plait_less_it"]:
            mean, low, high = one["plait_less_it"]
            line += f"   plait less it {mean:+.4f} ({low:+.4f} to {high:+.4f})"
        lines.append(line)
    return lines
