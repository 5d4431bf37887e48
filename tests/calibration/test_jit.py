import pytest

from calibration import _jit


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
