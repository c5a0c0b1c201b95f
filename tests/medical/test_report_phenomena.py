"""How English denies, doubts, excepts and remembers, by class of sentence: `report_phenomena.txt`.

Written class by class from what the field writes, and not from what failed in any benchmark.
"""

import re
from pathlib import Path

from voxtile_medical.reports.extract import polarity_at

SENTENCES = Path(__file__).with_name("report_phenomena.txt")
MARKED = re.compile(r"\{([APUN]):([^}]*)\}")
POLARITY = {"P": "present", "A": "absent", "U": "uncertain", "N": None}


def test_words_are_read_as_their_sentence_says():
    wrong = [
        (text, text[start:end], wanted, polarity_at(text, start, end))
        for text, spans in map(plain, SENTENCES.read_text(encoding="utf-8").splitlines())
        for wanted, start, end in spans
        if polarity_at(text, start, end) != POLARITY[wanted]
    ]
    assert wrong == []


def plain(line: str) -> tuple[str, list[tuple[str, int, int]]]:
    """The sentence without marks, and each marked place with what is said of it."""
    text, spans, last = "", [], 0
    line = line.replace("\\n", "\n")
    for match in MARKED.finditer(line):
        text += line[last : match.start()]
        spans.append((match[1], len(text), len(text) + len(match[2])))
        text, last = text + match[2], match.end()
    return text + line[last:], spans
