"""The benchmark of coverage in small: 95 % intervals hold the truth about 95 times in a hundred."""

import pytest
from tests.benchmark_script import benchmark_script


@pytest.mark.sweep
@pytest.mark.parametrize(("subjects", "clustered"), [(50, False), (200, False), (50, True), (200, True)])
def test_intervals_cover(subjects, clustered):
    found = benchmark_script("coverage").coverage(subjects, clustered, studies=500, replicates=200)
    assert set(found) == {"auroc", "average_precision", "balanced_accuracy", "recall@5"}
    for metric, (share, count) in found.items():
        assert count > 400
        assert 0.92 <= share <= 0.98, (metric, share)  # three standard errors of 500 studies are 2.9 %
