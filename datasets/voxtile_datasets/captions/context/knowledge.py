"""Background knowledge from a local folder of texts: the passages nearest to a question, by BM25.

BM25 is Robertson and Zaragoza's ranking (Foundations and Trends in Information Retrieval 3:333, 2009), here by the
library bm25s (arXiv:2407.03618). Knowledge explains what a concept means; it is never a fact about a sample.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from voxtile.errors import InputError, cause_of, required

SUFFIXES = (".txt", ".md")
PASSAGE_WORDS = 120
_LARGEST_FILE = 8 << 20  # bytes; a folder of notes, not of books


class Knowledge:
    """Passages of the texts in a folder, found by their words.

    Args:
        folder: searched with its subfolders for `.txt` and `.md` files in UTF-8. Paragraphs are passages; long ones are
            cut after about 120 words, at the end of a sentence.

    Raises:
        InputError: the folder is missing or holds no text, or a file cannot be read.
        MissingExtraError: bm25s is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"the knowledge folder '{folder}' does not exist; give a folder of .txt or .md files")
        with required("bm25s", "llm"):
            import bm25s  # noqa: F401
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        self.passages = tuple(dict.fromkeys(passage for path in files for passage in _passages(_read(path))))
        if not self.passages:
            raise InputError(f"the knowledge folder '{folder}' holds no text; put .txt or .md files into it")

    @cached_property
    def sha256(self) -> str:
        """Identity of the passages, whatever the names of their files."""
        return hashlib.sha256("\0".join(sorted(self.passages)).encode()).hexdigest()

    def find(self, question: str, most: int = 3) -> tuple[str, ...]:
        """The passages that share the most telling words with a question, the best first; none that shares no word.

        Args:
            question: any words.
            most: how many passages at most.
        """
        words = self._tokens([question])
        if not words[0]:
            return ()
        ranks, scores = self._index.retrieve(words, k=min(most, len(self.passages)), show_progress=False)
        pairs = zip(ranks[0].tolist(), scores[0].tolist(), strict=True)
        return tuple(self.passages[rank] for rank, score in pairs if score > 0)

    @cached_property
    def _index(self) -> Any:  # noqa: ANN401
        import bm25s

        index = bm25s.BM25()
        index.index(self._tokens(list(self.passages)), show_progress=False)
        return index

    @staticmethod
    def _tokens(texts: list[str]) -> list[list[str]]:
        import bm25s

        tokens: list[list[str]] = bm25s.tokenize(texts, stopwords="en", return_ids=False, show_progress=False)
        return [[_singular(word) for word in words] for words in tokens]


def _singular(word: str) -> str:
    """Without the plural's s, so that 'nodules' finds 'nodule'; both sides are treated alike."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"the knowledge file '{path}' is larger than 8 MiB; split it or leave it out")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the knowledge file '{path}' cannot be read as UTF-8: {cause_of(error)}") from error


def _passages(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        sentences = re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split()).lstrip("# "))
        passage: list[str] = []
        for sentence in sentences:
            if passage and len(" ".join([*passage, sentence]).split()) > PASSAGE_WORDS:
                yield " ".join(passage)
                passage = []
            passage.append(sentence)
        if any(passage):
            yield " ".join(passage)
