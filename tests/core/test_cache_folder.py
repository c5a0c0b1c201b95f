"""Folders of what can be made again hold what this user put there, and nobody else."""

import os

import pytest

from voxtile.corpus.remote.block_cache import cache_root
from voxtile.errors import ConfigError
from voxtile.folders import cache_folder

ANOTHER = 4242


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _give_away(path, monkeypatch):
    """Have a path belong to somebody else, also where the tests are not root's."""
    if os.getuid() == 0:
        os.chown(path, ANOTHER, -1, follow_symlinks=False)
    else:
        monkeypatch.setattr(os, "getuid", lambda: ANOTHER)


@pytest.mark.parametrize("mask", [0o002, 0o022])
def test_it_is_of_its_owner_alone_whatever_the_mask(cache, mask):
    before = os.umask(mask)
    try:
        assert cache_folder("things") == cache_folder("things") == cache / "things"
    finally:
        os.umask(before)
    assert (cache / "things").stat().st_mode & 0o777 == 0o700


def test_a_folder_of_another_user_is_refused(cache, monkeypatch):
    _give_away(cache_root(), monkeypatch)
    with pytest.raises(ConfigError, match=r"'.*/cache/remote' belongs to another user.*; name one of your own by VOX"):
        cache_root()


def test_a_folder_that_a_container_mounts_is_taken_where_its_user_is_named(cache, monkeypatch):
    _give_away(cache_root(), monkeypatch)
    owner = (cache / "remote").stat().st_uid
    for named in ("", str(owner + 1)):
        monkeypatch.setenv("VOXTILE_CACHE_OWNER", named)
        with pytest.raises(ConfigError, match=f"set VOXTILE_CACHE_OWNER={owner}$"):
            cache_root()
    monkeypatch.setenv("VOXTILE_CACHE_OWNER", str(owner))
    assert cache_root() == cache / "remote"


def test_a_link_of_another_user_is_refused(cache, tmp_path, monkeypatch):
    (tmp_path / "real").mkdir(mode=0o700)
    cache.mkdir()
    (cache / "things").symlink_to(tmp_path / "real")
    assert cache_folder("things") == cache / "things"
    _give_away(cache / "things", monkeypatch)
    with pytest.raises(ConfigError, match="belongs to another user"):
        cache_folder("things")


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_folder_that_others_can_write_into_is_refused(cache, mode):
    cache_folder("things").chmod(mode)
    with pytest.raises(ConfigError, match="others can write into the cache folder"):
        cache_folder("things")
    (cache / "things").chmod(0o755)
    assert cache_folder("things").is_dir()


def test_where_no_folder_can_be_made_whoever_writes_says_so(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "file"))
    assert cache_folder("things") == tmp_path / "file" / "things"
