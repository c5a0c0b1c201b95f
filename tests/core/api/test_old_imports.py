"""What scripts of before import is still there, and says where it is now."""

import importlib
import warnings

import pytest

from voxtile.old_class_names import OLD_CLASS_NAMES

OLD = [old for old in OLD_CLASS_NAMES if not old.startswith("voxtile.evaluate.")]


@pytest.mark.parametrize("old", OLD)
def test_a_class_can_be_imported_from_where_it_was(old):
    module, _, name = old.rpartition(".")
    package, _, public = OLD_CLASS_NAMES[old].rpartition(".")
    expected = getattr(importlib.import_module(package), public)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = getattr(importlib.import_module(module), name)
    assert found is expected
    moved = expected.__module__ != module and not name_is_imported_there(module, name)
    assert [str(one.message) for one in said] == ([f"'{old}' is now '{OLD_CLASS_NAMES[old]}'"] if moved else [])


def name_is_imported_there(module, name):
    return name in vars(importlib.import_module(module))


def test_what_never_was_there_is_an_import_error():
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        from voxtile.models.vit import Nothing
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        from voxtile.objectives.contrastive import Nothing  # noqa: F401
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("voxtile.models.vitt")
