"""Dates, checked against the standard library's calendar."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.data.dates import date_parts, is_date

UTC = datetime.UTC


def expected(stamp: datetime.datetime) -> list[float]:
    """Days, month, weekday, hour by the standard library."""
    seconds = (stamp - datetime.datetime(1970, 1, 1, tzinfo=UTC)) // datetime.timedelta(seconds=1)
    return [seconds / 86_400, stamp.month, stamp.weekday(), stamp.hour + stamp.minute / 60]


@settings(deadline=None)
@given(st.lists(st.none() | st.datetimes(timezones=st.just(UTC)), min_size=1))
def test_parts_are_the_calendars(stamps: list[datetime.datetime | None]) -> None:
    for column in (
        pa.array(stamps, pa.timestamp("us", "UTC")),
        pa.array([stamp and stamp.replace(tzinfo=None) for stamp in stamps], pa.timestamp("us")),
        pa.array([stamp and stamp.isoformat() for stamp in stamps], pa.string()),
    ):
        parts, bad = date_parts(pa.chunked_array([column]))
        assert not bad.any()
        for row, stamp in enumerate(stamps):
            np.testing.assert_allclose(
                parts[row], [np.nan] * 4 if stamp is None else expected(stamp), rtol=1e-12, atol=1e-9
            )


@settings(deadline=None)
@given(st.lists(st.dates(), min_size=1))
def test_days_as_dates_text_and_numbers(days: list[datetime.date]) -> None:
    spelled = [int(day.isoformat().replace("-", "")) for day in days]
    forms = [pa.array(days), pa.array(days, pa.date64()), pa.array([day.isoformat() for day in days])]
    if all(number >= 10_000_000 for number in spelled):
        forms.append(pa.array(spelled))
    found = [date_parts(pa.chunked_array([form])) for form in forms]
    assert not any(bad.any() for _, bad in found)
    for parts, _ in found[1:]:
        np.testing.assert_array_equal(parts, found[0][0])


def test_offsets_are_brought_to_utc() -> None:
    parts, _ = date_parts(pa.chunked_array([["2024-03-01T01:30:00+02:00", "2024-02-29 23:30"]]))
    np.testing.assert_array_equal(parts[0], parts[1])
    assert parts[0, 1:].tolist() == [2.0, 3.0, 23.5]


def test_bad_and_empty_cells() -> None:
    cells = ["2024-02-30", " 2024-01-01 ", "", "  ", None, "01/02/2024", "soon"]
    parts, bad = date_parts(pa.chunked_array([cells[:3], cells[3:]]))
    assert bad.tolist() == [True, False, False, False, False, True, True]
    assert np.isnan(parts).all(1).tolist() == [True, False, True, True, True, True, True]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_ends_of_time(unit: str) -> None:
    extremes = pa.array([-(2**63) + 1, 2**63 - 1, 0, None], pa.timestamp(unit))
    parts, bad = date_parts(pa.chunked_array([extremes]))
    far = unit in ("s", "ms", "us")
    assert bad.tolist() == [far, far, False, False]
    assert parts[2].tolist() == [0, 1, 3, 0]
    assert np.isnan(parts[3]).all()


def test_an_unknown_time_zone_does_no_harm() -> None:
    parts, bad = date_parts(pa.chunked_array([pa.array([0], pa.timestamp("ms", "Nowhere/Land"))]))
    assert parts[0].tolist() == [0, 1, 3, 0]
    assert not bad.any()


@pytest.mark.parametrize(
    "text", ["2024-02-29", "2024-02-29T12:30", "2024-02-29 12:30:00.5+01:00", "2024-02-29T12:30:00Z"]
)
def test_what_is_a_date(text: str) -> None:
    assert is_date(text)


@pytest.mark.parametrize(
    "text",
    ["2023-02-29", "20240229", "2024", "2024-2-9", "29.02.2024", "2024-02-29T", "2024-02-29 noon", "", "²024-01-01"],
)
def test_what_is_none(text: str) -> None:
    assert not is_date(text)
