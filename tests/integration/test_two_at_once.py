"""Two commands at once: what one read before another built the corpus anew, and folders that both would write to."""

import io
from contextvars import Context
from functools import partial

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.drafts import is_same_file
from voxtile.corpus.identity import KeyMap
from voxtile.corpus.packing import same_folder, whole_folder
from voxtile.corpus.packing.same_folder import noted_folders, require_same_folder
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.schema import TABLES
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.engine import run as engine
from voxtile.engine.lock import LOCK, corpus_lock
from voxtile.errors import CorpusError
from voxtile.phantom import writing
from voxtile.stages.materialize import command as materialize
from voxtile.stages.verify.corpus import verify
from voxtile.training.run_folder import RunLogger
from voxtile_datasets.curation import command as curation
from voxtile_datasets.forgetting import command as forgetting
from voxtile_datasets.forgetting.command import forget_subject
from voxtile_datasets.webdataset_export import command as wds

INLINE = ("--engine", "inline")
UIDS = [f"{n:032x}" for n in range(0xA0, 0xA6)]


@pytest.fixture
def root(tmp_path):
    """Six pictures of six people, with captions; a table of labels beside them."""
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    for n, uid in enumerate(UIDS):
        stream = io.BytesIO()
        Image.fromarray(np.random.default_rng(n).integers(0, 255, (24, 24, 3), np.uint8)).save(stream, "PNG")
        row = {"uid": uid, "subject": f"person-{n}", "study": f"visit-{n}", "kind": "image", "modality": "DX"}
        writer.add(Sample({**row, "source": f"{n}.png", "licence": "CC0-1.0"}, stream.getvalue()))
    writer.publish()
    said = [{"caption_id": f"c{n}", "uid": uid, "kind": "raw", "text": f"Report {n}."} for n, uid in enumerate(UIDS)]
    append_rows(root, "captions", "said", said)
    append_rows(
        root, "splits", "s", [{"scheme": "default", "subject": f"person-{n}", "split": "train"} for n in range(6)]
    )
    rows = "".join(f"person-{n},visit-{n},{n % 2}\n" for n in range(6))
    (tmp_path / "labels.csv").write_text(f"subject,study,mass\n{rows}")
    return root


def elsewhere(function, *args, **kwargs):
    """Call something as another process would: nothing that this one has noted is known to it."""
    return Context().run(partial(function, *args, **kwargs))


def before(monkeypatch, module, name, other):
    """Have another command run once just before a function is called."""
    real, left = getattr(module, name), [other]

    def late(*args, **kwargs):
        if left:
            left.pop()()
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, late)


def about(root, uid):
    """Names of the tables with rows about a sample."""
    opened = Corpus(root)
    return [t for t in TABLES if any(row.get("uid") == uid for row in opened.table(t).to_pylist())]


STAGES = {
    "facts": (engine, "corpus_lock", ["facts", "{root}", "--from", "labels", "--labels", "{labels}", *INLINE]),
    "curate": (curation, "rebuild_lock", ["curate", "{root}", "--view", "good"]),
    "forget": (forgetting, "corpus_lock", ["forget", "{root}", "--subject", "person-3"]),
}  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_what_was_planned_before_a_subject_was_forgotten_is_not_written(root, tmp_path, monkeypatch, capsys, stage):
    module, name, words = STAGES[stage]
    words = [word.format(root=root, labels=tmp_path / "labels.csv") for word in words]
    with monkeypatch.context() as patched:
        before(patched, module, name, partial(elsewhere, forget_subject, root, subject=("person-2",)))
        assert main(words) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert "was built anew by another command (forget, migrate) since this one read it; run the same command" in said
    assert about(root, UIDS[2]) == []
    assert not verify(root).problems
    if stage == "curate":
        assert not list(root.glob("views/*.selection"))
    assert main(words) == 0
    assert about(root, UIDS[2]) == []


def test_rows_that_come_while_forget_waits_for_its_turn_go_too(root, monkeypatch):
    late = {"caption_id": "late", "uid": UIDS[2], "kind": "template", "text": "Of person-2, late."}

    def another():
        append_rows(root, "captions", "late", [late])
        append_rows(root, "verdicts", "late", [{"caption_id": "late", "verdict": "supported", "checker_version": "1"}])

    before(monkeypatch, forgetting, "corpus_lock", another)
    forget_subject(root, subject=("person-2",))
    assert about(root, UIDS[2]) == []
    assert Corpus(root).table("verdicts").num_rows == 0
    assert not verify(root).problems


def test_a_path_that_a_plan_notes_until_the_last_moment_goes_from_the_key_map_too(root, monkeypatch):
    plan = KeyMap.for_corpus(root)
    plan.remember("late", "/scans/person-2/late.png", "person-2")
    plan.remember("other", "/scans/person-3/1.png", "person-3")
    before(monkeypatch, forgetting, "exchange", plan.save)
    forget_subject(root, subject=("person-2",))
    assert KeyMap(plan.path).paths() == {"other": "/scans/person-3/1.png"}


def test_a_view_that_is_curated_while_a_corpus_is_built_anew_is_refused_and_not_lost(root, monkeypatch):
    monkeypatch.setattr(curation, "rebuild_lock", partial(curation.rebuild_lock, patience_s=0.0))
    refused = []

    def curate():
        with pytest.raises(CorpusError, match="anew, or writes into it; wait until it ends") as caught:
            elsewhere(curation.curate_corpus, root, view="good")
        refused.append(caught)

    before(monkeypatch, forgetting, "exchange", curate)
    forget_subject(root, subject=("person-2",))
    assert refused
    assert not list(root.glob("views/*.selection"))


