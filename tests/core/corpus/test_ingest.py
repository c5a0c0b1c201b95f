"""Importing pairs: bytes untouched, captions kept, damage contained; from the command's function to the tables."""

import io
import json
import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.errors import InputError, RunFailedError
from voxtile.stages.ingest.command import import_csv, import_parquet, import_wds
from voxtile.stages.ingest.text import MAX_CHARACTERS, check_texts


def picture(seed, kind="JPEG", size=(24, 32)):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def numbered_pairs(first, last):
    return [(f"{i}.{e}", d) for i in range(first, last) for e, d in (("jpg", picture(i)), ("txt", b"%d" % i))]


def tables(root):
    corpus = Corpus(root)
    samples = {row["uid"]: row for row in corpus.table("samples").to_pylist()}
    captions: dict[str, list[str]] = {}
    for row in corpus.table("captions").to_pylist():
        captions.setdefault(row["uid"], []).append(row["text"])
    ledger = {row["source"]: (row["status"], row["reason"]) for row in corpus.ledger().to_pylist()}
    return samples, captions, ledger


def stored_bytes(root, row):
    return (root / row["shard"]).read_bytes()[row["offset"] : row["offset"] + row["nbytes"]]


def texts_by_source(root):
    samples, captions, _ = tables(root)
    return {row["source"]: sorted(captions.get(uid, [])) for uid, row in samples.items()}


def test_wds_stores_bytes_untouched_and_all_texts(tmp_path):
    jpg, png, webp = picture(0), picture(1, "PNG"), picture(2, "WEBP")
    write_tar(
        tmp_path / "a.tar",
        [
            ("x/000.jpg", jpg), ("x/000.txt", b"one"),
            ("x/001.png", png), ("x/001.json", json.dumps({"caption": "two", "width": 3}).encode()),
            ("x/002.webp", webp), ("x/002.json", json.dumps({"text": ["three", "four"]}).encode()),
            ("x/003.jpeg", picture(3)), ("x/003.txt", b"five"), ("x/003.json", b'{"caption": "not this"}'),
        ],
    )  # fmt: skip
    root = tmp_path / "corpus"
    import_wds(tmp_path / "a.tar", root, licence="CC0-1.0", engine="inline")
    samples, captions, ledger = tables(root)
    by_source = {row["source"]: row for row in samples.values()}
    assert stored_bytes(root, by_source["a.tar/x/000"]) == jpg
    assert stored_bytes(root, by_source["a.tar/x/001"]) == png
    assert by_source["a.tar/x/002"]["codec"] == "png"
    assert {row["licence"] for row in samples.values()} == {"CC0-1.0"}
    assert texts_by_source(root) == {
        "a.tar/x/000": ["one"], "a.tar/x/001": ["two"], "a.tar/x/002": ["four", "three"], "a.tar/x/003": ["five"],
    }  # fmt: skip
    assert set(ledger.values()) == {("used", None)}
    splits = Corpus(root).splits()
    assert {splits[row["subject"]] for row in samples.values()} <= {"train", "val", "test"}
    assert len(captions) == 4


def test_the_same_image_twice_is_dropped_but_its_captions_are_kept(tmp_path):
    same = picture(0)
    write_tar(tmp_path / "a.tar", [("0.jpg", same), ("0.txt", b"first"), ("1.jpg", picture(1)), ("1.txt", b"other")])
    write_tar(tmp_path / "b.tar", [("0.jpg", same), ("0.txt", b"second"), ("1.jpg", same), ("1.txt", b"third")])
    root = tmp_path / "corpus"
    import_wds(tmp_path, root, engine="inline", job_items=1)
    _, _, ledger = tables(root)
    assert ledger["b.tar/0"] == ledger["b.tar/1"] == ("dropped", "duplicate")
    assert texts_by_source(root)["a.tar/0"] == ["first", "second", "third"]


