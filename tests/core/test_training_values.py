"""What is refused before anything is imported is what the parser refuses too, and no config that ships."""

import pytest
from jsonargparse import ArgumentParser

from voxtile.cli.training_help import SECTIONS
from voxtile.cli.training_values import check_values
from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile.training.config_bases import read_config

CLASSES = {section: target for section, (target, _) in SECTIONS.items()}
TYPES = {"data.batch_size": int, "ranks.end_after": float, "trainer.benchmark": bool | None}
VALUES = [
    *("1", "-1", "1.5", "1e3", "3e-4", "1_000", "0x10", "0o7", "inf", ".inf", "nan", ".nan", "null", "", "  7 "),
    *("true", "True", "false", "yes", "no", "on", "off", "y", "many", "[1,2]", "{a: 1}", "a b", "1,5", "twelve"),
]


@pytest.mark.parametrize("name", TYPES)
def test_nothing_is_refused_that_the_parser_takes(name):
    section, _, last = name.partition(".")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{last}", type=TYPES[name])
    refused = []
    for value in VALUES:
        try:
            check_values({section: {last: value}}, CLASSES)
        except ConfigError:
            refused.append(value)
            with pytest.raises(Exception, match=last):
                parser.parse_args([f"--{last}={value}"])
    assert {"many", "[1,2]", "{a: 1}", "a b"} <= set(refused)


def test_configs_that_ship_pass():
    for domain in discover()[0].values():
        for path in (*domain.configs().values(), *domain.production_configs().values()):
            check_values(read_config(path), CLASSES)


@pytest.mark.parametrize("value", [["many"], {"many": 1}, "many"])
def test_values_of_a_file_are_refused_by_their_whole_name(value):
    with pytest.raises(ConfigError, match=r"^'trainer\.max_epochs' cannot be .*; it must be int$"):
        check_values({"trainer": {"max_epochs": value}}, CLASSES)
