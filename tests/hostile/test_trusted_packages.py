"""What a file can do with the trust that a user gives one package: name its own classes, and nothing else."""

import importlib
import json
import sys
from contextlib import nullcontext

import pytest

from voxtile.data.presets.base import BasePreset
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import CheckpointError, ConfigError, PresetError
from voxtile.listed_classes import listed_class
from voxtile.objectives import Objective
from voxtile.training.foreign_model import check_model
from voxtile.training.module import ContrastiveModule

MINE = '''
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from elsewhere import Foreign
from voxtile.objectives import KoLeo, Objective

if TYPE_CHECKING:
    from nowhere import Unknown

Path(SONGS, "imported").touch()


class Term(Objective):
    """What belongs here."""

    def __init__(self, *, settings: dict[str, float] | None = None) -> None:
        super().__init__()


class Calls(Objective):
    """Takes functions, which the parser imports by their paths."""

    def __init__(self, *, activation: Callable[[float], float] | str = "", more: list[Callable[..., float]] = ()):
        super().__init__()


class Holds(Objective):
    """Takes a class of the package that is no objective."""

    def __init__(self, *, part: Part | None = None) -> None:
        super().__init__()


class Either(Objective):
    """Takes a class of one of two kinds."""

    def __init__(self, *, part: Part | KoLeo | None = None) -> None:
        super().__init__()


class Unresolved(Objective):
    def __init__(self, *, part: Unknown | None = None) -> None:
        super().__init__()


class Part:
    def __init__(self, name: str = "") -> None:
        pass


class Loud:
    """Of no kind that a model has."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        Path(SONGS, "made").touch()


class _Meta(type):
    def __call__(cls, *args: object, **kwargs: object) -> object:
        Path(SONGS, "called").touch()
        return super().__call__(*args, **kwargs)


class Odd(metaclass=_Meta):
    pass


def make(*args: object, **kwargs: object) -> object:
    Path(SONGS, "called").touch()
    return Term()


term = Term()
'''
# A module of the package that has the name of one of Python's, and hands on what that one has.
SHADOW = "from subprocess import Popen, run\nfrom os import system\n"
SINGS = "from pathlib import Path\n\nPath(SONGS, MODULE).touch()\n"
ELSEWHERE = '''
from voxtile.objectives import Objective


class Foreign(Objective):
    """Of a package that nobody trusts."""
'''
EVIL = SINGS + "\nfrom voxtile.objectives import Objective\n\n\nclass Term(Objective):\n    pass\n"


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """A trusted package, one whose name begins with its name, and a third from which it takes a class."""
    folder = tmp_path_factory.mktemp("packages")
    found = folder / "songs"
    found.mkdir()
    modules = {
        "mine/__init__.py": MINE, "mine/subprocess.py": SHADOW, "mine/__main__.py": SINGS, "mine/broken.py": "1 / 0\n",
        "mine_evil/__init__.py": EVIL, "mine_evil/sub.py": EVIL, "elsewhere.py": ELSEWHERE, "min.py": EVIL,
    }  # fmt: skip
    for name, text in modules.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("SONGS", repr(str(found))).replace("MODULE", repr(name.replace("/", "-"))))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield found
    sys.path.remove(str(folder))
    forget()


def forget():
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mine", "mine_evil", "elsewhere", "min")]:
        del sys.modules[name]


TRICKS = {
    "a function": ("mine.make", "since it is no class"),
    "an object": ("mine.term", "since it is no class"),
    "a module": ("mine.subprocess", "since there is no such class"),
    "nothing": ("mine.Missing", "since there is no such class"),
    "a class of another kind": ("mine.Loud", "stands where a Objective belongs and was not run"),
    "one that is called otherwise": ("mine.Odd", "stands where a Objective belongs and was not run"),
    "another package's class, handed on": ("mine.Foreign", "is of the package 'elsewhere', which is not trusted"),
    "Python's, handed on": ("mine.subprocess.Popen", "since it is of the package 'subprocess', which is not trusted"),
    "Python's function, handed on": ("mine.subprocess.run", "since it is no class"),
    "a name that begins so": ("mine_evil.Term", "is no class that voxtile or an installed domain plugin lists"),
    "a module of a name that begins so": ("mine_evil.sub.Term", "is no class that voxtile or an installed"),
    "a beginning of the name": ("min.Term", "is no class that voxtile or an installed domain plugin lists"),
    "in capitals": ("Mine.Term", "is no class that voxtile or an installed domain plugin lists"),
    "its program": ("mine.__main__.Term", "is no path of a class and was not run"),
    "its attributes": ("mine.Term.__class__", "is no path of a class and was not run"),
    "its builtins": ("mine.__builtins__.exec", "is no path of a class and was not run"),
    "a class in a class": ("mine.Term.__init__.__globals__", "is no path of a class and was not run"),
    "a path": ("mine/../mine_evil.Term", "is no class that voxtile or an installed domain plugin lists"),
    "a relative path": ("..mine_evil.Term", "is no class that voxtile or an installed domain plugin lists"),
    "two dots": ("mine..Term", "is no path of a class and was not run"),
    "a space": ("mine. Term", "is no path of a class and was not run"),
    "a zero": ("mine.\0.Term", "is no path of a class and was not run"),
    "the package alone": ("mine", "is no path of a class and was not run"),
    "a module that fails": ("mine.broken.Term", "since it cannot be imported (ZeroDivisionError: division by zero)"),
    "a module that is not there": ("mine.absent.Term", "since it cannot be imported (ModuleNotFoundError"),
    "what is not trusted": ("elsewhere.Foreign", "if you trust its package, add --trust-package elsewhere"),
    "Python's own": ("subprocess.Popen", "install the plugin that it belongs to"),
}  # fmt: skip


