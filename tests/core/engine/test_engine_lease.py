"""A worker that outlives its run, on a node that was given up, takes nothing away from what others have committed."""

import threading

import pytest
from fault_task import FaultTask

from voxtile.corpus.header import new_corpus
from voxtile.engine import commit
from voxtile.engine.commit import leased, new_lease, take_back
from voxtile.engine.job import Setup, run_job
from voxtile.engine.plan import TaskIdentity, plan_jobs
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import CorpusError
from voxtile.stages.verify.corpus import verify

pytestmark = pytest.mark.timeout(120)
TASK = FaultTask(("ok-1", "ok-2", "ok-3", "ok-4"))
TWO_EACH = RunOptions(engine="inline", job_items=2)


@pytest.fixture
def orphan(tmp_path):
    """What a worker of a run has whose command was killed."""
    root = tmp_path / "corpus"
    new_corpus(root)
    (root / ".scratch").mkdir()
    lease = new_lease(root / ".scratch")
    job = plan_jobs(TaskIdentity.of(TASK), TASK.items(), job_cost=1 << 30, job_items=2)[0]
    return Setup(TASK, root, lease=lease), job


def test_a_worker_that_goes_on_after_the_next_run_publishes_nothing(orphan, tmp_path, snapshot):
    setup, job = orphan

    def meanwhile(item):
        if item is None:  # all is ready to be published
            run_task(TASK, setup.root, TWO_EACH)

    run_task(TASK, tmp_path / "undisturbed", TWO_EACH)
    with pytest.raises(CorpusError, match="the run of this job has ended"):
        run_job(setup, job, {}, frozenset(), meanwhile)
    assert snapshot(setup.root) == snapshot(tmp_path / "undisturbed")
    assert not list(setup.root.glob("shards/.*"))
    assert not verify(setup.root).problems


def test_the_next_run_waits_for_a_worker_that_publishes(orphan, tmp_path, snapshot):
    setup, _ = orphan
    run = threading.Thread(target=run_task, args=(TASK, setup.root, TWO_EACH))
    with leased(setup.lease):
        run.start()
        run.join(0.5)
        assert run.is_alive()
        assert not list((setup.root / "done").glob("*"))
    run.join(60)
    assert not run.is_alive()
    run_task(TASK, tmp_path / "undisturbed", TWO_EACH)
    assert snapshot(setup.root) == snapshot(tmp_path / "undisturbed")


def test_a_worker_that_publishes_without_end_is_not_waited_for_without_end(orphan):
    """Its machine is gone, say, and the file server has not noticed."""
    setup, _ = orphan
    with leased(setup.lease):
        take_back(setup.lease, 0.1)
    assert not setup.lease.exists()


def test_a_lease_that_is_taken_back_as_it_is_locked_is_none(orphan, monkeypatch):
    setup, _ = orphan
    monkeypatch.setattr(commit, "try_lock", lambda handle: setup.lease.unlink() or True)
    with pytest.raises(CorpusError, match="the run of this job has ended"), leased(setup.lease):
        pytest.fail("it was let in")
