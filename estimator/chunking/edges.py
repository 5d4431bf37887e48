"""The caller's own chunk boundaries: increasing timestamps."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from estimator.frames.datetimes import (
    Moments,
    TimeZone,
    Unit,
    check_years,
    iso_format,
    localize,
    moments,
    parse_datetimes,
    wall_clock,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Edges:
    """Chunk `j` is [edge j, edge j + 1); what lies outside makes an open chunk.

    Attributes
    ----------
    values : ndarray of datetime64
        UTC, or wall-clock time in whatever zone the data has if `timezone` is None.
    timezone : str, tzinfo or None
    """

    values: Moments
    timezone: TimeZone

    @classmethod
    def parse(cls, chunk: Iterable[object]) -> Self:
        """Read timestamps, dates or ISO strings.

        Raises
        ------
        TypeError, ValueError
            If they are no timestamps, or do not strictly increase.
        """
        dtype = getattr(chunk, "dtype", None)
        if isinstance(chunk, pd.DatetimeIndex) or getattr(dtype, "kind", "") == "M":
            dates: Any = chunk  # an array or a series of NumPy's or pandas' dates
            values, timezone = moments(pd.DatetimeIndex(dates))
        else:
            items = list(chunk)
            objects = np.empty(len(items), dtype=object)
            objects[:] = items
            values, timezone = parse_datetimes(objects, "`chunk`")
        wrong = np.flatnonzero(np.isnat(values))
        if values.size == 0 or wrong.size or values.ndim > 1:
            got = f"none at position {wrong[0]}" if wrong.size else "an empty sequence"
            got = f"shape {values.shape}" if values.ndim > 1 else got
            msg = (
                f"`chunk` must hold timestamps, got {got}. Give at least one boundary, "
                "an offset alias such as 'W', or a row count."
            )
            raise ValueError(msg)
        check_years(values, timezone, "`chunk`", first=1)
        falling = np.flatnonzero(values[1:] <= values[:-1])
        if falling.size:
            position = int(falling[0])
            msg = (
                "`chunk` must hold strictly increasing timestamps, but position "
                f"{position + 1} ({values[position + 1]}) does not lie after position "
                f"{position} ({values[position]}). "
                "Sort them and drop duplicates: sorted(set(chunk))."
            )
            raise ValueError(msg)
        return cls(values=values, timezone=timezone)

    def between(
        self, first: np.datetime64, last: np.datetime64, timezone: TimeZone
    ) -> tuple[Moments, list[str]]:
        """Return start (UTC) and label of each chunk from `first` to `last`.

        Raises
        ------
        ValueError
            If the boundaries have a time zone and the rows have none.
        """
        if self.timezone is not None and timezone is None:
            msg = (
                f"`chunk` has timestamps in {self.timezone}, but the rows' have no "
                'time zone. Give the rows theirs, column.dt.tz_localize("UTC"), or '
                "strip the boundaries'."
            )
            raise ValueError(msg)
        edges = self.values
        if self.timezone is None:
            edges = np.unique(localize(edges, timezone))
        unit = _label_unit(wall_clock(edges, timezone))
        label = _format(edges, timezone, unit)
        low, high = (_n_reached(edges, end) for end in (first, last))
        if low > 0:
            return edges[low - 1 : high], label[low - 1 : high]
        # The leading open chunk is called after its first row. Only starts after the
        # first cut, so it needs to be there, not to have a value.
        row = np.array([first])
        row_unit = _label_unit(wall_clock(row, timezone))
        opening = _format(row, timezone, unit if row_unit == "D" else row_unit)
        return np.concatenate([edges[:1], edges[:high]]), [*opening, *label[:high]]


def _n_reached(edges: Moments, moment: np.datetime64) -> int:
    """Count the boundaries up to a moment, whichever of the two has the finer unit."""
    # The coarser unit: the finer one may overflow.
    if np.promote_types(edges.dtype, moment.dtype) == edges.dtype:
        # The first tick of the coarser unit that is not before the boundary.
        coarse = edges.astype(moment.dtype)
        ticks = coarse.astype(np.int64) + (coarse.astype(edges.dtype) < edges)
    else:
        moment = moment.astype(edges.dtype)  # rounds down, as the comparison does
        ticks = edges.astype(np.int64)
    return int(np.searchsorted(ticks, moment.astype(np.int64), side="right"))


def _label_unit(wall: Moments) -> Unit:
    """Coarsest unit that writes every moment without loss."""
    units: tuple[Unit, ...] = ("D", "s", "ms", "us")
    exact = (u for u in units if np.array_equal(wall.astype(f"M8[{u}]"), wall))
    return next(exact, "ns")


def _format(utc: Moments, timezone: TimeZone, unit: Unit) -> list[str]:
    if unit == "D":
        dates: list[str] = np.datetime_as_string(
            wall_clock(utc, timezone), unit="D"
        ).tolist()
        return dates
    return iso_format(utc, timezone, unit)
