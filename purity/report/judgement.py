"""The page of a judgement: a verdict in words with its numbers, the curves, the images, and what made it.

It needs nothing but itself: images and figures are inside, there are no scripts, it reads on a phone and prints.
"""

import base64
import io
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #222; background: #fff; max-width: 60rem;
       margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
.headline { font-size: 1.15rem; font-weight: 600; border-left: .3rem solid #777; padding: .3rem .8rem; }
.headline.not { border-color: #b84700; } .headline.holds { border-color: #0060a0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.card { border: 1px solid #ccc; border-radius: .4rem; padding: .5rem .7rem; break-inside: avoid; }
.card b { display: block; font-size: 1.7rem; line-height: 1.2; } .card small, .note { color: #555; font-size: .85rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .92rem; }
td, th { text-align: left; padding: .25rem .5rem; vertical-align: top; border-bottom: 1px solid #eee; }
th { border-bottom-color: #999; } td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.holds { color: #0060a0; } .not { color: #b84700; } .undecided { color: #666; } td.mark { white-space: nowrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; }
figure { margin: 0; break-inside: avoid; } .figures img { width: 100%; height: auto; }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .8rem; }
.images figure div { display: grid; grid-template-columns: repeat(3, 1fr); gap: .2rem; }
.images img { width: 100%; image-rendering: pixelated; border: 1px solid #ddd; }
figcaption { font-size: .85rem; color: #444; }
pre { font-size: .78rem; white-space: pre-wrap; background: #f6f6f6; padding: .6rem; }
code { font-size: .85em; }
@media screen and (max-width: 40rem) {
  tr { display: block; padding: .4rem 0; border-bottom: 1px solid #ccc; } tr:has(th) { display: none; }
  td { display: block; border: 0; padding: .05rem 0; } td.number { white-space: normal; }
  td:first-child { font-weight: 600; }
  td[data-head]:not(:first-child):not(:empty)::before { content: attr(data-head) ": "; color: #555; }
}
@media print {
  body { max-width: none; font-size: 10.5pt; padding: 0; } h2, h3, .note { break-after: avoid; }
  .wide { overflow: visible; } tr { break-inside: avoid; }
}
"""

# What an attack is called, without its `judge-`.
WORDS = {
    "clean": "nobody attacks",
    "noise": "uniform noise",
    "pgd": "PGD of constant steps, as in the papers",
    "pgd-eot": "the same, gradients averaged over noise (EOT)",
    "standard": "strongest attack of the project",
    "standard-eot": "strongest attack of the project, EOT",
    "bpda": "BPDA: past the defence's derivative",
    "bpda-eot": "BPDA, EOT",
    "longer": "strongest, twice the steps",
    "bpda-longer": "BPDA, twice the steps",
    "longer-eot": "strongest, EOT, twice the steps and draws",
    "bpda-longer-eot": "BPDA, EOT, twice the steps and draws",
}

CHECKS = {
    "unseen": "images whose full gradient is zero nearly everywhere",
    "bpda": "what BPDA takes that full gradients do not",
    "steps": "what twice the steps take besides, noise known",
    "steps-unknown": "what twice the steps take besides, noise unknown",
    "knowing": "what is left to who does not know the noise, less what is left to who does",
    "budget": "accuracy that is left at the largest budget",
}
MASKED = ("unseen", "bpda")
SHARES = ("unseen", "budget")  # in percent; the others are differences
MARKS = {"passed": ("holds", "✓ passed"), "failed": ("not", "✗ failed"), "undecided": ("undecided", "– undecided")}


class Fooled(NamedTuple):
    """An image that the defence loses: clean, attacked, and attacked and purified, each (C, H, W)."""

    images: list[np.ndarray]
    label: str
    seen: str  # as what it is classified


class Page(NamedTuple):
    """tables: by id, of purity.studies.judgement. figures: PNG by id. fooled: by defence. said: of the experiment.
    made: (file, digest, code, commit) of what it rests on."""

    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, bytes]
    fooled: Mapping[str, list[Fooled]]
    said: Mapping
    made: list[tuple[str, str, str, str]]


def page(given: Page) -> str:
    """HTML of all of it."""
    said = given.said
    *names, last = said["defences"]
    title = f"What is left of {', '.join(names)} and {last}" if names else f"What is left of {last}"
    setting = f"{said['images']} images of {said['dataset']}, classifier {said['classifier']}, {said['budget']}"
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="note">{escape(setting)}. Intervals are 95 %.</p>']
    for name in said["defences"]:
        parts += _defence(name, given)
    parts += ["<h2>Side by side</h2>", *_compared(given.tables, said)]
    parts += ["<h2>Curves</h2>", '<div class="figures">', *map(_figure, given.figures.items()), "</div>"]
    parts += ["<h2>What made this page</h2>", *_made(given)]
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>"
    body = "\n".join(parts).replace(" %", "\u00a0%")  # not at the end of a line
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


# One defence.


def _defence(name: str, given: Page) -> list[str]:
    numbers = _of(given.tables["judgement-numbers"], name)
    checks = _of(given.tables["judgement-checks"], name)
    attacks = given.tables["judgement"].query("purifier == @name and seed == 'all'")
    kind, headline = verdict(numbers, checks, _reported(attacks))
    parts = [f"<h2>{escape(name)}</h2>", f'<p class="headline {kind}">{escape(headline)}</p>']
    alone = _of(given.tables["judgement-numbers"], given.said["undefended"])
    parts += [_cards(numbers, alone)]
    parts += [f"<p>{escape(sentence)}</p>" for sentence in sentences(numbers, checks)]
    parts += ["<h3>Can the attacks be believed?</h3>", _checks(checks)]
    parts += ["<h3>Attack by attack</h3>", _attacks(attacks)]
    if given.fooled.get(name):
        parts += ["<h3>Images that it loses, noise known</h3>"]
        parts += ['<p class="note">Clean, attacked, attacked and purified.</p>', _images(given.fooled[name])]
    return parts


def _of(table: pd.DataFrame, name: str) -> dict[str, pd.Series]:
    return {row["quantity"]: row for _, row in table[table["purifier"] == name].iterrows()}


def _reported(attacks: pd.DataFrame) -> pd.Series | None:
    """What PGD leaves that knows nothing: what a paper could report."""
    first = attacks[(attacks["part"] == "first") & (attacks["knowledge"] == "none")]
    return None if first.empty else first.iloc[0]


def verdict(
    numbers: Mapping[str, pd.Series], checks: Mapping[str, pd.Series], reported: pd.Series | None
) -> tuple[str, str]:
    """(class of the headline, the verdict in a sentence or two)."""
    known, gain = numbers["known"], numbers.get("gain")
    failed = {quantity for quantity, row in checks.items() if row["verdict"] == "failed"}
    left = f"{percent(known['mean'])} of the images hold when its noise is known"
    if failed & set(MASKED):
        looks = (
            f"PGD leaves {percent(reported['mean'])}, but its gradients are masked: " if reported is not None else ""
        )
        return "not", f"It looks robust and is not what it looks. {looks}{left}."
    if failed:
        return "not", f"The attacks fall short, so this is an upper bound: {left}."
    if gain is None or np.isnan(gain["low"]):
        return "undecided", f"{left[0].upper()}{left[1:]}."
    if gain["low"] > 0:
        sure = "is" if _followed(checks) and all(row["verdict"] == "passed" for row in checks.values()) else "seems"
        return "holds", f"A part of it {sure} real: {left}, {points(gain['mean'])} more than without the defence."
    if gain["high"] < 0:
        return "not", f"It does harm: {left}, {points(-gain['mean'])} fewer than without the defence."
    without = f"{percent(known['mean'] - gain['mean'])} without the defence"
    return "undecided", f"No gain can be told from none: {left}, {without}, and the interval decides nothing."


def sentences(numbers: Mapping[str, pd.Series], checks: Mapping[str, pd.Series]) -> list[str]:
    """What the numbers say: what holds, what was luck, whether the attack has converged, what is undecided."""
    said = [_holding(numbers), _luck(numbers), _convergence(checks), _repeating(numbers), _undecided(checks)]
    if not _followed(checks):
        said.append(
            "No gradient passes it, so every attack went past it (BPDA) and none through it: what follows the defence "
            "itself may take more."
        )
    return [sentence for sentence in said if sentence]


def _followed(checks: Mapping[str, pd.Series]) -> bool:
    """Whether an attack had the defence's own gradient."""
    return "bpda" in checks


def _holding(numbers: Mapping[str, pd.Series]) -> str:
    clean, known = numbers["clean"], numbers["known"]
    said = f"Without an attack it classifies {_with_interval(clean)} of the images right. "
    if "cost" in numbers:
        said += f"The defence itself costs {_points_with_interval(numbers['cost'])}. "
    return said + f"When the attacker knows its noise, {_with_interval(known)} hold."


def _luck(numbers: Mapping[str, pd.Series]) -> str:
    luck, unknown = numbers["luck"], numbers["unknown"]
    by = _words(str(unknown["by"]))
    said = f"Against the best attacker who does not know it ({by}) {_with_interval(unknown)} hold. "
    if luck["low"] > 0:
        return said + f"Luck, what is lost as soon as the noise is known, is {_points_with_interval(luck)} of that."
    if luck["high"] < 0:
        gap = _points_with_interval(-luck)
        return said + f"That is {gap} fewer than when it is known: the attack that knows it falls short."
    return said + f"That luck is a part of this cannot be told: {_points_with_interval(luck)}."


def _convergence(checks: Mapping[str, pd.Series]) -> str:
    steps = [checks[quantity] for quantity in ("steps", "steps-unknown") if quantity in checks]
    if any(row["verdict"] == "failed" for row in steps):
        worst = max(steps, key=lambda row: row["mean"])
        return f"The attack has not converged: twice the steps take another {_points_with_interval(worst)}."
    if all(row["verdict"] == "passed" for row in steps):
        most = max(row["high"] for row in steps)
        return f"The attack has converged: twice the steps take {points(max(most, 0))} more at the most."
    needed = _needed(max(row["needed"] for row in steps))
    return f"Whether the attack has converged to within 5 points is undecided{needed}."


def _repeating(numbers: Mapping[str, pd.Series]) -> str:
    said = []
    if "resubmission" in numbers:
        lost = _points_with_interval(numbers["resubmission"])
        said += [f"Clean images that are submitted ten times fail at least once more often by {lost}, with no attack."]
    if "vote" in numbers:
        said += [
            f"A vote of all judgings changes the accuracy under attack by {_points_with_interval(numbers['vote'])}."
        ]
    if "alpha" in numbers:
        alpha = numbers["alpha"]
        interval = f"{alpha['low']:.2f} to {alpha['high']:.2f}"
        said += [
            f"It multiplies uniform noise of this size by α = {alpha['mean']:.2f} ({interval}; below 1 it compresses)."
        ]
    return " ".join(said)


def _undecided(checks: Mapping[str, pd.Series]) -> str:
    left = [
        CHECKS[quantity] + _needed(row["needed"]) for quantity, row in checks.items() if row["verdict"] == "undecided"
    ]
    return f"Undecided: {'; '.join(left)}." if left else "All checks of the attacks are decided."


def _needed(images: float) -> str:
    if not np.isfinite(images):
        return ""
    return f" (about {_round(images)} images would decide it)"


def _round(images: float) -> str:
    """Two significant digits: it rests on a spread that is itself estimated."""
    return f"{float(f'{images:.1e}'):,.0f}"


# Pieces.


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def points(difference: float) -> str:
    said = f"{100 * difference:.0f}"
    return f"{'0' if said == '-0' else said.replace('-', '−')} point{'' if said in ('1', '-1') else 's'}"


def _with_interval(row: pd.Series) -> str:
    return f"{percent(row['mean'])} ({100 * row['low']:.0f} to {100 * row['high']:.0f})"


def _points_with_interval(row: pd.Series | Mapping) -> str:
    low, high = sorted((row["low"], row["high"]))
    return f"{points(row['mean'])} ({points(low).split()[0]} to {points(high).split()[0]})"


def _words(attack: str) -> str:
    name, _, rest = attack.partition(",")
    name = name.removeprefix("judge-")
    if name.startswith(("x", "bpda-x")):
        words = f"{'BPDA' if name.startswith('bpda') else 'Auto-PGD'}, {name.rpartition('x')[2]} times the budget"
    else:
        words = WORDS.get(name, name)
    return words + (f",{rest}" if rest else "")


def _cards(numbers: Mapping[str, pd.Series], alone: Mapping[str, pd.Series]) -> str:
    shown = [("nobody attacks", numbers["clean"]), ("noise unknown", numbers["unknown"])]
    shown += [("noise known", numbers["known"])]
    shown += [("classifier alone, attacked", alone["known"])] if alone else []
    cards = (
        f'<div class="card"><small>{escape(what)}</small><b>{percent(row["mean"])}</b>'
        f"<small>{100 * row['low']:.0f} to {100 * row['high']:.0f} %</small></div>"
        for what, row in shown
    )
    return f'<div class="cards">{"".join(cards)}</div>'


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells are HTML already; on a phone each says its head itself."""
    head = list(head)
    labels = [f'<td data-head="{escape(h)}"' if h else "<td" for h in head]
    named = ((cell.replace("<td", label, 1) for cell, label in zip(cells, labels, strict=True)) for cells in rows)
    lines = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in named)
    return f'<div class="wide"><table><tr>{"".join(f"<th>{escape(h)}</th>" for h in head)}</tr>\n{lines}</table></div>'


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _checks(checks: Mapping[str, pd.Series]) -> str:
    rows = []
    for quantity, row in checks.items():
        kind, mark = MARKS[row["verdict"]]
        low, high = row["target_low"], row["target_high"]
        wanted = f"at most {points(high)}" if np.isinf(low) else f"at least {points(low)}"
        said = mark + (_needed(row["needed"]) if row["verdict"] == "undecided" else "")
        rows.append(
            [
                _cell(CHECKS[quantity]),
                _cell(_with_interval(row) if quantity in SHARES else _points_with_interval(row), "number"),
                _cell(wanted.replace("points", "%") if quantity in SHARES else wanted, "number"),
                _cell(said, f"{kind}"),
            ]
        )
    return _table(("", "measured", "if all is well", "verdict"), rows)


def _attacks(attacks: pd.DataFrame) -> str:
    rows = []
    for (attack, knowledge), of in attacks.groupby(["attack", "knowledge"], sort=False):
        by = {row["judged"]: row for _, row in of.iterrows()}
        cells = [_with_interval(by[how]) if how in by else "" for how in ("fresh", "fixed")]
        knows = "" if attack in ("clean", "judge-noise") else {"all": "yes", "none": "no"}[knowledge]
        zeros = of.iloc[0].get("zero_gradients", np.nan)
        cells += [""] if np.isnan(zeros) else [percent(zeros)]
        rows.append([_cell(_words(attack)), _cell(knows), *(_cell(cell, "number") for cell in cells)])
    heads = ("attack", "knows the noise", "right, fresh noise", "right, fixed noise", "zeros in its gradients")
    return _table(heads, rows)


def _compared(tables: Mapping[str, pd.DataFrame], said: Mapping) -> list[str]:
    numbers, compared = tables["judgement-numbers"], tables["judgement-compared"]
    shown = ("clean", "unknown", "known")
    heads = ("defence", "nobody attacks", "noise unknown", "noise known")
    names = list(dict.fromkeys([*said["defences"], *said["beside"], said["undefended"]]))
    of = {name: found for name in names if (found := _of(numbers, name))}
    best = sorted(of, key=lambda name: -of[name]["known"]["mean"])
    rows = [[_cell(name), *(_cell(_with_interval(of[name][q]), "number") for q in shown)] for name in best]
    differences = []
    for _, row in compared.iterrows():
        kind, mark = {"more": ("holds", "✓ more"), "less": ("not", "✗ less")}.get(
            row["verdict"], ("undecided", "– undecided")
        )
        when = dict(zip(shown, heads[1:], strict=True))[row["quantity"]]
        said_of = mark + (_needed(row["needed"]) if row["verdict"] == "undecided" else "")
        cells = [f"{row['first']} − {row['second']}", when]
        differences.append([*map(_cell, cells), _cell(_points_with_interval(row), "number"), _cell(said_of, kind)])
    note = (
        "Accuracies, the best first when its noise is known; each is that of the worst attack. Differences are of the "
        "same images, decided at 5 % for all of them together (Holm)."
    )
    return [
        _table(heads, rows),
        f'<p class="note">{note}</p>',
        _table(("difference", "when", "by", "verdict"), differences),
    ]


def _figure(named: tuple[str, bytes]) -> str:
    name, png = named
    said = escape(CAPTIONS[name])
    return f'<figure><img alt="{said}" src="{_uri(png)}"><figcaption>{said}</figcaption></figure>'


CAPTIONS = {
    "judgement-budget": "Accuracy by the attacker's budget, noise known, the worst attack of each image.",
    "judgement-repeats": "Accuracy by a vote of k judgings, and of images that are right k times of k.",
}


def _images(fooled: list[Fooled]) -> str:
    shown = []
    for one in fooled:
        row = "".join(f'<img alt="" src="{_uri(_png(image))}">' for image in one.images)
        shown.append(
            f"<figure><div>{row}</div><figcaption>{escape(one.label)} → {escape(one.seen)}</figcaption></figure>"
        )
    return f'<div class="images">{"".join(shown)}</div>'


def _png(image: np.ndarray) -> bytes:
    from PIL import Image

    pixels = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    made = Image.fromarray(pixels[0]) if len(pixels) == 1 else Image.fromarray(pixels.transpose(1, 2, 0))
    file = io.BytesIO()
    made.save(file, "PNG")
    return file.getvalue()


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _made(given: Page) -> list[str]:
    rows = [[_cell(file), *(f"<td><code>{escape(text)}</code></td>" for text in rest)] for file, *rest in given.made]
    settings = json.dumps(given.said["settings"], indent=1, ensure_ascii=False)
    return [
        "<h3>Files</h3>",
        _table(("file", "SHA-256", "code", "commit"), rows),
        '<p class="note">Beginnings of digests. <code>make provenance OF=&lt;file&gt;</code> tells the rest.</p>',
        "<h3>Settings</h3>",
        f"<pre>{escape(settings)}</pre>",
    ]
