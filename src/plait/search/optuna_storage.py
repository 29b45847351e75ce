"""Writes the trials of a ledger into an Optuna storage, where optuna-dashboard shows them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from plait.exceptions import InputError, one_line
from plait.search.attempts import NONE, Attempt, State, parameters
from plait.search.strategies.optuna import quiet_optuna

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy import URL

LONGEST_NAME: Final = 400
"""Letters of a study's name; databases hold 512, proposers want some."""


def to_optuna(
    found: Sequence[Attempt], url: str, study_name: str, ended: datetime, facts: dict[str, Any] | None = None
) -> dict[str, int]:
    """Write attempts as studies called `study_name/proposer`: all of them, or, after an error, none.

    One study per proposer: scores of the search are of short trainings, those of what competes in the end of whole
    ones, and one history of both would say nothing; optuna-dashboard lays studies over one another on its page
    "Compare studies", where a strategy is seen against random search; and importances of parameters are those of a
    fair sample in the study of random search, which a strategy's own trials, all alike, are not.

    Args:
        found: What was tried.
        url: Of the database, as SQLAlchemy takes it.
        study_name: What the studies' names begin with.
        ended: When the last attempt ended, in local time; the ledger has seconds alone, and what is told of the others
            follows from them.
        facts: User attributes of the studies.

    Returns:
        How many trials each study has, by name.

    Raises:
        InputError: Optuna is not installed, the database cannot be opened or written, it holds other tables or studies
            of these names, or the name is empty or too long.
    """
    if not 0 < len(study_name) <= LONGEST_NAME:
        raise InputError(
            f"--study-name has {len(study_name)} letters; give one of 1 to {LONGEST_NAME}."
        )  # fmt: skip
    groups: dict[str, list[Attempt]] = {}
    for attempt in found:
        groups.setdefault(f"{study_name}/{attempt.proposer}", []).append(attempt)
    began = ended - timedelta(seconds=max((one.began + one.seconds for one in found), default=0.0))
    with quiet_optuna() as optuna, _opened(optuna, url) as storage:
        taken = sorted({study.study_name for study in storage.get_all_studies()} & groups.keys())
        if taken:
            raise InputError(
                f"{_shown(url)} holds the study {taken[0]!r} already, and nothing was written; give another "
                "--study-name, or another database."
            )
        made: list[str] = []
        try:
            for name, group in groups.items():
                study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
                made.append(name)
                study.set_metric_names(["validation score"])
                for key, value in {"proposer": group[0].proposer, **(facts or {})}.items():
                    study.set_user_attr(key, value)
                _add(storage, study, _trials(group, began))
        except BaseException:
            for name in made:
                optuna.delete_study(study_name=name, storage=storage)
            raise
    return {name: len(group) for name, group in groups.items()}


# The database


@contextmanager
def _opened(optuna: ModuleType, url: str) -> Iterator[RDBStorage]:
    """A storage, closed in the end; what a database has to complain of becomes one sentence.

    Raises:
        InputError: The database cannot be opened or written, or holds other tables.
    """
    from sqlalchemy.exc import SQLAlchemyError

    storage: RDBStorage | None = None
    try:
        _check(url)
        storage = optuna.storages.RDBStorage(url)
        yield storage
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, RuntimeError, OSError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else None
        raise InputError(_unusable(url, cause or error)) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _check(url: str) -> None:
    """Refuse a database that is gone when the command ends, and one with tables of the same names, as our ledger has.

    Raises:
        InputError: It is such a one.
    """
    from sqlalchemy import create_engine, inspect, make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed: URL = make_url(url)
    except (ArgumentError, ValueError) as error:
        meant = f"did you mean sqlite:///{url}?" if url and ":" not in url else "give one as in sqlite:///trials.db."
        raise InputError(f"--to-optuna {_shown(url)} is not the URL of a database; {meant}") from error
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise InputError(
            f"--to-optuna {url} is a database in memory, gone with the command; name a file: sqlite:///trials.db."
        )
    try:
        engine = create_engine(parsed)
        try:
            tables = set(inspect(engine).get_table_names())
        finally:
            engine.dispose()
    except (TypeError, ValueError) as error:  # what follows a question mark is handed to the driver
        raise InputError(_unusable(url, error)) from error
    if "version_info" not in tables and tables & {"trials", "studies"}:
        raise InputError(
            f"--to-optuna {_shown(url)} holds tables that are not Optuna's; name another database, as in "
            "sqlite:///trials.db."
        )


