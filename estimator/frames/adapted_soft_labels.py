"""Soft labels that features gave, with what tells how uncertain they are."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdaptedSoftLabels:
    """Soft labels of rows whose features were read; files name arrays as the fields.

    Attributes
    ----------
    calibrated : ndarray of float64 of shape (n_rows,)
        P(y = 1 | score, features) of each row; NaN where features gave none.
    inflation : ndarray of float64 of shape (n_rows,)
        Factor by which the standard error of the row's map exceeds that of the map of
        the score, from 1 on.
    outside : ndarray of float64 of shape (n_rows,)
        Share of the row's chunk, in [0, 1], that is of a kind hardly found in the
        reference.
    """

    calibrated: Floats
    inflation: Floats
    outside: Floats

    def by_name(self) -> dict[str, Floats]:
        """Return the arrays by the name of their field."""
        return {name: getattr(self, name) for name in ADAPTED_NAMES}

    def take(
        self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice
    ) -> "AdaptedSoftLabels":
        """Return the soft labels of some rows."""
        return AdaptedSoftLabels(
            calibrated=self.calibrated[rows],
            inflation=self.inflation[rows],
            outside=self.outside[rows],
        )

    def spread(self, rows: NDArray[np.int64], n_rows: int) -> "AdaptedSoftLabels":
        """Return soft labels of a whole frame, of which these are some rows'.

        Parameters
        ----------
        rows : ndarray of int64
            Row of the frame of each of these.
        n_rows : int
            Rows of the frame; those not in ``rows`` have no soft label by features.
        """
        out = no_soft_labels(n_rows)
        for name, values in self.by_name().items():
            getattr(out, name)[rows] = values
        return out


ADAPTED_NAMES = tuple(field.name for field in fields(AdaptedSoftLabels))


def no_soft_labels(n_rows: int) -> AdaptedSoftLabels:
    """Return what stands for rows without a soft label by features."""
    return AdaptedSoftLabels(
        calibrated=np.full(n_rows, np.nan),
        inflation=np.ones(n_rows),
        outside=np.zeros(n_rows),
    )


def join_soft_labels(parts: Sequence[AdaptedSoftLabels]) -> AdaptedSoftLabels:
    """Return the soft labels of several runs of rows, one after the other."""
    return AdaptedSoftLabels(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ADAPTED_NAMES
        }
    )
