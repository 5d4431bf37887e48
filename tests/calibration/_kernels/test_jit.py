import numba
import numpy as np
import pytest

from calibration._kernels import jit as _jit


def test_compiles_where_no_cache_can_be_written():
    # Code without a source file has no place for a cache, like a read-only install.
    names = {}
    exec("def triple(x): return 3 * x", names)  # noqa: S102
    assert _jit.kernel(names["triple"])(7) == 21


def test_other_errors_are_not_swallowed(monkeypatch):
    def broken(**options):
        msg = "something else"
        raise RuntimeError(msg)

    monkeypatch.setattr(_jit, "njit", broken)
    with pytest.raises(RuntimeError, match="something else"):
        _jit.kernel(len)


@_jit.inlined_part
def scaled_sum(values, factor):
    total = 0.0
    for value in values:
        total += factor * value
    return total


@_jit.kernel
def sum_twice(values):
    return scaled_sum(values, 0.1) + scaled_sum(values, 0.3)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_an_inlined_part_is_compiled_as_lines_of_its_caller():
    values = np.random.default_rng(0).random(100)
    assert sum_twice(values) == pytest.approx(0.4 * values.sum())
    assert len(sum_twice.signatures) == 1
    assert scaled_sum.signatures == []
