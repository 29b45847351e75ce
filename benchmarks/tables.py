"""The tables that the benchmarks fit: three real ones from the folder in PLAIT_DATA, and small made ones like them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import harness

RATE = 8_000
NOISES = ("doing_the_dishes", "dude_miaowing", "exercise_bike", "running_tap", "pink_noise", "white_noise")
MULTIVIEW = ("3sources", "bbc4", "bbcsport", "citeseer", "msrcv1")
MFEAT_VIEWS = ("fac", "fou", "kar", "mor", "pix", "zer")
PHOTOS = ("img_bathroom", "img_bedroom", "img_frontal", "img_kitchen")
ATTRIBUTES = ("bedrooms", "bathrooms", "area", "zipcode")


@dataclass(frozen=True)
class Split:
    """A table in three parts, and what `plait.fit` has to be told about it.

    Attributes:
        name: What the benchmark calls it.
        train: Rows to learn from.
        validation: Rows to choose by.
        test: Rows to judge by.
        target: The column to learn.
        group: The column whose values no split tears apart.
        plain: What simple models read, by what it is: a matrix [rows, features] for each part.
    """

    name: str
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    target: str
    group: str | None
    plain: dict[str, tuple[np.ndarray, ...]]

    @property
    def parts(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Train, validation, test."""
        return self.train, self.validation, self.test


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of pixels [height, width] or [height, width, 3]."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def jpeg(pixels: np.ndarray) -> bytes:
    """A JPEG file of pixels [height, width, 3]."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    return out.getvalue()


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    """A WAV file of 16-bit samples."""
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples.astype(np.int16), rate, format="WAV", subtype="PCM_16")
    return out.getvalue()


def digits(counts: Sequence[int] = (4_000, 600, 1_000), seed: int = 0, components: int = 5, snr: float = -4.0) -> Split:
    """Handwritten digits (MNIST) paired by label with spoken digits (FSDD), both made hard on purpose.

    The image keeps its first principal components, fitted on training images; the sound is mixed with noise at a fixed
    ratio, from stretches of the noises that each part has to itself. Recordings are disjoint between the parts: the
    official test has FSDD indices 0-4, validation 5-9, training the rest; images come from MNIST's own two parts.

    Args:
        counts: Rows of train, validation and test.
        seed: Decides images, recordings and noise.
        components: Principal components kept of the image; 28 x 28 keeps it as it is.
        snr: Signal-to-noise ratio in dB.
    """
    folder = harness.data_folder()
    images = np.load(harness.require(folder / "mnist" / "mnist.npz"))
    sounds = np.load(harness.require(folder / "fsdd" / "fsdd.npz"))
    noises = np.load(harness.require(folder / "noise_clips" / "background_noise_8k.npz"))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images["y_train"]))
    own = [*np.split(order, np.cumsum(counts[:2]))[:2], rng.permutation(len(images["y_test"]))[: counts[2]]]
    pixels = [images["x_train"][own[0]], images["x_train"][own[1]], images["x_test"][own[2]]]
    labels = [images["y_train"][own[0]], images["y_train"][own[1]], images["y_test"][own[2]]]
    degrade = _principal(pixels[0].reshape(counts[0], -1), components)
    blurred = [degrade(part.reshape(len(part), -1)) for part in pixels]
    of_part = [sounds["index"] >= 10, (sounds["index"] >= 5) & (sounds["index"] < 10), sounds["index"] < 5]
    frames, plain = [], []
    for part in range(3):
        noise = _stretches(noises, part)
        frame, features = _digit_rows(blurred[part], labels[part], sounds, of_part[part], noise, snr, rng)
        frames.append(frame)
        plain.append(features)
    return Split(
        "digits", frames[0], frames[1], frames[2], "digit", "recording", {"pixels and log power": tuple(plain)}
    )


def _principal(train: np.ndarray, components: int) -> Any:
    """A function that keeps the leading principal components of rows [rows, pixels], fitted on training rows."""
    mean = train.mean(0, dtype=np.float64)
    centred = train - mean
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, : min(components, train.shape[1])]
    return lambda rows: np.clip(np.rint((rows - mean) @ axes @ axes.T + mean), 0, 255).astype(np.uint8)


def _stretches(noises: Any, part: int) -> list[np.ndarray]:
    """Each noise's stretch for a part: the first 60 % for train, 20 % for validation, 20 % for test."""
    cuts = (0.0, 0.6, 0.8, 1.0)
    found = []
    for name in NOISES:
        wave = noises[name].astype(np.float64)
        found.append(wave[int(cuts[part] * len(wave)) : int(cuts[part + 1] * len(wave))])
    return found


