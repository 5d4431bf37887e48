import pytest

from estimator import PerformanceEstimator
from estimator.report.page import report_html
from tests.estimator.conftest import simulate
from tests.estimator.report.pages import monitored, parse, report_of


@pytest.fixture(scope="session")
def report():
    return report_of(monitored())


@pytest.fixture(scope="session")
def page(report):
    return parse(report_html(report))


@pytest.fixture(scope="session")
def segmented():
    return report_of(monitored(metrics=("roc_auc", "accuracy"), segments="region"))


@pytest.fixture(scope="session")
def calm(reference_frame):
    estimator = PerformanceEstimator(chunk=500, segments="region").fit(reference_frame)
    return estimator.estimate(simulate(6_000, 1))