@pytest.mark.parametrize("form", ["txt", "json", "parquet"])
def test_captions_that_were_rewritten_beside_the_same_images_are_noticed(form, tmp_path, capsys):
    root, said = tmp_path / "corpus", []
    for text in ("a nodule of 5 mm", "a nodule of 5 mm", "a nodule of 6 mm"):
        if form == "parquet":
            table = pa.table({"image": [picture(0), picture(1)], "caption": [text, "other"]})
            pq.write_table(table, tmp_path / "a.parquet")
            os.utime(tmp_path / "a.parquet", (1e9, 1e9))
            import_parquet(tmp_path / "a.parquet", root, engine="inline")
        else:
            told = text if form == "txt" else json.dumps({"caption": text})
            write_tar(tmp_path / "a.tar", [("0.jpg", picture(0)), (f"0.{form}", told.encode())])
            import_wds(tmp_path / "a.tar", root, engine="inline")
        said.append("stored-otherwise" in capsys.readouterr().out)
    assert said == [False, False, True]
    assert len(Corpus(root).table("samples")) == 1 + (form == "parquet")


def test_a_duplicate_of_a_refused_first_leaves_no_orphan_caption(tmp_path):
    same = picture(0)
    write_tar(
        tmp_path / "a.tar", [("0.jpg", same), ("0.txt", b"x" * (MAX_CHARACTERS + 1)), ("1.jpg", same), ("1.txt", b"ok")]
    )
    root = tmp_path / "corpus"
    import_wds(tmp_path / "a.tar", root, engine="inline")
    samples, captions, ledger = tables(root)
    assert captions.keys() <= samples.keys()
    assert ledger["a.tar/0"] == ("dropped", "caption-too-long")


def test_a_second_import_under_other_settings_adds_captions_and_no_sample(tmp_path):
    write_tar(tmp_path / "a.tar", [("0.jpg", picture(0)), ("0.txt", b"first")])
    write_tar(
        tmp_path / "b.tar", [("9.jpg", picture(0)), ("9.txt", b"second"), ("8.jpg", picture(8)), ("8.txt", b"new")]
    )
    root = tmp_path / "corpus"
    import_wds(tmp_path / "a.tar", root, engine="inline")
    import_wds(tmp_path / "b.tar", root, licence="CC0-1.0", engine="inline")
    before = tables(root)
    import_wds(tmp_path / "b.tar", root, licence="CC0-1.0", engine="inline")
    assert tables(root) == before
    assert texts_by_source(root) == {"a.tar/0": ["first", "second"], "b.tar/8": ["new"]}
    uids = Corpus(root).table("samples")["uid"].to_pylist()
    assert len(uids) == len(set(uids)) == 2


def test_unwanted_texts_and_members_are_named_and_the_rest_is_unharmed(tmp_path):
    write_tar(
        tmp_path / "a.tar",
        [
            ("0.jpg", picture(0)), ("0.txt", b"nul\x00 and \x07bell"),
            ("1.jpg", picture(1)), ("1.txt", b"y" * 1_000_000),
            ("2.jpg", picture(2)), ("2.txt", b"\xff\xfe\xfa"),
            ("3.jpg", picture(3)), ("3.txt", b" \n"),
            ("4.jpg", picture(4)),
            ("5.txt", b"no image"),
            ("6.jpg", b"<html>404</html>"), ("6.txt", b"not a picture"),
            ("7.jpg", picture(7)[:300]), ("7.txt", b"cut"),
            ("8.jpg", picture(8)), ("8.json", b"[" * 100_000),
            ("9.jpg", picture(9)), ("9.json", '{"caption": "caf\u00e9"}'.encode("latin-1")),
        ],
    )  # fmt: skip
    root = tmp_path / "corpus"
    with pytest.raises(RunFailedError) as caught:
        import_wds(tmp_path / "a.tar", root, engine="inline")
    assert caught.value.exit_status == 1
    _, _, ledger = tables(root)
    assert {source.removeprefix("a.tar/"): reason for source, (_, reason) in ledger.items()} == {
        "0": None, "1": "caption-too-long", "2": "caption-not-utf8", "3": "caption-empty", "4": "no-caption",
        "5": "no-image", "6": "not-a-picture", "7": "decode-error",
        "8": "caption-unreadable", "9": "caption-unreadable",
    }  # fmt: skip
    assert texts_by_source(root) == {"a.tar/0": ["nul and bell"]}


