"""Classical models as bytes and back, by skops: no pickle, and no type that is not on a list of our own.

skops checks types, not content: a tree whose nodes point beyond its arrays would be followed there. Trees are therefore
checked as well, once they are loaded and before anything is asked of them.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from plait.classical.packing import packed, unpacked
from plait.exceptions import InputError, one_line

SCHEMA: Final = "schema.json"

TRUSTED: Final = (
    "builtins.dict",
    "builtins.list",
    "builtins.str",
    "builtins.tuple",
    "numpy.dtype",
    "numpy.float32",
    "numpy.float64",
    "numpy.int32",
    "numpy.int64",
    "numpy.ndarray",
    "numpy.random._generator.Generator",
    "numpy.uint64",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.decomposition._truncated_svd.TruncatedSVD",
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.ensemble._forest.RandomForestRegressor",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_extraction.text.TfidfTransformer",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.linear_model._ridge.Ridge",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._label.LabelEncoder",
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._classes.DecisionTreeRegressor",
)
"""All types that a file may hold. Nothing is ever added to it by a file."""

LOADERS: Final = frozenset(
    {
        "DTypeNode", "DictNode", "JsonNode", "ListNode", "LossNode", "NdArrayNode", "ObjectNode", "RandomGeneratorNode",
        "TupleNode", "TypeNode",
    }
)  # fmt: skip
"""All ways in which a file may ask skops to make an object: neither functions nor methods among them."""

_DAMAGED: Final = (
    ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError, NotImplementedError, OSError,
    RecursionError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error, tokenize.TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zipfile, NumPy, skops and scikit-learn raise on damaged bytes."""

_PLAIN: Final = ("int", "float", "bool", "NoneType")


def dumps(model: dict[str, Any]) -> bytes:
    """A model as the bytes of a skops file; the same model gives the same bytes, in any process.

    skops names what it writes by where it lies in memory, and notes the time: here arrays are named by their content.
    """
    import skops.io

    source = zipfile.ZipFile(io.BytesIO(skops.io.dumps(packed(model))))
    schema = json.loads(source.read(SCHEMA))
    names: dict[str, str] = {}
    arrays: dict[str, bytes] = {}
    for node in _nodes(schema):
        node.pop("__id__", None)
        if "file" in node:
            if node["file"] not in names:
                content = _without_gaps(source.read(node["file"]))
                names[node["file"]] = f"{hashlib.sha256(content).hexdigest()[:32]}.npy"
                arrays[names[node["file"]]] = content
            node["file"] = names[node["file"]]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        target.writestr(_entry(SCHEMA), json.dumps(schema, sort_keys=True))
        for name, content in sorted(arrays.items()):
            target.writestr(_entry(name), content)
    return stream.getvalue()


def _without_gaps(content: bytes) -> bytes:
    """An array file with zeros between the fields of records, where otherwise stands what was in memory before."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None:
        return content
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    stream = io.BytesIO()
    np.save(stream, clean, allow_pickle=False)
    return stream.getvalue()


def loads(data: bytes) -> dict[str, Any]:
    """The model that `dumps` was given.

    Raises:
        InputError: The bytes are damaged, or hold a type that is not on our list, or a tree that leads out of itself.
    """
    import skops.io
    from sklearn.exceptions import InconsistentVersionWarning

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as source:
            unknown = sorted(set(_unknown(json.loads(source.read(SCHEMA)))))
        if unknown:
            raise InputError(
                f"A stored classical model holds {', '.join(unknown[:5])}, which no fit of plait stores: the file was "
                "altered, or another version of plait or scikit-learn wrote it. Restore it, or fit again."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InconsistentVersionWarning)  # told in our own words by whoever loads
            model = skops.io.loads(data, trusted=list(TRUSTED))
        if not isinstance(model, dict):
            raise TypeError(f"a {type(model).__name__} in the place of a model")
        whole: dict[str, Any] = unpacked(model)
        _check_trees(whole, None)
    except _DAMAGED as error:
        raise InputError(
            f"A stored classical model is damaged ({one_line(error)}). Restore the file, or fit again."
        ) from error
    return whole


def _entry(name: str) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name)  # of the same old date for all
    found.compress_type = zipfile.ZIP_DEFLATED
    return found


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Every dict of a schema, from the top down."""
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else []


def _unknown(schema: Any) -> Iterator[str]:
    """Types and ways to make them that a schema names and that are not on our lists."""
    for node in _nodes(schema):
        if "__class__" in node or "__loader__" in node:
            name = f"{node.get('__module__')}.{node.get('__class__')}"
            if name not in TRUSTED and not (node.get("__loader__") == "JsonNode" and node.get("__class__") in _PLAIN):
                yield name
            if node.get("__loader__") not in LOADERS:
                yield f"{name} by {node.get('__loader__')}"


def _check_trees(part: Any, columns: int | None) -> None:
    """Refuse a tree whose nodes lead out of it, back up, or to a feature that there is not.

    Args:
        part: A model, or any part of one.
        columns: Features that reach it, as the estimators around it check them.

    Raises:
        ValueError: There is such a tree.
    """
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
    from sklearn.tree._tree import Tree

    if isinstance(part, Tree):
        nodes = part.__getstate__()["nodes"]
        leaf = nodes["left_child"] == -1
        _check_nodes(nodes["left_child"], nodes["right_child"], nodes["feature"], leaf, columns)
    elif isinstance(part, TreePredictor):
        nodes = part.nodes
        if nodes["is_categorical"].any():
            raise ValueError("a tree over categories, which no fit makes")
        leaf = nodes["is_leaf"].astype(bool)
        _check_nodes(
            nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), nodes["feature_idx"], leaf, columns
        )
    elif isinstance(part, dict):
        for one in part.values():
            _check_trees(one, columns)
    elif isinstance(part, list | tuple) or (isinstance(part, np.ndarray) and part.dtype == object):
        for one in part:
            _check_trees(one, columns)
    elif hasattr(part, "__dict__") and not isinstance(part, type):
        here = vars(part).get("n_features_in_")
        _check_trees(vars(part), columns if here is None else min(int(here), columns or int(here)))


def _check_nodes(left: Any, right: Any, feature: Any, leaf: Any, columns: int | None) -> None:
    """Children stand behind their parents, inside the tree: every way down ends."""
    own, inner = np.arange(len(leaf)), ~leaf
    ends = [
        (side[inner] > own[inner]) & (side[inner] < len(leaf)) for side in (left, right)
    ] + [(feature[inner] >= 0) & (feature[inner] < (columns or 0))]  # fmt: skip
    if len(leaf) == 0 or not all(bool(end.all()) for end in ends):
        raise ValueError("a tree that leads out of itself")
