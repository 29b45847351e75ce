"""A fit: the list of its stages, run one after another in a locked run folder."""

from __future__ import annotations

import math
from pathlib import Path

from plait.data.cache import ArrayCache
from plait.data.digest import key_of
from plait.encoders.threads import contained
from plait.exceptions import InputError, Problems
from plait.pipeline._base import Clock, Fit
from plait.pipeline.cache import CacheStage
from plait.pipeline.choose import ChooseStage
from plait.pipeline.classical import ClassicalStage
from plait.pipeline.decode import DecodeStage
from plait.pipeline.encode import EncodeStage
from plait.pipeline.ensemble import EnsembleStage
from plait.pipeline.evaluate import EvaluateStage
from plait.pipeline.finetune import FinetuneStage
from plait.pipeline.folds import FoldsStage
from plait.pipeline.narrator import LogNarrator, Narrator
from plait.pipeline.options import FitOptions
from plait.pipeline.read import read_source
from plait.pipeline.refit import RefitStage
from plait.pipeline.report import ReportStage
from plait.pipeline.run import RunFolder
from plait.pipeline.screen import ScreenStage
from plait.pipeline.search import SearchStage
from plait.pipeline.split import SplitStage
from plait.pipeline.test import TestStage
from plait.pipeline.thresholds import ThresholdStage


def run_fit(options: FitOptions, out: Path, resume: bool = False, narrator: Narrator | None = None) -> bool:
    """Run every stage that is not done yet.

    Args:
        options: What to do.
        out: The run folder.
        resume: Whether to go on with a run that is there.
        narrator: Told what is being done; by default the log called `plait`.

    Returns:
        Whether anything was left to do.

    Raises:
        InputError: All mistakes of the call together; nothing is left behind by a call that could not begin.
    """
    narrator, options = narrator or LogNarrator(), options.plain()
    problems = Problems()
    clock = Clock(options.limit)
    try:
        RunFolder.check(out, resume)
    except InputError as error:
        problems.collect(error)
    with contained():
        source, given, notes = read_source(options, narrator, problems)
        run = RunFolder(out, resume)
        try:
            fit = Fit(options, run, source, narrator, clock, ArrayCache(), given)
            _go_on(fit)
            run.log(
                "fit", fingerprint=source.fingerprint, seed=options.seed, limit=options.limit, trials=options.trials,
                class_weights=options.class_weights, folds=options.folds,
            )  # fmt: skip
            for sentence in notes:
                fit.note(sentence)
            _stages(fit)
            if run.held_run and not fit.redone:
                narrator.tell(f"The run {out} is finished: there was nothing to do.")
        except InputError:
            if not any(run.stages.glob("encode-*.json")):
                run.discard()
            raise
        finally:
            run.close()
    return fit.redone


def _stages(fit: Fit) -> None:
    SplitStage()(fit)
    DecodeStage()(fit)
    # Under a time limit, what is learned quickly comes first and leaves the rest of its share to the others.
    sizes = [
        (modality.name not in fit.given, math.prod(fit.decoded[modality.name].values.shape[1:]))
        for modality in fit.modalities
    ]
    for number in sorted(range(len(sizes)), key=lambda number: (sizes[number], number)):
        EncodeStage(fit.modalities[number].name, number)(fit)
    fit.networks = {modality.name: fit.networks[modality.name] for modality in fit.modalities}
    for stage in (
        CacheStage(),
        ScreenStage(),
        ClassicalStage(),
        SearchStage(),
        EvaluateStage(),
        FoldsStage(),
        EnsembleStage(),
        ChooseStage(),
        FinetuneStage(),
        ThresholdStage(),
        RefitStage(),
        TestStage(),
        ReportStage(),
    ):
        stage(fit)


def _go_on(fit: Fit) -> None:
    """Compare with the call that began the run: refuse other targets, tell of other rows, charge the time spent.

    Raises:
        InputError: The run learns other targets.
    """
    targets = sorted(column.name for column in fit.source.schema.targets)
    key = key_of([fit.source.fingerprint, str(fit.options.seed)])
    begun = fit.run.marker("begin")
    if begun is not None and begun["result"]["targets"] != targets:
        was, now = (", ".join(map(repr, names)) for names in (begun["result"]["targets"], targets))
        raise InputError(
            f"The run {fit.run.path} learns {was}, not {now}; give another --out, or the same --target to go on."
        )
    if begun is not None and begun["key"] != key:
        fit.note("The tables, the kinds of their columns or the seed are not those this run began with: all is redone.")
    elif begun is not None:
        fit.clock.spent = _spent(fit.run)
    wanted = {
        "targets": targets,
        **{name: getattr(fit.options, name) for name in ("strategy", "trials", "metric", "class_weights", "folds")},
    }
    wanted["encoders"] = ", ".join(f"{name}={form}" for name, form in sorted(fit.options.encoders.items())) or None
    if begun is not None and begun["key"] == key:
        changed = [
            f"{n} was {begun['result'].get(n)}, is {v}" for n, v in wanted.items() if begun["result"].get(n) != v
        ]
        if changed:
            fit.note(f"Not as this run began: {'; '.join(changed)}. What depends on it is redone and replaced.")
    if begun is None or begun["key"] != key or begun["result"] != wanted:
        fit.run.mark("begin", key, wanted, 0.0)


def _spent(run: RunFolder) -> float:
    """Seconds that earlier calls spent on stages they finished."""
    found = [run.marker(path.stem) for path in run.stages.glob("*.json")]
    return float(sum(marker.get("seconds", 0.0) for marker in found if marker))
