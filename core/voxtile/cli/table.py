"""The commands of `voxtile`: names, one line of help, an example, and where each one's function is.

Targets are strings, so that the table costs nothing to read and only the chosen command's module is imported.
"""

from __future__ import annotations

from collections.abc import Mapping

from voxtile.cli.commands.enriching import ENRICHING
from voxtile.cli.commands.making import MAKING
from voxtile.cli.commands.models import MODELS
from voxtile.cli.entries import SELF, Entry, Group
from voxtile.domain import Command

_INSTALLATION: Mapping[str, Entry] = {
    "doctor": Entry(
        SELF,
        "doctor",
        Command("voxtile.cli.doctor:doctor", "versions, codecs, processors, memory, GPU", "voxtile doctor"),
    ),
    "domains": Entry(
        SELF,
        "domains",
        Command("voxtile.cli.doctor:list_domains", "installed domains and what each one offers", "voxtile domains"),
    ),
    "new-domain": Entry(
        SELF,
        "new-domain NAME",
        Command(
            "voxtile.cli.new_domain.command:new_domain",
            "a package that adds a domain of your own, with its tests, to begin from",
            "voxtile new-domain microscopy",
        ),
    ),
    "completion": Entry(
        SELF,
        "completion SHELL",
        Command(
            "voxtile.cli.completion:print_script",
            "what makes bash, zsh or fish complete commands and options",
            "voxtile completion bash >> ~/.bashrc",
        ),
    ),
    "config": Entry(
        SELF,
        "config NAME",
        Command(
            "voxtile.cli.doctor:print_config_file", "print a training config", "voxtile config medical/ct > ct.yaml"
        ),
    ),
}

COMMANDS: Mapping[str, Entry | Group] = {**MAKING, **ENRICHING, **MODELS, **_INSTALLATION}
"""In the order of the help, section by section."""
