"""The template captions that were read one by one: the list is whole, and the checker finds no error of fact in it."""

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.choose import choose
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

FOLDER = Path(__file__).parents[2] / "benchmarks" / "outside" / "templates"
DOMAINS = ("medical", "pathology", "remote_sensing")
LISTS = (*DOMAINS, *(f"{domain}-bank" for domain in DOMAINS))
VOCABULARIES = installed_vocabularies()
DETAIL = re.compile(r"(number|size|side|location|levels): (.*?)(?=, (?:number|size|side|location|levels): |$)")


def read(domain):
    with (FOLDER / f"{domain}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def facts_of(text):
    """The facts column as rows of the facts table; a list of levels is a fact each."""
    rows = []
    for one in text.split("; "):
        polarity, concept, details = re.fullmatch(r"(\w+) (.*?)(?: \((\w+: .*)\))?", one).groups()
        attributes, levels = {}, [None]
        for key, value in DETAIL.findall(details or ""):
            if key == "size":
                lengths = map(float, re.findall(r"[\d.]+", value))
                attributes["size_mm"] = [length * (10 if value.endswith("cm") else 1) for length in lengths]
            elif key == "levels":
                levels = value.split()
            elif key == "number":
                attributes |= {"count": int(value)} if value.isdigit() else {"number": value}
            else:
                attributes[{"side": "laterality"}.get(key, key)] = value
        for level in levels:
            own = attributes | ({"location": level} if level else {})
            rows.append({"concept": concept, "polarity": polarity, "value": None, "unit": None, "attributes": own})
    return rows


def verdict(row, caption):
    facts = facts_of(row["facts"])
    vocabulary = VOCABULARIES[choose(VOCABULARIES, row["modality"], [fact["concept"] for fact in facts])]
    return check(caption, Known(facts, []), vocabulary).verdict


@pytest.mark.parametrize("domain", LISTS)
def test_two_hundred_captions_a_domain_were_read(domain):
    rows = read(domain)
    assert len(rows) >= 200
    assert len({row["caption"] + row["facts"] for row in rows}) > 0.7 * len(rows) >= 140
    assert {row["origin"] for row in rows} - {"written"} == {"phantom", "real"}
    assert {row["true"] for row in rows} == {"yes"}
    assert sum(row["english"] != "good" for row in rows) <= 0.02 * len(rows)
    stated = re.search(rf"`{domain}\.csv` \| (\d+) .* \| (\d+)[^|]*\|$", (FOLDER / "README.md").read_text(), re.M)
    assert [int(number) for number in stated.groups()] == [len(rows), sum(row["english"] != "good" for row in rows)]


@pytest.mark.cases(2)
@pytest.mark.parametrize("domain", LISTS)
def test_the_checker_finds_no_error_of_fact_in_them(domain):
    rows = read(domain)
    verdicts = Counter(verdict(row, row["caption"]) for row in rows)
    assert verdicts["contradicted"] == 0
    assert verdicts["unsupported"] <= (domain == "pathology-bank")  # a lesion that is there beside kinds that are open
    assert verdicts["supported"] > 0.85 * len(rows)


def test_the_checker_would_find_one():
    swapped = {"left": "right", "right": "left"}
    sided = [row for row in read("medical") if re.search(r"side: (left|right)", row["facts"])]
    lies = [re.sub(r"\b(left|right)\b", lambda m: swapped[m[1]], row["caption"]) for row in sided]
    found = sum(verdict(row, lie) in ("contradicted", "unsupported") for row, lie in zip(sided, lies, strict=True))
    assert found > 0.7 * len(sided) > 40  # not where the same finding is on both sides
    denied = [row for row in read("pathology") if row["facts"].startswith("present") and ";" not in row["facts"]]
    negated = [verdict(row, f"There is no {row['facts'].split()[1].replace('_', ' ')}.") for row in denied]
    assert set(negated) == {"contradicted"}
