"""What runs on a node of a Ray cluster, without a cluster: an object is held, and processes serve what is held next."""

import os
import pickle
import sys

import pytest
from fault_task import pid_of

from voxtile.engine.ray_cluster.connection import versions
from voxtile.engine.ray_cluster.on_node import OnNode
from voxtile.engine.ray_cluster.planning import _FileReader
from voxtile.engine.worker_process import Limits, running_pool


@pytest.fixture
def node(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    made = OnNode(sys.path, os.getcwd())
    yield made
    made.close()


def test_a_process_that_read_for_the_plan_does_what_comes_after_it(node):
    made = pickle.dumps((_FileReader, (pid_of, Limits())))
    found = []
    for _ in range(2):
        assert node.open(versions(), made) is None
        found += node.call("read", (["one", "other"],))
    assert found == [("done", [found[0][1][0]] * 2)] * 2
    assert found[0][1][0] != os.getpid()
    assert running_pool() is None, "nobody else's pools are given it"


def test_what_is_wrong_with_a_node_or_a_call_is_said(node):
    kind, said = node.open({**versions(), "numpy": "0.1"}, None)
    assert kind == "ConfigError"
    assert "and the plan was made with 0.1; install the same there" in said
    assert node.open(versions(), pickle.dumps((list, ("ab",)))) is None
    assert list(node.call("__len__", ())) == [("done", 2)]
    assert list(node.call("__iter__", ())) == [("part", "a"), ("part", "b"), ("done", None)]
    assert list(node.call("pop", (7,))) == [("raised", ("", "IndexError: pop index out of range"))]
