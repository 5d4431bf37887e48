"""Which chunks new rows fall into, held against pandas."""

import copy

import numpy as np
import pandas as pd
import pytest

from estimator import PerformanceEstimator
from estimator.monitoring.deployments import Deployment
from estimator.operations.config.settings import FileLocation
from estimator.operations.errors import DataError
from estimator.operations.nightly.changed_chunks import find_spans
from estimator.operations.sources.files.file_search import find_files
from estimator.operations.sources.model_sources import ModelSources
from estimator.operations.sources.opening import open_row_source
from estimator.operations.sources.row_source import (
    ID,
    TIME,
    RequestedColumns,
    RowData,
    open_engine,
)
from trials.nightly_world import START, simulate_days

BEGIN = START + pd.Timedelta(days=20)
# The third lies within an hour that has rows on both sides of it.
EDGES = ("2026-01-25T00:30", "2026-01-26", "2026-01-27T21:30:10", "2026-01-31")
LATE_EDGES = ("2026-01-25T12:30", "2026-01-28")


@pytest.fixture(scope="module")
def engine():
    with open_engine("500MB", 2) as engine:
        yield engine


@pytest.fixture(scope="module")
def rows():
    """Rows of six days, of which one has none."""
    rows = simulate_days(6, 40, seed=1, start=BEGIN)[["id", "time", "y_pred_proba"]]
    return rows[rows["time"].dt.normalize() != BEGIN + pd.Timedelta(days=3)]


@pytest.fixture(scope="module")
def sources(engine, rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    rows.to_parquet(path)
    files = find_files(engine, FileLocation(patterns=(str(path),)), "predictions")
    predictions = open_row_source(
        engine,
        RowData(name="predictions", where="here", files=files),
        RequestedColumns(roles={ID: "id", TIME: "time"}, others=("y_pred_proba",)),
    )
    return ModelSources(predictions=predictions, labels=None)


@pytest.fixture(scope="module", params=["D", "12h", "W", EDGES], ids=str)
def deployments(request):
    chunk = request.param
    estimator = PerformanceEstimator(chunk="D", timestamp="time")
    estimator.fit(simulate_days(8, 60))
    # Rules for chunks are read anew: the reference need not have been cut by them.
    estimator.set_params(chunk=chunk)
    return [Deployment(estimator=estimator)]


def chunks_of(rows, chunk):
    """Return the moment at which the chunk of each row begins."""
    time = rows["time"]
    if chunk == "W":
        return time.dt.normalize() - pd.to_timedelta(time.dt.day_of_week, unit="D")
    if isinstance(chunk, str):
        return time.dt.floor(chunk)
    edges = pd.DatetimeIndex(chunk)
    return pd.Series(edges[edges.searchsorted(time, "right") - 1], index=rows.index)


def test_spans_are_the_chunks_of_an_hour(engine, sources, deployments, rows):
    """Whole chunks; of an hour in which an edge lies, those on both sides of it."""
    begin = chunks_of(rows, deployments[0].estimator.chunk)
    hour_of = rows["time"].dt.floor("h")
    for hour in hour_of.unique():
        hours = np.array([hour], dtype="M8[us]")
        spans = find_spans(engine, sources, deployments, hours, None, None, {})
        assert {span.begin for span in spans} == set(begin[hour_of == hour])
        assert [span.end is None for span in spans] == [False] * (len(spans) - 1) + [
            True
        ]


@pytest.mark.parametrize("seed", range(4))
def test_spans_of_hours_have_all_rows(engine, sources, deployments, rows, seed):
    begin = chunks_of(rows, deployments[0].estimator.chunk)
    hour_of = rows["time"].dt.floor("h")
    midnight = hour_of[hour_of.dt.hour == 0].iloc[-1:]  # a chunk begins with it
    chosen = pd.concat([hour_of.sample(3, random_state=seed), midnight])
    hours = chosen.drop_duplicates().to_numpy().astype("M8[us]")
    spans = find_spans(engine, sources, deployments, hours, None, None, {})
    touched = begin[hour_of.isin(chosen)].drop_duplicates()
    assert [span.begin for span in spans] == touched.tolist()
    for span in spans:
        end = rows["time"].max() if span.end is None else span.end
        # By the hour: that of an edge counts for the chunk that it ends or begins.
        inside = hour_of.between(span.begin.floor("h"), end.ceil("h"), "both")
        surely = hour_of.between(span.begin.ceil("h"), end.floor("h"), "left")
        assert surely.sum() <= span.n_rows <= inside.sum()


def test_rows_before_the_first_edge_are_refused(engine, sources, deployments, rows):
    (deployment,) = deployments
    estimator = copy.copy(deployment.estimator).set_params(chunk=LATE_EDGES)
    first = rows["time"].dt.floor("h").to_numpy()[:1].astype("M8[us]")
    with pytest.raises(DataError, match="must not lie before the first of the edges"):
        find_spans(
            engine, sources, [Deployment(estimator=estimator)], first, None, None, {}
        )
