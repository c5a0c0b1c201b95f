"""Running the commands of each section in a folder of its own, in the order of the pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from check import Done, checked
from documented import Documented
from environment import Environment
from everywhere import EVERYWHERE
from scene import From, Phantom, Scene, Shell
from scenes import SCENES

Section = tuple[str, str]


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Attributes:
        command: as the docs have it.
        run: what was run in its place.
        skipped: why it was not; empty where it was.
        status: its exit status.
        result: what was found, or what is wrong.
        failed: whether something is.
        seconds: that it took.
    """

    command: Documented
    run: str
    skipped: str = ""
    status: int | None = None
    result: str = ""
    failed: bool = False
    seconds: float = 0.0

    @classmethod
    def planned(cls, command: Documented, scene: Scene, everywhere: Scene) -> Outcome:
        """What is to be run."""
        skipped = scene.skipped | everywhere.skipped
        run = command.text
        for pattern, instead in (everywhere.run_as | scene.run_as).items():
            run = re.sub(pattern, instead, run)
        why = next((reason for pattern, reason in skipped.items() if re.search(pattern, command.text)), "")
        return cls(command, run, why)


def plan(commands: Sequence[Documented], scenes: Mapping[Section, Scene]) -> Iterator[tuple[Documented, Scene]]:
    """The commands that are run or left out, section by section; blocks first, then the spans that a scene names."""
    for section, scene in scenes.items():
        own = [command for command in commands if (command.page, command.section) == section]
        spans = [command for command in own if command.inline and command.text in scene.spans]
        for text in scene.spans:
            if not any(span.text == text for span in spans):
                raise SystemExit(f"{section[0]} has no longer '{text}' under '{section[1]}': mend scenes.py")
        for command in [*(command for command in own if not command.inline), *spans]:
            yield command, scene


def mentioned(commands: Sequence[Documented], scenes: Mapping[Section, Scene]) -> Iterator[Outcome]:
    """The code spans that no scene runs, each with the reason.

    Raises:
        SystemExit: for one there is none: it is run nowhere, in no form.
    """
    planned = [Outcome.planned(command, scene, EVERYWHERE) for command, scene in plan(commands, scenes)]
    chosen = {outcome.command for outcome in planned}
    for span in (command for command in commands if command.inline and command not in chosen):
        left_out = Outcome.planned(span, Scene(), EVERYWHERE)
        where = next((o.command.place for o in planned if not o.skipped and _has_the_words(o, span.text)), "")
        why = left_out.skipped or (where and f"a form of a command, in a sentence; {where} is one that is run")
        if not why:
            raise SystemExit(f"{span.place} names '{span.text}', which is run nowhere: add it to the spans of a scene")
        yield replace(left_out, skipped=why)


def _has_the_words(outcome: Outcome, text: str) -> bool:
    """Whether a command has the words of a form of it, but for those in capitals, which stand for another one."""
    words = {part for word in f"{outcome.command.text} {outcome.run}".split() for part in (word, *word.split(","))}
    return all(word in words for word in text.split() if not word.isupper())


