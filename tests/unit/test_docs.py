"""What docs/ shows works as it is written there."""

import re
from pathlib import Path

import yaml

from purity.run import judge
from purity.run.codehash import Project
from purity.run.config import check

ROOT = Path(__file__).parents[2]


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block for written, block in fenced if written == language]


def test_the_notebook_runs_and_shows_what_it_says(capsys):
    """Its blocks in order, in one namespace. What it prints has the words of the document, and the numbers that the text
    draws its conclusions from: they move a little with the machine that trains the classifier."""
    notebook: dict = {}
    for block in blocks("as-a-library.md", "python"):
        exec(compile(block, "as-a-library.md", "exec"), notebook)
    printed, (shown,) = capsys.readouterr().out, blocks("as-a-library.md", "")
    words = re.compile(r"[a-z]+")
    assert words.findall(shown) == words.findall(printed)[: len(words.findall(shown))]
    fresh, fixed, worst = notebook["fresh"], notebook["fixed"], notebook["worst"]
    assert fresh["nothing"]["mean"] > 0.7 and worst["nothing"] < fresh["nothing"]["mean"] - 0.1
    for knowledge in ("none", "all"):
        assert fresh[f"pgd, {knowledge}"]["mean"] > fresh["nothing"]["mean"] - 0.15
        assert fixed[f"bpda, {knowledge}"] < 0.15 and fresh[f"bpda, {knowledge}"]["mean"] < 0.15
    assert bool(notebook["zero"].all())


def test_the_tutorial_names_what_exists(tmp_path):
    """Its config, on top of the embedded one, is possible with its defences; tests/slow runs its commands."""
    (defence,), (mine,) = blocks("judge-your-defence.md", "python"), blocks("judge-your-defence.md", "yaml")
    (tmp_path / "my_defence.py").write_text(defence)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config["judge"] |= yaml.safe_load(mine)["judge"]
    project = Project(ROOT, tmp_path)
    check(config, ROOT / "config/schema.yaml", project)
    judging = judge.expanded(config)
    check(judging, ROOT / "config/schema.yaml", project)
    assert list(judging["experiments"]["judged-quick"]["judgement"]["defences"]) == ["rounded", "noisy"]
    assert defence.startswith("# my_defence.py") and mine.startswith("# judge.yaml")
    assert len(mine.splitlines()) == 6  # five, and its name


def test_the_tutorial_is_right_about_its_defences(tmp_path, monkeypatch):
    """Full gradients find nothing to follow in the rounded one; noise is what both differ by from draw to draw."""
    import torch

    from purity.defence import Defence
    from purity.intercepted import purifier
    from purity.noise import Noise

    (tmp_path / "my_defence.py").write_text(blocks("judge-your-defence.md", "python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    x, xi = torch.linspace(0, 1, 128).view(2, 1, 8, 8), Noise(0, torch.arange(2))
    for call, seen in (("my_defence:noisy", True), ("my_defence:rounded", False)):
        purify = purifier(call=call)
        assert not torch.equal(purify(x, xi), purify(x, xi.at(1)))
        defence = Defence(lambda x: x.flatten(1), purify, xi)
        assert bool(defence.gradient(x, torch.tensor([3, 4])).any()) == seen
        assert defence.straight_through().gradient(x, torch.tensor([3, 4])).any()


def test_every_file_that_docs_link_to_exists():
    for document in (ROOT / "docs").glob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), (document.name, link)


def test_the_attack_whose_loop_is_kept_goes_on_where_it_was_stopped():
    import torch

    from purity import purifiers
    from purity.defence import Defence
    from purity.noise import Noise
    from purity.resuming import Resumable

    shown: dict = {}
    exec(blocks("running.md", "python")[0], shown)
    x, xi = torch.linspace(0.2, 0.8, 128).view(2, 1, 8, 8), Noise(0, torch.arange(2))
    classify = lambda z: torch.stack([z.flatten(1).sum(1), 2 * z.square().flatten(1).sum(1)], dim=1)  # noqa: E731
    given = {"x": x, "y": torch.tensor([0, 1]), "noise": xi, "epsilon": 0.1, "steps": 4}
    defence, states = Defence(classify, purifiers.gaussian(0.1), xi), []
    whole = shown["mine"](defence, progress=iter, **given)
    shown["mine"](
        defence, progress=Resumable(save=lambda reached: states.append(str(reached)), due=lambda: True), **given
    )
    assert len(states) == 4 and 0.05 < (whole - x).abs().max() <= 0.1 + 1e-6
    saved = {"loops": [{"items": "range(0, 4)", "at": 4, "state": (whole,), "inside": [], "end": None}], "counters": []}
    assert shown["mine"](None, progress=Resumable(saved=saved), **given) is whole
