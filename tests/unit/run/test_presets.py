"""What presets depend on besides what the config says: files."""

import os
from pathlib import Path

import pytest

from purity.run.presets import Presets


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split, n in (("train", 3), ("test", 4)):
        for name in ("cat", "dog"):
            for i in range(n):
                path = Path("pets", split, name, f"{i}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{path}")
    Path("net").mkdir()
    Path("net/config.json").write_text("{}")
    Path("net/diffusion_pytorch_model.safetensors").write_text("weights")
    Path("mine.pt").write_text("weights")


def presets() -> Presets:
    """Of a run that begins."""
    return Presets(
        {
            "datasets": {
                "pets": {"load": "purity.data:folder", "options": {"root": "pets"}},
                "mine": {"load": "mine:load", "options": {"root": "pets"}},
                "digits": {"load": "purity.data:digits"},
                "nowhere": {"load": "purity.data:folder", "options": {"root": "nowhere"}},
            },
            "classifiers": {
                "given": {"network": "mine:net", "weights": "mine.pt"},
                "options": {"network": "mine:net", "options": {"file": "./mine.pt"}},
            },
            "diffusions": {
                "folder": {"network": "purity.unets:diffusers", "weights": "net"},
                "tuned": {"fine_tuning": {"of": "folder", "classifier": "given", "dataset": "pets"}},
            },
            "purifiers": {"mine": {"make": "mine:f", "options": {"stats": "./mine.pt"}}},
            "attacks": {"mine": {"run": "mine:a", "options": {"stats": "./mine.pt"}}},
        }
    )


def of_block(first: int, last: int) -> dict:
    return presets().dataset("pets", "test", first, last)


def test_a_block_depends_on_the_files_of_its_images_alone():
    before = of_block(0, 1), of_block(2, 3)
    Path("pets/test/cat/1.png").write_text("another cat")  # the third image: one of every class after the other
    assert of_block(0, 1) == before[0] and of_block(2, 3) != before[1]


@pytest.mark.parametrize("change", ["touch", "copy"])
def test_images_that_were_only_touched_are_the_same(change):
    before = of_block(0, 7)
    path = Path("pets/test/dog/0.png")
    if change == "touch":
        os.utime(path)
    else:
        path.replace("old")
        path.write_bytes(Path("old").read_bytes())
    assert of_block(0, 7) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("pets/test/cat/0.png").unlink(),
        lambda: Path("pets/test/cat/0.png").rename("pets/test/cat/9.png"),
        lambda: Path("pets/test/cat/0.png").replace("pets/test/dog/0.png"),
        lambda: Path("pets/test/cat/00.png").write_text("a new cat"),
        lambda: [
            Path("pets", split, "ant").mkdir() or Path("pets", split, "ant/0.png").touch() for split in ("train",)
        ],
    ],
    ids=["deleted", "renamed", "overwritten", "added", "labels shifted by a class of the training split"],
)
def test_images_that_were_changed_are_others(change):
    before = of_block(0, 5)
    change()
    assert of_block(0, 5) != before


def test_training_depends_on_its_own_split():
    before = presets().dataset("pets", "train")
    Path("pets/test/cat/0.png").write_text("another cat")
    assert presets().dataset("pets", "train") == before
    Path("pets/train/cat/0.png").write_text("another cat")
    assert presets().dataset("pets", "train") != before


def test_a_loader_of_ones_own_depends_on_the_folders_that_its_options_name():
    before = presets().dataset("mine", "test", 0, 1)
    Path("pets/train/cat/0.png").write_text("another cat")
    assert presets().dataset("mine", "test", 0, 1) != before


@pytest.mark.parametrize(
    ("load", "options", "file"),
    [
        ("tensors", {"path": "arrays/{split}.npz"}, "arrays/test.npz"),
        ("tensors", {"path": "arrays/all.zarr"}, "arrays/all.zarr/x/c"),
        ("arrow", {"root": "arrays"}, "arrays/test-0.parquet"),
        ("imagefolder", {"root": "pets", "channels": 1}, "pets/test/cat/0.png"),
    ],
)
def test_images_of_any_format_are_others_when_their_file_has_changed(load, options, file):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("an image")
    said = presets()
    said.config["datasets"]["arrays"] = {"load": f"purity.data:{load}", "options": options}
    before = said.dataset("arrays", "test", 0, 1)
    Path(file).write_text("another image")
    now = presets()
    now.config["datasets"] = said.config["datasets"]
    assert now.dataset("arrays", "test", 0, 1) != before
    assert now.dataset("arrays") == said.dataset("arrays")


def test_what_is_not_there_yet_is_left_to_the_job_and_digits_have_no_files():
    assert "files" not in presets().dataset("nowhere", "test", 0, 1)
    assert "files" not in presets().dataset("digits", "test", 0, 1)


def test_images_are_counted_where_that_is_told_without_them():
    counted = [presets().available(name, "test") for name in ("pets", "digits", "mine", "nowhere")]
    assert counted == [8, 300, None, None]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("mine.pt", lambda p: p.model("classifiers", "given")),
        ("mine.pt", lambda p: p.model("classifiers", "options")),
        ("mine.pt", lambda p: p.purifier("mine")),
        ("mine.pt", lambda p: p.attack("mine")),
        ("net/diffusion_pytorch_model.safetensors", lambda p: p.model("diffusions", "folder")),
        ("net/config.json", lambda p: p.model("diffusions", "folder")),
    ],
    ids=["weights", "network's option", "purifier's option", "attack's option", "folder", "folder's config"],
)
def test_files_are_told_by_their_content_wherever_a_config_names_them(file, said):
    before = said(presets())
    os.utime(file)
    assert said(presets()) == before
    Path(file).write_text("WEIGHTS")  # in place, as long as before
    assert said(presets()) != before


def test_a_fine_tuned_network_has_other_weights_than_it_began_with():
    assert "content" in presets().model("diffusions", "folder")
    assert "content" not in presets().model("diffusions", "tuned")
