"""Which corpus `voxtile evaluate` takes where none is named."""

import pytest

from voxtile.cli.main import main
from voxtile.errors import ConfigError

WORDS = ["evaluate", "runs/ct/version_0/checkpoints/last.ckpt", "medical/ct-findings"]


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Corpora that were to be evaluated on; a run of which one may be written lies in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "ct" / "version_0" / "checkpoints").mkdir(parents=True)
    seen = []

    def evaluated(specs, tasks, corpus, *others):
        seen.append(str(corpus))
        raise ConfigError("so far and no further")

    monkeypatch.setattr("voxtile.evaluation.command._evaluated", evaluated)
    return seen


def write_config(corpus: str) -> None:
    with open("runs/ct/version_0/config.yaml", "w", encoding="utf-8") as file:
        file.write(f"data: {{corpus: {corpus}}}\n")


@pytest.mark.parametrize("named", ["scans", "s3://bucket/scans"])
def test_it_is_that_of_the_run_where_it_is_still_there(asked, tmp_path, capsys, named):
    (tmp_path / "scans").mkdir()
    write_config(named)
    assert main(WORDS) == 2
    assert asked == [named.replace("//", "/")]
    assert f"the corpus is that of the run, '{named}'" in capsys.readouterr().err
    assert main([*WORDS, "--corpus", "other"]) == 2
    assert asked[1:] == ["other"]


@pytest.mark.parametrize("named", ["gone", "null", "[one, two]"])
def test_else_it_is_asked_for(asked, capsys, named):
    assert main(WORDS) == 2
    assert "needs --corpus; for example: " in capsys.readouterr().err
    write_config(named)
    assert main(WORDS) == 2
    assert "needs --corpus, and the run of 'runs/ct/version_0/checkpoints/last.ckpt' names none" in (
        capsys.readouterr().err
    )
    assert main(["evaluate", "open_clip:RN50", "medical/ct-findings"]) == 2
    assert "needs --corpus; for example: " in capsys.readouterr().err
    assert not asked
