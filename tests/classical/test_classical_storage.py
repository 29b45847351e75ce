"""Storage by skops: the same bytes for the same model, a fixed list of types, no altered byte that goes unnoticed."""

from __future__ import annotations

import copy
import io
import json
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from made_classical import TASKS, fitting_of, made
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression

from plait.classical import FAMILIES, ClassicalSpec, storage
from plait.classical.model import outputs_of
from plait.classical.packing import PARTS, packed, unpacked
from plait.classical.storage import LOADERS, TRUSTED, dumps, loads
from plait.exceptions import InputError

EVERY = [*FAMILIES, "stack"]


@pytest.fixture(scope="module")
def models() -> dict[str, dict[str, Any]]:
    """Small ones: many are loaded below."""
    fitting = fitting_of(rows=60)
    found = {n: fitting.fit(ClassicalSpec(family=n, modalities=("numbers", "words"))) for n in EVERY}
    for model in found.values():
        for part in [model, *(base["model"] for base in model.get("bases", ()))]:
            for estimator in part["heads"].values():
                if hasattr(estimator, "estimators_"):
                    del estimator.estimators_[3:]
                if hasattr(estimator, "_predictors"):
                    del estimator._predictors[4:]
    return found


def told(model: dict[str, Any]) -> dict[str, np.ndarray]:
    return outputs_of(model, *made(40, seed=5)[:2], TASKS)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("family", EVERY)
def test_round_trip(models, family: str) -> None:
    data = dumps(models[family])
    loaded = loads(data)
    assert same(told(loaded), told(models[family]))
    assert dumps(loaded) == data


def test_no_pickle_inside(models) -> None:
    for model in models.values():
        with zipfile.ZipFile(io.BytesIO(dumps(model))) as archive:
            assert all(name == "schema.json" or name.endswith(".npy") for name in archive.namelist())


