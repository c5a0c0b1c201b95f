"""The commands at the head of a config: that they are there, and know their options."""

import re
import shlex

import pytest

from voxtile.cli.main import main
from voxtile.domain import discover, resolve

CONFIGS = {
    f"{domain.name}/{name}": path
    for domain in discover()[0].values()
    for name, path in (domain.configs() | domain.production_configs()).items()
}
COMMAND = re.compile(r"^#   (?:voxtile|lightning) .*")


def commands(text: str) -> list[str]:
    """Of the comment that a file begins with: its commands, each as one line without what is said of it."""
    head = re.match(r"(?:#.*\n)*", text)[0].replace("\\\n#", "")
    found = [line.removeprefix("#").partition(" # ")[0] for line in head.splitlines() if COMMAND.match(line)]
    return [" ".join(line.split()) for line in found]


@pytest.mark.parametrize("name", CONFIGS)
def test_commands_at_the_head_of_a_config_are_such(name, capsys):
    said = commands(CONFIGS[name].read_text(encoding="utf-8"))
    assert any(f"-c {name} " in f"{line} " for line in said if line.startswith("lightning fit "))
    for line in said:
        program, *words = shlex.split(re.sub(r"\[.*?\]$", "", line))
        if program == "voxtile":
            assert main([*words, "--print_config"]) == 0, f"{line}: {capsys.readouterr().err}"
        else:
            assert words[0] in ("fit", "test")
            assert resolve(words[words.index("-c") + 1], kind="config").is_file()


def test_a_command_goes_on_in_the_next_line_and_ends_before_what_is_said_of_it():
    head = "# A config.\n#\n#   voxtile plan a \\\n#     --gpu l4    # memory\n#\n# As voxtile plan says.\n"
    assert commands(f"{head}name: a\n#   voxtile b\n") == ["voxtile plan a --gpu l4"]