class Stage:
    """Runs commands.

    Args:
        commands: of the docs.
        environment: under test.
        work: folder for all of it.
        limit_s: seconds that one command may take.
    """

    def __init__(self, commands: Sequence[Documented], environment: Environment, work: Path, *, limit_s: float) -> None:
        self._commands, self._work, self._limit_s = commands, work, limit_s
        self._environment = environment
        self._endpoint = subprocess.Popen(
            [environment.folder / "bin/python", "-m", "voxtile_datasets.captions.providers.http.faulty_endpoint"],
            stdout=subprocess.PIPE, text=True, cwd=work,
        )  # fmt: skip
        assert self._endpoint.stdout is not None
        said = self._endpoint.stdout.readline()
        address = re.search(r"http://\S+", said)
        self._variables = environment.variables(address.group() if address else "http://127.0.0.1:9/v1")

    def run(self, only: tuple[str, ...]) -> Iterator[Outcome]:
        """Run the sections whose page or name begins so, all where there is none; and those that they take from."""
        wanted = self._wanted(only)
        try:
            for section, scene in SCENES.items():
                if section in wanted:
                    yield from self._section(section, scene)
        finally:
            self._endpoint.terminate()

    def _wanted(self, only: tuple[str, ...]) -> set[Section]:
        chosen = [section for section in SCENES if not only or any(name.startswith(only) for name in section)]
        wanted: set[Section] = set()
        while chosen:
            section = chosen.pop()
            if section in wanted:
                continue
            wanted.add(section)
            given = SCENES[section].given.values()
            chosen += [g.section for g in given if isinstance(g, From) and not self._source(g).exists()]
        return wanted

    def _folder(self, section: Section) -> Path:
        return self._work / re.sub(r"\W+", "-", f"{section[0]} {section[1]}").strip("-").lower()

    def _source(self, given: From) -> Path:
        return self._folder(given.section) / given.path

    def _section(self, section: Section, scene: Scene) -> Iterator[Outcome]:
        folder = self._folder(section)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        planned = [Outcome.planned(c, own, EVERYWHERE) for c, own in plan(self._commands, {section: scene})]
        problem = "" if all(outcome.skipped for outcome in planned) else self._give(folder, scene)
        for outcome in planned:
            if outcome.skipped:
                yield outcome
            else:
                yield _failed(outcome, None, problem, 0.0) if problem else self._run(outcome, section, scene)

    def _give(self, folder: Path, scene: Scene) -> str:
        """Put what a scene needs into its folder; what went wrong, if anything."""
        for name, given in scene.given.items():
            target = folder / name
            if isinstance(given, Shell):
                status, said = self._bash(given.line, folder)
                if status:
                    return f"its input {name} could not be made ({given.line[:60]}): {_last(said)}"
                continue
            source = self._phantom(given) if isinstance(given, Phantom) else self._source(given)
            if not source.exists():
                return f"its input {name} is not there, since an earlier command failed"
            _copy(source, target)
        return ""

    def _phantom(self, given: Phantom) -> Path:
        home = self._work / "inputs" / f"{given.kind}-{given.n}"
        if not home.exists():
            home.parent.mkdir(exist_ok=True)
            status, said = self._bash(f"voxtile phantom {given.kind} {home} --n {given.n}", home.parent)
            if status:
                raise SystemExit(f"voxtile phantom {given.kind} failed: {said}")
        return home / given.part

    def _run(self, outcome: Outcome, section: Section, scene: Scene) -> Outcome:
        folder = self._folder(section)
        for pattern, line in scene.before.items():
            if re.search(pattern, outcome.command.text):
                self._bash(line, folder)
        earlier = frozenset(self._history(section))
        before, there, start = self._rows(outcome.run, folder), _files(folder), time.time()
        print(f"{outcome.command.place}: {outcome.run}", flush=True)
        status, said = self._bash(outcome.run, folder)
        seconds = time.time() - start
        with (folder / "said.txt").open("a", encoding="utf-8") as log:
            log.write(f"$ {outcome.run}\n{said}\n[exit {status}, {seconds:.0f} s]\n\n")
        expected = next((exit for pattern, exit in scene.exits.items() if re.search(pattern, outcome.run)), 0)
        in_part = status == 1 and any(re.search(pattern, outcome.command.text) for pattern in scene.partly)
        if status != expected and not in_part:
            return _failed(outcome, status, _last(said), seconds)
        if status and not in_part:
            return Outcome(outcome.command, outcome.run, "", status, f"as meant: {_last(said)}", False, seconds)
        changed = frozenset(name for name, _ in _files(folder) - there)
        try:
            after = self._rows(outcome.run, folder)
            found = checked(Done(outcome.run, folder, said, before, after, changed, earlier))
        except AssertionError as error:
            return _failed(outcome, status, str(error), seconds)
        found += f"; and {_last(said)}" if status else ""
        return Outcome(outcome.command, outcome.run, "", status, found, False, seconds)

    def _history(self, section: Section) -> Iterator[str]:
        """Commands that were run on the files of a section, in those that it takes them from too."""
        log = self._folder(section) / "said.txt"
        if log.is_file():
            yield from (line[2:] for line in log.read_text("utf-8").splitlines() if line.startswith("$ "))
        for name, given in SCENES[section].given.items():
            if isinstance(given, From):  # where it may have had another name
                for line in self._history(given.section):
                    yield " ".join(name if word == given.path else word for word in line.split(" "))

    def _rows(self, run: str, folder: Path) -> dict[str, int]:
        """Rows of the tables of the corpus that a command names."""
        named = [word for word in run.split() if (folder / word / "tables").is_dir()]
        if not named:
            return {}
        _, said = self._bash(f"made rows {named[0]}", folder)
        counts: dict[str, int] = json.loads(said)
        return counts

    def _bash(self, line: str, folder: Path) -> tuple[int, str]:
        """Exit status and words of a line; 124 where it took too long."""
        try:
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", line], cwd=folder, env=self._variables, timeout=self._limit_s,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            said = late.stdout or b""
            return 124, said.decode(errors="replace") if isinstance(said, bytes) else said
        return done.returncode, done.stdout


def _files(folder: Path) -> set[tuple[str, int]]:
    """Name and time of each file, but for the log of what commands said."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != "said.txt"]
    return {(str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in found}


def _failed(outcome: Outcome, status: int | None, why: str, seconds: float) -> Outcome:
    return Outcome(outcome.command, outcome.run, "", status, why, True, seconds)


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line]
    return (errors or lines or ["it said nothing"])[-1][:300]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
