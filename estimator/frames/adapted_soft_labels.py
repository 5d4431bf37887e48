"""Soft labels that features gave, with what tells how uncertain they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdaptedSoftLabels:
    """Soft labels of rows whose features were read.

    Attributes
    ----------
    calibrated : ndarray of float64 of shape (n_rows,)
        P(y = 1 | score, features) of each row; NaN where features gave none.
    inflation : ndarray of float64 of shape (n_rows,)
        Factor by which the standard error of the row's map exceeds that of the map of
        the score, from 1 on.
    unknown_shift : ndarray of float64 of shape (n_rows,)
        How far the calibration of the row's chunk may have shifted unseen, in units of
        ``AdaptingSettings.unknown_shift``: at least the share of the chunk that is of a
        kind hardly found in the reference, and more where a label shift is uncertain.
    """

    calibrated: Floats
    inflation: Floats
    unknown_shift: Floats

    def by_name(self) -> dict[str, Floats]:
        """Return the arrays by the name that files have for them."""
        arrays = self.calibrated, self.inflation, self.unknown_shift
        return dict(zip(ADAPTED_NAMES, arrays, strict=True))

    def take(
        self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice
    ) -> "AdaptedSoftLabels":
        """Return the soft labels of some rows."""
        return soft_labels_by_name(
            {name: values[rows] for name, values in self.by_name().items()}
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
        for whole, part in zip(
            out.by_name().values(), self.by_name().values(), strict=True
        ):
            whole[rows] = part
        return out


# What files call the arrays; the last has its name from the first cause of a shift.
ADAPTED_NAMES = ("calibrated", "inflation", "outside")


def soft_labels_by_name(arrays: Mapping[str, Floats]) -> AdaptedSoftLabels:
    """Return the soft labels whose arrays have the names of files."""
    calibrated, inflation, unknown_shift = (arrays[name] for name in ADAPTED_NAMES)
    return AdaptedSoftLabels(
        calibrated=calibrated, inflation=inflation, unknown_shift=unknown_shift
    )


def no_soft_labels(n_rows: int) -> AdaptedSoftLabels:
    """Return what stands for rows without a soft label by features."""
    return AdaptedSoftLabels(
        calibrated=np.full(n_rows, np.nan),
        inflation=np.ones(n_rows),
        unknown_shift=np.zeros(n_rows),
    )


def join_soft_labels(parts: Sequence[AdaptedSoftLabels]) -> AdaptedSoftLabels:
    """Return the soft labels of several runs of rows, one after the other."""
    by_name = [part.by_name() for part in parts]
    return soft_labels_by_name(
        {
            name: np.concatenate([arrays[name] for arrays in by_name])
            for name in ADAPTED_NAMES
        }
    )
