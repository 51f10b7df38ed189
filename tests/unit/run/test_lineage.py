"""A result can say what made it, and whether it still is what was made."""

import json
import subprocess
from pathlib import Path

import pytest

from purity.run import lineage

FIGURE, TABLE = "results/e/figures/a.png", "results/e/tables/a.csv"
MEASURES = [f"results/e/measures/p/seed-{s}.zarr.zip" for s in (0, 1)]
DATA = "results/e/data/images-00000-00001.zarr.zip"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A figure of a table of two measures of the data; the measures read a checkpoint that is the user's own."""
    monkeypatch.chdir(tmp_path)

    def made(rule, outputs, inputs=(), **spec):
        for path in outputs:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(f"{path}, by {rule}")
        log = Path("results/e/logs", Path(outputs[0]).relative_to("results/e")).with_suffix(".json")
        said = {"what": rule, "rule": rule, "spec": spec, "code": f"code of {rule}", "device": "CPU", "versions": {}}
        said |= {"outputs": lineage.digests(outputs), "inputs": lineage.digests(inputs), "batch": 2, "seconds": 3.0}
        lineage.record(log, **said, evaluations={"diffusion": 6, "classifier": 2}, host_mib=100.0)

    Path("mine.pt").write_text("weights")
    made("subset", [DATA])
    for seed, path in enumerate(MEASURES):
        made("measure", [path], [DATA, "mine.pt"], keys={"seed": seed}, epsilon=0.3)
    made("table", [TABLE], MEASURES)
    made("figure", [FIGURE, FIGURE.replace("png", "pdf")], [TABLE])
    return made


def paragraphs(path=FIGURE) -> dict[str, list[str]]:
    """rule → what is said of it, in the order printed."""
    found: dict[str, list[str]] = {}
    rule = ""
    for line in lineage.trail(path, lineage.records()):
        if line.startswith("    "):
            found[rule].append(line.strip())
        else:
            rule, _, files = line.partition(": ")
            found[rule] = [files]
    return found


def test_a_figure_leads_back_to_the_data_and_to_what_was_given():
    said = paragraphs()
    assert list(said) == ["figure", "table", "measure", "subset", "given"]
    assert [lines[0] for lines in said.values()] == [FIGURE, TABLE, f"{MEASURES[0]} and 1 more", DATA, "mine.pt"]
    assert "seed: 0, 1" in said["measure"] and "code: code of measure" in said["measure"]
    assert any("0.3" in line for line in said["measure"] if line.startswith("spec of the first"))
    assert not [line for lines in said.values() for line in lines if line.startswith("!")]


def test_every_file_of_a_job_has_its_trail():
    assert list(paragraphs(FIGURE.replace("png", "pdf"))) == list(paragraphs())
    assert list(paragraphs(DATA)) == ["subset"]


def test_what_is_read_early_and_late_is_said_where_it_comes_last(project):
    """The data are behind the measures, although the table reads them too."""
    project("table", [TABLE], [DATA, *MEASURES])
    project("figure", [FIGURE], [TABLE])
    assert list(paragraphs())[:4] == ["figure", "table", "measure", "subset"]


def test_a_file_that_was_changed_or_lost_is_named():
    Path(TABLE).write_text("by hand")
    Path(MEASURES[1]).unlink()
    said = paragraphs()
    assert f"! {TABLE} is not what was made then" in said["table"]
    assert f"! {MEASURES[1]} is not what was made then" in said["measure"]
    assert not any(line.startswith("!") for line in said["figure"])


def test_a_source_that_was_made_again_is_named_until_all_after_it_is_made_again(project):
    Path(DATA).unlink()
    project("other subset", [DATA])
    assert [line for line in paragraphs()["measure"] if line.startswith("!")] == [
        f"! {path} was made of an earlier {DATA}" for path in MEASURES
    ]


def test_what_nobody_recorded_is_refused_by_name():
    with pytest.raises(ValueError, match=r"results/e/tables/b\.csv: no record"):
        list(lineage.trail("results/e/tables/b.csv", lineage.records()))


def test_a_digest_is_of_a_file_or_of_all_a_folder_holds(tmp_path):
    folder = tmp_path / "model"
    (folder / "unet").mkdir(parents=True)
    (folder / "unet/a").write_text("1")
    first = lineage.sha256(folder)
    assert lineage.sha256(folder / "unet/a") == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    (folder / "unet/a").rename(folder / "unet/b")
    assert lineage.sha256(folder) != first
    assert lineage.sha256(tmp_path / "nothing") is None


