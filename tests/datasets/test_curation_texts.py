"""Texts: words and hashes, near-duplicates against plain sets, and MetaCLIP's balance by hand."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voxtile_datasets.curation.balance import (
    EntryMatcher,
    Matches,
    cap_from_tail,
    chances,
    entry_counts,
    keep_items,
    keep_probabilities,
    keyed_draws,
)
from voxtile_datasets.curation.minhash import MISSED, Banding, TextSets, near_duplicates, same_texts
from voxtile_datasets.curation.scores.text import text_scores
from voxtile_datasets.curation.similarity_links import resolve
from voxtile_datasets.curation.string_hashes import string_keys, text_keys, words_of

THRESHOLD = 0.8


def pairs(text):
    words = ["<", *"".join(c if c.isalnum() else " " for c in text.lower()).split(), ">"]
    return set(itertools.pairwise(words))


def jaccard(one, other):
    return len(pairs(one) & pairs(other)) / len(pairs(one) | pairs(other))


def duplicates_of(texts, tmp_path, *, threshold=THRESHOLD, order=None, fixed=None):
    sets = TextSets(tmp_path, Banding.for_threshold(threshold))
    for start in range(0, len(texts), 700):
        sets.add(sets.prepare(pa.array(texts[start : start + 700], pa.string())))
    sets.close()
    count = len(texts)
    order = np.arange(count) if order is None else np.asarray(order)
    fixed = np.zeros(count, bool) if fixed is None else np.asarray(fixed)
    return near_duplicates(sets, threshold, order, fixed)


@pytest.fixture(scope="module")
def planted():
    """3,000 random texts, and 600 variants of some at or above the threshold by plain sets: (texts, origin)."""
    rng = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "bcdfghklmnprst" for b in ("ara", "imo", "ule", "ente", "osk", "ith")]
    texts = [" ".join(rng.choice(words, rng.integers(8, 20))) for _ in range(3000)]
    origin = {}
    for number in range(900):
        source = texts[number]
        change = (f"{source} too", source.upper() + "!", source.partition(" ")[2])[number % 3]
        if jaccard(source, change) >= THRESHOLD and len(origin) < 600:
            origin[len(texts)] = number
            texts.append(change)
    return texts, origin


def test_every_planted_duplicate_is_found_and_nothing_else_is_merged(planted, tmp_path):
    texts, origin = planted
    by = duplicates_of(texts, tmp_path)
    assert {copy: by[copy] for copy in origin} == origin
    assert set(np.flatnonzero(by >= 0)) == set(origin)


def test_each_removed_text_is_alike_to_one_that_stays(tmp_path):
    # A chain in which each is like the next: no chain of likenesses may remove a text that none left is like.
    words = [f"w{n}" for n in range(60)]
    texts = [" ".join(words[start : start + 40]) for start in range(20)]
    by = duplicates_of(texts, tmp_path)
    removed = np.flatnonzero(by >= 0)
    assert len(removed) >= 8
    for text in removed:
        assert by[by[text]] == -1
        assert jaccard(texts[text], texts[by[text]]) >= THRESHOLD
    stays = np.flatnonzero(by == -1)
    assert all(jaccard(texts[a], texts[b]) < THRESHOLD for a, b in itertools.combinations(stays, 2))


def test_the_preferred_one_stays_and_held_out_ones_always_do(tmp_path):
    texts = ["a large nodule in the left upper lobe of the lung"] * 3 + [
        "unlike all of the others in each of its words"
    ]
    assert duplicates_of(texts, tmp_path, order=[2, 0, 1, 3]).tolist() == [2, 2, -1, -1]
    fixed = [False, True, True, False]
    assert duplicates_of(texts, tmp_path, order=[1, 2, 0, 3], fixed=fixed).tolist() == [1, -1, -1, -1]


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9])
def test_banding_misses_a_pair_at_the_threshold_as_seldom_as_it_says(threshold):
    banding = Banding.for_threshold(threshold)
    assert (1 - threshold**banding.rows) ** banding.bands <= MISSED
    assert banding.bands * banding.rows <= 96


def test_minhash_agrees_as_often_as_sets_overlap(tmp_path):
    # One hash a band: the share of equal bands estimates the Jaccard similarity (Broder 1997).
    words = [f"w{n}" for n in range(300)]
    one, other = " ".join(words[:200]), " ".join(words[100:300])
    sets = TextSets(tmp_path, Banding(600, 1))
    sets.add(sets.prepare(pa.array([one, other])))
    sets.close()
    equal = np.mean([len(set(sets.band(band, np.arange(2)).tolist())) == 1 for band in sets.bands])
    truth = jaccard(one, other)
    assert sets.similarity(np.array([0]), np.array([1]))[0] == pytest.approx(truth)
    assert abs(equal - truth) < 4 * np.sqrt(truth * (1 - truth) / 600)


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda p: p[0] < p[1]), max_size=40))
@settings(max_examples=60)
def test_resolving_equals_going_through_by_priority(links):
    low = np.array([a for a, _ in links], np.int64)
    high = np.array([b for _, b in links], np.int64)
    by = resolve(12, low, high, np.zeros(12, bool))
    kept = []
    for item in range(12):
        if not any((other, item) in links for other in kept):
            kept.append(item)
    assert np.flatnonzero(by == -1).tolist() == kept
    assert all((by[item], item) in links and by[item] in kept for item in np.flatnonzero(by >= 0))


def test_words_fold_case_punctuation_and_form_and_keep_numbers():
    texts = ["A nodule, 3.5 mm.", "a NODULE 3.5 mm", "a nodule 35 mm", "HU -50", "HU 50", "ﬁne “Größe” –", "fine größe"]
    keys = text_keys(words_of(pa.array(texts)))
    assert keys[0] == keys[1]
    assert keys[5] == keys[6]
    assert len(set(keys.tolist())) == 5
    assert np.diff(words_of(pa.array(["肺に結節", None, "", " .,", "ab-cd"])).offsets).tolist() == [4, 0, 0, 0, 2]


@given(st.lists(st.text(alphabet="ab é肺.", max_size=6), max_size=12))
@example(["", ""])
@settings(max_examples=60)
def test_strings_have_equal_keys_only_if_they_are_equal(strings):
    keys = string_keys(pa.array(["x", *strings], pa.string()).slice(1)).tolist()
    assert len(set(zip(strings, keys, strict=True))) == len(set(strings)) == len(set(keys))


def test_the_same_words_in_another_order_are_another_text():
    keys = text_keys(words_of(pa.array(["no left mass", "left, no mass", "No left mass."])))
    by = same_texts(keys, np.arange(3), np.zeros(3, bool))
    assert by.tolist() == [-1, -1, 0]


# Ten captions over four entries, worked by hand. Counts: dog 8, cat 3, fox 1, owl 0. Sorted matches 1, 3, 8 of 12 make
# the shares 1/12, 4/12 and 1: a tail of 0.06 is nearest to 1/12, so t = 1; one of 0.3 is nearest to 4/12, so t = 3.
CAPTIONS = ["a dog"] * 6 + ["a dog and a cat", "dog, cat", "one cat", "a fox", "nothing at all"]


def metaclip(captions, names, cap, draws):
    """Algorithm 1 of the paper, text by text; `draws` gives the random number of a match."""
    matched = [
        [n for n, name in enumerate(names) if f" {name} " in f" {text.replace(',', ' , ')} "] for text in captions
    ]
    counts = [sum(n in own for own in matched) for n in range(len(names))]
    probability = [cap / max(count, cap) for count in counts]
    return counts, [any(draws[i, n] < probability[n] for n in own) for i, own in enumerate(matched)]


def test_balance_is_metaclips_on_a_hand_worked_example():
    names = ["dog", "cat", "fox", "owl"]
    offsets, entries = EntryMatcher(names).match(pa.array(CAPTIONS))
    matches = Matches(offsets, entries, names)
    counts = entry_counts(matches)
    assert counts.tolist() == [8, 3, 1, 0]
    assert (cap_from_tail(counts, 0.06), cap_from_tail(counts, 0.3), cap_from_tail(counts, 0.9)) == (1, 3, 8)
    probabilities = keep_probabilities(counts, 3)
    assert probabilities.tolist() == [3 / 8, 1, 1, 1]
    draws = np.random.default_rng(0).random((len(CAPTIONS), 4))
    owner = np.repeat(np.arange(len(CAPTIONS)), np.diff(offsets))
    kept = keep_items(matches, probabilities, draws[owner, entries], unmatched=False)
    told, expected = metaclip(CAPTIONS, names, 3, draws)
    assert told == counts.tolist()
    assert kept.tolist() == expected
    # By hand: the captions of a cat or the fox stay, what matches nothing goes, a dog alone stays with 3/8.
    assert kept[6:].tolist() == [True, True, True, True, False]
    assert chances(matches, probabilities, unmatched=False).tolist() == pytest.approx([3 / 8] * 6 + [1, 1, 1, 1, 0])


def test_balance_keeps_about_the_cap_of_each_head_entry():
    captions = ["a dog"] * 20_000 + ["a cat"] * 500 + ["a dog with a cat"] * 100
    names = ["dog", "cat"]
    offsets, entries = EntryMatcher(names).match(pa.array(captions))
    matches = Matches(offsets, entries, names)
    probabilities = keep_probabilities(entry_counts(matches), 1000)
    kept = keep_items(matches, probabilities, keyed_draws(np.arange(len(captions)), matches, 0), unmatched=False)
    assert kept[20_000:].all()
    mean = 20_000 * 1000 / 20_100
    assert abs(kept[:20_000].sum() - mean) < 5 * np.sqrt(mean)


def test_entries_match_whole_words_and_phrases_in_order():
    names = ["pleural effusion", "effusion", "lung"]
    found = EntryMatcher(names).match(pa.array(["Pleural effusion.", "effusion, pleural", "lungs", "a lung"]))
    assert [found[1][a:b].tolist() for a, b in itertools.pairwise(found[0])] == [[0, 1], [1], [], [2]]


def test_text_quality_tells_sentences_from_litter():
    assert text_scores("A small nodule in the left upper lobe, unchanged since the earlier scan.")["text_quality"] == 1
    assert text_scores("IMG_0001.JPG <br> 2345 {x}")["text_quality"] < 0.7
    assert text_scores("very good very good very good very good")["text_repeats"] > 0.5
    assert text_scores("")["text_words"] == 0
