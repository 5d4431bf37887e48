"""`deadreckon estimate`, as users call it."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest

from estimator import PerformanceEstimator
from estimator.operations.commands import estimation
from estimator.simulation import simulate_credit_default
from trials.runner import program, run


@pytest.fixture(scope="module")
def world():
    return simulate_credit_default("sudden", n_weeks=8, applications_per_week=400)


@pytest.fixture
def files(tmp_path, world):
    folder = tmp_path / "data"
    folder.mkdir()
    world.reference.to_parquet(folder / "reference.parquet")
    world.production.to_parquet(folder / "production.parquet")
    world.labels.to_csv(folder / "labels.csv", index=False)
    return folder


def estimate(files, *arguments, code=0):
    return run(
        *("estimate", "--reference", files / "reference.parquet"),
        *("--analysis", files / "production.parquet", *arguments),
        code=code,
    )


def entries(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_table_goes_to_stdout_and_the_rest_to_stderr(files):
    result = estimate(files, "--timestamp", "timestamp", "--y-pred", "y_pred")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["chunk", "rows", "roc_auc", "accuracy"]
    assert lines[2].split()[:2] == ["reference", "10,400"]
    assert lines[3].split()[0] == "2025-01-06"
    assert max(map(len, lines)) <= 110
    assert result.stderr.startswith("8 chunks, ")
    assert len(result.stderr.splitlines()) == 1


def test_numbers_are_the_library_s(files, world, tmp_path):
    output = tmp_path / "out.parquet"
    estimate(
        *(files, "--timestamp", "timestamp", "--metrics", "roc_auc,f1"),
        *("--metric", "business_value", "--business-cost", "fp=-5,fn=-100"),
        *("--threshold", "roc_auc=constant:0.7:", "--threshold", "f1=quantile:0.1:"),
        *("--decision-threshold", "0.3", "--level", "0.9", "--calibrator", "platt"),
        *("--segment", "region", "--output", output),
    )
    library = PerformanceEstimator(
        metrics=("roc_auc", "f1", "business_value"),
        timestamp="timestamp",
        decision_threshold=0.3,
        segments=("region",),
        calibrator="platt",
        thresholds={
            "roc_auc": ("constant", 0.7, None),
            "f1": ("quantile", 0.1, None),
        },
        business_costs={"tn": 0, "fp": -5, "fn": -100, "tp": 0},
        level=0.9,
    ).fit(world.reference)
    expected = library.estimate(world.production).to_frame()
    pd.testing.assert_frame_equal(
        pd.read_parquet(output), expected, check_dtype=False, check_exact=True
    )


@pytest.mark.parametrize("method", ["auto", "feature_aware", "cbpe"])
def test_features_are_read_if_the_method_wants_them(files, world, method, tmp_path):
    output = tmp_path / "out.parquet"
    estimate(
        *(files, "--timestamp", "timestamp", "--method", method),
        *("--features", "income,debt_ratio", "--feature", "employment"),
        *("--output", output),
    )
    features = ("income", "debt_ratio", "employment")
    library = PerformanceEstimator(
        timestamp="timestamp", method=method, features=features
    ).fit(world.reference)
    expected = library.estimate(world.production).to_frame()
    pd.testing.assert_frame_equal(
        pd.read_parquet(output), expected, check_dtype=False, check_exact=True
    )


def test_a_feature_that_is_not_there_is_named(files):
    result = estimate(files, "--timestamp", "timestamp", "--feature", "incme", code=65)
    assert "incme" in result.stderr
    assert "income" in result.stderr


def test_targets_fill_realized(files, tmp_path):
    output = tmp_path / "out.csv"
    result = estimate(
        *(files, "--targets", files / "labels.csv", "--id", "id"),
        *("--chunk", "none", "--output", output),
    )
    frame = pd.read_csv(output)
    analysis = frame[frame["period"] == "analysis"]
    assert (analysis["n_labels"] == 3_200).all()
    assert analysis["realized"].notna().all()
    assert "realized" in result.stdout
    assert f"table written to {output}" in result.stderr


def test_unmatched_labels_are_counted_on_stderr(files, world):
    some = world.labels.head(1_000).assign(id=lambda frame: frame["id"] + 100)
    some.to_csv(files / "labels.csv", index=False)
    result = estimate(files, "--targets", files / "labels.csv", "--id", "id")
    n_matched = int(some["id"].isin(world.production["id"]).sum())
    assert f"{3_200 - n_matched:,} of 3,200 rows have no label." in result.stderr
    if n_matched < 1_000:
        assert f"{1_000 - n_matched} labels belong to no row" in result.stderr


def test_output_dash_is_csv_on_stdout(files):
    result = estimate(files, "--chunk", "1_000", "--output", "-")
    frame = pd.read_csv(StringIO(result.stdout))
    assert list(frame.columns[:3]) == ["segment", "period", "chunk"]
    assert set(frame["metric"]) == {"roc_auc", "accuracy"}


@pytest.mark.parametrize("name", ["chart.png", "chart.svg"])
def test_chart(files, tmp_path, name):
    pytest.importorskip("matplotlib")
    chart = tmp_path / name
    result = estimate(files, "--timestamp", "timestamp", "--chart", chart)
    begin = {".png": b"\x89PNG", ".svg": b"<?xml"}[chart.suffix]
    assert chart.read_bytes().startswith(begin)
    assert f"chart written to {chart}" in result.stderr
    assert entries(tmp_path) == sorted([name, "data"])


def test_saved_estimator_gives_the_same(files, world, tmp_path):
    saved, output = tmp_path / "estimator.npz", tmp_path / "out.parquet"
    estimate(files, "--save-estimator", saved, "--output", output)
    again = PerformanceEstimator.load(saved).estimate(world.production).to_frame()
    pd.testing.assert_frame_equal(
        pd.read_parquet(output), again, check_dtype=False, check_exact=True
    )


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--metric", "roc-auc"], "`metrics` must be names out of"),
        (["--chunk", "W"], "timestamp"),
        (["--chunk", "0"], "`chunk`"),
        (["--level", "95"], "--level"),
        (["--calibrator", "splines"], "spline"),
        (["--threshold", "roc_auc"], "`thresholds['roc_auc']` must be like"),
        (["--threshold", "roc_auc=constant:low:"], "--threshold must be like"),
        (["--threshold", "f1=constant:0.7:"], "not among the metrics"),
        (["--business-cost", "fp"], "--business-cost must be like fp=-5"),
        (["--metric", "business_value"], "business_costs"),
        (["--targets", "labels.csv"], "`targets` and `id` belong together"),
        (["--output", "out.xlsx"], "the ending must be one of .parquet"),
        (["--chart", "out.jpg"], "the ending must be one of .png, .svg"),
        (["--output", "absent/out.csv"], "there is no folder absent"),
        (["--analysis", "absent.parquet"], "no such file"),
        (["--analysis", "absent.xlsx"], "the ending must be one of"),
        (["--method", "magic"], "--method"),
    ],
)
def test_wrong_arguments_exit_with_2(files, arguments, match):
    result = estimate(files, *arguments, code=2)
    assert result.stdout == ""
    assert match in " ".join(result.stderr.split())


def broken(files, name, change):
    """Rewrite one file with a change; return the arguments that would write."""
    path = files / name
    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    changed = change(frame)
    if path.suffix == ".csv":
        changed.to_csv(path, index=False)
    else:
        changed.to_parquet(path)


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [
        (
            "reference.parquet",
            lambda f: f.assign(y_true=f["y_true"] * 2 - 1),
            "-1/+1 becomes 0/1",
        ),
        ("reference.parquet", lambda f: f.assign(y_true=0), "both classes"),
        ("reference.parquet", lambda f: f.head(30), "rows"),
        (
            "reference.parquet",
            lambda f: f.rename(columns={"y_true": "y_ture"}),
            "no column `y_true` (nearest: y_ture",
        ),
        (
            "production.parquet",
            lambda f: f.assign(y_pred_proba=np.log(f["y_pred_proba"])),
            "They look like margins",
        ),
        (
            "labels.csv",
            lambda f: pd.concat([f, f.head(2).assign(y_true=1 - f["y_true"])]),
            "2 ids have two",
        ),
        ("labels.csv", lambda f: f.assign(id=-f["id"]), "none of its 3,200 labels"),
        ("labels.csv", lambda f: f.assign(y_true=2), "y_true"),
    ],
)
def test_bad_data_exits_with_65_and_writes_nothing(
    files, tmp_path, name, change, match
):
    broken(files, name, change)
    result = estimate(
        *(files, "--targets", files / "labels.csv", "--id", "id"),
        *("--output", tmp_path / "out.parquet", "--chart", tmp_path / "out.png"),
        *("--save-estimator", tmp_path / "out.npz"),
        code=65,
    )
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert match in result.stderr
    assert str(files / name) in result.stderr
    assert "Traceback" not in result.stderr
    assert entries(tmp_path) == ["data"]


def test_truncated_file_exits_with_65(files, tmp_path):
    path = files / "production.parquet"
    path.write_bytes(path.read_bytes()[:-1_000])
    result = estimate(files, "--output", tmp_path / "out.csv", code=65)
    assert f"{path} is truncated" in result.stderr
    assert entries(tmp_path) == ["data"]


def test_verdict_says_a_sentence_per_metric_and_segment(files, tmp_path):
    options = ("--timestamp", "timestamp", "--segment", "region")
    result = estimate(files, *options, "--verdict", "--chart", tmp_path / "out.png")
    sentences = result.stdout.split("Verdict:\n")[1]
    for line in ("  roc_auc ", "  accuracy ", "  region=north: roc_auc "):
        assert f"\n{line}" in f"\n{sentences}"
    assert "probability" in sentences
    assert "Verdict" not in estimate(files, *options).stdout
    # A table for a program stays one: the sentences go to the reader.
    as_csv = estimate(files, *options, "--verdict", "--output", "-")
    assert "Verdict" not in as_csv.stdout
    assert "Verdict:\n  roc_auc " in as_csv.stderr


def test_failed_chart_takes_the_table_with_it(files, tmp_path, monkeypatch):
    def fail(performance, path, verdicts):
        path.write_text("half")
        msg = "No space left on device"
        raise OSError(msg)

    monkeypatch.setattr(estimation, "draw_chart", fail)
    result = estimate(
        *(files, "--output", tmp_path / "out.csv", "--chart", tmp_path / "out.png"),
        code=1,
    )
    assert result.stderr == "Error: No space left on device\n"
    assert entries(tmp_path) == ["data"]


def test_output_never_overwrites_an_input(files):
    before = (files / "production.parquet").read_bytes()
    result = estimate(files, "--output", files / "production.parquet", code=2)
    assert "is an input" in result.stderr
    assert (files / "production.parquet").read_bytes() == before


def test_chart_without_matplotlib_says_what_to_install(files, tmp_path, monkeypatch):
    monkeypatch.setattr(estimation, "find_spec", lambda _: None)
    result = estimate(files, "--chart", tmp_path / "out.png", code=2)
    assert 'pip install ".[plot]"' in result.stderr


def test_own_process_is_silent_about_everything_but_the_result(files):
    result = program(
        *("estimate", "--reference", files / "reference.parquet"),
        *("--analysis", files / "production.parquet"),
        PYTHONWARNINGS="error",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("chunk ")
    assert len(result.stderr.splitlines()) == 1


def test_own_process_shows_no_traceback(files):
    (files / "reference.parquet").write_bytes(b"PAR1")
    result = program(
        *("estimate", "--reference", files / "reference.parquet"),
        *("--analysis", files / "production.parquet"),
    )
    assert result.returncode == 65
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
