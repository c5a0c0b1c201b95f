"""What only the planning process holds while it lists inputs: keys, reports and splits. Workers get the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.identity import KeyedHash, KeyMap
from voxtile.engine.parallel import PlanReader
from voxtile.engine.task import Item
from voxtile.errors import ConfigError
from voxtile_datasets.intake.deidentify import Names, OtherNames, open_names
from voxtile_datasets.intake.hidden_words import HiddenWords
from voxtile_datasets.intake.splits_file import Splits

if TYPE_CHECKING:  # the rules that find identifiers in texts take a tenth of a second to import
    from voxtile.engine.options import RunOptions
    from voxtile_datasets.intake.reports_file import Report, ReportSource
    from voxtile_datasets.intake.subject_table import SubjectTable

SPLIT_SCHEME = "default"
ReadReports: TypeAlias = "Callable[[Path, PlanReader], ReportSource]"


@dataclass(frozen=True)
class IntakeOptions:
    """What converters of examinations are told alike.

    Attributes:
        deidentify: replace identifiers by keyed hashes.
        key_file: where the key and the map of sources are kept; None for beside the corpus.
        reports: table of report texts.
        splits: table of the subjects' splits.
        split_fractions: shares of train, val and test for subjects that no table places.
        surrogates: report texts have made-up names and shifted dates, and no blanks.
        subject_table: where it is written who the subjects are; None for nowhere.
        replace_reports: stored texts that the table of reports has otherwise are replaced.
    """

    deidentify: bool
    key_file: Path | None
    reports: Path | None
    splits: Path | None
    split_fractions: str
    surrogates: bool = False
    subject_table: Path | None = None
    replace_reports: bool = False


@dataclass(frozen=True)
class Planner:
    """What a plan is made with.

    Attributes:
        names: identifiers → what the corpus says.
        splits: split of each subject.
        reports: texts to attach, if any.
        key_map: remembers which path a source name stands for; None where nothing is to be remembered.
        reader: how headers and tables are read.
        surrogate_key: by which names in report texts get their surrogates; None for blanks.
        subjects: who the subjects are, where that is to be written.
        forgotten: subjects that the corpus has forgotten.
        other_names: what the corpus has under the other kind of name, hashed or not.
        hidden: how much of the report texts is hidden as identifiers.
        replaces: replaces stored texts that the items of the plan have otherwise; None where they stay.
    """

    names: Names
    splits: Splits
    reports: ReportSource | None = None
    key_map: KeyMap | None = None
    reader: PlanReader = field(default_factory=PlanReader)
    surrogate_key: KeyedHash | None = field(default=None, repr=False)
    subjects: SubjectTable | None = field(default=None, repr=False)
    forgotten: ForgottenSubjects = field(default_factory=ForgottenSubjects, repr=False)
    other_names: OtherNames = field(default_factory=OtherNames, repr=False)
    hidden: HiddenWords = field(default_factory=HiddenWords, repr=False, compare=False)
    replaces: Callable[[Iterable[Item]], None] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def open(
        cls, corpus: Path, options: RunOptions, intake: IntakeOptions, reports_of: ReadReports | None = None
    ) -> Planner:
        """Open the key map and read the report and split files.

        Args:
            corpus: where the corpus is, or will be.
            options: how to run.
            intake: what the conversion is told.
            reports_of: reads the reports; `read_reports` where left out.

        Raises:
            InputError, ConfigError, CorpusError, StorageError: one of the files cannot be used, or surrogates are asked
                for without de-identification.
        """
        if intake.surrogates and not intake.deidentify:
            raise ConfigError(
                "--surrogates says how identifiers are replaced; leave --no-deidentify out, or --surrogates"
            )
        if intake.subject_table is not None and not intake.deidentify:
            raise ConfigError(
                "--subject-table says who pseudonyms stand for; leave --no-deidentify out, or --subject-table"
            )
        if intake.replace_reports and intake.reports is None:
            raise ConfigError("--replace-reports replaces texts by those of --reports; give the corrected table")
        names, key_map = open_names(corpus, intake.deidentify, intake.key_file)
        return cls(
            names=names,
            splits=Splits(names, intake.split_fractions, intake.splits),
            reports=_reports(intake.reports, options.plan_reader, reports_of) if intake.reports else None,
            key_map=None if options.dry_run else key_map,
            reader=options.plan_reader,
            surrogate_key=key_map.hasher if key_map is not None and intake.surrogates else None,
            subjects=_table(corpus, intake) if not options.dry_run else None,
            forgotten=ForgottenSubjects.of(corpus),
            other_names=OtherNames.of(corpus, intake.key_file, hides=names.hides),
            replaces=_replaces(corpus, dry_run=options.dry_run) if intake.replace_reports else None,
        )

    def texts(
        self,
        reports: Iterable[Report],
        subject: str,
        *,
        people: Iterable[str] = (),
        numbers: Iterable[str] = (),
        places: Iterable[str] = (),
    ) -> list[str]:
        """Texts of reports, without identifiers where names are replaced.

        Args:
            reports: of one study.
            subject: the patient's own identifier.
            people: names that the study's headers hold, as `deidentified` takes them.
            numbers: such numbers.
            places: such places.
        """
        reports = list(reports)
        if not self.names.hides or not reports:
            return [report.text for report in reports]
        from voxtile_datasets.deidentification.replace import Surrogates, deidentified

        surrogates = Surrogates(self.surrogate_key, subject) if self.surrogate_key is not None else None
        known = tuple(people), tuple(numbers), tuple(places)
        found = [
            deidentified(
                report.text,
                (*known[0], *report.people),
                (*known[1], *report.numbers),
                (*known[2], *report.places),
                surrogates,
            )
            for report in reports
        ]
        for report, text in zip(reports, found, strict=True):
            self.hidden.add(report.text, text)
        return found

    def subject_name(self, subject: str) -> str:
        """What the corpus calls a subject, by its own identifier.

        Raises:
            ConfigError: the corpus has forgotten it under the other kind of name.
        """
        self.other_names.refuse_forgotten(subject)
        name = self.names.name("subject", subject)
        if self.subjects is not None:
            self.subjects.add(name, subject)
        if self.key_map is not None and name in self.forgotten:
            self.key_map.leave_out(names=[subject])
        return name

    def source_name(self, path: str, subject: str | None = None) -> str:
        """What the corpus calls an input.

        Args:
            path: of the input.
            subject: the own identifier of whose it is; None where nothing says so.
        """
        source = self.names.name("source", path)
        if self.key_map is not None and subject is None:
            self.key_map.remember_nobodys(source, path)
        elif self.key_map is not None and subject is not None:
            self.key_map.remember(source, path, self.names.name("subject", subject))
        return source

    def note(
        self,
        path: str,
        size: int,
        reason: str,
        detail: str,
        *,
        files: Sequence[str] = (),
        subject: str | None = None,
    ) -> Item:
        """An item that only becomes a row of the ledger.

        Args:
            path: of the file.
            size: of the file in bytes.
            reason: short name of why it is not used.
            detail: one sentence for people.
            files: all files, where there are several.
            subject: the own identifier of whose it is; None where nothing says so.
        """
        inputs = {"kind": "note", "size": size, "reason": reason, "detail": detail}
        return Item(self.source_name(path, subject), inputs | ({"files": list(files)} if files else {}))

    def report_notes(self) -> Iterator[Item]:
        """Rows of the report file that were not attached to anything."""
        if self.reports is None:
            return
        for note in self.reports.notes():
            yield self.note(note.name, note.size, note.reason, note.detail)

    def _path_of(self, source: str) -> str:
        source = source.partition("#")[0]
        return (self.key_map.path_of(source) if self.key_map is not None else None) or source

    def save(self, items: Iterable[Item] = ()) -> None:
        """Save the key map: before the first sample is written, so that no run can lose its key.

        The table of subjects is saved with it. Of a subject that was forgotten no path is written again.

        Args:
            items: of the plan.

        Raises:
            ConfigError: the corpus has some of the inputs already, de-identified where this run is not, or the reverse.
        """
        items = list(items)
        self.other_names.refuse_inputs(self._path_of(item.source) for item in items)
        if self.replaces is not None:
            self.replaces(items)
        if self.key_map is not None:
            self.key_map.leave_out(item.source for item in items if item.inputs.get("subject") in self.forgotten)
            self.key_map.save()
        if self.subjects is not None:
            self.subjects.save()
        if unmatched := self.splits.what_does_not_match():
            from voxtile.console import output

            output().print(unmatched, highlight=False, markup=False, soft_wrap=True)
        if lost := self.hidden.sentence():
            from voxtile.console import note

            note(lost)


def _reports(path: Path, reader: PlanReader, read: ReadReports | None) -> ReportSource:
    from voxtile_datasets.intake.reports_file import read_reports

    return (read or read_reports)(path, reader)


def _replaces(corpus: Path, *, dry_run: bool) -> Callable[[Iterable[Item]], None]:
    from voxtile_datasets.intake.replaced_reports import replace_reports

    return partial(replace_reports, corpus, dry_run=dry_run)


def _table(corpus: Path, intake: IntakeOptions) -> SubjectTable | None:
    if intake.subject_table is None:
        return None
    from voxtile_datasets.intake.subject_table import SubjectTable

    return SubjectTable.of_corpus(corpus, intake.subject_table, intake.key_file)


class PlannedTask:
    """A task whose plan is made with a planner, which stays in the process that holds keys and reports.

    Attributes:
        planner: None in workers, which get the plan only.
        stays: fields that do not travel to workers.
    """

    planner: Planner | None
    stays: ClassVar[tuple[str, ...]] = ("planner",)

    def __getstate__(self) -> dict[str, Any]:
        """Without what stays."""
        return {**self.__dict__, **dict.fromkeys(self.stays)}

    @property
    def own_planner(self) -> Planner:
        """The planner, where the plan is made."""
        if self.planner is None:
            raise RuntimeError("the plan is made in the process that holds the planner")
        return self.planner
