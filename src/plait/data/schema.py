"""The schema of a table: the role and kind of every column, and which inputs form which modality."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from plait.exceptions import InputError, did_you_mean

Role = Literal["input", "target", "group", "split", "ignored"]
InputKind = Literal["image", "audio", "text", "series", "vector", "molecule", "video", "numeric", "categorical", "date"]
TaskKindName = Literal["binary", "multiclass", "ordinal", "multilabel", "regression"]

ROLES: tuple[str, ...] = get_args(Role)
INPUT_KINDS: tuple[str, ...] = get_args(InputKind)
TASK_KINDS: tuple[str, ...] = get_args(TaskKindName)

TABULAR_KINDS = frozenset({"numeric", "categorical", "date"})
"""Input kinds whose columns stand together in the one modality called `tabular`."""

MEDIA_KINDS = frozenset({"image", "audio", "video"})
"""Input kinds whose cells are files: a path, bytes, or a struct of both."""

_ONE: Final[tuple[Role, ...]] = ("group", "split")

TABULAR, SET = "tabular", "set"
SCHEMA_VERSION = 1


class Column(BaseModel):
    """One column: what it is for (`role`), what it holds (`kind`), why plait thinks so (`reason`), what speaks against
    it (`doubt`, half a sentence), which modality it is part of (`modality`, of inputs; by default one of its own, or
    `tabular`), and its classes from the least on (`order`, of ordinal targets of text). The last three are left out of
    files where there is nothing in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    role: Role
    kind: str | None = None
    reason: str = ""
    doubt: str = ""
    modality: str = ""
    order: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        return {name: value for name, value in content.items() if name not in ("doubt", "modality", "order") or value}

    @property
    def belongs(self) -> str:
        """The modality that an input column is part of."""
        return self.modality or (TABULAR if self.kind in TABULAR_KINDS else self.name)

    @property
    def told(self) -> str:
        """Reason and doubt in one sentence."""
        return f"{self.reason}, though {self.doubt}" if self.doubt else self.reason


class Modality(BaseModel):
    """A group of input columns that one encoder reads; `kind` is `set` where they are several that hold files, vectors,
    series or text, and `items` is then the kind of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: str
    items: str = ""
    columns: tuple[str, ...]


def _wrong(column: Column) -> str | None:
    """What is wrong with a column's kind or order; a target may have no kind: `fit` then says so."""
    if column.role == "input" and column.kind not in INPUT_KINDS:
        return f"there is no kind {column.kind!r} of an input; {did_you_mean(str(column.kind), INPUT_KINDS)}"
    if column.order and (column.role, column.kind) != ("target", "ordinal"):
        return "it has an order, which only a target of the kind 'ordinal' has"
    if len(set(column.order)) < len(column.order):
        return "its order names a class twice"
    if column.role == "target" and column.kind not in (None, *TASK_KINDS):
        return f"there is no kind {column.kind!r} of a target; {did_you_mean(str(column.kind), TASK_KINDS)}"
    return None


class Schema(BaseModel):
    """Role and kind of every column of a table, in the table's order; JSON round trip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=SCHEMA_VERSION, ge=1)
    columns: tuple[Column, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = [f"column {column.name!r}: {wrong}" for column in self.columns if (wrong := _wrong(column))]
        names = Counter(column.name for column in self.columns)
        problems += [f"column {name!r} stands there {count} times" for name, count in names.items() if count > 1]
        for role in _ONE:
            if (count := len(self.named(role))) > 1:
                problems.append(f"{count} columns have the role {role}, at most one can")
        for name, members in self._together().items():
            kinds = sorted({TABULAR if column.kind in TABULAR_KINDS else str(column.kind) for column in members})
            if len(kinds) > 1:
                held = ", ".join(f"{column.name!r} ({column.kind})" for column in members)
                problems.append(f"the modality {name!r} is of several kinds: {held}; give those of one kind")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def named(self, role: Role) -> tuple[Column, ...]:
        """The columns of one role, in the table's order."""
        return tuple(column for column in self.columns if column.role == role)

    @property
    def targets(self) -> tuple[Column, ...]:
        """The columns to learn."""
        return self.named("target")

    @property
    def group(self) -> str | None:
        """The column whose values must not be torn apart by a split, if there is one."""
        return next((column.name for column in self.named("group")), None)

    @property
    def split(self) -> str | None:
        """The column that says which rows are for training, validation and test, if there is one."""
        return next((column.name for column in self.named("split")), None)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The input columns by modality: media, vectors, series and text each alone, the rest as `tabular`, but for
        those that are said to belong together. `tabular` comes last."""
        found = []
        for name, members in self._together().items():
            kind = TABULAR if members[0].kind in TABULAR_KINDS else str(members[0].kind)
            items = kind if kind != TABULAR and len(members) > 1 else ""
            columns = tuple(column.name for column in members)
            found.append(Modality(name=name, kind=SET if items else kind, items=items, columns=columns))
        return tuple(sorted(found, key=lambda modality: modality.name == TABULAR))

    def _together(self) -> dict[str, list[Column]]:
        """Input columns by modality."""
        found: dict[str, list[Column]] = {}
        for column in self.named("input"):
            found.setdefault(column.belongs, []).append(column)
        return found

    def kind_of(self, name: str) -> str | None:
        """The kind of the column called `name`."""
        return next(column.kind for column in self.columns if column.name == name)

    def without(self, names: dict[str, str]) -> Schema:
        """The same schema with some columns ignored; `names` maps each to the reason."""
        return self.model_copy(
            update={
                "columns": tuple(
                    column.model_copy(
                        update={"role": "ignored", "reason": names[column.name], "doubt": "", "modality": ""}
                    )
                    if column.name in names
                    else column
                    for column in self.columns
                )
            }
        )

    def to_json(self) -> str:
        """The schema as indented JSON, ready to be edited by hand."""
        return json.dumps(self.model_dump(), indent=2, ensure_ascii=False)

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Read a `schema.json`.

        Raises:
            InputError: The file is missing, is not JSON, or says something a schema cannot say.
        """
        try:
            content = json.loads(Path(path).read_bytes())
            _refuse_newer(content, path)
            return cls.model_validate(content)
        except OSError as error:
            raise InputError(
                f"The schema {path} cannot be read ({error.strerror}). `plait schema TABLE --out {path}` writes one."
            ) from error
        except ValidationError as error:
            raise InputError(_not_valid(path, "; ".join(map(_told, error.errors()[:10])))) from error
        except (ValueError, RecursionError) as error:
            raise InputError(_not_valid(path, f"it is not JSON ({error})")) from error


def _refuse_newer(content: Any, path: str | Path) -> None:
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InputError(
            f"The schema {path} has version {version}; this plait reads up to {SCHEMA_VERSION}. "
            "Use a newer plait, or write the schema again with `plait schema`."
        )


def _not_valid(path: str | Path, why: str) -> str:
    return f"The schema {path} is not valid: {why}. `plait schema TABLE --out FILE` writes a valid one to start from."


def _told(mistake: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in mistake["loc"])
    return f"{place}: {mistake['msg']}" if place else str(mistake["msg"]).removeprefix("Value error, ")