def sang(songs):
    return sorted(path.name for path in songs.iterdir() if path.name != "imported")


def model(term):
    """The model part of a config, with a term of the loss."""
    conv = {"class_path": "voxtile.models.ConvTower"}
    return {"encoder": {"image": conv, "text": {"class_path": "voxtile.models.TextBag"}}, "objectives": {"a": term}}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_refused_in_one_sentence_and_nothing_is_made(songs, trick):
    forget()  # a module that was imported is an attribute of its package, which is said otherwise
    path, sentence = TRICKS[trick]
    with pytest.raises(ConfigError) as raised:
        listed_class(path, Objective, ("mine",))
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(CheckpointError, match="was not made"):
        check_model(model({"class_path": path, "init_args": {}}), ContrastiveModule, "x.ckpt", ("mine",))
    with pytest.raises(PresetError, match="was not made"):
        preset_from_config({"class_path": path, "init_args": {}}, trusted=("mine",))
    assert not sang(songs)


def test_the_packages_own_classes_are_taken_and_listed_ones_that_it_hands_on(songs):
    from voxtile.objectives import KoLeo

    assert listed_class("mine.Term", Objective, ("mine",)).__module__ == "mine"
    assert listed_class("mine.KoLeo", Objective, ("mine",)) is KoLeo
    check_model(
        model({"class_path": "mine.Term", "init_args": {"settings": {"a": 1.0}}}), ContrastiveModule, "x", ["mine"]
    )
    part = {"class_path": "mine.Holds", "init_args": {"part": {"class_path": "mine.Part", "init_args": {"name": "a"}}}}
    check_model(model(part), ContrastiveModule, "x", ["mine"])
    with pytest.raises(ConfigError, match="stands where a BasePreset belongs"):
        listed_class("mine.Term", BasePreset, ("mine",))
    assert not sang(songs)


@pytest.mark.parametrize(
    "arguments",
    [
        {"activation": "os.system"},
        {"activation": "mine_evil.sub.anything"},
        {"more": ["os.system"]},
        {"more": "os.system"},
        {"activation": {"class_path": "mine.Loud"}},
    ],
)
def test_no_function_is_imported_for_a_class_that_takes_one(songs, arguments):
    with pytest.raises(CheckpointError, match=r"was not (called|read|run)"):
        check_model(model({"class_path": "mine.Calls", "init_args": arguments}), ContrastiveModule, "x", ("mine",))
    check_model(
        model({"class_path": "mine.Calls", "init_args": {"activation": "gelu"}}), ContrastiveModule, "x", ["mine"]
    )
    assert not sang(songs)


def test_what_a_class_takes_is_held_to_the_same_rule(songs):
    for part in ({"class_path": "mine.Loud"}, {"class_path": "elsewhere.Foreign"}, "mine.Part"):
        config = model({"class_path": "mine.Holds", "init_args": {"part": part}})
        with pytest.raises(CheckpointError, match=r"was not run|belong"):
            check_model(config, ContrastiveModule, "x", ("mine",))
    for part, refused in (("mine.Part", False), ("mine.KoLeo", False), ("mine.Loud", True), ("mine.Term", True)):
        config = model({"class_path": "mine.Either", "init_args": {"part": {"class_path": part}}})
        with pytest.raises(CheckpointError, match="stands where a") if refused else nullcontext():
            check_model(config, ContrastiveModule, "x", ("mine",))
    settings = model({"class_path": "mine.Term", "init_args": {"settings": {"a": {"class_path": "mine.Part"}}}})
    with pytest.raises(CheckpointError, match="stands where no class belongs"):
        check_model(settings, ContrastiveModule, "x", ("mine",))
    with pytest.raises(CheckpointError, match=r"mine\.Unresolved cannot be checked .*outside of 'if TYPE_CHECKING'"):
        check_model(
            model({"class_path": "mine.Unresolved", "init_args": {"part": 1}}), ContrastiveModule, "x", ["mine"]
        )
    assert not sang(songs)


def test_nothing_of_a_package_that_is_not_trusted_is_imported(songs):
    for path in ("mine_evil.Term", "mine_evil.sub.Term", "min.Term"):
        with pytest.raises(ConfigError):
            listed_class(path, Objective)
        with pytest.raises(CheckpointError):
            check_model(json.loads(json.dumps(model({"class_path": path}))), ContrastiveModule, "x", ("mine",))
    assert not {"mine_evil", "mine_evil.sub", "min"} & set(sys.modules)
    assert not sang(songs)
