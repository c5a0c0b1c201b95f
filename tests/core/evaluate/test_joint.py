"""Several models in one table, from one command: the page, the files for papers, and what is paired."""

import csv
import json
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest
from tests.core.evaluate import browser

from voxtile.cli.main import main
from voxtile.errors import EvaluationError
from voxtile.evaluation.joint import named_apart
from voxtile.evaluation.report.tables import escaped

WITHOUT_END = {"meta", "img", "link", "br", "line", "circle", "rect", "path", "polyline", "input", "col", "wbr", "hr"}


class Strict(HTMLParser):
    """Finds what a browser would forgive and a reader of the page's source or a screen reader would not."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.faults, self.targets, self.labels, self.urls = [], [], [], [], [], []
        self.headings = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag not in WITHOUT_END and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.labels += given.get("aria-labelledby", "").split()
        self.targets += [given["href"]] if tag == "a" else []
        self.urls += [given[key] for key in ("src", "href", "action", "data") if key in given and tag != "a"]
        if tag == "img" and not given.get("alt"):
            self.faults.append("an image without a text")
        if tag == "th" and "scope" not in given:
            self.faults.append("a heading of a table without a scope")
        if tag == "svg" and given.get("aria-hidden") != "true" and given.get("role") != "img":
            self.faults.append("a drawing that is neither hidden nor named")
        if tag in ("script", "iframe", "object", "embed", "form", "base"):
            self.faults.append(f"<{tag}>")
        if any(key.startswith("on") for key in given):
            self.faults.append("a handler")
        if int(given.get("tabindex", 0)) > 0:
            self.faults.append("an order of tabs of its own")
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        if tag in WITHOUT_END:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes another element")


def parsed(text):
    page = Strict()
    page.feed(text)
    page.close()
    return page


@pytest.fixture(scope="module")
def table_folder(make_corpus, make_model, task_path, tmp_path_factory):
    """A sharp model beside a blind one, two tasks, with everything that can be asked for."""
    folder = tmp_path_factory.mktemp("joint")
    corpus = make_corpus(folder / "corpus", n=120, noise=90.0)

    class Dull(make_model):
        name = "dull_one"

        def brightness(self, images):
            return 0.02 * super().brightness(images) + images[:, 0, -3:, -1, -1] / 10  # noise of its own

    second = folder / "second.yaml"
    second.write_text(task_path.read_text() + "title: Blocks & more\nname: blocks/again\n")
    options = ["--bootstrap", "100", "--also", "dull.ckpt", "--compat", "ct-clip,clip-benchmark,conch"]
    options += ["--robustness", "noise", "--subgroups", "modality"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("voxtile.inference.load.load_model", lambda spec, *_: Dull() if "dull" in spec else make_model())
        patch.setattr("voxtile.evaluation.command.check_model_name", lambda spec: None)
        out = ["--corpus", str(corpus.roots[0]), "--out", str(folder / "out")]
        assert main(["evaluate", "m.ckpt", str(task_path), str(second), *out, *options]) == 0
    return folder / "out"


def test_one_command_gives_models_baseline_and_shuffled_in_one_table(table_folder):
    content = json.loads((table_folder / "results.json").read_text())
    kinds = {(r["model"], r["kind"]) for r in content["rows"] if "@" not in r["model"]}
    assert kinds == {("blocks", "model"), ("dull_one", "model"), ("blocks", "shuffled"), ("dull_one", "shuffled"),
                     ("histogram-and-blocks", "trivial")}  # fmt: skip
    keys = [(r["task"], r["model"], r["kind"], r["metric"], r["average"], r["class"]) for r in content["rows"]]
    assert len(keys) == len(set(keys))
    (pair, _) = content["pairs"]
    assert (pair["first"], pair["second"]) == ("blocks", "dull_one")
    macro = {r["model"]: r["value"] for r in content["rows"] if (r["task"], r["kind"], r["metric"], r["average"])
             == (pair["task"], "model", "auroc", "macro")}  # fmt: skip
    assert pair["difference"] == pytest.approx(macro["blocks"] - macro["dull_one"])
    assert pair["low"] > 0
    assert pair["p"] <= pair["adjusted"] <= 2 * pair["p"] < 0.05
    assert content["provenance"]["others"][0]["model"]["name"] == "dull_one"
    assert {c["protocol"] for c in content["compat"]} == {"ct-clip", "clip-benchmark"}
    assert any(note["text"].startswith("no figure by the rules of conch") for note in content["notes"])
    assert set(pq.read_table(table_folder / "scores.parquet")["model"].to_pylist()) == {name for name, _ in kinds}


def test_csv_and_latex_hold_the_same_figures(table_folder):
    content = json.loads((table_folder / "results.json").read_text())
    with (table_folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(content["rows"])
    assert [row["value"] for row in rows] == [str(r["value"]) for r in content["rows"]]
    latex = (table_folder / "results.tex").read_text()
    macro = {
        r["model"]: r["value"]
        for r in content["rows"]
        if (r["kind"], r["metric"], r["average"]) == ("model", "auroc", "macro")
    }
    best = max(macro["blocks"], macro["dull_one"])
    assert latex.count(rf"\textbf{{{best:.3f}}}") == 2
    assert r"dull\_one &" in latex
    assert r"Blocks \& more" in latex
    assert {line.count(" & ") for line in latex.splitlines() if "&" in line} == {2}


def test_names_mean_nothing_to_latex():
    assert escaped("a_b & 50% ~ \\x") == r"a\_b \& 50\% \textasciitilde{} \textbackslash{}x"


def test_the_page_stands_alone_and_can_be_read_without_a_mouse_or_eyes(table_folder):
    text = (table_folder / "index.html").read_text()
    page = parsed(text)
    assert not page.faults
    assert not page.open
    assert len(page.ids) == len(set(page.ids))
    assert set(page.labels) <= set(page.ids)
    assert {target.removeprefix("#") for target in page.targets} <= set(page.ids)
    assert all(url.startswith("data:") for url in page.urls)
    assert "default-src 'none'" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert page.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(page.headings, page.headings[1:], strict=False))


def test_the_page_shows_the_table_with_the_best_in_bold_and_all_parts(table_folder):
    text = (table_folder / "index.html").read_text()
    summary = text[text.index('<section class="summary"') :].partition("</section>")[0]
    assert summary.count("<b>") == 2  # a best model a task
    for words in ("trivial baseline", "shuffled images", "dull_one", "Who is better?", "Holm"):
        assert words in summary
    for heading in ("Confusion", "Calibration", "Robustness", "Subgroups", "By published rules", "ROC curves"):
        assert text.count(f"<h3>{heading}</h3>") == 4, heading
    assert "with the temperature" in text


def test_two_models_of_one_name_are_told_apart():
    assert named_apart(["last.ckpt", "last.ckpt", "b"], ["x/last.ckpt", "y/last.ckpt", "b"]) == [
        "x/last.ckpt", "y/last.ckpt", "b",
    ]  # fmt: skip
    with pytest.raises(EvaluationError, match="named twice"):
        named_apart(["a", "a"], ["a", "a"])


@pytest.mark.skipif(browser.found() is None, reason="no Chromium is installed; install it to see the page in a browser")
def test_the_page_in_a_browser_at_phone_and_desktop_width(table_folder, tmp_path):
    """No request leaves the file, nothing lies outside the width, and Tab reaches all in order with a visible frame."""
    layouts, focused, urls, said = browser.look(table_folder / "index.html", tmp_path / "profile", (390, 1280), 12)
    assert {url.partition(":")[0] for url in urls} <= {"file", "data"}
    assert not said
    for width, layout in layouts.items():
        assert layout["width"] <= width, layout
        assert not layout["outside"]
        assert layout["broken"] == 0
        assert len(layout["screens"]) == 4  # two tasks of two models
        assert width > 700 or max(layout["screens"]) <= 844
        assert bool(layout["unfolded"]) == (width > 700)  # a desktop shows the details, a phone folds them
        assert layout["stops"] > 12
        stops = focused[width]
        assert stops[0]["text"] == "Skip to the figures"
        assert not [stop for stop in stops if not (stop["outline"] and stop["seen"])]
        assert {stop["tag"] for stop in stops} <= {"A", "SUMMARY", "DIV", "PRE"}
        places = [stop["top"] for stop in stops[1:]]
        assert places == sorted(places)