def test_a_refused_text_beside_a_good_one_is_named_in_the_ledger_and_in_the_summary(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(picture(0))
    rows = [("a.jpg", "good"), ("a.jpg", "y" * 1_000_000), ("a.jpg", ""), ("a.jpg", "z" * 200_000)]
    (tmp_path / "pairs.csv").write_text("image,caption\n" + "".join(f"{name},{text}\n" for name, text in rows))
    import_csv(tmp_path / "pairs.csv", tmp_path / "corpus", engine="inline")
    assert texts_by_source(tmp_path / "corpus") == {"a.jpg": ["good"]}
    ledger = [row for part in (tmp_path / "corpus/ledger").iterdir() for row in pq.read_table(part).to_pylist()]
    assert sorted((row["status"], row["reason"]) for row in ledger) == [
        ("dropped", "caption-too-long"), ("dropped", "caption-too-long"), ("used", None),
    ]  # fmt: skip
    assert len({row["uid"] for row in ledger}) == 3
    assert "caption-too-long" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["cut in a member", "cut in a header", "flipped header", "gzip", "no tar"])
def test_a_damaged_tar_costs_one_sentence_and_what_follows(tmp_path, damage):
    source = tmp_path / "in"
    source.mkdir()
    good = write_tar(source / "good.tar", [("0.jpg", picture(0)), ("0.txt", b"good")])
    whole = write_tar(source / "bad.tar", numbered_pairs(1, 4))
    data = bytearray(whole.read_bytes())
    third = data.index(b"3.jpg")
    if damage == "gzip":
        with tarfile.open(whole, "w:gz") as tar:
            tar.add(good, "x")
    else:
        if damage == "flipped header":
            data[third + 20] ^= 0xFF
        damaged = {
            "cut in a member": data[: third + 700],
            "cut in a header": data[: third + 100],
            "no tar": b"hello" * 300,
        }
        whole.write_bytes(bytes(damaged.get(damage, data)))
    root = tmp_path / "corpus"
    with pytest.raises(RunFailedError):
        import_wds(source, root, engine="inline")
    _, _, ledger = tables(root)
    assert ledger["bad.tar"] == ("failed", "unreadable-file")
    assert ledger["good.tar/0"] == ("used", None)
    if damage in {"cut in a member", "cut in a header", "flipped header"}:
        assert ledger["bad.tar/1"] == ledger["bad.tar/2"] == ("used", None)


def test_member_names_and_links_cannot_reach_outside(tmp_path):
    path = tmp_path / "in" / "a.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for name, data in (("../../evil.jpg", picture(0)), ("../../evil.txt", b"text")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("0.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    root = tmp_path / "in" / "corpus"
    import_wds(path, root, engine="inline")
    assert not list(tmp_path.glob("evil*"))
    assert not list(tmp_path.parent.glob("evil*"))
    assert len(tables(root)[0]) == 1


def test_parquet_layouts_give_the_same_samples(tmp_path):
    images = [picture(i) for i in range(5)]
    texts = [f"caption {i}" for i in range(5)]
    folder = tmp_path / "paths"
    folder.mkdir()
    for i, data in enumerate(images):
        (folder / f"{i}.jpg").write_bytes(data)
    layouts = {
        "img2dataset": {"jpg": images, "caption": texts, "url": ["u"] * 5, "status": ["success"] * 5},
        "hf": {"image": [{"bytes": data, "path": "x"} for data in images], "text": texts},
        "paths": {"filepath": [f"{i}.jpg" for i in range(5)], "title": texts},
    }
    found = {}
    for name, columns in layouts.items():
        path = (folder if name == "paths" else tmp_path) / f"{name}.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=2)
        root = tmp_path / f"{name}-corpus"
        import_parquet(path, root, engine="inline")
        samples, captions, _ = tables(root)
        found[name] = {(uid, stored_bytes(root, row), tuple(captions[uid])) for uid, row in samples.items()}
    assert found["img2dataset"] == found["hf"] == found["paths"]
    assert {data for _, data, _ in found["hf"]} == set(images)


def test_parquet_without_pixels_is_dropped_by_name_and_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was used"))
    pq.write_table(pa.table({"url": ["https://example.org/a.jpg"], "caption": ["x"]}), tmp_path / "a.parquet")
    root = tmp_path / "corpus"
    import_parquet(tmp_path / "a.parquet", root, engine="inline")
    assert set(tables(root)[2].values()) == {("dropped", "no-image")}


