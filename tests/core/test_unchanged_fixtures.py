"""`pytest -p unchanged_fixtures` names the tests that write into what others share, and nobody else."""

import pathlib

TESTS = """
import pytest

@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    (folder / "a").write_text("a")
    return folder

@pytest.fixture(scope="module")
def more(shared):
    return {"both": [shared]}

@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return tmp_path_factory.mktemp("own")

@pytest.fixture
def written(shared):
    (shared / "a").write_text("changed")

@pytest.fixture(scope="module")
def added(own):
    (own / "b").write_text("as few tests see it")

def test_reads(shared, more): assert (shared / "a").read_text() == "a"
def test_compiles_a_view(shared): (shared / "views").mkdir(); (shared / "views" / "x").write_text("a cache")
def test_a_fixture_as_wide_as_the_folder_may_add(own, added): pass
def test_writes(shared): (shared / "new").write_text("b")
def test_has_a_fixture_that_writes(written): pass
def test_takes_away(own): (own / "b").unlink()
"""
RUN = """
def run(argv):
    import pytest
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path.insert(0, argv[0])
    return pytest.main(argv[1:])
"""


def test_who_writes_into_a_shared_folder_is_named(training_nursery, tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    support = pathlib.Path(__file__).parents[1] / "support"
    words = [support, "-q", "-p", "no:cacheprovider", "-p", "unchanged_fixtures", tmp_path / "test_it.py"]
    training_nursery.start(tmp_path, words, RUN, said=tmp_path / "said")
    assert training_nursery.wait() == 1
    said = [line.partition("::")[2] for line in (tmp_path / "said").read_text().splitlines() if "FAILED" in line]
    assert [line.split(" - ")[0] for line in said] == [
        "test_writes",
        "test_has_a_fixture_that_writes",
        "test_takes_away",
    ]
    assert "writes into the folder of the fixture 'shared' of the session: new" in (tmp_path / "said").read_text()
