"""Many made modalities: the roles are true, their names do not tell them, same call same bytes, refusals."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from plait.cli.main import main
from plait.data.build import BUILDERS, BuildOptions
from plait.data.build.many_modalities import CLASSES, FILES, STEPS, TARGET, WIDTH, Counts, Recipe, counts_of, parts_of
from plait.data.infer import Wishes, infer_schema
from plait.data.table import read_table
from plait.pipeline.narrator import Narrator

SIZES = {"train": 300, "validation": 40, "test": 60}


def build(out: Path, **changes: Any) -> dict[str, Any]:
    options = BuildOptions(**{"source": None, "out": out, **SIZES, **changes})
    return BUILDERS["many-modalities"]().build(options, Narrator())


@pytest.mark.parametrize("modalities", [2, 3, 6, 12, 24, 120])
def test_the_tables_say_what_their_columns_are_for(modalities: int, tmp_path: Path) -> None:
    told = build(tmp_path / "out", modalities=modalities)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == told
    for name, rows in SIZES.items():
        table = read_table(tmp_path / "out" / f"{name}.parquet")
        assert len(table) == rows == told["splits"][name]["rows"] == sum(told["splits"][name]["rows_of_class"])
        schema = infer_schema(table, Wishes())
        found = {column.name: (column.role, column.kind) for column in schema.columns}
        assert found.pop(TARGET) == ("target", "multiclass")
        assert set(found.values()) == {("input", "vector")}
        assert [modality.name for modality in schema.modalities] == list(told["modalities"])
    roles = Counter(entry["role"] for entry in told["modalities"].values())
    counts = counts_of(modalities, None, None, None)
    assert roles["alone"] == counts.alone
    assert roles["pair"] == 2 * counts.pairs
    assert roles["copy"] == counts.copies
    assert sum(roles.values()) == modalities == told["options"]["modalities"]
    assert roles["noise"] == max(0, modalities - 8)


def test_pairs_and_copies_name_one_another() -> None:
    for seed in range(20):
        parts = parts_of(12, Counts(2, 3, 3), seed)
        for number, part in enumerate(parts):
            if part.role == "pair":
                assert part.other is not None
                other = parts[part.other]
                assert (other.other, other.bit, other.second) == (number, part.bit, not part.second)
            elif part.role == "copy":
                assert part.other is not None
                assert parts[part.other].role == "alone"
    places = {number for seed in range(40) for number, part in enumerate(parts_of(6, Counts(1, 0, 0), seed))
              if part.role == "alone"}  # fmt: skip
    assert places == set(range(6))


def accuracy(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Accuracy of the nearest class mean."""
    means = np.stack([train[labels == label].mean(0) for label in range(labels.max() + 1)])
    return float((((test[:, None] - means) ** 2).sum(2).argmin(1) == truth).mean())


def test_every_modality_tells_what_its_role_says() -> None:
    recipe = Recipe(8, Counts(2, 1, 1), seed=3)
    labels = {split: recipe.labels(split, 4_000) for split in ("train", "test")}
    latent = {split: recipe.latent(split, labels[split]) for split in labels}
    vectors = {split: {n: recipe.vectors(n, values) for n, values in latent[split].items()} for split in labels}
    assert np.bincount(labels["train"], minlength=CLASSES).min() > 900

    def reached(*numbers: int, of: np.ndarray = np.arange(CLASSES)) -> float:  # noqa: B008
        train, test = (np.concatenate([vectors[split][n] for n in numbers], 1) for split in ("train", "test"))
        return accuracy(train, of[labels["train"]], test, of[labels["test"]])

    by_role: dict[str, list[int]] = {}
    for number, part in enumerate(recipe.parts):
        by_role.setdefault(part.role, []).append(number)
    for number in by_role["alone"]:
        assert 0.5 < reached(number) < 0.6
    assert 0.45 < reached(*by_role["copy"]) < 0.6
    assert reached(*by_role["alone"]) > reached(by_role["alone"][0]) + 0.08
    for number in (*by_role["noise"], *by_role["pair"]):
        assert abs(reached(number) - 1 / CLASSES) < 0.03
    # A pair: no linear rule of both, but the product of their signs tells the bit.
    one, other = by_role["pair"]
    bit = (np.arange(CLASSES) >> (recipe.parts[one].bit or 0)) & 1
    assert abs(reached(one, other, of=bit) - 0.5) < 0.04
    signs = np.sign(latent["test"][one][:, 0] * latent["test"][other][:, 0])
    assert ((signs < 0) == bit[labels["test"]]).mean() > 0.9
    # A copy adds nothing to what it copies: given that, it is noise.
    (copy,) = by_role["copy"]
    rest = latent["test"][copy] - latent["test"][recipe.parts[copy].other or 0]
    assert rest.std() / STEPS == pytest.approx(0.5, abs=0.01)
    assert max(abs(np.corrcoef(rest[:, axis], labels["test"])[0, 1]) for axis in range(WIDTH)) < 0.06


