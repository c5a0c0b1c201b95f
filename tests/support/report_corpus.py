"""A corpus of reports alone, and a model that answers to each of them what a test says."""

import io
import json

from chat_endpoint import Endpoint
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus


def reported(folder, texts, modality="CT", licence="CC BY 4.0"):
    """A corpus of one sample a report; a sample whose text is None has none."""
    new_corpus(folder)
    writer = JobWriter(folder, "made")
    for n, uid in enumerate(texts):
        row = {
            "uid": uid, "subject": f"subject-of-{uid}", "study": f"1.2.840.{n}99887766", "kind": "image",
            "modality": modality, "axes": "YX", "licence": licence, "source": f"{uid}.png",
        }  # fmt: skip
        stream = io.BytesIO()
        Image.new("L", (4, 4), n).save(stream, "PNG")
        writer.add(Sample(row, stream.getvalue()))
    writer.publish()
    rows = [{"caption_id": f"c-{uid}", "uid": uid, "text": text, "kind": "raw"} for uid, text in texts.items() if text]
    append_rows(folder, "captions", "made", rows)
    return folder


def finding(name, words, polarity="present", **details):
    """An entry of a reply."""
    return {"finding": name, "words": words, "polarity": polarity, **details}


def findings(*entries):
    """A reply as it should be."""
    return json.dumps({"findings": list(entries)})


def answering(replies):
    """An endpoint that answers with the reply, or the replies in turn, to the report that the prompt has."""
    asked = dict.fromkeys(replies, 0)

    def answer(prompt, _):
        report = prompt.rpartition("<<<")[2].partition(">>>")[0]
        key = next(text for text in replies if text in report)
        given = replies[key] if isinstance(replies[key], list) else [replies[key]]
        asked[key] += 1
        return given[min(asked[key], len(given)) - 1]

    return Endpoint(answer)


def facts_of(corpus, source=""):
    """(uid, concept, polarity) of facts whose source begins so."""
    rows = Corpus(corpus).table("facts").to_pylist()
    return sorted((row["uid"], row["concept"], row["polarity"]) for row in rows if row["source"].startswith(source))
