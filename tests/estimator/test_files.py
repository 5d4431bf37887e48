import pytest

from estimator.files import replacing


def fail_while_writing(path):
    with replacing(path) as temporary:
        temporary.write_text("half")
        msg = "in the middle"
        raise RuntimeError(msg)


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="in the middle"):
        fail_while_writing(tmp_path / "a.svg")
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="in the middle"):
        fail_while_writing(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_has_the_same_ending(tmp_path):
    with replacing(tmp_path / "a.csv.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".csv.gz")
        temporary.write_text("new")
    assert (tmp_path / "a.csv.gz").read_text() == "new"
