"""Fitted calibrators as plain numeric arrays: saved without pickle, loaded safely."""

import inspect
from collections.abc import Mapping
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted


class ArrayStateMixin(BaseEstimator):
    """Turn an estimator into named arrays and back, bit for bit.

    Parameters of the constructor must be numbers; what is learned must be arrays, each
    annotated in the class under a name that ends in an underscore.
    """

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return copies of parameters, as 0-d arrays, and of what was learned.

        Returns
        -------
        dict of str to ndarray
            Parameters and what was learned, by name.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        named = self.get_params(deep=False)
        named |= {name: getattr(self, name) for name in self._learned_names()}
        return {
            name: np.array(np.nan if value is None else value)
            for name, value in named.items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild the estimator that ``to_arrays`` described.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Arrays that ``to_arrays`` returned.

        Returns
        -------
        estimator
            An estimator of this class that predicts as the saved one did.

        Raises
        ------
        ValueError
            If an array is missing, is not one of this class, or is not numeric.
        """
        parameters = cls._get_param_names()
        learned = cls._learned_names()
        wrong = sorted(arrays.keys() ^ {*parameters, *learned})
        if wrong:
            difference = "has also" if wrong[0] in arrays else "lacks"
            msg = (
                f"`arrays` must come from `{cls.__name__}.to_arrays`, but {difference} "
                f"{wrong[0]!r}. Check the class and the version it was saved from."
            )
            raise ValueError(msg)
        values = {name: np.array(array) for name, array in arrays.items()}
        for name, array in values.items():
            if array.dtype.kind not in "biuf":
                msg = (
                    f"`arrays[{name!r}]` must be numeric, got dtype {array.dtype}. "
                    "Load the file it came from with `allow_pickle=False`."
                )
                raise ValueError(msg)
        given = {name: values[name].item() for name in parameters}
        # NaN stands for None: an argument left for `fit` to learn.
        estimator = cls(**{k: None if np.isnan(v) else v for k, v in given.items()})
        for name in learned:
            setattr(estimator, name, values[name])
        return estimator

    @classmethod
    def _learned_names(cls) -> list[str]:
        annotated = {n for base in cls.__mro__ for n in inspect.get_annotations(base)}
        return sorted(n for n in annotated if n.endswith("_") and not n.startswith("_"))
