"""Fitted calibrators as plain numeric arrays: saved without pickle, loaded safely."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted


class ArrayStateMixin(BaseEstimator):  # type: ignore[misc]
    """Turn an estimator into named arrays and back, bit for bit.

    Scikit-learn's naming says what is what: names that end in an underscore were
    learned, the others are arguments of the constructor. All must be numbers or arrays.
    """

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return parameters and learned attributes; scalars become 0-d arrays.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        learned = {
            name: value
            for name, value in vars(self).items()
            if name.endswith("_") and not name.startswith("_")
        }
        named = self.get_params(deep=False) | learned
        return {name: np.array(value) for name, value in named.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the estimator that ``to_arrays`` described.

        Raises
        ------
        ValueError
            If an array is not numeric, or names an argument this class does not have.
        """
        values = {name: _from_array(name, array) for name, array in arrays.items()}
        parameters = {k: v for k, v in values.items() if not k.endswith("_")}
        unknown = sorted(parameters.keys() - set(cls._get_param_names()))
        if unknown:
            msg = (
                f"`arrays` must come from `{cls.__name__}.to_arrays`, but holds "
                f"{unknown[0]!r}, which is no argument of it. Check the class it was "
                "saved from, and its version."
            )
            raise ValueError(msg)
        estimator = cls(**parameters)
        for name in values.keys() - parameters.keys():
            setattr(estimator, name, values[name])
        return estimator


def _from_array(name: str, values: NDArray[Any]) -> Any:
    array = np.array(values)  # own copy
    if array.dtype.kind not in "biuf":
        msg = (
            f"`arrays[{name!r}]` must be numeric, got dtype {array.dtype}. "
            "Load the file it came from with `allow_pickle=False`."
        )
        raise ValueError(msg)
    return array.item() if array.ndim == 0 else array