def test_the_commit_is_that_of_the_project_and_says_whether_files_were_edited(tmp_path, monkeypatch):
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    assert lineage.commit() == {}

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True, text=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "a")
    head = git("rev-parse", "HEAD").stdout.strip()
    assert lineage.commit() == {"commit": head, "edited": False}
    (tmp_path / "results/b").write_text("what is not the project's does not count")
    assert lineage.commit() == {"commit": head, "edited": False}
    (tmp_path / "a").write_text("2")
    assert lineage.commit() == {"commit": head, "edited": True}


def test_usage_has_a_row_for_each_job_and_no_time_for_evaluations_that_were_not():
    known = lineage.records()
    alone = known[DATA] | {"evaluations": {}}
    row, other = lineage.usage([known[MEASURES[0]], alone])
    assert row["output"] == MEASURES[0] and row["ms_per_evaluation"] == 500 and row["classifications"] == 2
    assert other["evaluations"] == 0 and other["ms_per_evaluation"] is None and other["device_mib"] is None


def test_records_are_readable_without_us():
    said = json.loads(Path("results/e/logs/tables/a.json").read_text(encoding="utf-8"))
    assert said["outputs"] == {TABLE: lineage.sha256(TABLE)} and set(said["inputs"]) == set(MEASURES)


def test_in_short_a_file_is_its_digest_its_code_and_its_commit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made, given = "results/a/x.csv", "given.txt"
    (tmp_path / "results/a/logs").mkdir(parents=True)
    for path in (made, given):
        Path(path).write_text(path)
    known = {"outputs": {made: lineage.sha256(made)}, "code": "c0de" * 4, "commit": "f" * 40}
    Path("results/a/logs/x.json").write_text(json.dumps(known))
    rows = lineage.short([made, given, "nowhere"])
    assert rows[0] == (made, lineage.sha256(made)[:12], "c0dec0dec0de", "f" * 12)
    assert rows[1] == (given, lineage.sha256(given)[:12], "", "") and rows[2] == ("nowhere", "", "", "")


def log_of(path: str) -> str:
    return str(Path("results/e/logs", Path(path).relative_to("results/e")).with_suffix(".log"))


SPEC, CODE = {"keys": {"seed": 0}, "epsilon": 0.3}, "code of measure"


@pytest.mark.parametrize(
    ("spec", "code", "said"),
    [
        (SPEC, CODE, None),
        ({"epsilon": 0.3, "keys": {"seed": 0}}, CODE, None),
        ({**SPEC, "epsilon": 0.1}, CODE, "spec.epsilon: 0.3 → 0.1"),
        ({**SPEC, "keys": {"seed": 7}}, CODE, "spec.keys.seed: 0 → 7"),
        ({**SPEC, "files": "abc"}, CODE, 'spec.files: null → "abc"'),
        (SPEC, "another", "its code"),
    ],
)
def test_a_record_tells_what_was_made_by_another_spec_or_code(spec, code, said):
    assert lineage.made_otherwise(log_of(MEASURES[0]), spec, code) == said


def test_what_has_no_record_is_not_told_to_be_anything():
    assert lineage.made_otherwise("results/e/logs/nothing.log", SPEC, CODE) is None


def test_tuples_and_numbers_as_keys_are_what_json_makes_of_them(project):
    project("measure", ["results/e/t.zarr.zip"], images=(0, 5), by={1: 2})
    assert lineage.made_otherwise("results/e/logs/t.zarr.log", {"images": (0, 5), "by": {1: 2}}, CODE) is None


def test_what_was_accepted_counts_as_made_so_and_the_trail_says_it():
    lineage.accept(log_of(MEASURES[0]), {**SPEC, "epsilon": 0.1}, CODE)
    assert lineage.made_otherwise(log_of(MEASURES[0]), {**SPEC, "epsilon": 0.1}, CODE) is None
    assert lineage.made_otherwise(log_of(MEASURES[0]), {**SPEC, "epsilon": 0.2}, CODE) is not None
    assert any("--touch" in line for line in paragraphs()["measure"])


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"text"', '{"a": 1}', '{"outputs": [], "inputs": {}}', "\x00"])
def test_a_damaged_or_foreign_file_among_the_logs_is_named_and_the_others_are_read(text, caplog):
    whole = lineage.records()
    Path("results/e/logs/notes.json").write_text(text)
    Path("results/other/logs").mkdir(parents=True)
    Path("results/other/logs/measures.json").write_bytes(b"\xff\xfe")
    assert lineage.records() == whole
    assert [line for line in caplog.messages if "results/e/logs/notes.json" in line]
    assert [line for line in caplog.messages if "results/other/logs/measures.json" in line]
    assert all("\n" not in line for line in caplog.messages)
