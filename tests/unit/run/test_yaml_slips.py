"""What YAML would turn into another config is refused with file, key and line, or taken for the number it is."""

import copy
import datetime
from pathlib import Path

import pytest
import yaml

from purity.run import yaml_slips

ROOT = Path(__file__).parents[3]


def refusal(call, *words) -> str:
    with pytest.raises(ValueError) as error:
        call()
    line = str(error.value)
    assert "\n" not in line and "docs/contract.md#" in line
    for word in words:
        assert str(word) in line, line
    return line


def written(tmp_path, text, name="mine.yaml"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


# Keys that are there twice.

TWICE = {
    "at the top": ("run: [a]\nbatch: 3\nrun: [b]\n", "run", "lines 1 and 3"),
    "inside": (
        "attacks:\n  pgd:\n    options: {epsilon: 1, steps: 2, epsilon: 3}\n",
        "attacks.pgd.options.epsilon",
        "3 and 3",
    ),
    "presets": ("purifiers:\n  blur: {make: 'a:b'}\n  blur: {make: 'a:c'}\n", "purifiers.blur", "2 and 3"),
    "quoted and not": ("a: 1\n'a': 2\n", "a", "1 and 2"),
    "in two ways": ("1: a\n0x1: b\n", "0x1", "1 and 2"),
    "in a list": ("a:\n  - {b: 1}\n  - {b: 1, c: 2, b: 3}\n", "a.1.b", "3 and 3"),
    "behind an anchor": ("a: &x\n  b: 1\n  b: 2\nc: *x\n", "a.b", "2 and 3"),
    "beside a merge": ("a: &x {b: 1}\nc: {<<: *x, d: 1, d: 2}\n", "c.d", "2 and 2"),
    "as JSON": ('{"a": 1,\n "a": 2}', "a", "1 and 2"),
}


@pytest.mark.parametrize(("text", "key", "lines"), TWICE.values(), ids=TWICE)
def test_a_key_that_is_there_twice_is_refused(text, key, lines, tmp_path):
    fine, path = written(tmp_path, "a: 1\n", "fine.yaml"), written(tmp_path, text)
    refusal(lambda: yaml_slips.refuse_slips([fine, path]), path, f" {key} ", lines, "#keys")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}\n",  # a merged key may be given anew
        "a: {b: 1}\nc: {b: 1}\n",
        "1: a\n'1': b\n",
        "a: &x {b: 1}\nc: [*x, *x]\n",
        "a: [1\n",  # whoever loads it says so
        "? [1, 2]\n: 3\n",
    ],
)
def test_what_is_there_once_is_not_refused(text, tmp_path):
    yaml_slips.refuse_slips([written(tmp_path, text)])


@pytest.mark.parametrize("path", [*ROOT.glob("config/*.yaml"), *ROOT.glob("config/reference/*.yaml")], ids=str)
def test_the_projects_own_configs_have_no_slips_and_stay_as_they_are(path):
    yaml_slips.refuse_slips([path])
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    config = said if isinstance(said, dict) else {"claims": said}  # claims are a list
    assert yaml_slips.as_numbers(config) == config


# Numbers in other bases.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: {b: 1:30}", ["a.b", "line 1", "90", '"1:30"']),
        ("a: [5, 1:30:00]", ["a.1", "5400"]),
        ("a: 1:30.5", ["a ", "90.5"]),
        ("a: 1\nb: 010", ["b", "line 2", "for 8", "write 10"]),
        ("a: -012", ["for -10", "write -12"]),
        ("1:30: a", ["1:30", "90"]),
    ],
)
def test_numbers_of_base_60_and_8_are_refused_with_what_to_write(text, words, tmp_path):
    refusal(lambda: yaml_slips.refuse_slips([written(tmp_path, text)]), "mine.yaml", *words, "#numbers")


@pytest.mark.parametrize(
    "text", ["a: '1:30'", 'a: "010"', "a: 0", "a: 007", "a: 0x10", "a: purity.data:digits", "a: 10", "a: 0.5"]
)
def test_text_in_quotes_and_plain_numbers_are_not(text, tmp_path):
    yaml_slips.refuse_slips([written(tmp_path, text)])


# Numbers that YAML leaves text.


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5e-3", 0.005),
        ("5E-3", 0.005),
        ("1e3", 1000),
        ("1.5e3", 1500),
        (".5e1", 5),
        ("-2e-1", -0.2),
        ("+1e0", 1),
        ("8/255", 8 / 255),
        ("8 / 255", 8 / 255),
        ("-1/2", -0.5),
        ("0.5/255", 0.5 / 255),
        ("1e-3/2", 0.0005),
    ],
)
def test_exponents_and_fractions_are_numbers_wherever_they_are(text, number):
    for loaded in (text, yaml.safe_load(f"a: {text}")["a"]):
        config = {"attacks": {"mine": {"run": "my:attack", "options": {"epsilon": loaded, "deep": [{"x": loaded}]}}}}
        before = copy.deepcopy(config)
        options = yaml_slips.as_numbers(config)["attacks"]["mine"]["options"]
        assert options == {"epsilon": number, "deep": [{"x": number}]}
        assert config == before


