"""Tables of a seen and a spoken digit, made as AV-MNIST is, with other questions than which digit it is.

  digits     image and sound of the same digit: which digit (`digit`), and who speaks (`speaker`)
  matched    image and sound of any two digits: are they the same?
  sum        image and sound of any two digits: their sum, modulo 10

In the last two neither modality alone tells anything: for every seen digit the answers are equally frequent, and for
every spoken digit too, exactly so in every part of the table. What each tells cannot be added up to anything, either.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import harness
import tables

QUESTIONS = ("matched", "sum")
MEDIA = ("image", "sound")


def digits(
    counts: tuple[int, int, int] = (10_000, 2_500, 5_000), seed: int = 0, components: int = 5, snr: float | None = None
) -> tables.Split:
    """The table that `plait data build av-mnist` writes; columns for both questions, and `recording`.

    Args:
        counts: Rows of train, validation and test.
        seed: Decides images, recordings and noise.
        components: Principal components that the images keep.
        snr: Signal-to-noise ratio in dB; None for that of the benchmark.
    """
    from plait.data.build import BUILDERS, BuildOptions
    from plait.pipeline.narrator import Narrator

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "table")
        wanted = BuildOptions(harness.data_folder(), out, *counts, seed=seed, components=components, snr=snr)
        BUILDERS["av-mnist"]().build(wanted, Narrator())
        parts = [pd.read_parquet(out / f"{part}.parquet") for part in ("train", "validation", "test")]
    return tables.Split("digits", parts[0], parts[1], parts[2], "digit", "recording", {})


def recipe(seed: int, snr: float) -> Any:
    """The recipe of AV-MNIST on the ingredients in the folder of real data."""
    from plait.data.build.av_mnist import FSDD, INGREDIENTS, MNIST, NOISE, Recipe
    from plait.data.build.ingredients import load_all
    from plait.exceptions import Problems

    problems = Problems()
    loaded = load_all(INGREDIENTS, harness.data_folder(), problems)
    problems.raise_if_any()
    return Recipe(loaded[MNIST.file], loaded[FSDD.file], loaded[NOISE.file], seed, snr)


def matched_design(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Seen and spoken digits [rows']: half of them the same, each digit equally often, same or not.

    Rows come in blocks of 180 (ten digits; nine times the same one, once each other one); at least one block.
    """
    seen = np.repeat(np.arange(10), 18)
    apart = np.tile(np.concatenate([np.zeros(9, np.int64), np.arange(1, 10)]), 10)
    blocks = max(1, rows // 180)
    return np.tile(seen, blocks), np.tile((seen + apart) % 10, blocks)


def sum_design(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Seen and spoken digits [rows']: every pair of them equally often, in blocks of 100 rows; at least one block."""
    blocks = max(1, rows // 100)
    return np.tile(np.repeat(np.arange(10), 10), blocks), np.tile(np.tile(np.arange(10), 10), blocks)


DESIGNS: dict[str, Callable[[int], tuple[np.ndarray, np.ndarray]]] = {"matched": matched_design, "sum": sum_design}


def answers(question: str, seen: np.ndarray, spoken: np.ndarray) -> np.ndarray:
    """The target [rows]: `same` or `different`, or the sum modulo 10."""
    return np.where(seen == spoken, "same", "different") if question == "matched" else (seen + spoken) % 10


def pairs(
    question: str, counts: tuple[int, int, int] = (10_000, 2_500, 5_000), seed: int = 0, components: int = 20,
    snr: float = 0.0,
) -> tables.Split:  # fmt: skip
    """A table of one of `QUESTIONS`; its target is called like the question.

    Images and recordings come from where AV-MNIST has them for that part, so that no part shares one with another.

    Args:
        question: matched or sum.
        counts: Rows of train, validation and test, rounded down to whole blocks of the design.
        seed: Decides images, recordings, noise and the order of rows.
        components: Principal components that the images keep.
        snr: Signal-to-noise ratio in dB.
    """
    from plait.data.build.av_mnist import SPLITS
    from plait.data.build.exact import Projection, permutation

    made = recipe(seed, snr)
    designs = {}
    for split, rows in zip(SPLITS, counts, strict=True):
        seen, spoken = DESIGNS[question](rows)
        order = permutation(len(seen), question, seed, "order", split.name)
        designs[split.name] = seen[order], spoken[order]
    images = {split.name: _images(made, split, designs[split.name][0], seed) for split in SPLITS}
    projection = Projection(made.images("train", images["train"]), components)
    frames = [
        _frame(made, split, question, *designs[split.name], images[split.name], projection, seed) for split in SPLITS
    ]
    return tables.Split(question, frames[0], frames[1], frames[2], question, "recording", {})


def _images(made: Any, split: Any, seen: np.ndarray, seed: int) -> np.ndarray:
    """Positions of images of the seen digits in the split's part of MNIST.

    Training and validation share a part. As in AV-MNIST, the one takes from the front of an order, the other from its
    back, so that an encoder of a table of `digits` with the same seed has not learned from the validation images.
    """
    from plait.data.build.exact import permutation

    labels = made.mnist[f"y_{split.part}"]
    order = permutation(len(labels), "av-mnist", seed, "image", split.part)
    found = np.zeros(len(seen), np.int64)
    for digit in range(10):
        pool = order[labels[order] == digit]
        if split.part == "train":
            cut = len(pool) * 9 // 10
            pool = pool[cut:][::-1] if split.name == "validation" else pool[:cut]
        mine = np.flatnonzero(seen == digit)
        found[mine] = pool[np.arange(len(mine)) % len(pool)]
    return found


def _frame(
    made: Any, split: Any, question: str, seen: np.ndarray, spoken: np.ndarray, image: np.ndarray, projection: Any,
    seed: int,
) -> pd.DataFrame:  # fmt: skip
    from plait.data.build.av_mnist import Plan
    from plait.data.build.exact import permutation

    target = answers(question, seen, spoken)
    clip = np.zeros(len(spoken), np.int64)
    for digit in range(10):
        clips = made.clips(split, digit)
        clips = clips[permutation(len(clips), question, seed, "clip", split.name, digit)]
        # For every answer the same recordings, equally often: a recording tells no more than its digit does.
        for answer in np.unique(target):
            mine = np.flatnonzero((spoken == digit) & (target == answer))
            clip[mine] = clips[np.arange(len(mine)) % len(clips)]
    plan = Plan(image, spoken, clip, *made.noises(split, clip))
    frame = pd.concat([pd.DataFrame(piece) for piece in made.pieces(split, plan, projection)], ignore_index=True)
    frame = frame.rename(columns={"digit": "spoken"}).assign(seen=seen)
    frame[question] = target
    return frame
