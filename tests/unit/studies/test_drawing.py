"""Who has which colour; what can be read at a column's width, and without colour."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from drawings import FIGURES, PARTS, STOCHASTIC, data_axes, draw, legends
from matplotlib.colors import to_rgb

from purity.studies import drawing
from purity.studies.drawing import ATTACKS, OTHERS, PURIFIERS, look_of
from unit.studies.test_figures import NAMES, drawn, made_up

OURS = PURIFIERS | ATTACKS
MAIN = {
    "identity",
    "gaussian",
    "ddpm",
    "reverse",
    "ddim",
    "one-step",
    "ddpm-addt",
    "clean",
    "uniform",
    "uniform-x4",
    "bpda",
}
MAIN |= {"bpda-eot", "pgd", "pgd-eot", "standard", "standard-eot", "standard-bpda", "pgd-20", "pgd-20-eot", "pgd-20-l2"}
# What eyes that lack one kind of cone see of linear RGB (Machado, Oliveira & Fernandes 2009, severity 1).
EYES = {
    "all cones": np.eye(3),
    "no L": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no M": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no S": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
RGB_TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]


def lab(colour: str, eye) -> np.ndarray:
    """CIE L*a*b* (D65) of what an eye sees of a colour."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = RGB_TO_XYZ @ np.clip(np.asarray(eye) @ linear, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def shipped(kind: str, root) -> set[str]:
    """The presets of all configs of the project, small variants left out."""
    files = [root / f"config/{name}.yaml" for name in ("config", "cifar10", "imagenet")]
    return {name for path in files for name in yaml.safe_load(path.read_text())[kind] or {}}


def test_every_preset_that_is_shipped_has_a_colour_of_its_own(request):
    root = request.config.rootpath
    assert shipped("purifiers", root) <= set(PURIFIERS)
    assert shipped("attacks", root) <= set(ATTACKS)
    assert len({*OURS.values()}) == len(OURS) and not set(OURS.values()) & set(OTHERS)


@pytest.mark.parametrize("eye", EYES)
def test_our_colours_are_apart_for_all_eyes(eye):
    """2.3 is a difference that is just noticed (ΔE of 1976): twice that between any two, four times that between those
    that are in one figure most often."""
    seen = {name: lab(colour, EYES[eye]) for name, colour in OURS.items()}
    apart = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(OURS, 2)}
    assert min(apart.values()) > 4.6, min(apart, key=apart.get)
    main = {pair: by for pair, by in apart.items() if {*pair} <= MAIN}
    assert min(main.values()) > 9, min(main, key=main.get)


def test_a_look_is_of_the_name_alone_and_of_none_of_ours_where_the_name_is_not():
    ours = {look_of(name).colour for name in OURS}
    looks = {f"mine-{i}": look_of(f"mine-{i}") for i in range(50)}
    assert not {look.colour for look in looks.values()} & ours
    assert looks["mine-7"] == look_of("mine-7") and look_of("ddpm@t=50") == look_of("ddpm")
    # fifty names find most of the colours, and nearly all are told apart by marker and line where they share one
    assert len({look.colour for look in looks.values()}) > 20
    assert len({(look.colour, look.marker, look.line) for look in looks.values()}) > 44


def test_what_is_ours_differs_in_marker_line_or_both_within_a_kind():
    for kind in (PURIFIERS, ATTACKS):
        assert len({look_of(name)[1:] for name in kind}) == len(kind)


def test_shades_run_from_light_to_dark():
    for n in range(6):
        light = [lab(shade, np.eye(3))[0] for shade in drawing.shades(n)]
        assert len(light) == n and all(a - b > 8 for a, b in itertools.pairwise(light))


def covered(figure) -> list[str]:
    """Legends that lie over a panel with data."""
    boxes = [ax.get_window_extent() for ax in data_axes(figure)]
    return [
        [text.get_text() for text in legend.get_texts()]
        for legend in legends(figure)
        if any(legend.get_window_extent().overlaps(box) for box in boxes)
    ]


def sizes(figure) -> list[float]:
    return [text.get_fontsize() for text in figure.findobj(plt.Text) if text.get_visible() and text.get_text().strip()]


def touching(axis) -> list[tuple[str, str]]:
    """Labels of ticks, neighbours, that lie on each other; slanted ones share corners of their boxes only."""
    low, high = sorted(axis.get_view_interval())
    ticks = sorted((*axis.get_major_ticks(), *axis.get_minor_ticks()), key=lambda t: t.get_loc())
    labels = [t.label1 for t in ticks if low <= t.get_loc() <= high]
    shown = [text for text in labels if text.get_text() and text.get_visible() and text.get_rotation() % 90 == 0]
    return [
        (one.get_text(), other.get_text())
        for one, other in itertools.pairwise(shown)
        if one.get_window_extent().overlaps(other.get_window_extent())
    ]


def check(figure) -> None:
    """In a column of 8.5 cm nothing is under 6 points, no legend covers data, no label another one."""
    scale = min(1.0, 8.5 / 2.54 / figure.get_size_inches()[0])
    assert min(sizes(figure)) * scale >= 6 - 1e-9
    assert covered(figure) == []
    assert [pair for ax in data_axes(figure) for axis in (ax.xaxis, ax.yaxis) for pair in touching(axis)] == []
    for text in [text for ax in data_axes(figure) for text in (ax.xaxis.label, ax.yaxis.label, ax.title)]:
        if text.get_text().strip():
            box, edge = text.get_window_extent(), figure.bbox
            assert box.x0 > -1 and box.x1 < edge.width + 1, text.get_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_main_figure_can_be_read_at_the_width_of_a_column(name, tmp_path):
    check(drawn(name, made_up("all"), tmp_path))
    plt.close("all")


@pytest.mark.parametrize("name", FIGURES)
def test_the_figure_of_a_part_can_be_read_at_the_width_of_a_column(name, tmp_path):
    case = "all" if "all" in (PARTS | STOCHASTIC)[name] else next(iter((PARTS | STOCHASTIC)[name]))
    check(draw(name, case, tmp_path).figure)


def test_the_law_says_what_its_curves_and_hollow_points_are(tmp_path):
    figure = draw("law", "all", tmp_path).figure
    (legend,) = legends(figure)
    said = {text.get_text() for text in legend.get_texts()}
    assert {"sigmoid through all points", "sigmoid through filled points, 95 % band"} <= said
    assert "hollow: clean accuracy under 90 % of the best" in said


@pytest.mark.parametrize(
    ("low", "high", "said"), [(1, 6, ["1", "2", "5"]), (0.02, 0.3, ["0.02", "0.05", "0.1", "0.2"])]
)
def test_a_logarithmic_axis_of_few_decades_has_numbers_that_do_not_touch(low, high, said):
    figure, ax = plt.subplots(figsize=(1.6, 1.6))
    ax.plot([low, high], [low, high])
    ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    figure.canvas.draw()
    assert touching(ax.xaxis)  # as matplotlib has it
    drawing.plain_numbers(ax.xaxis, ax.yaxis)
    figure.canvas.draw()
    shown = [t.label1.get_text() for t in ax.xaxis.get_major_ticks() if low <= t.get_loc() <= high]
    assert shown == said and not touching(ax.xaxis) and not touching(ax.yaxis)
    plt.close(figure)
