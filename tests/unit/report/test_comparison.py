"""The papers' printed numbers beside ours, and the files that hold them."""

import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from made_up import experiment, keys
from scipy.stats import t as student

from purity.report.comparison import PLACE, compare
from purity.run import store
from purity.run.config import same
from purity.studies import (
    addt,
    ball,
    cap,
    compression,
    distances,
    dw_box,
    fuzzy,
    jacobian,
    margins,
    robustness,
    timesteps,
    trajectory,
    transfer,
)
from purity.studies.records import Record

REFERENCE = Path(__file__).parents[3] / "config/reference"
SETTINGS = yaml.safe_load((REFERENCE / "settings.yaml").read_text(encoding="utf-8"))
FILES = {path.stem: store.load_table(path) for path in sorted(REFERENCE.glob("*.csv"))}
NUMBERS = ("printed", "std", "unit")


def half(std: float, n: int = 100) -> float:
    """Student's half-width: n counts an image once for each of three seeds, images are what is sampled."""
    return student.ppf(0.975, n / 3 - 1) * std / np.sqrt(n / 3)


nan = np.nan


def key_columns(reference: pd.DataFrame) -> list[str]:
    return [column for column in reference.columns if column not in (*PLACE, *NUMBERS)]


def read_back(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """As the workflow hands a table on: through a file."""
    store.save_table(folder / "table.csv", table)
    return store.load_table(folder / "table.csv")


# Small tables by hand.


def printed(*rows: dict) -> pd.DataFrame:
    place = {"setting": "cifar10", "source": "newest", "table": "Table 1", "row": "DDPM", "column": "PGD"}
    numbers = {"printed": 50.0, "std": nan, "unit": 0.01, "remark": nan}
    return pd.DataFrame([place | {"purifier": "ddpm", "attack": "pgd", "knowledge": "all"} | numbers | r for r in rows])


def ours(*rows: dict) -> pd.DataFrame:
    whole = {"purifier": "ddpm", "attack": "pgd", "knowledge": "all", "seed": "all", "seeds": 3}
    return pd.DataFrame([whole | {"n": 100, "mean": 0.4, "std": 0.1} | r for r in rows])


def beside(table, reference, setting="cifar10", purifiers=("ddpm", "reverse"), attacks=("pgd", "bpda")):
    return compare(table, reference, setting, list(purifiers), list(attacks))


def test_a_printed_number_is_put_in_our_unit_beside_ours():
    row = beside(ours({}), printed({"printed": 71.9, "std": 0.2, "remark": "about"})).iloc[0]
    assert (row["paper"], row["paper_std"]) == pytest.approx((0.719, 0.002))
    assert (row["ours"], row["ours_std"], row["n"]) == (0.4, 0.1, 100)
    assert row["difference"] == pytest.approx(0.4 - 0.719)
    assert (row["source"], row["table"], row["row"], row["column"]) == ("newest", "Table 1", "DDPM", "PGD")
    assert row["remark"] == "about"


def test_a_number_without_a_spread_has_none():
    row = beside(ours({}), printed({"std": nan})).iloc[0]
    assert np.isnan(row["paper_std"]) and row["paper"] == 0.5 and pd.isna(row["remark"])


@pytest.mark.parametrize(("unit", "paper"), [(1, 50.0), (0.001, 0.05), (1 / 3072, 50 / 3072)])
def test_units_are_applied_row_by_row(unit, paper):
    reference = printed({"unit": unit}, {"attack": "bpda", "unit": 0.01})
    made = beside(ours({}, {"attack": "bpda"}), reference)
    assert made["paper"].tolist() == pytest.approx([paper, 0.5])


def test_the_interval_is_that_of_the_mean_where_the_table_has_none():
    row = beside(ours({"n": 25, "std": 0.2}), printed({})).iloc[0]
    assert (row["low"], row["high"]) == pytest.approx((0.4 - half(0.2, 25), 0.4 + half(0.2, 25)))


def test_an_interval_of_the_table_is_taken_over_row_by_row():
    table = ours({"low": 0.35, "high": 0.47}, {"attack": "bpda", "low": nan, "high": nan})
    made = beside(table, printed({}, {"attack": "bpda"})).set_index("attack")
    assert (made.loc["pgd", "low"], made.loc["pgd", "high"]) == (0.35, 0.47)
    assert (made.loc["bpda", "low"], made.loc["bpda", "high"]) == pytest.approx((0.4 - half(0.1), 0.4 + half(0.1)))


def test_one_image_or_seed_has_no_interval():
    row = beside(ours({"n": 1, "std": nan}), printed({})).iloc[0]
    assert np.isnan(row["low"]) and np.isnan(row["high"]) and row["ours"] == 0.4


def test_only_numbers_of_the_setting_are_shown():
    reference = printed({"setting": "imagenet", "printed": 1.0}, {"setting": "cifar10", "printed": 2.0})
    assert beside(ours({}), reference, "cifar10")["paper"].tolist() == [0.02]
    assert beside(ours({}), reference, "imagenet")["paper"].tolist() == [0.01]
    assert beside(ours({}), reference, "mnist").empty


@pytest.mark.parametrize(
    ("purifiers", "attacks", "shown"),
    [
        (["ddpm", "reverse"], ["pgd", "bpda"], {("ddpm", "pgd"), ("ddpm", "clean"), ("reverse", "bpda")}),
        (["ddpm"], ["pgd", "bpda"], {("ddpm", "pgd"), ("ddpm", "clean")}),
        (["reverse"], ["pgd"], set()),
        (["ddpm"], [], {("ddpm", "clean")}),
        ([], ["pgd", "bpda"], set()),
    ],
)
def test_only_purifiers_and_attacks_that_are_the_papers_are_compared_and_clean_images_are(purifiers, attacks, shown):
    """Others may have the same names."""
    pairs = [("ddpm", "pgd"), ("ddpm", "clean"), ("reverse", "bpda")]
    rows = [{"purifier": purifier, "attack": attack} for purifier, attack in pairs]
    made = beside(ours(*rows), printed(*rows), purifiers=purifiers, attacks=attacks)
    assert set(zip(made["purifier"], made["attack"], strict=True)) == shown


def test_only_the_row_of_all_seeds_is_compared():
    table = ours({"seed": "0", "mean": 0.1}, {"seed": "1", "mean": 0.2}, {"seed": "all", "mean": 0.15})
    assert beside(table, printed({}))["ours"].tolist() == [0.15]
    assert beside(table[table["seed"] != "all"], printed({})).empty


def test_what_was_not_measured_is_left_out_and_what_was_not_printed_too():
    made = beside(ours({"knowledge": "none"}, {"knowledge": "all"}), printed({}, {"attack": "bpda"}))
    assert made[["attack", "knowledge"]].to_numpy().tolist() == [["pgd", "all"]]


def test_a_number_that_two_versions_print_is_compared_twice():
    reference = printed({"source": "newest", "printed": 94.8}, {"source": "earlier", "printed": 94.78})
    made = beside(ours({"mean": 0.95}), reference)
    assert made["paper"].tolist() == pytest.approx([0.948, 0.9478]) and made["ours"].tolist() == [0.95, 0.95]


def test_comparing_changes_neither_table():
    table, reference = ours({}), printed({}, {"setting": "imagenet"})
    before = table.copy(), reference.copy()
    beside(table, reference)
    pd.testing.assert_frame_equal(table, before[0])
    pd.testing.assert_frame_equal(reference, before[1])


def test_a_table_that_is_of_no_attacks_is_compared_by_its_purifiers():
    reference = printed({"varied": "xi", "unit": 1}).drop(columns=["attack", "knowledge"])
    table = ours({"varied": "xi"}, {"varied": "input"}, {"varied": "xi", "purifier": "other"})
    made = beside(table.drop(columns=["attack", "knowledge"]), reference, attacks=[])
    assert made["ours"].tolist() == [0.4]


# Moments of a trajectory.


def way(means: list[float], **named) -> list[dict]:
    return [
        {"distance": "l2", "step": s, "time": 50 * s, "mean": m, "std": m / 10} | named for s, m in enumerate(means)
    ]


def moments(*names: str, **named) -> list[dict]:
    return [{"distance": "l2", "moment": name, "unit": 1} | named for name in names]


@pytest.mark.parametrize(
    ("means", "init", "highest", "end"),
    [
        ([1, 9, 4], 1, 9, 4),
        ([5, 4, 3], 5, 5, 3),
        ([1, 2, 3], 1, 3, 3),
        ([7, 2], 7, 7, 2),
        ([1, 8, 2, 9, 0.5], 1, 9, 0.5),
    ],
)
def test_moments_of_a_way_are_its_start_its_largest_mean_and_its_end(means, init, highest, end):
    made = beside(ours(*way(means)), printed(*moments("init", "max", "end"))).set_index("moment")
    assert made["ours"].to_dict() == {"init": init, "max": highest, "end": end}
    assert made.loc["max", "ours_std"] == pytest.approx(highest / 10)
    assert made.loc["end", "high"] == pytest.approx(end + half(end / 10))


def test_steps_count_in_their_order_and_not_in_that_of_the_rows():
    rows = ours(*way([1, 9, 2, 3])).iloc[[2, 0, 3, 1]]
    made = beside(rows, printed(*moments("init", "end"))).set_index("moment")
    assert made["ours"].to_dict() == {"init": 1, "end": 3}


def test_ways_have_their_own_moments():
    others = {"purifier": "reverse"}, {"attack": "bpda"}, {"knowledge": "none"}, {"distance": "linf"}
    table = ours(
        *way([1, 9, 4]), *(row for j, other in enumerate(others) for row in way([10 + j, 90 + j, 40 + j], **other))
    )
    reference = printed(*moments("max"), *(row for other in others for row in moments("max", **other)))
    assert beside(table, reference)["ours"].tolist() == [9, 90, 91, 92, 93]


# Tables read back from files.


def test_strengths_are_joined_as_numbers(tmp_path):
    reference = printed({"t": 100, "measure": "alpha"}, {"t": 20, "measure": "alpha"}).drop(
        columns=["attack", "knowledge"]
    )
    table = ours({"t": 20, "measure": "alpha", "mean": 2.0}, {"t": 100, "measure": "alpha", "mean": 1.0})
    table = table.drop(columns=["attack", "knowledge"])
    made = beside(read_back(table, tmp_path), read_back(reference, tmp_path))
    assert made["t"].tolist() == [100, 20] and made["ours"].tolist() == [1, 2]
    # with a gap among them the strengths of a file are no whole numbers
    gaps = pd.concat([table, table.assign(t=nan, purifier="gaussian")])
    assert beside(read_back(gaps, tmp_path), read_back(reference, tmp_path))["ours"].tolist() == [1, 2]


def transfers() -> tuple[pd.DataFrame, pd.DataFrame]:
    accuracy = {"measure": "accuracy", "judged": "fresh", "other": nan, "other_knowledge": nan}
    alike = {"measure": "correlation", "judged": nan, "other": "pgd", "other_knowledge": "all"}
    pairs = alike | {"seed": "pairs"}
    table = ours(accuracy | {"low": 0.3, "high": 0.5}, pairs | {"mean": 0.08}, pairs | {"attack": "bpda", "mean": 0.2})
    reference = printed(accuracy, alike | {"unit": 1, "printed": 0.0818}, alike | {"other": "bpda"})
    return table, reference


def test_accuracies_that_are_compared_with_no_other_attack_are_found(tmp_path):
    table, reference = transfers()
    made = beside(read_back(table, tmp_path), read_back(reference, tmp_path)).set_index("measure")
    assert made["ours"].to_dict() == {"accuracy": 0.4, "correlation": 0.08}
    assert made.loc["accuracy", "low"] == 0.3 and made.loc["correlation", "low"] == pytest.approx(0.08 - half(0.1))
    assert pd.isna(made.loc["accuracy", "other"]) and made.loc["correlation", "other"] == "pgd"


def test_one_seed_has_accuracies_and_no_correlations(tmp_path):
    """A column of nothing but gaps is read back as another kind of column."""
    table, reference = transfers()
    made = beside(read_back(table.iloc[:1], tmp_path), read_back(reference, tmp_path))
    assert made["measure"].tolist() == ["accuracy"] and made["ours"].tolist() == [0.4]


def test_a_column_of_gaps_alone_is_one_of_gaps_and_not_of_numbers(tmp_path):
    table, reference = transfers()
    made = beside(read_back(table.iloc[1:], tmp_path), read_back(reference, tmp_path))
    assert made["measure"].tolist() == ["correlation"] and made["ours"].tolist() == [0.08]
    assert pd.isna(made["judged"]).all()


def test_an_attack_that_is_compared_with_one_that_is_not_the_papers_is_left_out(tmp_path):
    table, reference = transfers()
    table = pd.concat([table, table.iloc[[1]].assign(other="bpda")])
    assert len(beside(read_back(table, tmp_path), read_back(reference, tmp_path), attacks=["pgd", "bpda"])) == 3
    assert len(beside(read_back(table, tmp_path), read_back(reference, tmp_path), attacks=["pgd"])) == 2


def test_names_that_look_like_numbers_or_gaps_are_names(tmp_path):
    names = ["007", "none", "NA"]
    table = ours(*({"purifier": name, "mean": j / 10} for j, name in enumerate(names)))
    reference = printed(*({"purifier": name} for name in names))
    made = beside(read_back(table, tmp_path), read_back(reference, tmp_path), purifiers=names)
    assert made["purifier"].tolist() == names and made["ours"].tolist() == [0, 0.1, 0.2]


@pytest.mark.parametrize("name", FILES)
def test_nothing_in_common_gives_an_empty_frame_with_the_same_columns(name, tmp_path, made_up):
    table = read_back(made_up["cifar10"][name], tmp_path)
    full = beside(
        table, FILES[name], purifiers=SETTINGS["cifar10"]["purifiers"], attacks=SETTINGS["cifar10"]["attacks"]
    )
    for setting, purifiers in (("nowhere", ["ddpm"]), ("cifar10", []), ("imagenet", ["ddpm"])):
        empty = beside(table, FILES[name], setting, purifiers)
        assert empty.empty and list(empty.columns) == list(full.columns)
        assert list(read_back(empty, tmp_path).columns) == list(full.columns)
    assert len(full)


# The files against the tables that the pipeline makes.

ATTACKED = {
    "cifar10": {
        "identity": {"pgd": ["none"]},
        "ddpm": {
            **{noise: ["none"] for noise in ("uniform", "uniform-32", "uniform-64", "uniform-128")},
            **{"bpda": ["none", "all"], "bpda-eot": ["none"], "pgd": ["none", "all"], "pgd-eot": ["none"]},
        },
        "reverse": {"uniform": ["none"], "pgd": ["none", "all"], "pgd-eot": ["none"]},
        "ddim": {"uniform": ["none"], "pgd": ["none", "all"], "pgd-eot": ["none"]},
        "one-step": {"pgd-eot": ["none"]},
        **{name: {"bpda": ["all"], "bpda-eot": ["all"]} for name in ("ddpm-150", "reverse-150")},
    },
    "imagenet": {
        "identity": {"bpda": ["none"]},
        "guided": {"bpda": ["none", "all"], "bpda-eot": ["none"]},
        "guided-reverse": {"bpda": ["all"]},
    },
}
# Of the stochastic perspective: fine-tuned purifiers are compared with vanilla ones.
KNOWN = {"pgd-20": ["all"], "pgd-20-eot": ["none"]}
VANILLA = {"dp-ddpm-addt": "dp-ddpm"}
# Printed numbers that ours are no measurement of: (file, measure).
NOT_OURS = {("distances", "fid"): "on Inception features, ours are the classifier's"}


def further(attacked: dict, seeds: list[int], n: int = 6) -> dict[str, list[Record]]:
    """Records of the parts that made_up does not have."""
    g = np.random.default_rng(1)
    made = {kind: [] for kind in ("jacobians", "outcomes", "probes", "judgings", "caps", "margins")}
    for purifier, seed in product(attacked, seeds):
        of = {"purifier": purifier, "seed": seed}
        made["jacobians"].append(Record(of, {"singular_values": g.random((n, 16))}))
        made["outcomes"].append(Record(keys(purifier, "pgd", "all", seed), {"correct_fixed": g.random(n) < 0.5}))
        for t in (10, 20, 50, 100, 150, 200, 300, 700):
            arrays = {name: g.random(n) < 0.5 for name in ("robust", "robust_protocol")} | {"alpha": g.random(n)}
            made["probes"].append(Record(of | {"t": t, "attack": "standard", "beside": "pgd"}, arrays))
        for attack in ("clean", *(a for a, knowledge in attacked[purifier].items() if "none" in knowledge)):
            arrays = {"y": np.zeros(n, np.int64), "predictions": g.integers(0, 2, (100, n))}
            made["judgings"].append(Record(keys(purifier, attack, "none", seed), arrays))
        whole = {"ids": np.arange(n), "usable": np.ones(n, bool), "changes": np.ones(n), "threshold": g.random(n)}
        scores = {"robust": np.arange(n) % 2 == 0, "length": g.random(n), "attack_length": g.random(n)}
        made["margins"].append(Record(keys(purifier, "pgd", "all", seed), whole | scores))
        fits = {"slope": g.random(n), "middle": g.random(n), "projection": g.random((n, 3))}
        fits |= {"outcome": np.ones((n, 3), bool), "radius": np.float64(3), "dimensions": 16}
        made["caps"].append(Record(keys(purifier, "pgd", "none", seed), whole | fits))
    return made


@pytest.fixture(scope="module")
def made_up() -> dict[str, dict[str, pd.DataFrame]]:
    """By setting and id, the tables of an experiment with the papers' purifiers and attacks."""
    made = {}
    for setting, attacked in ATTACKED.items():
        records = experiment(attacked, [0, 1]) | further(attacked, [0, 1])
        measured = [r for r in records["measured"] if r.keys["attack"] != "clean"]
        boxed = experiment(dict.fromkeys(("dp-ddpm", "dp-ddpm-addt"), KNOWN), [0, 1])["measured"]
        tuned = lambda keys: {"vanilla": VANILLA.get(keys["purifier"]), "ablation": False}  # noqa: E731
        boxed = [Record(r.keys | tuned(r.keys), r.arrays) for r in boxed]
        made[setting] = {
            "trajectory": trajectory.trajectory([r for r in records["purified"] if r.keys["attack"] != "clean"]),
            "distances": distances.distances(measured),
            "robustness": robustness.robustness(records["measured"]),
            "transfer": transfer.transfer(measured, records["crafted"], records["subset"]),
            "compression": compression.compression(measured),
            **{name: getattr(ball, name)(records["balls"]) for name in ("directions", "centroids", "variance")},
            "jacobian": jacobian.jacobian(records["jacobians"], records["outcomes"]),
            "timesteps": timesteps.timesteps(records["probes"]),
            "fuzzy": fuzzy.fuzzy(records["judgings"]),
            "cap": cap.cap(cap.cap_images(records["caps"])),
            "margins": margins.margins(margins.margins_images(records["margins"])),
            "dw-box": dw_box.dw_box(boxed),
            "addt": addt.addt(boxed),
        }
    return made


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_every_printed_number_finds_exactly_one_of_ours(name, setting, tmp_path, made_up):
    reference, of = FILES[name], SETTINGS[setting]
    table = read_back(made_up[setting][name], tmp_path)
    made = beside(table, reference, setting, of["purifiers"], of["attacks"])
    wanted = reference[reference["setting"] == setting]
    if "measure" in wanted:
        wanted = wanted[~wanted["measure"].isin([measure for file, measure in NOT_OURS if file == name])]
    place = ["source", "table", "row", "column", *key_columns(reference)]
    found = [tuple(map(str, row)) for row in made[place].to_numpy()]
    assert sorted(found) == sorted(tuple(map(str, row)) for row in wanted[place].to_numpy())
    assert made["ours"].notna().all() and (made["n"] > 0).all()
    assert made["paper"].tolist() == pytest.approx((wanted["printed"] * wanted["unit"]).tolist())


def test_what_finds_none_of_ours_is_in_the_files():
    for name, measure in NOT_OURS:
        assert measure in set(FILES[name]["measure"])


@pytest.mark.parametrize("name", FILES)
def test_a_table_made_again_with_other_seeds_is_found_again(name, tmp_path, made_up):
    """The keys of a row are its own: a table whose other seeds have other names has the same comparison."""
    table = read_back(made_up["cifar10"][name], tmp_path)
    renamed = table.assign(seed=table["seed"].replace({"0": "8", "1": "9"})) if "seed" in table else table
    of = SETTINGS["cifar10"]
    one, other = (beside(t, FILES[name], "cifar10", of["purifiers"], of["attacks"]) for t in (table, renamed))
    pd.testing.assert_frame_equal(one, other)


# The files themselves.


@pytest.mark.parametrize("name", FILES)
def test_files_say_where_a_number_stands_and_what_it_is_of(name):
    file = FILES[name]
    assert list(file.columns[:5]) == list(PLACE[:5]) and list(file.columns[-4:]) == [*NUMBERS, "remark"]
    for column in (*PLACE[:5], "purifier", "printed", "unit"):
        assert file[column].notna().all(), column
    assert len(file) and key_columns(file)


@pytest.mark.parametrize("name", FILES)
def test_sources_and_settings_are_those_that_there_are(name):
    assert set(FILES[name]["source"]) <= {"newest", "earlier", "rebuttal", "stochastic"}
    assert set(FILES[name]["setting"]) <= set(SETTINGS)


@pytest.mark.parametrize("name", FILES)
def test_every_name_is_one_of_the_settings(name):
    for setting, rows in FILES[name].groupby("setting"):
        assert set(rows["purifier"]) <= set(SETTINGS[setting]["purifiers"])
        for column in {"attack", "other"} & set(rows.columns):
            assert set(rows[column].dropna()) <= {*SETTINGS[setting]["attacks"], "clean"}
        for column in {"knowledge", "other_knowledge"} & set(rows.columns):
            assert set(rows[column].dropna()) <= {"none", "all", "forward", "reverse"}


def test_every_name_of_the_settings_is_in_a_file():
    for setting, of in SETTINGS.items():
        rows = [file[file["setting"] == setting] for file in FILES.values()]
        assert set(of["purifiers"]) == {name for file in rows for name in file["purifier"]}
        attacks = {name for file in rows if "attack" in file for name in file["attack"].dropna()}
        assert set(of["attacks"]) == attacks - {"clean"}


@pytest.mark.parametrize("name", FILES)
def test_no_source_prints_a_number_twice(name):
    assert not FILES[name].duplicated(["setting", "source", *key_columns(FILES[name])]).any()


SHARES = {"accuracy", "robust-accuracy", "standard", "never-fools", "always-fools", "half", "vote"}
SHARES |= {"auc-threshold", "auc-length", "below-quarter", "above-one"}


@pytest.mark.parametrize("name", FILES)
def test_units_make_shares_of_shares_and_leave_the_rest_positive(name):
    file = FILES[name]
    value, std = file["printed"] * file["unit"], file["std"] * file["unit"]
    assert (file["unit"] > 0).all() and (value >= 0).all() and not (std < 0).any()
    of_measure = (
        file["measure"] if "measure" in file else pd.Series("accuracy" if name == "robustness" else "", file.index)
    )
    shares = of_measure.isin(SHARES)
    assert (value[shares] <= 1).all() and (std[shares].dropna() < 0.5).all()
    assert (value[of_measure == "accuracy"] > 0.01).all()  # a percentage that was taken for a share twice
    assert (value[of_measure == "alpha"] > 0).all() and (value[of_measure == "alpha"] < 2).all()
    assert value[shares].notna().any() or name not in ("robustness", "fuzzy", "timesteps", "compression")


def test_more_noise_is_further_away_and_longer_ways_go_through_larger_distances():
    file = FILES["trajectory"]
    wide = file.pivot(index=["setting", "attack", "distance"], columns="moment", values="printed")
    assert (wide["max"] >= wide["init"]).all() and (wide["max"] >= wide["end"]).all()
    noise = wide.loc["cifar10"].loc[["uniform", "uniform-32", "uniform-64", "uniform-128"]]
    for _, ways in noise.groupby("distance"):
        assert (np.diff(ways.loc[["uniform", "uniform-32", "uniform-64", "uniform-128"], "init"]) > 0).all()


@pytest.mark.parametrize("attack", ["uniform", "uniform-32", "uniform-64", "uniform-128", "pgd", "pgd-eot", "bpda"])
def test_printed_budgets_are_those_of_the_settings(attack):
    """ℓ∞ at the start is ε; ℓ2 of uniform noise is ε √(3072/3), cut to [0, 1]."""
    rows = FILES["trajectory"].query("setting == 'cifar10' and attack == @attack and moment == 'init'")
    epsilon = SETTINGS["cifar10"]["attacks"][attack]["epsilon"]
    printed = rows.set_index("distance")["printed"]
    assert printed["linf"] == pytest.approx(epsilon, abs=6e-4)
    if attack.startswith("uniform"):
        assert printed["l2"] == pytest.approx(32 * epsilon, rel=0.01)
    else:
        assert 32 * epsilon < printed["l2"] < np.sqrt(3072) * epsilon


def test_the_law_of_total_variance_holds_in_print():
    of = FILES["variance"].set_index("component")["printed"]
    assert of["variance_total"] == pytest.approx(of["variance_input"] + of["variance_internal"], abs=2e-3)


def test_fuzzy_robustness_is_ordered_in_print():
    """Never fooled is less than right by majority; the vote of many is no worse than one judging."""
    for _, rows in FILES["fuzzy"].groupby(["purifier", "attack"]):
        of = rows.set_index(["measure", "k"])["printed"]
        assert of["never-fools", 100] < of["half", 100] < 100 - of["always-fools", 100]
        assert of["vote", 100] >= of["standard", 1] and set(rows["k"]) == {1, 10, 100}


# What the papers ran.


def test_budgets_are_whole_steps_of_256():
    budgets = [of["ball"]["epsilon"] for of in SETTINGS.values() if "ball" in of]
    budgets += [attack["epsilon"] for of in SETTINGS.values() for attack in of["attacks"].values()]
    assert len(budgets) == 13
    for epsilon in budgets:
        assert epsilon * 255 == pytest.approx(round(epsilon * 255), rel=1e-12) and round(epsilon * 255) > 0
    for name, k in (("uniform", 8), ("uniform-32", 32), ("uniform-64", 64), ("uniform-128", 128), ("pgd-eot", 8)):
        assert SETTINGS["cifar10"]["attacks"][name]["epsilon"] == k / 255
    assert SETTINGS["imagenet"]["attacks"]["bpda"]["epsilon"] == 4 / 255


def presets(setting: str) -> dict[str, dict]:
    """The settings written as a configuration has them."""
    written = {}
    for kind, function in (("purifiers", "make"), ("attacks", "run")):
        written[kind] = {
            name: {function: values[function], "options": {k: v for k, v in values.items() if k != function}}
            for name, values in SETTINGS[setting][kind].items()
        }
    return written


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_configuration_written_like_the_settings_has_the_same_setting(setting):
    for kind, written in presets(setting).items():
        assert same(written, SETTINGS[setting][kind]) == list(SETTINGS[setting][kind])
        for name in written:
            assert same(written | {name: {**written[name], "options": {}}}, SETTINGS[setting][kind]) == [
                other for other in written if other != name or name == "identity"
            ]


def test_the_shipped_experiment_is_none_of_the_papers():
    config = yaml.safe_load((REFERENCE.parent / "config.yaml").read_text(encoding="utf-8"))
    for of in SETTINGS.values():
        assert set(same(config["purifiers"], of["purifiers"])) <= {"identity", "one-step"}
        assert same(config["attacks"], of["attacks"]) == []


def test_settings_name_functions_of_this_package_that_take_these_options():
    from purity import attacks, purifiers

    rooms = {"purity.purifiers": purifiers, "purity.attacks": attacks}
    for of in SETTINGS.values():
        for values in (*of["purifiers"].values(), *of["attacks"].values()):
            room, name = re.fullmatch(r"(.*):(.*)", values.get("make") or values["run"]).groups()
            assert callable(getattr(rooms[room], name))
