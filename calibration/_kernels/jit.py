"""One decorator for every numba kernel of the project."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])

# Sums may be regrouped, so that loops vectorize; NaN and infinity keep their meaning,
# and a division by zero gives them, as in NumPy, instead of being looked out for.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz"},
    "error_model": "numpy",
    "no_cfunc_wrapper": True,  # no C code calls a kernel: compiling saves 0.05 s each
}
_PART_OPTIONS: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True}


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
        does not see edits to helpers elsewhere. It copies and scales arrays element by
        element: ``a[:] = b`` makes numba compile 2 s of text formatting for an error.

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


def kernel_part(function: Function) -> Function:
    """Compile ``function`` for other kernels of its module, which alone can call it.

    It has no entry from Python and no file in the cache, since it is compiled into its
    callers: that halves the time that compiling it takes.

    Parameters
    ----------
    function : callable
        As for `kernel`.

    Returns
    -------
    callable
        The compiled function, with the same signature.

    Examples
    --------
    >>> @kernel_part
    ... def double(value):
    ...     return 2 * value
    >>> @kernel
    ... def twice_as_much(value):
    ...     return double(value)
    >>> twice_as_much(3)
    6
    """
    return cast("Function", njit(**_PART_OPTIONS)(function))


def inlined_part(function: Function) -> Function:
    """Name some lines of a kernel of the same module, which numba puts back into it.

    The kernel is compiled as if the lines stood there: results are the same to the last
    bit, as they need not be with `kernel_part` (sums are regrouped within a function),
    and there is no more to compile. Arrays to work in come from the caller, lest each
    call allocate them; and in a loop they are not passed on to a `kernel_part`, for
    numba would count references to them in every turn.

    Parameters
    ----------
    function : callable
        As for `kernel`.

    Returns
    -------
    callable
        The function for numba, with the same signature.

    Examples
    --------
    >>> @inlined_part
    ... def double(value):
    ...     return 2 * value
    >>> @kernel
    ... def twice_as_much(value):
    ...     return double(value)
    >>> twice_as_much(3)
    6
    """
    return cast("Function", njit(inline="always", **_PART_OPTIONS)(function))


def n_cores() -> int:
    """Return the cores we may use; NUMBA_NUM_THREADS in the environment sets fewer."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