def test_parquet_with_lists_nulls_and_a_missing_column(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    pq.write_table(pa.table({"jpg": [picture(0), None], "captions": [["a", "b"], ["c"]]}), source / "a.parquet")
    pq.write_table(pa.table({"jpg": [picture(1)], "width": [3]}), source / "b.parquet")
    (source / "c.parquet").write_bytes(b"PAR1 not really")
    root = tmp_path / "corpus"
    with pytest.raises(RunFailedError):
        import_parquet(source, root, engine="inline")
    _, _, ledger = tables(root)
    assert ledger["a.parquet/0/1"] == ("dropped", "no-image")
    assert ledger["b.parquet"] == ledger["c.parquet"] == ("failed", "unreadable-file")
    assert texts_by_source(root) == {"a.parquet/0/0": ["a", "b"]}


def test_csv_as_open_clip_writes_it(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    rows = ["filepath\ttitle", "0.jpg\ta, b", "1.jpg\tsecond", "0.jpg\tagain", "2.jpg\tthird"]
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    root = tmp_path / "corpus"
    import_csv(tmp_path / "pairs.csv", root, engine="inline")
    assert texts_by_source(root) == {"0.jpg": ["a, b", "again"], "1.jpg": ["second"], "2.jpg": ["third"]}


def test_csv_subjects_and_splits_are_used(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    (tmp_path / "t.csv").write_text("image,text,subject,split\n0.jpg,a,p1,test\n1.jpg,b,p1,test\n2.jpg,c,p2,val\n")
    root = tmp_path / "corpus"
    import_csv(tmp_path / "t.csv", root, engine="inline")
    assert Corpus(root).splits() == {"p1": "test", "p2": "val"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,caption,caption\n0.jpg,a,b\n", "2 columns for one thing (caption, caption)"),
        ("image,Text,text\n0.jpg,a,b\n", "2 columns for one thing (Text, text)"),
        ("image,text,split\n0.jpg,a,train\n0.jpg,b,test\n", "the image of row 3 another split than an earlier row"),
        ("image,text,subject\n0.jpg,a,p1\n0.jpg,b,p2\n", "the image of row 3 another subject than an earlier row"),
        (
            "image,text,subject,split\n0.jpg,a,p1,train\n1.jpg,b,p1,test\n",
            "a subject into the split 'test' in row 3 and into 'train'",
        ),
    ],
)
def test_a_csv_that_says_two_things_of_one_makes_nothing(tmp_path, content, message):
    for i in range(2):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=re.escape(message)):
        import_csv(tmp_path / "t.csv", tmp_path / "corpus", engine="inline")
    assert not (tmp_path / "corpus").exists()


def test_one_picture_by_two_names_in_two_splits_is_said(tmp_path):
    for name in ("0.jpg", "again.jpg", "third.jpg"):
        (tmp_path / name).write_bytes(picture(0))
    rows = ["image,text,split", "0.jpg,a,train", "again.jpg,b,test", "third.jpg,c,train"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    root = tmp_path / "corpus"
    import_csv(tmp_path / "t.csv", root, engine="inline")
    _, _, ledger = tables(root)
    assert ledger["again.jpg"] == ("dropped", "duplicate-in-another-split")
    assert ledger["third.jpg"] == ("dropped", "duplicate")
    assert list(Corpus(root).splits().values()) == ["train"]


def test_what_a_csv_leaves_out_at_the_end_of_a_row_and_marks_in_its_texts_are_let_be(tmp_path):
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    rows = ['0.jpg,a 5" pipe,p0', '1.jpg,"b" c', "2.jpg,d,,,", '3.jpg,"e,\nf ""g""",p3']
    (tmp_path / "t.csv").write_text("\n".join(["image,text,subject", *rows]) + "\n")
    root = tmp_path / "corpus"
    import_csv(tmp_path / "t.csv", root, engine="inline")
    texts = {"0.jpg": ['a 5" pipe'], "1.jpg": ["b c"], "2.jpg": ["d"], "3.jpg": ['e,\nf "g"']}
    assert texts_by_source(root) == texts
    assert {"p0", "p3"} < set(Corpus(root).splits())


def test_csv_bad_rows_are_named(tmp_path):
    outside = tmp_path / "secret.jpg"
    outside.write_bytes(picture(0))
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "ok.jpg").write_bytes(picture(1))
    lines = [b"path,text", b"ok.jpg,fine\x00", b"../secret.jpg,leaves", b"gone.jpg,missing", b"ok.jpg,\xff\xfe"]
    (folder / "t.csv").write_bytes(b"\n".join(lines))
    root = tmp_path / "corpus"
    with pytest.raises(RunFailedError):
        import_csv(folder / "t.csv", root, engine="inline")
    _, _, ledger = tables(root)
    assert ledger["../secret.jpg"] == ("failed", "outside-root")
    assert ledger["gone.jpg"] == ("failed", "file-missing")
    assert texts_by_source(root) == {"ok.jpg": ["fine"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "no column for the image path"),
        ("", "no column for the image path"),
        (None, "does not exist"),
        ('path,text\n0.jpg,a\n1.jpg,"b\n2.jpg,c\n', "line 3: a quotation mark there opens a cell"),
        ('path,text\n1.jpg,"b\n2.jpg,"c, d"\n3.jpg,e\n', "line 2: a quotation mark there opens a cell"),
        ("path,text\n1.jpg,a lake, and a house\n", "3 fields in row 2 and 2 in its header"),
    ],
)
def test_a_csv_that_does_not_fit_makes_nothing(tmp_path, content, message):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        import_csv(path, tmp_path / "corpus", engine="inline")
    assert not (tmp_path / "corpus").exists()


