"""The page of a judgement: what it says is what the tables say, it needs nothing else, and a browser shows all of it."""

import re
import shutil
import subprocess
from functools import cache
from html import escape

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from purity.report import judgement as page
from purity.studies import judgement as study
from unit.report.test_pages import Page as Parsed
from unit.studies.test_judgement import ALONE, JUDGED, MEASURED, REAL, records

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SAID = {
    "defences": ["mine"],
    "beside": [],
    "undefended": "undefended",
    "images": 200,
    "dataset": "digits",
    "classifier": "cnn",
    "budget": "ℓ∞ budget 0.15",
    "settings": {"purifiers": {"mine": {"options": {"call": "mine:defend <b>"}}}},
}
MADE = [
    ("results/judged/adversarial/mine/judge-standard/all/images-00000-00199.zarr.zip", "0123456789ab", "c0de", "commit")
]


def tables(measured) -> dict[str, pd.DataFrame]:
    return {
        "judgement": study.judgement(measured),
        "judgement-numbers": study.judgement_numbers(measured, JUDGED),
        "judgement-checks": study.judgement_checks(measured),
        "judgement-compared": study.judgement_compared(measured),
    }


def png(width: int = 900, height: int = 700) -> bytes:
    return page._png(np.linspace(0, 1, width * height).reshape(1, height, width))


def given(measured=MEASURED, **said) -> page.Page:
    image = np.linspace(0, 1, 64).reshape(1, 8, 8)
    fooled = {"mine": [page.Fooled([image, image, 1 - image], "3", "8")] * 5}
    figures = {"judgement-budget": png(), "judgement-repeats": png()}
    return page.Page(tables(measured), figures, fooled, SAID | said, MADE)


def masked():
    shares = REAL | {"judge-pgd": (0.9, 0.87), "judge-bpda": (0.05, 0.06), "judge-longer": (0.05, 0.06)}
    return [*records("undefended", ALONE), *records("mine", shares, zero=("judge-standard",))]


@cache
def whole() -> str:
    return page.page(given())


def test_it_needs_nothing_but_itself():
    text = whole()
    assert not re.findall(r'(?:src|href)="(?!data:)', text) and "<script" not in text and "url(" not in text
    assert 'name="viewport"' in text and "@media print" in text
    assert "mine:defend &lt;b&gt;" in text and '<b>"' not in text


def test_it_is_well_formed_and_says_the_numbers_of_the_tables():
    parsed = Parsed(re.sub(r"<(img|meta)[^>]*>", "", whole()).replace("\u00a0", " "))
    (mine,) = (row for table in parsed.tables for row in table if row[0] == "mine")
    assert mine == ["mine", "90 % (85 to 93)", "60 % (53 to 67)", "40 % (33 to 47)"]
    assert "40 % of the images hold when its noise is known" in parsed.said["p"][1]
    files = next(table for table in parsed.tables if table[0][:2] == ["file", "SHA-256"])
    assert files[1][:2] == [MADE[0][0], MADE[0][1]]


def said(measured=MEASURED) -> tuple[str, list[str]]:
    """The headline and the sentences."""
    made = tables(measured)
    numbers, checks = (page._of(made[f"judgement-{name}"], "mine") for name in ("numbers", "checks"))
    rows = made["judgement"].query("purifier == 'mine' and seed == 'all'")
    return page.verdict(numbers, checks, page._reported(rows))[1], page.sentences(numbers, checks)


def test_a_real_gain_is_said_with_what_was_luck():
    headline, sentences = said([*records("undefended", ALONE), *records("mine", REAL | {"judge-bpda": (0.42, 0.7)})])
    assert headline.startswith("A part of it is real: 40 %") and "30 points more than without" in headline
    assert any("Luck, what is lost as soon as the noise is known, is 20 points (14 to 26)" in s for s in sentences)
    assert any("The attack has converged" in s for s in sentences)
    assert sentences[-1] == "All checks of the attacks are decided."


def test_a_gain_is_not_sure_while_a_check_is_undecided():
    headline, _ = said([*records("undefended", ALONE), *records("mine", REAL | {"judge-longer": (0.36, 0.7)})])
    assert headline.startswith("A part of it seems real")


