"""A fit: the list of its stages, run one after another in a locked run folder."""

from __future__ import annotations

from pathlib import Path

from plait.data.cache import ArrayCache
from plait.encoders.threads import contained
from plait.exceptions import InputError, Problems
from plait.pipeline._base import Clock, Fit
from plait.pipeline.cache import CacheStage
from plait.pipeline.choose import ChooseStage
from plait.pipeline.decode import DecodeStage
from plait.pipeline.encode import EncodeStage
from plait.pipeline.evaluate import EvaluateStage
from plait.pipeline.narrator import Narrator
from plait.pipeline.options import FitOptions
from plait.pipeline.read import read_source
from plait.pipeline.refit import RefitStage
from plait.pipeline.report import ReportStage
from plait.pipeline.run import RunFolder
from plait.pipeline.split import SplitStage
from plait.pipeline.test import TestStage


def run_fit(options: FitOptions, out: Path, resume: bool = False, narrator: Narrator | None = None) -> bool:
    """Run every stage that is not done yet.

    Args:
        options: What to do.
        out: The run folder.
        resume: Whether to go on with a run that is there.
        narrator: Told what is being done.

    Returns:
        Whether anything was left to do.

    Raises:
        InputError: All mistakes of the call together; nothing is left behind by a call that could not begin.
    """
    narrator = narrator or Narrator()
    problems = Problems()
    clock = Clock(options.limit)
    try:
        RunFolder.check(out, resume)
    except InputError as error:
        problems.collect(error)
    with contained():
        source, notes = read_source(options, narrator, problems)
        run = RunFolder(out, resume)
        try:
            clock.spent = _spent(run)
            fit = Fit(options, run, source, narrator, clock, ArrayCache())
            run.log(
                "fit", fingerprint=source.fingerprint, seed=options.seed, limit=options.limit, trials=options.trials
            )
            for sentence in notes:
                fit.note(sentence)
            _stages(fit)
        except InputError:
            if run.marker("decode") is None:
                run.discard()
            raise
        finally:
            run.close()
    return fit.redone


def _stages(fit: Fit) -> None:
    SplitStage()(fit)
    DecodeStage()(fit)
    for number, modality in enumerate(fit.modalities):
        EncodeStage(modality.name, number)(fit)
    for stage in (CacheStage(), EvaluateStage(), ChooseStage(), RefitStage(), TestStage(), ReportStage()):
        stage(fit)


def _spent(run: RunFolder) -> float:
    """Seconds that earlier calls spent on stages they finished."""
    found = [run.marker(path.stem) for path in run.stages.glob("*.json")]
    return float(sum(marker.get("seconds", 0.0) for marker in found if marker))