@pytest.mark.parametrize(
    "text",
    ["a/b", "1/2/3", "8/", "e5", "1e", "007", "12", "1.5", "v1e3", "8/255x", "", "/", "1:30", "2e3.5", "nan", "∞"],
)
def test_other_text_stays_text(text):
    assert yaml_slips.as_numbers({"a": text}) == {"a": text}


def test_names_digests_and_places_stay_text():
    published = {"file": "1e5", "url": "1/2", "sha256": "12345e67", "md5": "1e3"}
    config = {
        "purifiers": {"1e3": {"make": "a:b"}},
        "diffusions": {"d": {"weights": published}, "h": {"weights": {"hub": "1/2", "revision": "1234567e8"}}},
        "datasets": {"f": {"options": {"classes": ["1e1", "1/2"], "root": "1/2"}}},
        "experiments": {"e": {"attacked": {"1e3": {}}, "gallery": {"steps": "1e3"}}},
    }
    assert yaml_slips.as_numbers(config) == config


@pytest.mark.parametrize(
    ("text", "word"), [("1/0", "zero"), ("0/0", "zero"), ("1e999", "too large"), ("1e308/1e-308", "too large")]
)
def test_numbers_that_are_none_are_refused_with_their_key(text, word):
    refusal(lambda: yaml_slips.as_numbers({"a": {"b": [1, text]}}), "a.b.1", text, word, "#numbers")


@pytest.mark.parametrize("value", [datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2), b"abc", {"a"}], ids=repr)
def test_what_json_cannot_hold_is_refused_with_its_key(value):
    refusal(lambda: yaml_slips.as_numbers({"a": {"b": value}}), "a.b", "quotes", "#numbers")


@pytest.mark.parametrize(
    ("given", "meant"), [("true", True), ("True", True), ("false", False), (True, True), ("yes", "yes")]
)
def test_true_on_the_command_line_is_true(given, meant):
    assert yaml_slips.as_numbers({"small": given})["small"] is meant
    assert yaml_slips.as_numbers({"a": {"b": "true"}}) == {"a": {"b": "true"}}


# ε.


@pytest.mark.parametrize(("epsilon", "words"), [(8, ["8/255 = 0.03137"]), (1.5, ["1.5/255"]), (300, ["below 1"])])
def test_an_epsilon_of_grey_levels_is_refused_with_what_was_meant(epsilon, words):
    refusal(
        lambda: yaml_slips.check_epsilon(epsilon, "linf", "attacks.a.options.epsilon"), "attacks.a", *words, "#epsilon"
    )


@pytest.mark.parametrize(("epsilon", "norm"), [(1, "linf"), (0.03, "linf"), (8, "l2"), (0.5, "l2")])
def test_an_epsilon_that_has_its_place_is_not(epsilon, norm):
    yaml_slips.check_epsilon(epsilon, norm, "a")


def test_a_count_with_an_exponent_is_a_whole_number():
    assert type(yaml_slips.as_numbers({"steps": "1e3"})["steps"]) is int
    assert type(yaml_slips.as_numbers({"rate": "1.0e0"})["rate"]) is float


# The command line.


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"small": "true"}, {"small": True}),
        ({"small": "no"}, {"small": False}),
        ({"batch": 7}, {"batch": 7}),
        ({"run": ["tiny"]}, {"run": ["tiny"]}),
        ({"run": ["007"]}, {"run": ["007"]}),  # the name of an experiment
        (
            {"experiments": {"tiny": {"images": "10"}}},
            {"experiments": {"tiny": {"images": 10, "seeds": [0]}, "007": {}}},
        ),
        (
            {"experiments": {"tiny": {"seeds": ["0", "1"], "sweep": "null"}}},
            {"experiments": {"tiny": {"seeds": [0, 1], "sweep": None, "images": 6}, "007": {}}},
        ),
        ({"defence": "my_code:defend"}, {"defence": "my_code:defend"}),
        ({"weights": "123"}, {"weights": "123"}),
    ],
    ids=str,
)
def test_what_the_command_line_says_is_read_as_in_a_file(given, read):
    """Snakemake reads all but a number or True by itself as text, and merges it into the config."""
    config = {"run": ["tiny"], "batch": 6, "experiments": {"tiny": {"images": 6, "seeds": [0]}, "007": {}}}
    merged = merge(copy.deepcopy(config), copy.deepcopy(given))
    before = copy.deepcopy(merged)
    assert yaml_slips.as_written(merged, given) == config | read
    assert merged == before


def merge(config, given):
    for key, value in given.items():
        config[key] = merge(config[key], value) if isinstance(value, dict) and key in config else value
    return config


@pytest.mark.parametrize("text", ["1:30", "010"])
def test_a_number_in_another_base_on_the_command_line_is_refused(text):
    refusal(lambda: yaml_slips.as_written({"batch": text}, {"batch": text}), "--config: batch")
