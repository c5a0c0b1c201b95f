"""A sentence is of a length that a person reads, whatever a hostile file has for a name."""

import pickle

from voxtile.errors import InputError, MissingExtraError


def test_of_a_sentence_that_repeats_a_long_input_the_middle_is_left_out():
    said = str(InputError(f"the file '{'x' * 10**6}' is no picture; give one"))
    assert len(said) < 5000
    assert said.startswith("the file 'xxx")
    assert said.endswith("xxx' is no picture; give one")


def test_a_sentence_stays_as_it_is_also_between_processes():
    error = InputError("no picture; give one")
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == "no picture; give one"
    assert str(InputError()) == ""


def test_an_error_that_is_made_of_several_words_comes_through_as_well():
    error = pickle.loads(pickle.dumps(MissingExtraError("ray", "ray")))
    assert type(error) is MissingExtraError
    assert "pip install 'voxtile[ray]'" in str(error)
