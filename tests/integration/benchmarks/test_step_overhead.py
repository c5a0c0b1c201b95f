"""The benchmark of a step trains the shipped config, whatever becomes of it."""

from tests.benchmark_script import benchmark_script


def test_a_step_of_medical_ct_is_measured_beside_one_written_by_hand():
    ours, loop = benchmark_script("step_overhead").measure("ct", 2, 1)
    assert len(ours) == len(loop) == 2
    assert min(*ours, *loop) > 0
