"""Numbers as people read them: a sensible count of digits, a real minus sign, a dash for what does not exist."""

from __future__ import annotations

import math
import unicodedata
from typing import Final

DASH: Final = "\N{EN DASH}"
"""Stands where a figure is undefined."""

MINUS: Final = "\N{MINUS SIGN}"

MOST_LETTERS: Final = 64
"""Of a text in a drawing: accents that pile up have no width of their own."""

POWERS: Final = {6: "million", 9: "billion", 12: "trillion"}
RAISED: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def is_known(value: float | None) -> bool:
    """Whether there is a figure to show."""
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int = 3) -> str:
    """A number with `digits` decimals below 10, fewer above, powers of ten where decimals would hide it.

    Example:
        >>> number(0.97035), number(1234.5), number(None), number(0.00002)
        ('0.970', '1,234', '–', '2.0e-05')
    """
    if value is None or not math.isfinite(value):
        return DASH
    return (MINUS if value < 0 else "") + _written(abs(value), digits)


def _written(size: float, digits: int) -> str:
    if size >= 1e7 or 0 < size < 0.5 * 10**-digits:
        return f"{size:.1e}"
    places = max(0, min(digits, 3 - int(math.log10(size)))) if size >= 10 else digits
    return f"{size:,.{places}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """A number with its sign.

    Example:
        >>> signed(0.5, 1)
        '+0.5'
    """
    text = number(value, digits)
    return f"+{text}" if value is not None and math.isfinite(value) and value > 0 else text


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """Both ends, or a dash where either is unknown.

    Example:
        >>> interval(0.9, 0.95), interval(None, None)
        ('0.900 to 0.950', '–')
    """
    if not (is_known(low) and is_known(high)):
        return DASH
    return f"{number(low, digits)} to {number(high, digits)}"


def count(value: int) -> str:
    """A whole number with commas between thousands."""
    return f"{value:,}"


def counted(value: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    Example:
        >>> counted(1, "row"), counted(1200, "row")
        ('1 row', '1,200 rows')
    """
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as a percentage, never rounded to 0 or 100 unless it is.

    Example:
        >>> percent(0.25), percent(0.0004), percent(0.9999), percent(1.0)
        ('25 %', '< 1 %', '> 99 %', '100 %')
    """
    if share is None or not math.isfinite(share):
        return DASH
    if 0 < share < 0.005:
        return "< 1 %"
    if 0.995 <= share < 1:
        return "> 99 %"
    return f"{100 * share:.0f} %"


def duration(seconds: float | None) -> str:
    """A time span in the unit that suits it.

    Example:
        >>> duration(0.046), duration(4.42), duration(192), duration(7500)
        ('46 ms', '4.4 s', '3 min 12 s', '2 h 05 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 0.001:
        return "< 1 ms"
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def short(text: object, length: int = 48) -> str:
    """Text cut to a length, with an ellipsis where something is left out.

    Example:
        >>> short("a very long name", 8)
        'a very…'
    """
    whole = " ".join(str(text).split()) or "(no name)"
    return whole if len(whole) <= length else f"{whole[: length - 1].rstrip()}…"


def fitted(text: str, pixels: float) -> str:
    """Text cut to what fits into a width at 12 pixels of size, by a generous guess of every letter's width.

    Example:
        >>> fitted("a very long name", 60)
        'a very l…'
    """
    whole = " ".join(text.split()) or "(no name)"
    if breadth(whole) <= pixels and len(whole) <= MOST_LETTERS:
        return whole
    room = pixels - breadth("…")
    kept = ""
    for letter in whole:
        room -= breadth(letter)
        if room < 0 or len(kept) == MOST_LETTERS:
            break
        kept += letter
    return f"{kept.rstrip()}…"


def breadth(text: str) -> float:
    """About how many pixels a text is wide at 12 pixels of size; rather more than less."""
    return sum(map(_letter, text))


def _letter(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 12.2
    if letter in "ijltfrI.,:;|!'()[] ":
        return 4.2
    return 9.4 if letter.isupper() or letter in "mwMW@%…" or ord(letter) > 0x2FF else 7.0


def large(value: int) -> str:
    """A count that may be beyond imagination, in words or as a power of ten.

    Example:
        >>> large(84_210), large(1_234_567_890), large(12 * 10**30)
        ('84,210', '1.2 billion', '1.2 × 10³¹')
    """
    digits = len(str(value)) - 1
    if digits < 6:
        return f"{value:,}"
    power = digits - digits % 3 if digits < 15 else digits
    tenths = (value + 10**power // 20) // (10**power // 10)  # whole numbers: a float may not hold it
    text = f"{tenths // 10}.{tenths % 10}" if tenths < 1000 or power not in POWERS else f"{tenths // 10:,}"
    if power in POWERS:
        return f"{text} {POWERS[power]}"
    return f"{text} \N{MULTIPLICATION SIGN} 10{str(power).translate(RAISED)}"
