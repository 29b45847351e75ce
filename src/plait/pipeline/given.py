"""Encoders that a fit is given instead of learning them: where they can be from, and whether they suit the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from plait._registry import Registry
from plait.data.readers._base import load_reader
from plait.data.schema import Modality, Schema
from plait.data.table import Table
from plait.encoders._base import ENCODERS
from plait.encoders.cache import weights_digest
from plait.exceptions import InputError, Problems, did_you_mean
from plait.fusion.candidates import Candidate
from plait.pipeline._base import Given
from plait.pipeline.refit import WEIGHTS, load_weights
from plait.pipeline.run import MANIFEST, file_digest, read_manifest
from plait.training.checkpoints import load_into, load_tensors

FORM: Final = "MODALITY=run:FOLDER, or MODALITY=run:FOLDER#NAME where the run calls it NAME"

Source = Callable[[str, str], Given]
"""From what stands behind the prefix, and the modality's name in this fit, to the encoder; raises `InputError`."""

SOURCES: Registry[Source] = Registry("source of encoders")
"""Where encoders can be from, by the prefix of the form: `run:FOLDER` is source `run`."""


def load_given(encoders: Any, schema: Schema | None, table: Table | None, problems: Problems) -> dict[str, Given]:
    """Load every encoder that the caller named, and check that it suits its modality here.

    Args:
        encoders: Forms such as `run:FOLDER` by modality.
        schema: Roles and kinds of the table's columns; None where the table could not be read.
        table: The training table.
        problems: Every mistake is added.

    Returns:
        Those that could be loaded, by modality.
    """
    if not isinstance(encoders, Mapping):
        problems.add(f"encoders is {encoders!r}; give a dict by modality, such as {{'sound': 'run:FOLDER'}}.")
        return {}
    found = {}
    for name, form in encoders.items():
        what = f"--encoder {name}={form}" if form != "" else f"--encoder {name}"
        modality = next((m for m in schema.modalities if m.name == name), None) if schema else None
        if schema and modality is None:
            known = did_you_mean(str(name), [m.name for m in schema.modalities])
            problems.add(f"{what}: the table has no modality {name!r}; {known}.")
        try:
            found[str(name)] = given = _load(str(name), form)
        except InputError as error:
            for problem in error.problems:
                problems.add(f"{what}: {problem}")
            continue
        if schema and modality and table is not None and (misfit := _misfit(given, modality, schema, table)):
            problems.add(f"{what}: {misfit}.")
    return found


def _load(modality: str, form: Any) -> Given:
    prefix, colon, rest = form.partition(":") if isinstance(form, str) else ("", "", "")
    if not colon or not rest:
        raise InputError(f"give {FORM}.")
    if prefix not in SOURCES:
        raise InputError(f"there is no source {prefix!r} of encoders, {did_you_mean(prefix, SOURCES)}; give {FORM}.")
    return SOURCES[prefix](rest, modality)


def _misfit(given: Given, modality: Modality, schema: Schema, table: Table) -> str | None:
    """Why an encoder cannot read a modality of this table."""
    if given.reader.kind != modality.kind:
        return f"{modality.name!r} is {modality.kind} here, and the encoder of {given.told} reads {given.reader.kind}"
    columns = tuple(column for column in schema.columns if column.name in modality.columns)
    why = given.reader.misfit(table, columns)
    return f"the encoder of {given.told} does not suit: {why}" if why else None


@SOURCES.register("run")
def encoder_of_run(place: str, modality: str) -> Given:
    """The encoder of a finished run: as its predictor has it, perhaps fine-tuned, or, where that does not read the
    modality, as the stages of the run left it.

    Args:
        place: FOLDER, or FOLDER#NAME.
        modality: The modality's name in this fit; that of the run where no NAME is given.
    """
    folder, name = _folder_and_name(place)
    name = name or modality
    manifest = read_manifest(folder)
    try:
        entries = list(manifest["modalities"])
        names = [str(entry["name"]) for entry in entries]
        if name not in names:
            raise InputError(f"the run {folder} has no modality {name!r}; {did_you_mean(name, names)}; give {FORM}.")
        entry = entries[names.index(name)]
        reader = load_reader(entry["reader"])
        encoder = ENCODERS[entry["encoder"]].build(reader)
        load_into(encoder, *_weights(folder, manifest, name, names.index(name)))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST} is damaged ({error!r}); restore it, or fit again.") from error
    told = str(folder) if name == modality else f"{name!r} in {folder}"
    return Given(f"run:{place}", told, reader, entry["encoder"], encoder.state_dict(), weights_digest(encoder))


def _folder_and_name(place: str) -> tuple[Path, str]:
    """FOLDER#NAME taken apart: the longest beginning that is a folder; both may hold a #."""
    place = os.path.expanduser(place)
    cuts = list(_cuts(place))
    folder, name = next((cut for cut in cuts if Path(cut[0]).is_dir()), cuts[min(1, len(cuts) - 1)])
    return Path(folder), name


def _cuts(place: str) -> Iterator[tuple[str, str]]:
    """All ways to read it, the longest folder first."""
    yield place, ""
    for position in reversed(range(1, len(place))):
        if place[position] == "#":
            yield place[:position], place[position + 1 :]


def _weights(folder: Path, manifest: Mapping[str, Any], name: str, number: int) -> tuple[dict[str, Tensor], str]:
    """The state dict of an encoder of a run, and the file it is from."""
    predictor = Candidate.model_validate(manifest["decision"])
    used = predictor.used
    if name in predictor.encoded:
        prefix, path, tensors = f"network/{used.index(name)}/encoder.", folder / WEIGHTS, load_weights(folder, manifest)
    else:
        prefix, path = "encoder.", folder / "stages" / f"encode-{number}.safetensors"
        if not path.exists():
            raise InputError(
                f"the predictor of the run {folder} does not use {name!r} but {', '.join(map(repr, used))}, so that "
                f"{WEIGHTS} holds no encoder of it, and {path} is not there; restore it, or fit {folder} again."
            )
        if file_digest(path) != manifest["modalities"][number].get("sha256", file_digest(path)):
            raise InputError(f"{path} was altered since the fit: its checksum differs. Restore it, or fit again.")
        tensors = load_tensors(path)
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}, str(path)
