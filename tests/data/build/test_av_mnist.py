"""AV-MNIST on small made ingredients: same call same bytes, nothing shared between splits, every refusal's message."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from plait.cli.main import main
from plait.data.build import BUILDERS, BuildOptions, _base, av_mnist, ingredients
from plait.data.build.av_mnist import FILES, SPLITS, Plan, Recipe, Split
from plait.data.build.exact import GRID, Projection, amplitude, below, draw, mix, permutation, png, wav
from plait.data.infer import Wishes, infer_schema
from plait.data.table import read_table
from plait.exceptions import InputError
from plait.pipeline.narrator import Narrator

SIZES = {"train": 80, "validation": 20, "test": 40}
DATA = Path(os.environ.get("PLAIT_DATA", "../shared/data"))


def made_arrays() -> dict[str, dict[str, np.ndarray]]:
    """Ingredients in small: 120 + 50 images, 2 speakers with 14 recordings of every digit, six noises of one second."""
    rng = np.random.default_rng(5)
    clips = [(digit, speaker, index) for digit in range(10) for speaker in ("ann", "bob") for index in range(14)]
    lengths = rng.integers(200, 600, len(clips))
    return {
        "mnist.npz": {
            "x_train": rng.integers(0, 256, (120, 28, 28), np.uint8), "y_train": np.arange(120, dtype=np.uint8) % 10,
            "x_test": rng.integers(0, 256, (50, 28, 28), np.uint8), "y_test": np.arange(50, dtype=np.uint8) % 10,
        },
        "fsdd.npz": {
            "samples": rng.integers(-9000, 9000, lengths.sum()).astype(np.int16),
            "offsets": np.concatenate([[0], np.cumsum(lengths)]),
            "digit": np.array([digit for digit, _, _ in clips], np.uint8),
            "speaker": np.array([speaker for _, speaker, _ in clips]),
            "index": np.array([index for _, _, index in clips], np.uint8),
            "sr": np.int32(8000),
        },
        "background_noise_8k.npz": {
            **{name: rng.integers(-300, 300, 8000).astype(np.int16) for name in av_mnist.NOISES}, "sr": np.int32(8000),
        },
    }  # fmt: skip


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the made ingredients, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("ingredients")
    for file, arrays in made_arrays().items():
        place = folder / "deep" / file.removesuffix(".npz")
        place.mkdir(parents=True)
        np.savez_compressed(place / file, **arrays)
    return folder


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The builder expects the made ingredients."""
    made = made_arrays()
    expected = [
        dataclasses.replace(
            one, sha256=ingredients.content_digest({k: np.asarray(v) for k, v in made[one.file].items()})
        )
        for one in av_mnist.INGREDIENTS
    ]
    monkeypatch.setattr(av_mnist, "INGREDIENTS", tuple(expected))
    monkeypatch.setattr(av_mnist, "TRAIN_IMAGES", 120)
    monkeypatch.setattr(av_mnist, "TEST_IMAGES", 50)


@pytest.fixture
def build(source: Path, _small: None) -> Callable[..., dict[str, Any]]:
    """Builds from the made ingredients."""

    def make(out: Path, **changes: Any) -> dict[str, Any]:
        options = BuildOptions(**{"source": source, "out": out, **SIZES, **changes})
        return BUILDERS["av-mnist"]().build(options, Narrator())

    return make