def test_a_view_of_two_corpora_has_nobody_whom_the_second_forgot_meanwhile(root, tmp_path, monkeypatch):
    first = tmp_path / "first"
    new_corpus(first)
    before(monkeypatch, curation, "rebuild_lock", partial(elsewhere, forget_subject, root, subject=("person-2",)))
    with pytest.raises(CorpusError, match="was built anew by another command"):
        curation.curate_corpus(first, root, view="good")
    assert not list(first.glob("views/*.selection"))


def test_a_derived_corpus_says_that_its_source_was_built_anew_meanwhile(root, tmp_path, monkeypatch):
    before(
        monkeypatch, materialize, "require_same_folder", partial(elsewhere, forget_subject, root, subject=("person-2",))
    )
    size = "size: [8, 8], channels: 3, mean: [0, 0, 0], std: [1, 1, 1]"
    preset = f"{{class_path: voxtile.data.ImagePreset, init_args: {{{size}}}}}"
    with pytest.raises(CorpusError, match="make that anew in another folder, since it may hold what was forgotten"):
        materialize.materialize_corpus(root, tmp_path / "small", preset=preset, engine="inline")


def test_a_folder_is_told_from_another_in_its_place_also_where_names_come_back(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    with noted_folders([one, tmp_path / "none"]):
        require_same_folder(one, two, tmp_path / "none")
        whole_folder.exchange(two, one)  # by this command itself
        require_same_folder(one)
    with noted_folders([one]):
        elsewhere(whole_folder.exchange, two, one)
        with pytest.raises(CorpusError, match="was built anew"), noted_folders([one]):
            require_same_folder(one)
    with pytest.raises(CorpusError, match="was built anew") as caught, noted_folders([one]):  # noqa: PT012
        elsewhere(whole_folder.exchange, two, one)
        raise FileNotFoundError("a shard of the old one")
    assert isinstance(caught.value.__context__, FileNotFoundError)
    assert not same_folder._NOTED.get({})


def test_a_lock_file_that_was_replaced_keeps_nobody_out_of_the_one_that_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("voxtile.corpus.drafts.WRITER_PATIENCE_S", 0.0)
    looks = []

    def replaced(handle, path):
        if not looks:
            looks.append(path)
            path.unlink()  # as a folder does that is exchanged for another between opening and locking
        return is_same_file(handle, path)

    monkeypatch.setattr("voxtile.engine.lock.is_same_file", replaced)
    with corpus_lock(tmp_path), pytest.raises(CorpusError, match="is being written"), corpus_lock(tmp_path):
        pass
    assert looks == [tmp_path / LOCK]


def test_an_export_that_is_refused_takes_nothing_from_the_one_that_runs(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("voxtile.corpus.drafts.WRITER_PATIENCE_S", 0.0)
    out, real = tmp_path / "pairs", wds.write_split
    again = ["export-wds", str(root), str(out)]

    def writing_while_others_come(target, state, split, feed, limits):
        draft = target / ".000000.tar.tmp"
        draft.write_bytes(b"half")
        for _ in range(2):
            assert main(again) == 2
        assert draft.exists(), "what is being written"
        assert (target / LOCK).exists(), "the lock of the run that lives"
        draft.unlink()
        return real(target, state, split, feed, limits)

    monkeypatch.setattr(wds, "write_split", writing_while_others_come)
    assert main(again) == 0
    assert capsys.readouterr().err.count("is being written by process") == 2
    monkeypatch.undo()
    assert not (out / LOCK).exists()
    assert main(again) == 0


def test_two_phantoms_do_not_mix_in_one_folder(tmp_path, monkeypatch, capsys):
    out = tmp_path / "raw"
    another = ["phantom", "ct", str(out), "--n", "2", "--seed", "5", "--workers", "1"]
    before(monkeypatch, writing, "only_writer", lambda: main(another))
    assert main(["phantom", "ct", str(out), "--n", "1", "--workers", "1"]) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert len(list((out / "dicom").iterdir())) == 2
    assert "seed 5, 2 studies" in (out / "README.txt").read_text()


def test_runs_of_one_name_that_start_at_once_have_folders_of_their_own(tmp_path, monkeypatch):
    (tmp_path / "ct" / "version_3").mkdir(parents=True)
    assert [RunLogger(tmp_path, name="ct").version for _ in range(2)] == [4, 5]
    monkeypatch.setattr(CSVLogger, "_get_next_version", lambda _: 4)  # all have looked before any made its own
    loggers = [RunLogger(tmp_path, name="ct") for _ in range(3)]
    assert [logger.version for logger in loggers] == [6, 7, 8]
    assert [logger.version for logger in loggers] == [int(logger.log_dir.rpartition("_")[2]) for logger in loggers]
    monkeypatch.undo()
    monkeypatch.setattr(rank_zero_only, "rank", 1, raising=False)
    assert RunLogger(tmp_path, name="ct").version == 9
    assert not (tmp_path / "ct" / "version_9").exists(), "the first rank makes it"


def test_a_run_that_fails_before_it_writes_leaves_the_number_to_the_next(tmp_path, training_nursery):
    code = (
        "import atexit\n"
        "from pathlib import Path; from voxtile.training.run_folder import RunLogger\n"
        "def run(_):\n"
        "    failed, used = RunLogger('.', name='failed'), RunLogger('.', name='used')\n"
        "    assert failed.version == used.version == 0 and Path(failed.log_dir).is_dir()\n"
        "    Path(used.log_dir, 'config.yaml').touch()\n"
        "    atexit._run_exitfuncs()\n"  # a fork of the nursery ends without
        "    return 0"
    )
    training_nursery.start(tmp_path, [], code)
    assert training_nursery.wait() == 0, training_nursery.said()
    assert not list((tmp_path / "failed").iterdir())
    assert (tmp_path / "used" / "version_0" / "config.yaml").exists()
