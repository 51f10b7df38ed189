"""Files are told by what they hold, and read again only when they may hold something else."""

import os
from pathlib import Path

import pytest

from purity.run import content
from purity.run.content import Contents, named


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that were read, in order; all files count as written long ago."""
    seen = []
    honest = content.sha256
    monkeypatch.setattr(content, "sha256", lambda path: seen.append(path.name) or honest(path))
    monkeypatch.setattr(content, "settled", lambda signed: True)
    return seen


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "images"
    for name in ("0/a.png", "1/b.png", "1/c.png"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(name)
    return made


def again(tmp_path) -> Contents:
    """As another run sees them."""
    content._sha256.cache_clear()
    return Contents(tmp_path / ".snakemake/memory.json")


def test_what_was_not_changed_is_not_read_again_in_another_run(folder, tmp_path, reads):
    first = again(tmp_path).of(folder)
    assert sorted(reads) == ["a.png", "b.png", "c.png"]
    reads.clear()
    assert again(tmp_path).of(folder) == first and reads == []


def test_what_was_touched_or_copied_is_read_again_and_is_the_same(folder, tmp_path, reads):
    first = again(tmp_path).of(folder)
    reads.clear()
    os.utime(folder / "0/a.png")
    (folder / "1/b.png").rename(tmp_path / "b")
    (folder / "1/b.png").write_bytes((tmp_path / "b").read_bytes())
    assert again(tmp_path).of(folder) == first
    assert sorted(reads) == ["a.png", "b.png"]


def test_other_content_of_the_same_size_and_age_is_seen(folder, tmp_path, reads):
    """The time of the entry cannot be set back, as that of the content can."""
    path = folder / "0/a.png"
    first, said = again(tmp_path).of(folder), path.stat()
    path.write_text("0/A.png")
    os.utime(path, ns=(said.st_atime_ns, said.st_mtime_ns))
    assert again(tmp_path).of(folder) != first


@pytest.mark.parametrize("change", ["rename", "remove", "add"])
def test_other_names_are_other_content(change, folder, tmp_path):
    first = again(tmp_path).of(folder)
    if change == "rename":
        (folder / "1/b.png").rename(folder / "0/b.png")
    elif change == "remove":
        (folder / "1/b.png").unlink()
    else:
        (folder / "1/d.png").write_text("")
    assert again(tmp_path).of(folder) != first


def test_hidden_files_do_not_count(folder, tmp_path):
    first = again(tmp_path).of(folder)
    (folder / ".DS_Store").write_text("x")
    (folder / ".cache").mkdir()
    (folder / ".cache/a").write_text("x")
    assert again(tmp_path).of(folder) == first


def test_a_file_that_was_just_written_is_not_remembered(tmp_path, monkeypatch):
    """It could change again, and keep its size and times, within one tick of the file system's clock."""
    path = tmp_path / "a"
    path.write_text("a")
    monkeypatch.setattr(content, "settled", lambda signed: False)
    contents = again(tmp_path)
    assert contents.of(path) == contents.of(path)
    assert not (tmp_path / ".snakemake/memory.json").exists() and content._sha256.cache_info().currsize == 0


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"/a": 1}'])
def test_a_damaged_memory_is_as_good_as_none(damaged, folder, tmp_path):
    first = again(tmp_path).of(folder)
    (tmp_path / ".snakemake").mkdir(exist_ok=True)
    (tmp_path / ".snakemake/memory.json").write_text(damaged)
    assert again(tmp_path).of(folder) == first


def test_of_what_is_not_there_there_is_none(tmp_path):
    assert again(tmp_path).of(tmp_path / "nowhere") is None


def test_of_very_many_files_only_the_names_count(folder, tmp_path, monkeypatch, reads):
    monkeypatch.setattr(content, "MOST", 2)
    first = again(tmp_path).of(folder)
    assert reads == []
    (folder / "1/c.png").unlink()
    assert again(tmp_path).of(folder) != first


def test_options_that_name_files_are_those_that_look_like_paths_and_are_there(folder, tmp_path, monkeypatch):
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    for name in ("faces", "linf", "resnet"):
        Path(name).mkdir()
    Path("stats.npz").write_text("")
    options = {
        "root": "faces",
        "norm": "linf",  # a folder of this name is there by chance
        "network": {"name": "resnet", "stats": "stats.npz", "mean": 0.5},
        "paths": [str(folder), "nowhere/at/all"],
        "here": "..",  # results are in it
    }
    found = {"root": Path("faces"), "network.stats": Path("stats.npz"), "paths.0": folder}
    assert dict(named(options)) == found