def tables(out: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of all splits."""
    return {split.name: pq.read_table(out / f"{split.name}.parquet").to_pylist() for split in SPLITS}


def plans(seed: int = 0, sizes: dict[str, int] = SIZES) -> dict[str, tuple[Recipe, Split, Plan]]:
    """What stands behind the rows of a build from the made ingredients."""
    made = made_arrays()
    recipe = Recipe(made["mnist.npz"], made["fsdd.npz"], made["background_noise_8k.npz"], seed, av_mnist.DEFAULT_SNR)
    return {split.name: (recipe, split, recipe.plan(split, sizes[split.name])) for split in SPLITS}


def test_the_tables_say_what_their_columns_are_for(build: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    build(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    for name, rows in SIZES.items():
        table = read_table(tmp_path / "out" / f"{name}.parquet")
        assert len(table) == rows
        found = {column.name: (column.role, column.kind) for column in infer_schema(table, Wishes()).columns}
        assert found == {
            "image": ("input", "image"), "sound": ("input", "audio"), "digit": ("target", "multiclass"),
            "speaker": ("ignored", None), "recording": ("ignored", None),
        }  # fmt: skip
    grouped = infer_schema(table, Wishes(group="recording"))
    assert {column.name: column.role for column in grouped.columns}["recording"] == "group"


def test_image_and_sound_of_a_row_are_of_its_digit(build: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    build(tmp_path / "out", components=784)  # all of them: training images come back as they were
    made = made_arrays()
    label = {
        x.tobytes(): int(y) for x, y in zip(made["mnist.npz"]["x_train"], made["mnist.npz"]["y_train"], strict=True)
    }
    fsdd = made["fsdd.npz"]
    clip_of = {int(number): clip for clip, number in enumerate(plans()["train"][0].recordings)}
    for name, rows in tables(tmp_path / "out").items():
        for row in rows:
            clip = clip_of[row["recording"]]
            assert int(fsdd["digit"][clip]) == row["digit"]
            assert str(fsdd["speaker"][clip]) == row["speaker"]
            if name == "train":
                pixels = np.asarray(Image.open(io.BytesIO(row["image"])))
                assert label[pixels.tobytes()] == row["digit"]


def test_every_sound_has_the_stated_signal_to_noise_ratio(build: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    build(tmp_path / "out", snr=-7.5)
    fsdd = made_arrays()["fsdd.npz"]
    for name, rows in tables(tmp_path / "out").items():
        recipe, split, plan = plans()[name]
        for number, row in enumerate(rows):
            samples, rate = soundfile.read(io.BytesIO(row["sound"]), dtype="int16")
            first, end = fsdd["offsets"][plan.clip[number]], fsdd["offsets"][plan.clip[number] + 1]
            assert (rate, len(samples)) == (8000, end - first)
            assert np.abs(samples).max() == 16_384
            noise = recipe.noise[split.noises[plan.noise[number]]][plan.offset[number] :][: end - first]
            parts = np.stack([fsdd["samples"][first:end], noise], 1).astype(float)
            weights = np.linalg.lstsq(parts, samples.astype(float), rcond=None)[0]
            assert np.abs(parts @ weights - samples).max() < 0.6  # nothing else is in it, up to rounding
            clip_rms, noise_rms = np.sqrt(np.mean((parts * weights) ** 2, 0))
            assert 20 * np.log10(clip_rms / noise_rms) == pytest.approx(-7.5, abs=0.01)


def test_splits_share_neither_image_nor_recording_nor_noise(
    build: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    build(tmp_path / "out")
    found = plans()
    assert not set(found["train"][2].image) & set(found["validation"][2].image)
    for plan in (part[2] for part in found.values()):
        assert len(set(plan.image)) == len(plan.image)
    recordings = {name: {row["recording"] for row in rows} for name, rows in tables(tmp_path / "out").items()}
    heard: dict[str, dict[str, set[int]]] = {}
    for name, (recipe, split, plan) in found.items():
        assert recordings[name] == {int(recipe.recordings[clip]) for clip in plan.clip}
        lengths = recipe.starts[plan.clip + 1] - recipe.starts[plan.clip]
        heard[name] = {noise: set() for noise in av_mnist.NOISES}
        for noise, offset, length in zip(plan.noise, plan.offset, lengths, strict=True):
            heard[name][split.noises[noise]].update(range(offset, offset + length))
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not recordings[one] & recordings[other]
        for noise in av_mnist.NOISES:
            assert not heard[one][noise] & heard[other][noise]
    assert heard["test"][av_mnist.TEST_ONLY]
    assert not heard["train"][av_mnist.TEST_ONLY] | heard["validation"][av_mnist.TEST_ONLY]
    assert all(max(samples) < 8000 for part in heard.values() for samples in part.values() if samples)


def test_the_recordings_of_a_digit_are_used_equally_often() -> None:
    for recipe, split, plan in plans().values():
        for digit in range(10):
            clips = recipe.clips(split, digit)
            counts = [int(np.sum(plan.clip == clip)) for clip in clips]
            assert max(counts) - min(counts) <= 1
            assert sum(counts) == np.sum(plan.digit == digit)


def test_the_same_call_gives_the_same_bytes(build: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    first, second = build(tmp_path / "a"), build(tmp_path / "b")
    assert first == second
    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    other = build(tmp_path / "c", seed=1)
    assert other["content_sha256"] != first["content_sha256"]


def test_a_smaller_build_is_the_beginning_of_a_larger_one() -> None:
    small, large = plans(sizes=dict.fromkeys(SIZES, 15)), plans()
    for name in SIZES:
        for field in dataclasses.fields(Plan):
            few, many = getattr(small[name][2], field.name), getattr(large[name][2], field.name)
            np.testing.assert_array_equal(few, many[:15])


def test_the_manifest_tells_what_was_written(build: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    told = build(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == told
    assert told["options"] == {**SIZES, "seed": 0, "components": 5, "snr_db": av_mnist.DEFAULT_SNR}
    assert told["noise_for_test_alone"] == "exercise_bike"
    assert str(tmp_path) not in json.dumps(told)
    for name, rows in tables(tmp_path / "out").items():
        split = told["splits"][name]
        assert (
            split["rows"] == sum(split["rows_of_digit"]) == sum(n["rows"] for n in split["noise"].values()) == len(rows)
        )
        assert split["recordings"]["count"] == len({row["recording"] for row in rows})
        assert split["file_sha256"] == hashlib.sha256((tmp_path / "out" / f"{name}.parquet").read_bytes()).hexdigest()
        content = hashlib.sha256()
        for row in rows:
            for column in ("image", "sound", "digit", "speaker", "recording"):
                cell = row[column]
                cell = cell.to_bytes(8, "little") if isinstance(cell, int) else cell
                cell = cell.encode() if isinstance(cell, str) else cell
                content.update(len(cell).to_bytes(8, "little") + cell)
        assert split["content_sha256"] == content.hexdigest()


# ------------------------------------------------------------------------------------------------ exact arithmetic


def test_draws_are_those_of_splitmix64() -> None:
    state = int.from_bytes(hashlib.sha256(b"a/1").digest()[:8], "little")
    expected = []
    for _ in range(5):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
        expected.append(mixed ^ (mixed >> 31))
    assert draw(5, "a", 1).tolist() == expected
    assert sorted(permutation(100, "a")) == list(range(100))
    limits = np.repeat(np.array([1, 3, 1000], np.int64), 500)
    drawn = below(limits, "b")
    assert ((drawn >= 0) & (drawn < limits)).all()
    assert np.bincount(drawn[500:1000]).min() > 120


def test_projection_is_that_of_floating_point_components_fitted_on_the_given_images() -> None:
    rng = np.random.default_rng(0)
    train = (rng.normal(size=(300, 6)) @ rng.normal(size=(6, 784)) * 20 + 128).clip(0, 255).astype(np.uint8)
    other = rng.integers(0, 256, (50, 784), np.uint8)
    mean = train.mean(0)
    components = np.linalg.svd(train - mean, full_matrices=False)[2][:4]
    expected = (mean + (other - mean) @ components.T @ components).clip(0, 255)
    found = Projection(train.reshape(-1, 28, 28), 4)(other.reshape(-1, 28, 28)).reshape(-1, 784)
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() < 0.5 + 0.01


def test_the_last_bits_of_an_eigensolver_do_not_show() -> None:
    images = np.random.default_rng(1).integers(0, 256, (200, 28, 28), np.uint8)
    projection = Projection(images, 3)
    flat = images.reshape(200, -1).astype(float)
    vectors = np.linalg.eigh(np.cov(flat.T))[1][:, -3:]  # another covariance, other signs, other last bits
    np.testing.assert_array_equal(projection.steps, np.rint(-vectors @ -vectors.T * GRID))


@pytest.mark.parametrize("components", [1, 784])
def test_images_without_variance_stay(components: int) -> None:
    images = np.full((12, 28, 28), 7, np.uint8)
    np.testing.assert_array_equal(Projection(images, components)(images), images)


def test_written_files_are_read_by_others() -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (28, 28), np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as image:
        assert (image.mode, image.size) == ("L", (28, 28))
        np.testing.assert_array_equal(np.asarray(image), pixels)
    with pytest.raises(ValueError, match="do not fit into one stored block"):
        png(np.zeros((300, 300), np.uint8))
    samples = rng.integers(-32768, 32768, 777).astype(np.int16)
    read, rate = soundfile.read(io.BytesIO(wav(samples, 8000)), dtype="int16")
    assert rate == 8000
    np.testing.assert_array_equal(read, samples)


def test_mixing_survives_the_loudest_clip() -> None:
    clip = np.full(100, -32768, np.int16)
    noise = np.tile(np.array([1, -1], np.int16), 50)
    mixed = mix(clip, noise, amplitude(0.0))
    np.testing.assert_array_equal(mixed, np.tile([0, -16384], 50))
    assert amplitude(20.0) == 10.0
    assert amplitude(-4.0) == pytest.approx(10 ** (-4 / 20))


# ------------------------------------------------------------------------------------------------------- refusals


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a call that must be refused, on one line."""
    with pytest.raises(SystemExit) as ended:
        main(["data", "build", *words])
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert captured.err.count("Error: ") == 1
    return " ".join(captured.err.split())


def call(source: Path, out: Path, *more: str) -> list[str]:
    """The words of a build."""
    sizes = [word for name, rows in SIZES.items() for word in (f"--{name}", str(rows))]
    return ["av-mnist", "--source", str(source), "--out", str(out), *sizes, *more]


NUMBERS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "no rows": (["--train", "0"], ("--train is 0", "10 or more")),
    "few rows": (["--test", "9"], ("--test is 9", "10 or more")),
    "negative rows": (["--validation", "-3"], ("--validation is -3",)),
    "too many": (["--train", "110"], ("--train 110 and --validation 20", "130 images", "MNIST has 120")),
    "too many tests": (["--test", "51"], ("--test is 51", "50 test images")),
    "no components": (["--components", "0"], ("--components is 0", "1 to 784")),
    "many components": (["--components", "785"], ("--components is 785", "1 to 784")),
    "seed": (["--seed", "-1"], ("--seed is -1", "2^63 - 1")),
    "nan": (["--snr", "nan"], ("--snr is nan", "-60 to 60")),
    "infinite": (["--snr", "-inf"], ("--snr is -inf", "-60 to 60")),
    "far too loud": (["--snr", "1e300"], ("--snr is 1e+300", "-60 to 60")),
}


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("case", NUMBERS)
def test_numbers(case: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, expected = NUMBERS[case]
    message = refused(call(source, tmp_path / "out", *words), capsys)
    assert "things to mend" not in message
    for part in expected:
        assert part in message
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("_small")
def test_all_mistakes_are_told_together(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("a file")
    words = ["--train", "5", "--test", "51", "--components", "0", "--snr", "nan", "--seed", "-1"]
    message = refused(call(tmp_path / "nowhere", tmp_path / "out", *words), capsys)
    assert "7 things to mend" in message
    for part in ("--train is 5", "--test is 51", "--components is 0", "--snr is nan", "--seed is -1"):
        assert part in message
    assert "out is a file" in message
    assert "nowhere does not exist" in message
    assert "mnist.npz, fsdd.npz, background_noise_8k.npz" in message
    assert (tmp_path / "out").read_text() == "a file"


def test_unknown_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(["av-mnits", "--out", str(tmp_path / "out")], capsys)
    assert "no benchmark called 'av-mnits': did you mean av-mnist?" in message


def test_without_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(["av-mnist", "--out", str(tmp_path / "out")], capsys)
    assert "--source is needed: " in message
    for part in ("mnist.npz (MNIST in", "fsdd.npz (the 3,000 recordings", "background_noise_8k.npz (the six"):
        assert part in message
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("_small")
def test_missing_ingredients(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "fsdd.npz").write_bytes((source / "deep" / "fsdd" / "fsdd.npz").read_bytes())
    message = refused(call(tmp_path / "some", tmp_path / "out"), capsys)
    assert "2 things to mend" in message
    assert f"There is no mnist.npz below {tmp_path / 'some'}" in message
    assert "There is no background_noise_8k.npz below" in message
    message = refused(call(tmp_path / "some" / "fsdd.npz", tmp_path / "out"), capsys)
    assert "is not a folder" in message


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def corrupt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def swap_arrays(path: Path) -> None:
    arrays = made_arrays()["mnist.npz"]
    np.savez(path, **{**arrays, "y_train": arrays["y_train"][::-1]})


def drop_array(path: Path) -> None:
    arrays = made_arrays()["mnist.npz"]
    np.savez(path, **{name: arrays[name] for name in ("x_train", "y_train", "x_test")})


def pickle_inside(path: Path) -> None:
    arrays = made_arrays()["mnist.npz"]
    np.savez(path, **{**arrays, "y_test": np.array([{"a": 1}], dtype=object)})


DAMAGE: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "truncated": (truncate, ("cannot be read as .npz", "is it cut off?", "MNIST in its canonical order")),
    "a bit flipped": (corrupt, ("cannot be read as .npz",)),
    "empty": (lambda path: path.write_bytes(b""), ("cannot be read as .npz",)),
    "text": (lambda path: path.write_text("hello"), ("cannot be read as .npz",)),
    "other data": (swap_arrays, ("holds other data than expected", "x_train, y_train, x_test, y_test", "Replace")),
    "an array missing": (drop_array, ("lacks the arrays y_test",)),
    "pickled": (pickle_inside, ("cannot be read as .npz", "allow_pickle=False")),
}


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_ingredients(case: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    harm, expected = DAMAGE[case]
    for file in source.rglob("*.npz"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    harm(tmp_path / "mnist.npz")
    message = refused(call(tmp_path, tmp_path / "out"), capsys)
    assert "things to mend" not in message
    for part in (*expected, str(tmp_path / "mnist.npz")):
        assert part in message
    assert not (tmp_path / "out").exists()


def test_a_wrong_checksum_is_told_with_the_right_one(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*call(source, tmp_path / "out"), "--train", "100"]
    message = refused(words, capsys)  # the made files are not the true ones
    assert "3 things to mend" in message
    made = made_arrays()
    for one in av_mnist.INGREDIENTS:
        found = ingredients.content_digest({name: np.asarray(a) for name, a in made[one.file].items()})
        assert f"is {found}, expected was {one.sha256}" in message


@pytest.mark.usefixtures("_small")
def test_a_file_too_large(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingredients, "MAX_BYTES", 100_000)
    message = refused(call(source, tmp_path / "out"), capsys)
    assert "at most 100,000 are read" in message


def test_files_saved_anew_and_a_stray_copy_do_no_harm(
    build: Callable[..., dict[str, Any]], source: Path, tmp_path: Path
) -> None:
    other = tmp_path / "ingredients"
    for number, (file, arrays) in enumerate(made_arrays().items()):
        (other / str(number)).mkdir(parents=True)
        np.savez(other / str(number) / file, more=np.arange(3), **arrays)
    (other / "mnist.npz").write_bytes(b"nearer, but no such file")
    assert build(tmp_path / "a", source=other) == build(tmp_path / "b")


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("file", FILES)
def test_nothing_is_overwritten(file: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / file).write_text("mine")
    message = refused(call(source, tmp_path), capsys)
    assert f"already holds {file}; nothing is overwritten" in message
    assert (tmp_path / file).read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [file]


@pytest.mark.usefixtures("_small")
def test_out_that_cannot_be_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("a file")
    assert "which is a file" in refused(call(source, tmp_path / "file" / "out"), capsys)
    monkeypatch.setattr(_base.os, "access", lambda _, mode: not mode & os.W_OK)
    assert f"{tmp_path} is read-only for you" in refused(call(source, tmp_path / "new" / "out"), capsys)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_build_that_ends_early_leaves_nothing(
    error: BaseException,
    there: bool,
    build: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "new" / "out"
    if there:
        out.mkdir(parents=True)
        (out / "notes.txt").write_text("mine")
    count = 0

    def fail(path: Path) -> str:
        nonlocal count
        count += 1
        if count == 2:  # validation.parquet is written, test.parquet is not
            raise error
        return "digest"

    monkeypatch.setattr(av_mnist, "file_digest", fail)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else InputError) as caught:
        build(out)
    if isinstance(caught.value, InputError):
        assert "cannot be written" in str(caught.value)
        assert "No space left on device" in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == (["new", "out", "notes.txt"] if there else [])


# -------------------------------------------------------------------------------------------------------- command


@pytest.mark.usefixtures("_small")
def test_the_command_prints_the_manifest(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "build", *call(source, tmp_path / "a", "--json")])
    assert ended.value.code in (0, None)
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "a" / "manifest.json").read_text())
    with pytest.raises(SystemExit):
        main(["data", "build", *call(source, tmp_path / "b")])
    captured = capsys.readouterr()
    for split in told["splits"].values():
        assert split["content_sha256"] in captured.out
    assert "Write train.parquet (80)" in captured.err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "build", "--help"])
    assert "plait data build av-mnist --source" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ true ingredients

TRUE_SMALL = "39a94c750672b00f91a1e87b41f6f9fc031dbc11e48c43e905a2351d115ace29"
"""content_sha256 of the build below."""


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="PLAIT_DATA holds no data")
@pytest.mark.parametrize("processor", ["Haswell", "Nehalem"])  # kernels that OpenBLAS is told to use
def test_true_ingredients_give_the_known_content(processor: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "plait", "data", "build", "av-mnist", "--source", str(DATA), "--json"]
    sizes = ["--train", "600", "--validation", "100", "--test", "200", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "OPENBLAS_CORETYPE": processor}
    done = subprocess.run([*command, *sizes], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["content_sha256"] == TRUE_SMALL