@pytest.mark.parametrize("family", ["boosting", "stack"])
def test_same_bytes_and_answers_in_a_fresh_process(family: str, tmp_path: Path) -> None:
    model = fitting_of(rows=60).fit(ClassicalSpec(family=family, modalities=("numbers", "words")))
    (tmp_path / "model").write_bytes(dumps(model))
    here = Path(__file__).parent
    code = (
        f"import sys; sys.path.insert(0, {str(here)!r})\n"
        "from pathlib import Path\nimport numpy as np\n"
        "from made_classical import TASKS, fitting_of, made\n"
        "from plait.classical import ClassicalSpec\nfrom plait.classical.model import outputs_of\n"
        "from plait.classical.storage import dumps, loads\n"
        f"spec = ClassicalSpec(family={family!r}, modalities=('numbers', 'words'))\n"
        f"data = Path({str(tmp_path / 'model')!r}).read_bytes()\n"
        "print(dumps(fitting_of(rows=60).fit(spec)) == data)\n"
        f"told = outputs_of(loads(data), *made(40, seed=5)[:2], TASKS)\n"
        f"np.savez({str(tmp_path / 'told.npz')!r}, **told)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr
    assert same(dict(np.load(tmp_path / "told.npz")), told(model))


@pytest.mark.parametrize("family", EVERY)
def test_altered_bytes_are_refused_or_change_nothing(models, family: str) -> None:
    data, wanted = dumps(models[family]), told(models[family])
    rng, refused = np.random.default_rng(0), 0
    for _ in range(25):
        altered = bytearray(data)
        altered[int(rng.integers(len(data)))] ^= int(rng.integers(1, 256))
        try:
            assert same(told(loads(bytes(altered))), wanted)
        except InputError:
            refused += 1
    assert refused >= 15
    for cut in (0, 1, 30, len(data) // 2, len(data) - 1):
        with pytest.raises(InputError, match="damaged"):
            loads(data[:cut])


def rewritten(data: bytes, change) -> bytes:
    """The same archive with right checksums around what `change` makes of the schema and the arrays."""
    source = zipfile.ZipFile(io.BytesIO(data))
    content = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(content["schema.json"])
    change(schema, content)
    content["schema.json"] = json.dumps(schema).encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        for name, part in content.items():
            target.writestr(name, part)
    return stream.getvalue()


def test_types_not_on_our_list_are_refused(models) -> None:
    """Also those that skops itself trusts, and those that a file asks for in the place of one of ours."""
    forest = ExtraTreesClassifier(2).fit([[0.0], [1.0]], [0, 1])
    name = "sklearn.ensemble._forest.ExtraTreesClassifier"
    assert name not in skops.io.get_untrusted_types(data=skops.io.dumps(forest))
    with pytest.raises(InputError, match=f"holds {re.escape(name)}"):
        loads(dumps({"heads": {"flag": forest}}))
    with pytest.raises(InputError, match=r"holds .*ufunc|holds numpy\.exp"):
        loads(skops.io.dumps({"heads": np.exp}))
    with pytest.raises(InputError, match=r"builtins\.set"):
        loads(skops.io.dumps({"heads": {1, 2}}))

    def posix(schema: dict[str, Any], content: dict[str, bytes]) -> None:
        schema["__module__"], schema["__class__"] = "os", "system"

    def function(schema: dict[str, Any], content: dict[str, bytes]) -> None:
        schema["__loader__"] = "FunctionNode"

    for change, name in ((posix, r"os\.system"), (function, "by FunctionNode")):
        with pytest.raises(InputError, match=name):
            loads(rewritten(dumps(models["logistic"]), change))


def test_lists_hold_nothing_that_runs_code() -> None:
    assert all(name.startswith(("builtins.", "numpy.", "sklearn.")) for name in TRUSTED)
    assert not LOADERS & {"FunctionNode", "MethodNode", "OperatorFuncNode", "PartialNode", "CachedNode"}


def test_a_pickle_is_refused() -> None:
    with pytest.raises(InputError, match="damaged"):
        loads(pickle.dumps(LogisticRegression()))


@pytest.mark.parametrize(
    ("family", "fields", "value"),
    [
        ("forest", "left_child", 10**6), ("forest", "right_child", 0), ("forest", "feature", 999),
        ("boosting", "left", 10**6), ("boosting", "right", 0), ("boosting", "feature_idx", 999),
        ("boosting", "is_categorical", 1),
    ],
)  # fmt: skip
def test_trees_that_lead_out_of_themselves_are_refused(models, family: str, fields: str, value: int) -> None:
    """With right checksums: types alone do not show it, and scikit-learn would read beyond its arrays."""

    def spoil(schema: dict[str, Any], content: dict[str, bytes]) -> None:
        for name, data in list(content.items()):
            array = np.load(io.BytesIO(data)) if name.endswith(".npy") else None
            if array is not None and array.dtype.names and fields in array.dtype.names and len(array) > 1:
                array = copy.copy(array)
                array[fields][0] = value
                stream = io.BytesIO()
                np.save(stream, array)
                content[name] = stream.getvalue()

    data = dumps(models[family])
    assert loads(rewritten(data, lambda schema, content: None))
    with pytest.raises(InputError, match=r"a tree that leads out of itself|a tree over categories"):
        loads(rewritten(data, spoil))


def test_packing_changes_nothing_but_the_place_of_forests(models) -> None:
    before = told(models["forest"])
    there = packed(models["forest"])
    assert {type(head) for head in there["heads"].values()} == {dict}
    assert same(told(models["forest"]), before)
    assert same(told(unpacked(there)), before)


@pytest.mark.parametrize("name", PARTS[1:])
def test_parts_of_a_forest_that_do_not_fit_are_refused(models, name: str, monkeypatch) -> None:
    there = packed(models["forest"])
    for head in there["heads"].values():
        head[name] = head[name][:-1]
    monkeypatch.setattr(storage, "packed", lambda model: model)
    with pytest.raises(InputError, match="damaged"):
        loads(dumps(there))
