"""Bases of configs: what wins, where one is looked for, what is refused; parsers, runs and wheels see one config."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from voxtile.cli.main import lightning_main, main
from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile.stages.materialize.preset_file import read_preset
from voxtile.training.config_bases import merged, named_bases, read_config, reading, with_bases

ROOT = Path(__file__).parents[2]


def written(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return folder / f"{next(iter(files))}.yaml"


def test_own_settings_win_over_later_bases_and_those_over_earlier_ones(tmp_path):
    path = written(
        tmp_path,
        own={"base": ["low.yaml", "high.yaml"], "a": {"own": 1}, "list": [1]},
        low={"a": {"own": 0, "low": 1, "high": 0}, "list": [1, 2, 3], "gone": {"x": 1}},
        high={"a": {"high": 2}, "gone": None},
    )
    assert read_config(path) == {"a": {"own": 1, "low": 1, "high": 2}, "list": [1], "gone": None}


def test_a_term_of_the_loss_that_is_null_is_taken_out_with_its_weight(tmp_path):
    path = written(
        tmp_path,
        own={"base": "middle.yaml", "model": {"weights": {"kept": 2.0}}},
        middle={"base": "low.yaml", "model": {"objectives": {"out": None}}},
        low={"model": {"objectives": {"kept": {"a": 1}, "out": {"b": 1}}, "weights": {"out": 40.0}, "seed": None}},
    )
    assert read_config(path) == {"model": {"objectives": {"kept": {"a": 1}}, "weights": {"kept": 2.0}, "seed": None}}


def test_bases_have_bases_which_are_looked_for_beside_them(tmp_path):
    (tmp_path / "deep").mkdir()
    path = written(tmp_path, own={"base": "deep/middle.yaml", "x": 1})
    written(tmp_path / "deep", middle={"base": ["lowest.yaml"], "y": 2}, lowest={"x": 3, "y": 3, "z": 3})
    assert read_config(path) == {"x": 1, "y": 2, "z": 3}


def test_another_class_takes_nothing_of_the_arguments_of_the_first():
    under = {"class_path": "voxtile.training.OneCycle", "init_args": {"rise": 0.2}}
    other = {"class_path": "voxtile.training.Constant"}
    assert merged(under, other) == other
    for same in ("OneCycle", "voxtile.training.OneCycle", "voxtile.training.schedules.OneCycle"):
        over = {"class_path": same, "init_args": {"peak": 1}}
        expected = same != "voxtile.training.schedules.OneCycle"  # that never was its name
        assert ("rise" in merged(under, over)["init_args"]) is expected
    assert merged(under, {"init_args": {"rise": 0.3}}) == {**under, "init_args": {"rise": 0.3}}
    assert merged(under, "OneCycle") == "OneCycle"


def test_an_old_name_of_a_class_is_no_other_class():
    under = {"class_path": "voxtile.training.OneCycle", "init_args": {"rise": 0.2}}
    over = {"class_path": "voxtile.training.schedule.OneCycle", "init_args": {}}
    from voxtile.listed_classes import current_name

    assert current_name(over["class_path"]) == under["class_path"]
    assert merged(under, over)["init_args"] == {"rise": 0.2}


def test_a_config_that_names_no_base_is_read_as_it_is(tmp_path):
    content = {"data": {"phantom": {"base": "a setting of somebody"}}, "seed_everything": 3}
    assert read_config(written(tmp_path, own=content)) == content
    assert read_config(written(tmp_path, rows="- 1\n- 2\n")) == [1, 2]


def test_a_parser_adds_bases_to_the_text_of_the_config_and_to_no_other(tmp_path):
    load = with_bases(yaml.safe_load)
    with reading("base: [small]\n", tmp_path / "mine.yaml"):
        assert "base" not in load("base: [small]\n")
        assert load("base: a setting of somebody\n") == {"base": "a setting of somebody"}
    assert load("base: [small]\n") == {"base": ["small"]}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"own": {"base": ["smal"]}}, "has the base 'smal', and there is none of that name; did you mean 'small'?"),
        ({"own": {"base": ["medical/ct-inptu"]}}, "did you mean 'medical/ct-input'?"),
        ({"own": {"base": "nothing-like-it"}}, "; there are base, gpu, small, bases and configs of domains, and files"),
        ({"own": {"base": "gone.yaml"}}, "has the base 'gone.yaml', and there is no file "),
        ({"own": {"base": {"a": 1}}}, "must be a list of names or files, such as [small]"),
        ({"own": {"base": [1]}}, "must be a list of names or files, such as [small]"),
        ({"own": {"base": "own.yaml"}}, "is a base of itself: 'own.yaml' → 'own.yaml'; take one"),
        (
            {"own": {"base": "b.yaml"}, "b": {"base": "c.yaml"}, "c": {"base": "b.yaml"}},
            "'b.yaml' → 'c.yaml' → 'b.yaml'",
        ),
        ({"own": {"base": "b.yaml"}, "b": "- 1\n"}, "the base 'b.yaml' of config"),
        ({"own": {"base": "b.yaml"}, "b": "a: [1\nb: 2"}, "b.yaml' is no YAML at line 2, column "),
        ({"own": {"base": "b.yaml"}, "b": f"a: {'[' * 200}{']' * 200}"}, "nested more than 100 levels deep"),
    ],
)
def test_what_cannot_be_a_base_is_refused_in_one_sentence(tmp_path, capsys, files, said):
    path = written(tmp_path, **files)
    with pytest.raises(ConfigError) as refused:
        read_config(path)
    assert said in str(refused.value)
    assert lightning_main(["fit", "-c", str(path)]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert "\n" not in error


def test_many_bases_that_name_the_same_are_read_once(tmp_path):
    chain = {f"f{i}": {"base": [f"f{i + 1}.yaml"] * 4, f"k{i}": i} for i in range(30)}
    path = written(tmp_path, **chain, f30={"end": 1})
    assert len(read_config(path)) == 31, "4³⁰ readings would never end"


def test_the_parser_and_the_run_see_the_whole_config(tmp_path, monkeypatch, xray_corpus, capsys):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, mine={"base": ["medical/cxr", "beside.yaml"], "name": "mine", "trainer": {"max_steps": 1}},
            beside={"model": {"optimizer": {"lr": 0.5}}})  # fmt: skip
    options = ["-c", "mine.yaml", "--data.corpus", str(xray_corpus), "--data.num_workers", "0"]
    assert lightning_main(["fit", *options, "--trainer.accelerator", "cpu", "--trainer.limit_val_batches", "0"]) == 0
    [saved] = Path("runs/mine").rglob("config.yaml")
    saved = yaml.safe_load(saved.read_text())
    assert "base" not in saved
    assert (saved["model"]["optimizer"]["lr"], saved["trainer"]["max_steps"], saved["trainer"]["max_epochs"]) == (
        0.5,
        1,
        20,
    )
    assert saved["data"]["preset"]["init_args"]["size"] == [28, 28]
    monkeypatch.setenv("VOXTILE_FIT__CONFIG", "mine.yaml")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        lightning_main(["fit", "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["optimizer"]["lr"] == 0.5


def test_other_commands_read_bases_too(tmp_path, capsys):
    path = written(tmp_path, mine={"base": ["medical/ct"], "data": {"preset": {"init_args": {"units": "HU"}}}})
    assert read_preset(str(path)) == read_preset("medical/ct")
    assert read_preset("medical/ct")["init_args"]["shape"] == [48, 48, 64]
    assert main(["plan", str(path), "--gpu", "l4", "--micro", "2"]) == 0
    capsys.readouterr()
    assert main(["config", "medical/ct", "--expand"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == read_config(discover()[0]["medical"].configs()["ct"])


def test_a_base_is_a_preset_by_its_name_with_or_without_the_domain():
    named = read_preset("ctclip")
    assert named == read_preset("medical/ctclip")
    assert (named["init_args"]["shape"], named["init_args"]["spacing"]) == ([240, 480, 480], [1.5, 0.75, 0.75])
    with pytest.raises(ConfigError, match="holds no preset"):
        read_preset("medical/ct-phantom")
    with pytest.raises(ConfigError, match="no config named 'ctclop'"):
        read_preset("ctclop")


def test_names_of_bases_are_those_of_the_core_of_plugins_and_their_configs():
    names = named_bases()
    assert {"base", "small", "gpu", "medical/ct-input", "medical/ct", "medical/ct-vit"} < set(names)
    assert all(path.is_file() for path in names.values())


@pytest.mark.sweep(ci=True)
def test_an_installed_wheel_brings_the_bases(installed, tmp_path):
    python = installed(ROOT)
    (tmp_path / "mine.yaml").write_text("base: [domains.yaml]\nname: mine\n")
    (tmp_path / "domains.yaml").write_text("base: [medical/ct]\n")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    for name in ("domains/medical/ct.yaml", "medical/ct", "mine.yaml"):
        code = (
            "import json, voxtile.training.config_bases as b, voxtile.domain as d;"
            f"print(json.dumps([b.__file__, b.read_config(d.resolve({name!r}, kind='config'))]))"
        )
        run = [python, "-c", code]
        done = subprocess.run(run, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        file, content = json.loads(done.stdout)
        assert Path(file).is_relative_to(python.parents[1])
        expected = read_config(discover()[0]["medical"].configs()["ct"])
        assert content == {**expected, "name": content["name"]}
