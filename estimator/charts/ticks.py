"""Where axes have their ticks, and what stands beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from math import ceil, floor, log10
from typing import Final

# Whatever the locale.
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_LONGEST: Final = 9  # letters beside a tick, of labels that are no dates
_MINUS: Final = "−"
# From which value on, divided by what, called what: 9000, but 10k.
_UNITS: Final = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"), (0.0, 1.0, ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A tick of the axis of chunks.

    Attributes
    ----------
    position : int
        Position of the chunk.
    text : str
        Beside the tick.
    below : str
        What the texts from here on have in common, such as the year; "" if unchanged.
    """

    position: int
    text: str
    below: str = ""


def value_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Return round numbers between two values, at most so many, with their texts.

    Parameters
    ----------
    low, high : float
        Ends of the axis, ``low < high``.
    most : int
        Number of ticks, at least 2.

    Examples
    --------
    >>> value_ticks(0.687, 0.842, 4)
    [(0.7000000000000001, '0.70'), (0.75, '0.75'), (0.8, '0.80')]
    >>> [text for _, text in value_ticks(-1.2e6, 2.4e6, 4)]
    ['−1M', '0', '1M', '2M']
    """
    exponent = floor(log10((high - low) / most))
    for mantissa, power in (
        (m, p) for p in (exponent, exponent + 1) for m in (1, 2, 5)
    ):
        step = mantissa * 10.0**power
        first, last = ceil(low / step), floor(high / step)
        if last - first < most:
            break
    largest = max(abs(first), abs(last)) * step
    _, scale, unit = next(entry for entry in _UNITS if largest >= entry[0])
    digits = max(0, -floor(log10(step / scale) + 1e-9))

    def text(i: int) -> str:
        digits_text = f"{i * step / scale:.{digits}f}".replace("-", _MINUS)
        return f"{digits_text}{unit if i else ''}"

    return [(i * step, text(i)) for i in range(first, last + 1)]


def chunk_ticks(labels: Sequence[object], n_reference: int, most: int) -> list[Tick]:
    """Return ticks for chunks: of dates at the first chunk of a day, month or quarter.

    Parameters
    ----------
    labels : sequence
        Labels of the chunks, those of the reference first.
    n_reference : int
    most : int
        Number of ticks that find room.

    Examples
    --------
    >>> weeks = ["2025-12-15", "2025-12-22", "2025-12-29", "2026-01-05", "2026-01-12"]
    >>> [(tick.text, tick.below) for tick in chunk_ticks(weeks, 0, 3)]
    [('Dec', '2025'), ('Jan', '2026')]
    >>> [(tick.position, tick.text) for tick in chunk_ticks([0, 1, 0, 1, 2, 3], 2, 3)]
    [(0, '0'), (2, '0'), (4, '2')]
    """
    dates = _dates(labels)
    if dates is None:
        return _count(labels, n_reference, most)
    timed = any(date.time() != time.min for date in dates)
    for level in _LEVELS[0 if timed else _FIRST_OF_DAYS :]:
        key, text, common = level
        starts = [
            i for i in range(len(dates)) if i == 0 or key(dates[i]) != key(dates[i - 1])
        ]
        if len(starts) <= most:
            break
    positions = _spaced(starts, len(labels) / (most + 1))
    ticks: list[Tick] = []
    shown = ""
    for i in positions:
        below = common(dates[i])
        ticks.append(
            Tick(position=i, text=text(dates[i]), below="" if below == shown else below)
        )
        shown = below
    return ticks


def even_ticks(labels: Sequence[object], most: int) -> list[Tick]:
    """Return ticks for chunks at even distances, from the first to the last.

    Parameters
    ----------
    labels : sequence
        Labels of all chunks.
    most : int
        Number of ticks that find room, at least 2.

    Examples
    --------
    >>> [tick.text for tick in even_ticks(["a", "b", "c", "d", "e"], 3)]
    ['a', 'c', 'e']
    """
    last, n_ticks = len(labels) - 1, min(len(labels), most)
    steps = range(n_ticks)
    positions = sorted({last * i // max(n_ticks - 1, 1) for i in steps})
    return [Tick(position=i, text=str(labels[i])) for i in positions]


def _dates(labels: Sequence[object]) -> list[datetime] | None:
    """Return the wall-clock times that the labels spell, None if any spells none."""
    texts = [label for label in labels if isinstance(label, str)]
    if len(texts) < len(labels):
        return None
    try:
        return [datetime.fromisoformat(text) for text in texts]
    except ValueError:
        return None


def _count(labels: Sequence[object], n_reference: int, most: int) -> list[Tick]:
    """Return every so-maniest chunk, counted anew after the reference."""
    n = len(labels)
    if not n:
        return []
    power = 10 ** max(0, floor(log10(n / most)))
    step = next(m * power for m in (1, 2, 5, 10, 20) if m * power * most >= n)
    positions = [*range(0, n_reference, step), *range(n_reference, n, step)]
    return [
        Tick(position=i, text=_short(str(labels[i])))
        for i in _spaced(positions, n / (most + 1))
    ]


def _spaced(positions: list[int], least: float) -> list[int]:
    """Leave out what would overlap; of the first two the second begins a unit."""
    kept: list[int] = []
    for position in positions:
        if kept and position - kept[-1] < least:
            if len(kept) > 1:
                continue
            kept.pop()
        kept.append(position)
    return kept


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _day(date: datetime) -> str:
    return f"{date.day} {_month(date)}"


def _clock(date: datetime) -> str:
    return f"{date:%H:%M}"


def _month(date: datetime) -> str:
    return _MONTHS[3 * date.month - 3 : 3 * date.month]


def _year(date: datetime) -> str:
    return str(date.year)


def _nothing(date: datetime) -> str:
    return ""


_Said = Callable[[datetime], str]
_Key = Callable[[datetime], tuple[int, ...]]
# When a tick is due, what it says, and what stands below; the finest first.
_LEVELS: Final[tuple[tuple[_Key, _Said, _Said], ...]] = (
    (lambda d: (d.toordinal(), d.hour, d.minute), _clock, _day),
    (lambda d: (d.toordinal(), d.hour // 6), _clock, _day),
    (lambda d: (d.toordinal(),), _day, _year),
    (lambda d: tuple(d.isocalendar())[:2], _day, _year),
    (lambda d: (d.year, d.month), _month, _year),
    (lambda d: (d.year, (d.month - 1) // 3), _month, _year),
    (lambda d: (d.year, (d.month - 1) // 6), _month, _year),
    (lambda d: (d.year,), _year, _nothing),
)
_FIRST_OF_DAYS: Final = 2
