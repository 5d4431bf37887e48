"""Every chunk has one owner: the last model that was deployed before it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator import PerformanceEstimator
from estimator.monitoring.deployments import (
    Deployment,
    check_deployments,
    deployment_of,
    slices_of,
)

ESTIMATOR = PerformanceEstimator()
NUMBERS = st.integers(min_value=-5, max_value=30)
DATES = st.dates().map(str)
LABELS = st.one_of(
    *(
        st.tuples(
            st.lists(kind, unique=True, max_size=4).map(sorted),
            st.lists(kind, unique=True, max_size=12).map(sorted),
        )
        for kind in (NUMBERS, DATES)
    )
)


def deployed(starts):
    return [Deployment(estimator=ESTIMATOR, from_chunk=x) for x in (None, *starts)]


@given(LABELS)
def test_the_owner_is_the_last_that_begins_no_later(case):
    starts, labels = case
    deployments = deployed(starts)
    owners = [sum(start <= label for start in starts) for label in labels]
    assert [deployment_of(deployments, label) for label in labels] == owners
    slices = slices_of(deployments, labels)
    assert len(slices) == len(deployments)
    for i, part in enumerate(slices):
        assert labels[part] == [
            label for label, owner in zip(labels, owners, strict=True) if owner == i
        ]


@pytest.mark.parametrize("starts", [[], [3], [3, 20], ["2024-03", "2024-10"]])
def test_deployments_follow_one_another(starts):
    check_deployments(deployed(starts))


@pytest.mark.parametrize("starts", [[3, 3], [20, 3], ["2024-10", "2024-03"], [3, "3"]])
def test_deployments_out_of_order_are_refused(starts):
    with pytest.raises(ValueError, match="begin at the chunks"):
        check_deployments(deployed(starts))


def test_a_first_deployment_with_a_first_chunk_is_refused():
    with pytest.raises(ValueError, match="begin at the chunks"):
        check_deployments(deployed([3])[1:])