def test_an_empty_source_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    for source in (tmp_path / "in", tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"\.tar"):
            import_wds(source, tmp_path / "corpus", engine="inline")


def test_real_captions_with_many_repeats_all_arrive(test_data, tmp_path):
    entries = json.loads((test_data / "remote_sensing/captions_rsicd_rsitmd/rsicd_val.json").read_text())[:40]
    rows = []
    for i, entry in enumerate(entries):
        path = tmp_path / entry["image"]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(i, size=(8, 8)))
        rows += [(entry["image"], text) for text in entry["caption"]]
    pq.write_table(pa.table({"file": [r[0] for r in rows], "caption": [r[1] for r in rows]}), tmp_path / "t.parquet")
    lines = ["path,caption", *(f'{name},"{text}"' for name, text in rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    import_csv(tmp_path / "t.csv", tmp_path / "corpus", engine="inline")
    expected = {entry["image"]: sorted(text.strip() for text in entry["caption"]) for entry in entries}
    assert texts_by_source(tmp_path / "corpus") == expected


def test_workers_give_the_same_bytes_as_inline(tmp_path):
    write_tar(tmp_path / "a.tar", numbered_pairs(0, 6))
    import_wds(tmp_path / "a.tar", tmp_path / "one", job_items=3, engine="inline")
    import_wds(tmp_path / "a.tar", tmp_path / "two", job_items=3, workers=2)

    def content(root):
        files = [path for part in ("shards", "tables") for path in (root / part).rglob("*.*")]
        return {str(path.relative_to(root)): path.read_bytes() for path in files}

    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert len(content(tmp_path / "one")) == 8


def test_text_rules():
    texts = check_texts(["  a\tb\r\nc  ", "x\x00y", "", "\ud800bad", "z" * MAX_CHARACTERS, b"\xef\xbb\xbfbom"])
    assert texts.accepted == ("a\tb\r\nc", "xy", "bad", "z" * MAX_CHARACTERS, "bom")
    assert [reason for reason, _ in texts.refused] == ["caption-empty"]
    assert check_texts(["z" * (MAX_CHARACTERS + 1)]).refused[0][0] == "caption-too-long"


def test_shards_of_an_import_are_plain_webdataset(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    write_tar(tmp_path / "a.tar", [("0.jpg", picture(0)), ("0.txt", b"text")])
    import_wds(tmp_path / "a.tar", tmp_path / "corpus", engine="inline")
    shard = next(Path(tmp_path / "corpus" / "shards").glob("*.tar"))
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False))
    assert [sample["jpg"] for sample in samples] == [picture(0)]
