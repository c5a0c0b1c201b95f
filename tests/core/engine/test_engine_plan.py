"""The plan: the same jobs for the same inputs, and nothing done twice when inputs arrive later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtile.engine.plan import TaskIdentity, item_digest, make_job, plan_jobs, without
from voxtile.engine.task import Item
from voxtile.errors import ConfigError

IDENTITY = TaskIdentity("demo", "1", "{}")


def items(*costs):
    return [Item(f"f{index}", {"index": index}, cost) for index, cost in enumerate(costs)]


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 100), st.integers(1, 8))
def test_jobs_keep_the_order_and_the_limits(costs, job_cost, job_items):
    jobs = plan_jobs(IDENTITY, items(*costs), job_cost=job_cost, job_items=job_items)
    assert [item.source for job in jobs for item in job.items] == [f"f{i}" for i in range(len(costs))]
    for job in jobs:
        assert len(job.items) <= job_items
        assert job.cost <= job_cost or len(job.items) == 1
    assert jobs == plan_jobs(IDENTITY, items(*costs), job_cost=job_cost, job_items=job_items)
    assert len({job.id for job in jobs}) == len(jobs)


@pytest.mark.parametrize(
    "other",
    [
        make_job(TaskIdentity("other", "1", "{}"), [(Item("a", {"x": 1}), "d")]),
        make_job(TaskIdentity("demo", "2", "{}"), [(Item("a", {"x": 1}), "d")]),
        make_job(TaskIdentity("demo", "1", '{"a":1}'), [(Item("a", {"x": 1}), "d")]),
        make_job(IDENTITY, [(Item("a", {"x": 1}), "e")]),
        make_job(IDENTITY, [(Item("a", {"x": 1}), "d")], attempt=2),
    ],
    ids=["name", "version", "config", "inputs", "attempt"],
)
def test_a_job_is_another_job_when_anything_that_decides_its_output_changes(other):
    assert make_job(IDENTITY, [(Item("a", {"x": 1}), "d")]).id != other.id


def test_an_item_is_its_content_and_its_cost_is_an_estimate():
    assert item_digest(Item("a", {"x": 1, "y": 2}, 3)) == item_digest(Item("a", {"y": 2, "x": 1}, 9))
    assert item_digest(Item("a", {"x": 1})) != item_digest(Item("a", {"x": 2}))
    assert item_digest(Item("a", {"x": 1})) != item_digest(Item("b", {"x": 1}))


@pytest.mark.parametrize(("number", "jobs"), [(1, 1), (8, 1), (40, 5), (320, 16), (10_000, 40)])
def test_few_inputs_make_smaller_jobs_so_that_workers_share_them(number, jobs):
    assert len(plan_jobs(IDENTITY, items(*[1] * number), job_cost=2**40, job_items=256)) == jobs


def test_inputs_that_are_handled_already_leave_their_job():
    (job,) = plan_jobs(IDENTITY, items(1, 1, 1), job_cost=9, job_items=9)
    assert without(IDENTITY, job, set()) is job
    rest = without(IDENTITY, job, {job.digests[1]})
    assert rest is not None
    assert [item.source for item in rest.items] == ["f0", "f2"]
    assert without(IDENTITY, job, set(job.digests)) is None


def test_the_same_input_twice_is_refused_by_name():
    with pytest.raises(ConfigError, match="'f0' twice"):
        plan_jobs(IDENTITY, [*items(1), *items(1)], job_cost=9, job_items=9)


def test_inputs_of_a_type_that_json_does_not_know_are_refused_by_name():
    with pytest.raises(ConfigError, match="item 'a'"):
        item_digest(Item("a", {"x": object()}))
    with pytest.raises(ConfigError, match="item 'a'"):
        plan_jobs(IDENTITY, [Item("a", {"x": object()})], job_cost=9, job_items=9)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"x": float("nan")}, "not-finite"),
        ({"x": [1.0, float("-inf")]}, "not-finite"),
        ({"path": "scan-\udcff"}, "unreadable-name"),
    ],
)
def test_an_item_that_an_outside_file_made_unstorable_is_refused_alone(inputs, reason):
    listed = [Item("a", {"x": 1}), Item("b-\udcff", inputs), Item("c", {"x": 1})]
    (job,) = plan_jobs(IDENTITY, listed, job_cost=9, job_items=9)
    assert [item.source for item in job.items] == ["a", "b-\\xff", "c"]
    assert [item.refused and item.refused[0] for item in job.items] == [None, reason, None]
    assert plan_jobs(IDENTITY, listed, job_cost=9, job_items=9) == [job]
    mended = plan_jobs(IDENTITY, [listed[0], Item("b-\udcff", {"x": 2}), listed[2]], job_cost=9, job_items=9)
    assert mended[0].digests[1] != job.digests[1]
