"""Runs a strategy over a corpus as an engine task: an input is a sample, and many are worked on ahead of the engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxtile.corpus.parts import part_paths
from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import InputError
from voxtile_datasets.captions.context.contexts import Contexts, Known
from voxtile_datasets.captions.context.sample import UnsuitableError
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.providers.working_ahead import AheadTask
from voxtile_datasets.captions.strategies.judging import Judging
from voxtile_datasets.captions.strategies.strategy import Draft, Missing, Strategy

_SAMPLES_AHEAD = 4  # for each request that the provider takes at once: some samples wait for their last fact


class CaptionTask(AheadTask):
    """The engine task; close it when done.

    Args:
        strategy: makes the captions.
        provider: answers its requests.
        contexts: reads the samples.
        judging: checks the captions.
        uids: samples to caption; None for all.
        identity: what of the command changes the captions.
    """

    def __init__(
        self,
        strategy: Strategy,
        provider: CachedProvider,
        contexts: Contexts,
        judging: Judging,
        *,
        uids: frozenset[str] | None,
        identity: Mapping[str, Any],
    ) -> None:
        super().__init__(self._caption, provider, _SAMPLES_AHEAD)
        self._strategy = strategy
        self._contexts, self._judging = contexts, judging
        self._uids, self._identity = uids, identity
        self._part = _Part(contexts, uids)

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return f"caption-{self._strategy.name}"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return f"{self._strategy.version}+1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output; no key and no address."""
        return {**self._identity, "model": self._provider.model, "checker": self._judging.version}

    def items(self) -> Iterator[Item]:
        """One item a sample; facts or captions that arrive later make it a new one.

        Raises:
            InputError: no sample is chosen.
        """
        empty = True
        for part in part_paths(self._contexts.root, "samples"):
            for known in self._contexts.of_part(part, self._uids):
                empty = False
                uid = known.context.uid
                yield Item(f"{self.name}/{uid}", {"uid": uid, "part": part.stem, "known": known.digest})
        if empty:
            raise InputError(f"no sample of '{self._contexts.root}' is chosen; look at --where and --limit")

    def first_requests(self, known: Known) -> list[Request]:
        """What a strategy would ask first about a sample; nothing is asked."""
        noted: list[Request] = []

        async def note(request: Request) -> Reply:
            noted.append(request)
            raise ReplyError("dry-run", "nothing is asked in a dry run")

        async def rehearse() -> None:
            try:
                await self._strategy.captions(known.context, note, self._judging.of(known))
            except (ReplyError, UnsuitableError):
                return

        self._ahead.run(rehearse())
        return noted

    async def _caption(self, item: Item) -> Outcome:
        known = self._part.find(item.inputs["part"], item.inputs["uid"])
        check = self._judging.of(known)

        async def ask(request: Request) -> Reply:
            held = known.identifiers.found_in(f"{request.system or ''}\n{request.prompt}")
            if held is not None:
                raise ReplyError(
                    "identifier", "the prompt would name its sample, patient or file; take the name out of its text"
                )
            return await self._provider.ask(request)

        try:
            found = await self._strategy.captions(known.context, ask, check)
        except UnsuitableError as error:
            return Outcome("dropped", error.reason, str(error))
        except ReplyError as error:
            self._provider.count_failure(error)
            return Outcome("failed", error.reason, str(error))
        missing = [part for part in found if isinstance(part, Missing)]
        for part in missing:
            self._provider.count_failure(part.error)
        parts = tuple(
            Part(known.context.uid, "failed", part.error.reason, f"{part.what}: {part.error}") for part in missing
        )
        rows: dict[int, Row] = {}  # by place, so that an id does not depend on what else came
        verdicts: dict[int, Row] = {}
        for place, draft in enumerate(found):
            if isinstance(draft, Draft):
                rows[place] = self._row(known, draft, place)
                rows[place]["parents"] += [rows[parent]["caption_id"] for parent in draft.after]
                verdicts[place] = self._judging.row(rows[place]["caption_id"], draft.verdict)
        new = [place for place, row in rows.items() if row["caption_id"] not in known.stored]
        tables = {"captions": [rows[place] for place in new], "verdicts": [verdicts[place] for place in new]}
        tables["instructions"] = [
            _instruction(known, rows[place], draft)
            for place in new
            if isinstance(draft := found[place], Draft) and (draft.region is not None or draft.question)
        ]
        return Outcome("used", tables=tables, parts=parts)

    def _row(self, known: Known, draft: Draft, number: int) -> Row:
        shas = [reply.request_sha for reply in draft.replies]
        request_sha = shas[0] if len(shas) == 1 else hashlib.sha256("\0".join(shas).encode()).hexdigest()
        uid, model = known.context.uid, self._provider.model
        made_by = (self._strategy.name, self._strategy.version, model, draft.prompt_sha)
        identity = "\0".join((uid, *made_by, request_sha, draft.lang, str(number), draft.text))
        return {
            "caption_id": hashlib.sha256(identity.encode()).hexdigest()[:32], "uid": uid, "text": draft.text,
            "lang": draft.lang, "kind": draft.kind, "parents": list(draft.parents), "provider": self._provider.name,
            "model": model, "prompt_sha": draft.prompt_sha, "request_sha": request_sha if shas else None,
            "tokens_in": sum(reply.tokens_in for reply in draft.replies),
            "tokens_out": sum(reply.tokens_out for reply in draft.replies),
            "cost_usd": sum(reply.cost_usd for reply in draft.replies),
            "created": max((reply.created for reply in draft.replies), default=None),
        }  # fmt: skip


def _instruction(known: Known, caption: Row, draft: Draft) -> Row:
    """The parts of a caption of a region or of a pair, for the instructions table."""
    region = None if draft.region is None else known.regions[draft.region]
    said: Row = {"caption_id": caption["caption_id"], "uid": caption["uid"], "region_id": region}
    return {**said, "question": draft.question, "answer": draft.answer}


class _Part:
    """The samples of the part that was asked for last, and of the one before."""

    def __init__(self, contexts: Contexts, uids: frozenset[str] | None) -> None:
        self._contexts, self._uids = contexts, uids
        self._held: dict[str, Mapping[str, Known]] = {}

    def find(self, stem: str, uid: str) -> Known:
        if stem not in self._held:
            while len(self._held) > 1:
                self._held.pop(next(iter(self._held)))
            path = Path(self._contexts.root) / "tables" / "samples" / f"{stem}.parquet"
            self._held[stem] = {known.context.uid: known for known in self._contexts.of_part(path, self._uids)}
        return self._held[stem][uid]
