"""The schema: roles, modalities, and its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from plait.data.schema import INPUT_KINDS, TASK_KINDS, Column, Modality, Schema
from plait.exceptions import InputError

SOME = Schema(
    columns=(
        Column(name="photo", role="input", kind="image"),
        Column(name="size", role="input", kind="numeric"),
        Column(name="label", role="target", kind="binary"),
        Column(name="view", role="input", kind="vector"),
        Column(name="ward", role="input", kind="categorical"),
        Column(name="patient", role="group"),
        Column(name="part", role="split"),
        Column(name="id", role="ignored", reason="looks like an id"),
    )
)


def test_modalities_in_order_with_table_columns_together() -> None:
    assert SOME.modalities == (
        Modality(name="photo", kind="image", columns=("photo",)),
        Modality(name="view", kind="vector", columns=("view",)),
        Modality(name="tabular", kind="tabular", columns=("size", "ward")),
    )
    assert SOME.group == "patient"
    assert SOME.split == "part"
    assert [column.name for column in SOME.targets] == ["label"]
    assert SOME.kind_of("view") == "vector"
    assert Schema(columns=()).modalities == ()
    assert Schema(columns=()).group is None


def test_without_ignores_columns_and_says_why() -> None:
    fewer = SOME.without({"photo": "no encoder"})
    assert fewer.columns[0] == Column(name="photo", role="ignored", kind="image", reason="no encoder")
    assert [modality.name for modality in fewer.modalities] == ["view", "tabular"]
    assert len(SOME.modalities) == 3


def test_a_doubt_is_kept_where_there_is_one() -> None:
    column = Column(name="n", role="input", kind="numeric", reason="numbers", doubt="they count the rows")
    assert column.told == "numbers, though they count the rows"
    assert column.model_dump()["doubt"] == "they count the rows"
    assert Schema(columns=(column,)).without({"n": "of no use"}).columns[0].told == "of no use"
    plain = json.loads(SOME.to_json())["columns"]
    assert all(set(entry) == {"name", "role", "kind", "reason"} for entry in plain)
    assert Schema.model_validate({"columns": plain}) == SOME


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    names = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=8, unique=True))
    columns, single = [], ["group", "split"]
    for name in names:
        role = draw(st.sampled_from(["input", "target", "ignored", *single]))
        if role in single:
            single.remove(role)
        kinds = {"input": INPUT_KINDS, "target": (None, *TASK_KINDS)}.get(role, (None,))
        columns.append(
            Column(
                name=name,
                role=role,
                kind=draw(st.sampled_from(kinds)),
                reason=draw(st.text(max_size=5)),
                doubt=draw(st.text(max_size=2)),
            )
        )
    return Schema(columns=tuple(columns))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schema=schemas())
def test_round_trip_through_the_file(schema: Schema, tmp_path: Path) -> None:
    try:
        text = schema.to_json().encode()
    except UnicodeEncodeError:  # half characters in a reason, which no file can hold
        return
    (tmp_path / "schema.json").write_bytes(text)
    assert Schema.load(tmp_path / "schema.json") == schema
    (tmp_path / "schema.json").write_bytes(b"\xef\xbb\xbf" + text)
    assert Schema.load(str(tmp_path / "schema.json")) == schema


@settings(deadline=None)
@given(schema=schemas())
def test_every_input_is_in_one_modality(schema: Schema) -> None:
    told = [name for modality in schema.modalities for name in modality.columns]
    assert sorted(told) == sorted(column.name for column in schema.named("input"))
    assert len(told) == len(set(told))


def column(name: str = "a", role: str = "input", **more: Any) -> dict[str, Any]:
    return {"name": name, "role": role, "kind": "numeric" if role == "input" else None, **more}


BROKEN: dict[str, tuple[Any, str]] = {
    "text": ("{not json", "it is not JSON (Expecting property name"),
    "empty": ("", "it is not JSON (Expecting value"),
    "latin-1": ('{"columns": "\xef"}'.encode("latin-1"), "it is not JSON ("),
    "deep": ("[" * 100_000, "it is not JSON (maximum recursion depth"),
    "list": ([], "Input should be a valid dictionary"),
    "no columns": ({"version": 1}, "columns: Field required"),
    "unknown word": ({"columns": [column(colour="red")]}, "columns.0.colour: Extra inputs are not permitted"),
    "role": ({"columns": [column(role="guess")]}, "columns.0.role: Input should be 'input', 'target', 'group'"),
    "version zero": ({"version": 0, "columns": []}, "version: Input should be greater than or equal to 1"),
    "kind": (
        {"columns": [column(kind="imge")]},
        "column 'a': there is no kind 'imge' of an input; did you mean image?",
    ),
    "no kind": ({"columns": [column(kind=None)]}, "column 'a': there is no kind None of an input"),
    "target kind": ({"columns": [column(role="target", kind="numeric")]}, "there is no kind 'numeric' of a target"),
    "twice": ({"columns": [column(), column(role="ignored")]}, "column 'a' stands there 2 times"),
    "groups": ({"columns": [column(role="group"), column("b", role="group")]}, "2 columns have the role group"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_told(case: str, tmp_path: Path) -> None:
    content, expected = BROKEN[case]
    path = tmp_path / "schema.json"
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    with pytest.raises(InputError) as told:
        Schema.load(path)
    message = str(told.value)
    assert message.startswith(f"The schema {path} is not valid: ")
    assert expected in message
    assert message.endswith("`plait schema TABLE --out FILE` writes a valid one to start from.")


def test_all_that_is_wrong_is_told_together(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(
        json.dumps({"columns": [column(kind="x"), column("b", role="target", kind="y"), column("b", kind="z")]})
    )
    with pytest.raises(InputError) as told:
        Schema.load(path)
    assert all(word in str(told.value) for word in ("'x'", "'y'", "'z'", "'b' stands there 2 times"))


def test_a_newer_file_is_told_even_if_it_says_new_things(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"version": 9, "columns": [], "moods": []}))
    with pytest.raises(InputError) as told:
        Schema.load(path)
    assert f"The schema {path} has version 9; this plait reads up to 1. Use a newer plait" in str(told.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError) as told:
        Schema.load(tmp_path / "none.json")
    assert "none.json cannot be read (No such file or directory). `plait schema TABLE --out" in str(told.value)
    with pytest.raises(InputError, match="cannot be read"):
        Schema.load(tmp_path)


def test_a_schema_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        SOME.version = 2  # type: ignore[misc]
