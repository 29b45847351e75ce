"""A ledger as a search leaves it: batches halved once, random search, pruning, and what competes in the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plait.fusion import Candidate, FusionSpace
from plait.search import Ledger, Trial

EARLY, WHOLE = 10, 30
SPACE = FusionSpace({"image": range(4), "sound": range(3), "odd [name]": range(2)})


def trial(name: str, score: float | None, seconds: float, proposer: str, **how) -> Trial:
    made = Candidate(name=name, kind=how.pop("kind", "architecture"), proposer=proposer, **how)
    return Trial(made, (), score, (score,), seconds)


def write_ledger(folder: Path, batches: int = 2, batch: int = 30, seed: int = 0) -> Ledger:
    """A third of each batch of two strategies is trained to the end; one of each is without a score."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger, rng = Ledger(folder / "trials.sqlite"), np.random.default_rng(seed)
    for proposer in ("progressive", "random"):
        known = set()
        for number in range(batches):
            points = []
            while len(points) < batch:
                point = SPACE.sample(rng)
                if point not in known:
                    known.add(point)
                    points.append(point)
            for rung, passes, among in ((2 * number, EARLY, points), (2 * number + 1, WHOLE, points[: batch // 3])):
                scores = [float(score) for score in rng.random(len(among))]
                found = [None if i == 1 and passes == WHOLE else score for i, score in enumerate(scores)]
                told = [
                    trial(str(p), score, 0.5, proposer, architecture=p) for p, score in zip(among, found, strict=True)
                ]
                ledger.record(told, proposer, rung, seed, passes)
    pruned = [SPACE[place] for place in range(5)]
    ledger.record([trial(str(p), 0.1, 0.25, "pruning", architecture=p) for p in pruned], "pruning", 0, seed, WHOLE)
    standing = [
        trial("image", 0.3, 1.0, "", kind="unimodal", modality="image"),
        trial("late mean", 0.6, 1.0, "", kind="late", rule="mean", modalities=("image", "sound")),
        trial("early", None, 1.0, "", kind="early", architecture=SPACE[0]),
        trial("the best", 0.7, 1.0, "", architecture=SPACE[SPACE.size() - 1]),
    ]
    ledger.record(standing, "competitors", 0, seed)
    return ledger