def test_vectors_are_latent_numbers_turned() -> None:
    recipe = Recipe(3, Counts(1, 1, 0), seed=0)
    latent = np.eye(WIDTH, dtype=np.int64) * STEPS
    for number in range(3):
        axes = recipe.vectors(number, latent)
        np.testing.assert_array_equal(axes @ axes.T, 2 * np.eye(WIDTH))
    noise = recipe._noise("train", 0, 20_000) / STEPS
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    np.testing.assert_array_equal(recipe._noise("train", 0, 7), recipe._noise("train", 0, 20)[:7])


def test_the_best_rule_reaches_what_the_documentation_says() -> None:
    recipe = Recipe(24, counts_of(24, None, None, None), seed=0)
    told = recipe.best("test", recipe.labels("test", 20_000))
    assert told["alone"] == pytest.approx(0.76, abs=0.01)
    assert told["pairs"] == pytest.approx(0.85, abs=0.01)
    assert told["all"] == pytest.approx(0.94, abs=0.01)


def test_the_same_call_gives_the_same_bytes(tmp_path: Path) -> None:
    first = build(tmp_path / "a", modalities=5)
    command = [sys.executable, "-m", "plait", "data", "build", "many-modalities", "--modalities", "5", "--json"]
    sizes = [word for name, rows in SIZES.items() for word in (f"--{name}", str(rows))]
    done = subprocess.run([*command, *sizes, "--out", str(tmp_path / "b")], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == first
    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert build(tmp_path / "c", modalities=5, seed=1)["content_sha256"] != first["content_sha256"]
    assert first["content_sha256"] == "d09b5c7606af3307ec8706a7ab275ee17eaf0c4abbad5932e2f8083356b0aaf3"


def test_the_digest_is_over_the_cells(tmp_path: Path) -> None:
    told = build(tmp_path / "out", modalities=3)
    for split in SIZES:
        content = hashlib.sha256()
        for row in pq.read_table(tmp_path / "out" / f"{split}.parquet").to_pylist():
            for cell in row.values():
                data = cell.to_bytes(8, "little") if isinstance(cell, int) else np.array(cell, "<f4").tobytes()
                content.update(len(data).to_bytes(8, "little") + data)
        assert told["splits"][split]["content_sha256"] == content.hexdigest()


REFUSED: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "one modality": (["--modalities", "1"], ("--modalities is 1; give 2 to 999",)),
    "too many": (["--modalities", "1000"], ("--modalities is 1000",)),
    "few rows": (["--train", "9"], ("--train is 9", "so that 4 classes can occur")),
    "seed": (["--seed", "-1"], ("--seed is -1",)),
    "negative": (["--alone", "-1"], ("--alone is -1; give 0 or more",)),
    "nothing to copy": (["--alone", "0"], ("--copies is 1 and --alone is 0",)),
    "no signal": (["--alone", "0", "--pairs", "0", "--copies", "0"], ("nothing tells the class",)),
    "more signal than modalities": (["--pairs", "20"], ("3 alone, 20 pairs and 1 copies are 44 modalities",)),
    "options of another": (["--snr", "3"], ("--snr means nothing to many-modalities",)),
    "a source": (["--source", "."], ("--source means nothing to many-modalities",)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, expected = REFUSED[case]
    with pytest.raises(SystemExit) as ended:
        main(["data", "build", "many-modalities", "--out", str(tmp_path / "out"), *words])
    assert ended.value.code == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "things to mend" not in message
    for part in expected:
        assert part in message
    assert not (tmp_path / "out").exists()


def test_all_mistakes_are_told_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--modalities", "1", "--train", "0", "--components", "7", "--pairs", "-2"]
    with pytest.raises(SystemExit):
        main(["data", "build", "many-modalities", "--out", str(tmp_path / "out"), *words])
    assert "4 things to mend" in capsys.readouterr().err


def test_the_other_benchmark_refuses_these_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["data", "build", "av-mnist", "--out", str(tmp_path / "out"), "--source", ".", "--pairs", "2"])
    assert "--pairs means nothing to av-mnist; leave it out." in " ".join(capsys.readouterr().err.split())
