"""One decorator for every numba kernel of the project."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

# Sums may be regrouped, so that loops vectorize; NaN and infinity keep their meaning,
# and a division by zero gives them, as in NumPy, instead of being looked out for.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz"},
    "error_model": "numpy",
}


def kernel(function: Function) -> Function:
    """Compile ``function`` on its first call, without the GIL, cached on disk.

    Numba looks for a writable cache directory when the decorator runs and raises if
    there is none, as in a read-only install (numba issue 1771). There we compile in
    every process instead: slower to start, but it starts. With ``NUMBA_DISABLE_JIT=1``
    the function stays plain Python.

    Parameters
    ----------
    function : callable
        Arithmetic on arrays; its own callees must live in the same module, since numba
        does not see edits to helpers elsewhere.

    Returns
    -------
    callable
        The compiled function, with the same signature.

    Examples
    --------
    >>> @kernel
    ... def add(left, right):
    ...     return left + right
    >>> add(1, 2)
    3
    """
    try:
        compiled = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        compiled = njit(**_OPTIONS)(function)
    return cast("Function", compiled)


def n_cores() -> int:
    """Return the cores we may use; NUMBA_NUM_THREADS in the environment sets fewer."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
