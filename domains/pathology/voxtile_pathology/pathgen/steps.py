"""The three steps as engine tasks: an item is one patch and, after the first step, the text before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.engine.task import Item, Outcome, Row
from voxtile.errors import ConfigError, InputError
from voxtile_pathology.pathgen.endpoint import EndpointError, VisionEndpoint

StepName: TypeAlias = Literal["describe", "revise", "summarise"]
STEPS: tuple[StepName, ...] = ("describe", "revise", "summarise")
REPRESENTATIVE = "representative"
_PROMPTS = Path(__file__).parent / "prompts"


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: of the step.
        prompt: with the fields `{text}`, the text of the step before, and `{scale}`.
        shows_picture: whether the picture is sent.
        kind: of its captions.
    """

    name: StepName
    prompt: str
    shows_picture: bool
    kind: Literal["vlm", "rewrite"]

    @property
    def provider(self) -> str:
        """Who made its captions, in the captions table."""
        return f"pathgen-{self.name}"

    @property
    def prompt_sha(self) -> str:
        """Identity of the prompt."""
        return hashlib.sha256(self.prompt.encode()).hexdigest()

    @property
    def before(self) -> str | None:
        """Provider of the texts that it works on."""
        index = STEPS.index(self.name)
        return f"pathgen-{STEPS[index - 1]}" if index else None


def load_step(name: StepName, prompts: Path | None = None) -> Step:
    """A step with its prompt.

    Args:
        name: of the step.
        prompts: folder whose `describe.txt`, `revise.txt` and `summarise.txt` replace ours.

    Raises:
        ConfigError: there is no such prompt, or it lacks the text that it is about.
    """
    path = (prompts or _PROMPTS) / f"{name}.txt"
    try:
        prompt = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the prompt '{path}' cannot be read: {error}") from error
    if name != STEPS[0] and "{text}" not in prompt:
        raise ConfigError(f"the prompt '{path}' needs the field {{text}}, where the text of the step before goes")
    return Step(name, prompt, name != "summarise", "vlm" if name == STEPS[0] else "rewrite")


@dataclass(frozen=True)
class StepTask:
    """The engine task of one step.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        step: what to do.
        endpoint: whom to ask.
        identity: what of the endpoint changes the answers (model, temperature, …).
        all_patches: every patch, not only representative ones.
    """

    corpus: str
    step: Step
    endpoint: VisionEndpoint
    identity: Mapping[str, Any]
    all_patches: bool

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return self.step.provider

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output; no key and no address."""
        return {"prompt_sha": self.step.prompt_sha, **self.identity}

    def items(self) -> Iterator[Item]:
        """One item a patch, or a text of the step before.

        Raises:
            InputError: no patch is chosen, or the step before has written nothing.
        """
        corpus = Corpus(Path(self.corpus))
        samples = corpus.table("samples", ["uid", "sha256", "mpp", "kind"])
        samples = samples.filter(pc.equal(samples["kind"], "patch"))
        scale = {row["uid"]: row["mpp"] for row in samples.to_pylist()}
        if self.step.before is None:
            for uid in self._chosen(corpus, samples):
                yield Item(f"{self.name}/{uid}", {"uid": uid, "mpp": scale[uid]}, cost=1 << 20)
            return
        texts = corpus.table("captions", ["caption_id", "uid", "text", "provider"])
        texts = texts.filter(pc.equal(texts["provider"], self.step.before))
        if not texts.num_rows:
            raise InputError(
                f"'{self.corpus}' has no texts of the step before '{self.step.name}'; run --steps {','.join(STEPS)}"
            )
        for row in texts.to_pylist():
            if row["uid"] in scale:
                inputs = {"uid": row["uid"], "mpp": scale[row["uid"]], "parent": row["caption_id"], "text": row["text"]}
                yield Item(f"{self.name}/{row['caption_id']}", inputs, cost=1 << 20)

    def process(self, item: Item) -> Outcome:
        """Ask about one patch."""
        inputs = item.inputs
        image = self._picture(inputs["uid"]) if self.step.shows_picture else None
        try:
            reply = self.endpoint.ask(filled(self.step.prompt, inputs.get("text", ""), inputs["mpp"]), image)
        except EndpointError as error:
            return Outcome("failed", error.reason, str(error))
        identity = "\0".join((inputs["uid"], self.step.provider, reply.request_sha, reply.text))
        row: Row = {
            "caption_id": hashlib.sha256(identity.encode()).hexdigest()[:32],
            "uid": inputs["uid"],
            "text": reply.text,
            "lang": "en",
            "kind": self.step.kind,
            "parents": [inputs["parent"]] if "parent" in inputs else [],
            "provider": self.step.provider,
            "model": reply.model,
            "prompt_sha": self.step.prompt_sha,
            "request_sha": reply.request_sha,
            "tokens_in": reply.tokens_in,
            "tokens_out": reply.tokens_out,
            "created": reply.created,
        }
        return Outcome("used", tables={"captions": [row]})

    def _chosen(self, corpus: Corpus, samples: pa.Table) -> Sequence[str]:
        uids: list[str] = samples["uid"].to_pylist()
        if not self.all_patches:
            scores = corpus.table("scores", ["uid", "name"])
            chosen = set(scores.filter(pc.equal(scores["name"], REPRESENTATIVE))["uid"].to_pylist())
            uids = [uid for uid in uids if uid in chosen]
        if not uids:
            raise InputError(
                f"'{self.corpus}' has no representative patches; choose some with: voxtile score CORPUS --from "
                "representatives, or take all with --all-patches"
            )
        return uids

    def _picture(self, uid: str) -> bytes:
        row = Corpus(Path(self.corpus)).row(uid)
        return StoredSample(Path(self.corpus), row).encoded()


def filled(prompt: str, text: str, mpp: Sequence[float] | None) -> str:
    """A prompt with its fields filled in; braces of the text are left alone.

    Args:
        prompt: see `Step.prompt`.
        text: of the step before.
        mpp: micrometres a pixel (x, y).
    """
    scale = f", at {mpp[0]:.2g} micrometres a pixel" if mpp else ""
    before, mark, after = prompt.replace("{scale}", scale).partition("{text}")
    return before + text + after.replace("{text}", text) if mark else before