def _unusable(url: str, error: BaseException) -> str:
    """The sentence for a database that complains."""
    told = one_line(getattr(error, "orig", None) or error).rstrip(".")
    return (
        f"--to-optuna {_shown(url)} cannot be used ({told}); give the URL of a database that can be written, as in "
        "sqlite:///trials.db."
    )


def _shown(url: str) -> str:
    """A URL without its password."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url if "@" not in url else f"...@{url.rpartition('@')[2]}"


def _add(storage: RDBStorage, study: Study, trials: Sequence[FrozenTrial]) -> None:
    """Add trials to a study in one transaction.

    `Study.add_trials` takes a transaction and some 60 queries for each, in all 16 ms; the tables as Optuna itself
    describes them, written at once, take less than one. That description is not public: where it is not as it was,
    trials are added one by one.
    """
    try:
        rows = _rows(study, trials)
    except (ImportError, AttributeError, TypeError):
        study.add_trials(trials)
        return
    with storage.scoped_session() as session, session.begin():
        session.add_all([trial for trial, _ in rows])
        session.flush()  # now trials have ids
        for trial, parts in rows:
            for part in parts:
                part.trial_id = trial.trial_id
        session.add_all([part for _, parts in rows for part in parts])


def _rows(study: Study, trials: Sequence[FrozenTrial]) -> list[tuple[Any, list[Any]]]:
    """For each trial its row of Optuna's table of trials, and its rows of other tables."""
    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models

    texts = {name: distribution_to_json(kind) for name, kind in trials[0].distributions.items()}  # of all trials
    made: list[tuple[Any, list[Any]]] = []
    for number, trial in enumerate(trials):
        parts: list[Any] = []
        if trial.value is not None:
            value, sort = models.TrialValueModel.value_to_stored_repr(trial.value)
            parts.append(models.TrialValueModel(objective=0, value=value, value_type=sort))
        for step, score in trial.intermediate_values.items():
            value, sign = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(score)
            told = {"step": step, "intermediate_value": value, "intermediate_value_type": sign}
            parts.append(models.TrialIntermediateValueModel(**told))
        for name, param in trial.params.items():
            amount = trial.distributions[name].to_internal_repr(param)
            parts.append(
                models.TrialParamModel(param_name=name, param_value=amount, distribution_json=texts[name])
            )  # fmt: skip
        for key, fact in trial.user_attrs.items():
            parts.append(models.TrialUserAttributeModel(key=key, value_json=json.dumps(fact)))
        row = models.TrialModel(study_id=study._study_id, number=number, state=trial.state)
        row.datetime_start, row.datetime_complete = trial.datetime_start, trial.datetime_complete
        made.append((row, parts))
    return made


# Trials


def _trials(group: Sequence[Attempt], began: datetime) -> list[FrozenTrial]:
    """Optuna's trials of one proposer's attempts."""
    from optuna.trial import create_trial

    params = parameters([attempt.candidate for attempt in group])
    kinds = _distributions(params)
    made = []
    for attempt, values in zip(group, params, strict=True):
        trial = create_trial(
            state=_state(attempt.state),
            value=attempt.score,
            params=values,
            distributions=kinds,
            user_attrs=_attributes(attempt),
            intermediate_values=attempt.by_passes,
        )
        trial.datetime_start = began + timedelta(seconds=attempt.began)
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=attempt.seconds)
        made.append(trial)
    return made


def _state(state: State) -> TrialState:
    from optuna.trial import TrialState

    return {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}[state]


def _distributions(params: Sequence[dict[str, str | int]]) -> dict[str, BaseDistribution]:
    """What each parameter may be: all that it is in some trial."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for name in params[0]:
        values = {told[name] for told in params}
        numbers = [value for value in values if isinstance(value, int)]
        if numbers:
            found[name] = IntDistribution(min(numbers), max(numbers))
        else:  # in the order of layers; of layers with more digits later
            order = sorted(map(str, values), key=lambda value: (value != NONE, len(value), value))
            found[name] = CategoricalDistribution(order)
    return found


def _attributes(attempt: Attempt) -> dict[str, Any]:
    """What a trial has beside parameters and scores."""
    told: dict[str, Any] = {
        "architecture": attempt.architecture, "name": attempt.candidate.name,
        "kind": attempt.candidate.kind, "proposer": attempt.proposer, "seed": attempt.seed,
        "seconds": round(attempt.seconds, 4), "rung": attempt.rung, "modalities": list(attempt.candidate.used),
    }  # fmt: skip
    if len(attempt.scores) > 1:
        told["scores"] = list(attempt.scores)
    return told
