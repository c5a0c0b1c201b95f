"""Facts of which earlier runs of a stage said otherwise, as of a table that was corrected: a corpus holds both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.schema import DESCRIPTIVE
from voxtile.engine.plan import DoneJob, TaskIdentity

_SHOWN = 5
_FACTS = ("uid", "source", "concept", "polarity", "value")


def facts_otherwise(root: Path, identity: TaskIdentity, done: Iterable[DoneJob]) -> Counter[str]:
    """Concept → number of samples of which a task's facts and those of its earlier runs say different things.

    That is another polarity or value under the same source, or a fact of one run that the closed scope of the other
    leaves out. Nothing is read where all runs of the task had one version and config.

    Args:
        root: the corpus.
        identity: of the task as it ran now.
        done: committed jobs of the task, of any version and config.
    """
    own: set[str] = set()
    earlier: set[str] = set()
    for job in done:
        (own if identity.made(job) else earlier).add(job.stem)
    if not own or not earlier:
        return Counter()
    now, before = _Said(root, own), _Said(root, earlier)
    return Counter(pair.partition("\0")[2] for pair in now.otherwise(before) | before.otherwise(now))


def sentence(found: Mapping[str, int]) -> str:
    """What is said of such facts."""
    most = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    listed = ", ".join(f"{concept} ({count})" for concept, count in most[:_SHOWN])
    more = f" and {len(most) - _SHOWN} more" if len(most) > _SHOWN else ""
    return (
        f"earlier runs of this stage say otherwise of samples: {listed}{more}; the corpus holds both, and what one of "
        "them states counts above what the other denies or leaves out; to have the new facts alone, make them in a new "
        "corpus"
    )


class _Said:
    """What some jobs say of samples, as texts that can be compared.

    Args:
        root: the corpus.
        stems: of the jobs.
    """

    def __init__(self, root: Path, stems: Collection[str]) -> None:
        import pyarrow.compute as pc  # late: most runs are a stage's first

        parts = [path for path in part_paths(root, "facts") if path.stem in stems]
        facts = read_parts(parts, table_schema("facts"), _FACTS)
        facts = facts.filter(pc.invert(pc.is_in(facts["concept"], pa.array(DESCRIPTIVE))))
        self.facts = pa.table(
            {
                "fact": _joined([facts[name] for name in _FACTS]),
                "of": _joined([facts[name] for name in _FACTS[:3]]),
                "pair": _joined([facts["uid"], facts["concept"]]),
                "stated": pc.not_equal(facts["polarity"], "absent"),
            }
        )
        parts = [path for path in part_paths(root, "scopes") if path.stem in stems]
        scopes = read_parts(parts, table_schema("scopes"), ("uid", "closed", "concepts")).combine_chunks()
        scopes = scopes.filter(pc.fill_null(scopes["closed"], False))
        uids = scopes["uid"].take(pc.list_parent_indices(scopes["concepts"]))
        self.scoped = _joined([uids, pc.list_flatten(scopes["concepts"])])

    def otherwise(self, other: _Said) -> set[str]:
        """Pairs of sample and concept of which these facts say what the others do not."""
        import pyarrow.compute as pc

        theirs = other.facts
        new = self.facts.filter(pc.invert(pc.is_in(self.facts["fact"], theirs["fact"])))
        differing = new.filter(pc.is_in(new["of"], theirs["of"]))
        silent = pc.and_(pc.is_in(new["pair"], other.scoped), pc.invert(pc.is_in(new["pair"], theirs["pair"])))
        left_out = new.filter(pc.and_(new["stated"], silent))
        return {*differing["pair"].to_pylist(), *left_out["pair"].to_pylist()}


def _joined(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    texts = [pc.fill_null(column.cast(pa.string()), "") for column in columns]
    return pc.binary_join_element_wise(*texts, "\0")
