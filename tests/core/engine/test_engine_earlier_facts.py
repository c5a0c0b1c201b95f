"""A table of facts that was corrected: the corpus holds both forms, and the run says of how many samples."""

from dataclasses import dataclass, field

import pytest

from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome

INLINE = RunOptions(engine="inline")


@dataclass(frozen=True)
class Table:
    """Facts by uid and concept, as a table of labels gives them; its content is part of the config."""

    rows: dict = field(default_factory=dict)
    closed: tuple = ()
    name = "labels"
    version = "1"

    def config(self):
        return {"rows": [[*key, *value] for key, value in self.rows.items()], "closed": list(self.closed)}

    def items(self):
        return [Item("part", {})]

    def process(self, item):
        facts = [
            {"uid": uid, "concept": concept, "polarity": polarity, "value": value, "source": "labels@1"}
            for (uid, concept), (polarity, value) in self.rows.items()
        ]
        uids = dict.fromkeys(uid for uid, _ in self.rows)
        scopes = [{"uid": u, "vocabulary": "v", "closed": bool(self.closed), "concepts": self.closed} for u in uids]
        return Outcome("used", tables={"facts": facts, "scopes": scopes})


ABSENT, PRESENT = ("absent", None), ("present", None)
FIRST = {("a", "mass"): PRESENT, ("a", "stone"): ABSENT, ("b", "mass"): ABSENT, ("b", "series role"): PRESENT}


@pytest.mark.cases(6)
@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (Table(FIRST), Table({**FIRST, ("c", "mass"): PRESENT}), {}),  # more samples
        (Table(FIRST), Table({**FIRST, ("a", "mass"): ABSENT, ("b", "series role"): ABSENT}), {"mass": 1}),
        (Table({("a", "size"): ("present", 3.0)}), Table({("a", "size"): ("present", 4.0)}), {"size": 1}),
        (Table({("a", "x"): PRESENT}), Table({("a", "y"): PRESENT}), {}),  # two tables of other findings
        (Table({("a", "x"): PRESENT}, ("x", "y")), Table({("a", "y"): PRESENT}, ("x", "y")), {"x": 1, "y": 1}),
        (Table({("a", "x"): ABSENT}, ("x",)), Table({("b", "x"): PRESENT}, ("x",)), {}),
    ],
)
def test_facts_that_differ_from_those_of_an_earlier_run_are_said(first, second, found, tmp_path, capsys):
    assert run_task(first, tmp_path, INLINE).otherwise == {}
    for task in (second, second, first):  # also where there is nothing left to do
        capsys.readouterr()
        assert run_task(task, tmp_path, INLINE).otherwise == found
        assert ("the corpus holds both" in " ".join(capsys.readouterr().out.split())) == bool(found)