def _digit_rows(
    pixels: np.ndarray, labels: np.ndarray, sounds: Any, usable: np.ndarray, noises: list[np.ndarray], snr: float,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, np.ndarray]:  # fmt: skip
    queues = {digit: rng.permutation(np.flatnonzero(usable & (sounds["digit"] == digit))) for digit in range(10)}
    taken = dict.fromkeys(range(10), 0)
    samples, offsets = sounds["samples"], sounds["offsets"]
    rows, patches = [], []
    for row, digit in enumerate(labels.tolist()):
        clip = int(queues[digit][taken[digit] % len(queues[digit])])
        taken[digit] += 1
        wave = samples[offsets[clip] : offsets[clip + 1]].astype(np.float64)
        noise = noises[rng.integers(len(noises))]
        start = rng.integers(len(noise) - len(wave))
        mixed = mix(wave, noise[start : start + len(wave)], snr)
        rows.append({"image": png(pixels[row].reshape(28, 28)), "sound": wav(mixed), "recording": clip, "digit": digit})
        patches.append(spectral_patches(mixed))
    return pd.DataFrame(rows), np.concatenate([pixels / 255.0, np.stack(patches)], axis=1)


def mix(wave: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Sound and noise, both float [samples], at a signal-to-noise ratio in dB, scaled to a peak of 30,000."""
    power, noise_power = float((wave**2).mean()), float((noise**2).mean())
    gain = np.sqrt(power / max(noise_power, 1e-12) / 10 ** (snr / 10))
    mixed = wave + gain * noise
    return np.asarray(mixed / max(float(np.abs(mixed).max()), 1e-9) * 30_000)


def spectral_patches(wave: np.ndarray, bands: int = 16, steps: int = 8) -> np.ndarray:
    """Log power of a sound [samples] in spans of time by bands of frequency: what a linear model reads."""
    window = 256
    padded = np.pad(wave / 32_768, (0, max(0, window * 8 - len(wave))))
    starts = np.arange(0, len(padded) - window + 1, window // 2)
    frames = padded[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames))[:, 1:] ** 2  # [frames, 128]
    spans = np.array_split(power, steps)
    patches = [[band.mean() for band in np.array_split(span.mean(0), bands)] for span in spans]
    return np.log(np.array(patches) + 1e-8).ravel()


def mfeat(views: Sequence[str] = ("fou", "mor"), seed: int = 0, rows: int | None = None) -> Split:
    """Handwritten numerals of the UCI multiple features set: one vector column per view; 70 / 15 / 15, by class.

    Args:
        views: Which of the six views.
        seed: Decides the split.
        rows: Take only so many rows, the classes in equal numbers.
    """
    found = np.load(harness.require(harness.data_folder() / "mfeat" / "mfeat.npz"))
    frame = pd.DataFrame({view: list(found[view]) for view in views} | {"digit": found["y"].astype(np.int64)})
    plain = np.concatenate([found[view] for view in views], axis=1).astype(np.float64)
    return _split(f"mfeat {'+'.join(views)}", frame, "digit", {"all numbers": plain}, seed, rows)


def views(name: str = "mfeat", noise: int = 4, seed: int = 0, rows: int | None = None) -> Split:
    """A table of vector views with noise views among them; 70 / 15 / 15, by class.

    Args:
        name: mfeat, or a file of the folder multiview: 3sources, bbc4, bbcsport, citeseer, msrcv1.
        noise: How many noise views: in turn normal numbers, and a true view with its rows in another order.
        seed: Decides the noise and the split.
        rows: Take only so many rows, the classes in proportion.
    """
    place = "mfeat/mfeat.npz" if name == "mfeat" else f"multiview/{name}.npz"
    found = np.load(harness.require(harness.data_folder() / place))
    cells = {view: found[view].astype(np.float32) for view in sorted(found.files) if view != "y"}
    rng, true = np.random.default_rng([seed, 11]), list(cells)
    count = len(found["y"])
    for number in range(noise):
        made = rng.normal(size=(count, 32)) if number % 2 == 0 else cells[true[number // 2 % len(true)]]
        cells[f"noise{number}"] = np.asarray(made[rng.permutation(count)], np.float32)
    frame = pd.DataFrame({view: list(values) for view, values in cells.items()})
    frame["row"], frame["class"] = np.arange(count), found["y"].astype(np.int64).ravel()
    return _split(f"{name} with {noise} noise views", frame, "class", {}, seed, rows)


def houses(log_price: bool = True, seed: int = 0) -> Split:
    """Houses: four photos, four attributes, a price; 70 / 15 / 15 at random.

    Simple models read the four numbers as they are; or with care: the logarithm of the area, the zip code one-hot.
    """
    frame = pd.read_parquet(harness.require(harness.data_folder() / "houses" / "houses.parquet"))
    frame["price"] = np.log(frame["price"]) if log_price else frame["price"].astype(np.float64)
    frame = frame[[*PHOTOS, *ATTRIBUTES, "price"]]
    zips = frame["zipcode"].to_numpy()
    hot = (zips[:, None] == np.unique(zips)[None, :]).astype(np.float64)
    numbers = frame[list(ATTRIBUTES)].to_numpy(np.float64)
    care = np.concatenate([numbers[:, :3], np.log(numbers[:, 2:3]), hot], axis=1)
    plain = {"numbers as they are": numbers, "log area, zip code one-hot": care}
    return _split(f"houses, {'log price' if log_price else 'price'}", frame, "price", plain, seed)


def _split(
    name: str, frame: pd.DataFrame, target: str, plain: dict[str, np.ndarray], seed: int, rows: int | None = None
) -> Split:
    """70 / 15 / 15 of a table, classes in proportion where the target is whole numbers."""
    rng = np.random.default_rng([seed, 7])
    order = rng.permutation(len(frame))
    if np.issubdtype(frame[target].to_numpy().dtype, np.integer):  # deal the classes out in turn, all to the end
        codes = frame[target].to_numpy()[order]
        turn = np.zeros(len(order))
        for code in np.unique(codes):
            turn[codes == code] = np.arange((codes == code).sum()) / (codes == code).sum()
        order = order[np.argsort(turn, kind="stable")]
    order = order[:rows]
    cuts = (round(0.7 * len(order)), round(0.85 * len(order)))
    parts = np.split(order, cuts)
    frames = [frame.iloc[part].reset_index(drop=True) for part in parts]
    read = {what: tuple(matrix[part] for part in parts) for what, matrix in plain.items()}
    return Split(name, frames[0], frames[1], frames[2], target, None, read)


def made_digits(rows: int = 60, seed: int = 0) -> Split:
    """Tiny pictures and sounds of three classes: a bright patch whose place, and a tone whose pitch, is the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    cells, plain = [], []
    for label in labels.tolist():
        picture = rng.integers(0, 120, (12, 12)).astype(np.uint8)
        picture[:, 4 * label : 4 * label + 4] += 90
        tone = 4_000 * np.sin(2 * np.pi * (400 + 500 * label) * np.arange(1_600) / RATE) + rng.normal(0, 1_500, 1_600)
        cells.append({"image": png(picture), "sound": wav(tone), "digit": label})
        plain.append(np.concatenate([picture.ravel() / 255, spectral_patches(tone)]))
    return _split("made digits", pd.DataFrame(cells), "digit", {"pixels and log power": np.stack(plain)}, seed)


def made_views(rows: int = 60, seed: int = 0) -> Split:
    """Two vector columns of three classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    one, two = rng.normal(size=(rows, 6)), rng.normal(size=(rows, 4))
    one[:, 0] += 2 * labels
    two[:, 0] -= 2 * labels
    frame = pd.DataFrame({"one": list(one.astype(np.float32)), "two": list(two.astype(np.float32)), "digit": labels})
    return _split("made views", frame, "digit", {"all numbers": np.concatenate([one, two], axis=1)}, seed)


def made_houses(rows: int = 60, side: int = 64, photos: Sequence[str] = ("photo",), seed: int = 0) -> Split:
    """Colour photos whose brightness, and numbers whose sum, make the price."""
    rng = np.random.default_rng(seed)
    light, area = rng.uniform(60, 180, rows), rng.uniform(500, 4_000, rows)
    rooms = rng.integers(1, 7, rows)
    frame = pd.DataFrame({"bedrooms": rooms, "area": area})
    for name in photos:
        frame[name] = [jpeg(np.clip(rng.normal(v, 40, (side, side, 3)), 0, 255).astype(np.uint8)) for v in light]
    frame["price"] = light / 40 + area / 1_000 + rooms / 3 + rng.normal(0, 0.1, rows)
    return _split("made houses", frame, "price", {"rooms and area": np.column_stack([rooms, area])}, seed)