def test_a_gain_is_not_sure_where_no_gradient_passes_and_the_page_says_so():
    past = {name: REAL[name] for name in ("clean", "judge-noise", "judge-bpda", "judge-longer")}
    headline, sentences = said([*records("undefended", ALONE), *records("mine", past | {"judge-bpda": (0.4, 0.7)})])
    assert headline.startswith("A part of it seems real") and sentences[-1].startswith("No gradient passes it")
    assert not any("No gradient" in sentence for sentence in said()[1])


def test_masked_gradients_are_the_headline():
    headline, _ = said(masked())
    assert headline.startswith("It looks robust and is not") and "PGD leaves 87 %" in headline and "5 % of" in headline


def test_an_attack_that_falls_short_and_what_is_undecided_are_said():
    headline, sentences = said([*records("undefended", ALONE), *records("mine", REAL | {"judge-longer": (0.1, 0.7)})])
    assert headline.startswith("The attacks fall short") and any("has not converged" in s for s in sentences)
    _, sentences = said([*records("undefended", ALONE), *records("mine", REAL | {"judge-longer": (0.36, 0.7)})])
    assert any(re.search(r"undecided \(about [\d,]+ images would decide it\)", s) for s in sentences)


def test_no_gain_and_harm_are_said():
    none = dict.fromkeys(REAL, (0.1, 0.1)) | {"clean": (0.9, 0.9), "judge-x2": (0, 0), "judge-x8": (0, 0)}
    assert said([*records("undefended", ALONE), *records("mine", none)])[0].startswith("No gain can be told from none")
    better = ALONE | {"judge-standard": (0.9, 0.9), "judge-pgd": (0.9, 0.9)}
    headline = said([*records("undefended", better), *records("mine", REAL | {"judge-bpda": (0.42, 0.7)})])[0]
    assert headline.startswith("It does harm: 40 %") and "50 points fewer" in headline


def test_several_defences_are_side_by_side_with_what_is_decided():
    measured = [*MEASURED, *records("other", REAL | {"judge-standard": (0.2, 0.7), "judge-longer": (0.2, 0.7)})]
    parsed = Parsed(re.sub(r"<(img|meta)[^>]*>", "", page.page(given(measured, defences=["mine", "other"]))))
    rows = [row for table in parsed.tables for row in table if row[0] == "mine − other"]
    assert [row[1] for row in rows] == ["nobody attacks", "noise unknown", "noise known"]
    assert [row[3] for row in rows] == ["– undecided", "– undecided", "✓ more"]
    ranked = next(table for table in parsed.tables if table[0][0] == "defence")
    assert [row[0] for row in ranked[1:]] == ["mine", "other", "undefended"]


def test_the_best_defence_stands_first_however_they_are_named():
    worse = REAL | {"judge-standard": (0.2, 0.7), "judge-longer": (0.2, 0.7)}
    measured = [*MEASURED, *records("other", worse), *records("third", worse)]
    text = re.sub(r"<(img|meta)[^>]*>", "", page.page(given(measured, defences=["other", "third", "mine"])))
    ranked = next(table for table in Parsed(text).tables if table[0][0] == "defence")
    assert [row[0] for row in ranked[1:]] == ["mine", "other", "third", "undefended"]
    assert "What is left of other, third and mine" in text


HEADLESS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
HEADLESS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_scrolling_sideways(width, tmp_path):
    """In a frame of that width, as no window is as narrow as a phone."""
    outer, shot = tmp_path / "outer.html", tmp_path / "shot.png"
    text = escape(page.page(given(masked())), quote=True)
    measured = "onload = () => { document.title = frames[0].document.documentElement.scrollWidth }"
    frame = f'<iframe style="width:{width}px;height:1200px;border:0" srcdoc="{text}"></iframe>'
    outer.write_text(f'<!doctype html><meta charset="utf-8"><title></title><script>{measured}</script>{frame}')
    command = [CHROMIUM, *HEADLESS, f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1300"]
    done = subprocess.run([*command, "--dump-dom", f"file://{outer}"], capture_output=True, text=True, timeout=300)
    assert int(re.search(r"<title>(\d+)</title>", done.stdout)[1]) == width
    subprocess.run([*command, f"--screenshot={shot}", f"file://{outer}"], capture_output=True, check=True, timeout=300)
    with Image.open(shot) as picture:
        shown = np.asarray(picture.convert("L"))[:, :width]
        assert (shown < 100).mean() > 0.005  # there is something to read
        assert (np.asarray(picture.convert("L"))[:, width + 20 :] == 255).all()
