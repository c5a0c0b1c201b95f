"""A corpus that may not be written to: what only reads works, and all else is refused in a sentence."""

import shutil
from pathlib import Path

import pytest

CONFIG = Path(__file__).with_name("tiny.yaml")
# Root may write anywhere: the child gives up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capabilities(7)).
RUN = """
def run(argv):
    if os.getuid() == 0:
        import ctypes
        libc = ctypes.CDLL(None)
        header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert libc.capget(header, sets) == 0
        for number in range(3):
            sets[number] &= ~0b110
        assert libc.capset(header, sets) == 0
    return voxtile.cli.main.main(argv)
"""
FIT = ["fit", "-c", CONFIG, "--data.corpus", "corpus", "--trainer.max_steps", 1, "--trainer.limit_val_batches", 0]
WRITES = {
    "caption corpus --provider template": "cannot write to the corpus 'corpus' (Permission denied)",
    "embed corpus last.ckpt": "cannot write to the corpus 'corpus' (Permission denied)",
    "curate corpus --view some": "cannot write 'corpus/views/some.selection': the folder is not writable",
    "compact corpus": "cannot write 'corpus': the folder is not writable",
    "gc corpus": "cannot write 'corpus': the folder is not writable",
    "forget corpus --subject nobody": "Permission denied; check the path and its permissions",
}


@pytest.fixture
def read_only(xray_corpus, tmp_path):
    """A corpus beside which files may be made, and in which none."""
    corpus = shutil.copytree(xray_corpus, tmp_path / "corpus", ignore=shutil.ignore_patterns("views"))
    within = [corpus, *corpus.rglob("*")]
    modes = {path: path.stat().st_mode for path in within}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    yield corpus
    for path, mode in modes.items():
        path.chmod(mode)


def test_what_reads_works_and_what_writes_is_refused_in_a_sentence(training_nursery, read_only, tmp_path):
    before = sorted(read_only.rglob("*"))

    def voxtile(*words):
        training_nursery.start(tmp_path, words, RUN, said := tmp_path / f"said-{len(list(tmp_path.iterdir()))}")
        return training_nursery.wait(), said.read_text()

    for command in ("inspect", "verify"):
        assert voxtile(command, "corpus")[0] == 0
    status, said = voxtile(*FIT)
    assert status == 2
    assert "cannot write the compiled view under 'corpus/views' (Permission denied); make that folder writable" in said
    assert "(--data.view_folder)" in said
    status, said = voxtile(*FIT, "--data.view_folder", "views")
    assert status == 0, said
    [checkpoint] = tmp_path.glob("runs/tiny/*/checkpoints/last.ckpt")
    shutil.copy(checkpoint, tmp_path / "last.ckpt")
    (tmp_path / "task.yaml").write_text("kind: retrieval\ncaptions: [template]\n")
    status, said = voxtile("evaluate", "last.ckpt", "task.yaml", "--corpus", "corpus", "--out", "report")
    assert status == 0, said
    for words, sentence in WRITES.items():
        status, said = voxtile(*words.split())
        assert status == 2, f"{words}: {said}"
        assert said.splitlines()[-1].startswith("voxtile: error: ")
        assert sentence in said
    assert sorted(read_only.rglob("*")) == before
