"""Tables of the stochastic perspective, from small records whose numbers are counted by hand."""

import numpy as np
import pandas as pd
import pytest
from made_up import keys
from test_tables import only

from purity import stats, tables
from purity import tables_stochastic as stochastic
from purity.run import store
from purity.tables import Record

nan = np.nan

# Made-up records, for figures too.


def outcomes(purifier="ddpm", attack="pgd", knowledge="all", seed=0, fixed=(1,), fresh=((1,),), partly=None, **said):
    """A record of right answers, 0 or 1: fixed (n,), fresh and partly (R, n). said: more keys."""
    right = {"correct_fixed": np.array(fixed, bool), "correct_varying": np.array(fresh, bool)}
    right |= {} if partly is None else {"correct_partly": np.array(partly, bool)}
    return Record(keys(purifier, attack, knowledge, seed) | said, right)


def random_outcomes(generator, *key, n=20, right=0.6, **said) -> Record:
    drawn = lambda *shape: generator.random(shape) < right  # noqa: E731
    return outcomes(*key, fixed=drawn(n), fresh=drawn(3, n), partly=drawn(3, n) if key[2] != "all" else None, **said)


BOXED = {"ddpm": ["none", "forward", "reverse"], "ddim": ["none", "reverse"]}


def boxed(purifiers=None, attacks=("pgd", "pgd-l2"), seeds=(0, 1), **options) -> dict[str, list[Record]]:
    """What the part dw-box leaves; purifiers: what leaves them something fresh, as in the config."""
    generator, made = np.random.default_rng(0), []
    for seed in seeds:
        for purifier, fresh in (purifiers or BOXED).items():
            made.append(random_outcomes(generator, purifier, "clean", "none", seed, **options))
            for attack in attacks:
                for knowledge in ("none", "forward", "reverse", "all"):
                    name = f"{attack}-eot" if knowledge in fresh else attack
                    made.append(random_outcomes(generator, purifier, name, knowledge, seed, **options))
    return {"measured": made}


TUNED = {"ddpm-addt": ("ddpm", False), "ddpm-addt-no-rbgm": ("ddpm", True)}


def hardened(tuned=None, seeds=(0, 1), **options) -> dict[str, list[Record]]:
    """What the part addt leaves, vanilla purifiers first; tuned: the vanilla one, and whether it is an ablation."""
    generator, made, tuned = np.random.default_rng(0), [], TUNED if tuned is None else tuned
    for purifier in dict.fromkeys([*(vanilla for vanilla, _ in tuned.values()), *tuned]):
        said = dict(zip(("vanilla", "ablation"), tuned[purifier], strict=True)) if purifier in tuned else {}
        for seed in seeds:
            for attack, knowledge in (("clean", "none"), ("pgd-eot", "none"), ("pgd", "all")):
                made.append(random_outcomes(generator, purifier, attack, knowledge, seed, **said, **options))
    return {"measured": made}


def walked(purifiers=("ddpm", "ddpm-addt"), ids=(7, 3, 11), repeats=3, steps=4, seed=0) -> dict[str, list[Record]]:
    """What the part paths leaves: paths and landscapes."""
    generator, n, at = np.random.default_rng(0), len(ids), np.linspace(0, 2, 5)
    made = {"paths": [], "landscapes": []}
    for purifier in purifiers:
        x0, arrays = generator.random((n, 1, 1, 1, 2, 3)), {"ids": np.array(ids)}
        for kind, times in (("white_box", repeats), ("eot", repeats), ("dw_box", 1)):
            moved = 0.1 * generator.standard_normal((n, times, steps + 1, 1, 2, 3)).cumsum(axis=2)
            arrays[kind] = (x0 + moved - moved[:, :, :1]).astype(np.float32)
            arrays[f"{kind}_loss"] = generator.random((n, times, steps + 1)).cumsum(axis=2).astype(np.float32)
        named = {"purifier": purifier, "attack": "pgd", "seed": seed}
        made["paths"].append(Record(named, arrays))
        shown = {
            "ids": np.array(ids),
            "at": at,
            "loss": (generator.random((n, 1, 1)) + at[:, None] ** 2 + 0.3 * at).astype(np.float32),
            "dw_box": generator.random((n, 1, 1)) * np.linspace(0, 1, steps + 1)[:, None] * [1, 0],
            "eot": generator.random((n, 1, 1)) * np.linspace(0, 1, steps + 1)[:, None] * [0.4, 1],
        }
        made["landscapes"].append(Record(named, shown))
    return made


# What attackers know.

EIGHT = [
    outcomes(attack="clean", knowledge="none", fixed=[1, 1, 1, 0], fresh=[[1, 1, 0, 0], [1, 0, 0, 0]]),
    outcomes(attack="pgd-eot", knowledge="none", fixed=[0, 0, 0, 0], fresh=[[1, 1, 1, 0], [1, 1, 1, 1]]),
    outcomes(
        attack="pgd-eot",
        knowledge="forward",
        fixed=[1, 1, 1, 1],
        fresh=[[1, 1, 1, 1]],
        partly=[[1, 0, 0, 0], [1, 1, 0, 0]],
    ),
    outcomes(attack="pgd", knowledge="reverse", fixed=[0, 0, 0, 0], fresh=[[0, 0, 0, 0]], partly=[[1, 1, 0, 0]]),
    outcomes(attack="pgd", knowledge="all", fixed=[1, 0, 0, 0], fresh=[[1, 1, 1, 1]]),
]


def test_an_attack_and_the_one_that_averages_are_of_one_family():
    made = stochastic.dw_box(EIGHT)
    of_all = made[(made["seed"] == "all") & (made["attack"] != "clean")]
    assert set(of_all["family"]) == {"pgd"}
    assert dict(zip(of_all["knowledge"], of_all["attack"], strict=True)) == {
        "none": "pgd-eot",
        "forward": "pgd-eot",
        "reverse": "pgd",
        "all": "pgd",
    }


def test_only_the_end_of_a_name_says_that_an_attack_averages():
    made = stochastic.dw_box([outcomes(attack=name) for name in ("pgd-eot-20", "eot", "pgd-eot-eot")])
    assert made[made["seed"] == "all"]["family"].tolist() == ["pgd-eot-20", "eot", "pgd-eot"]


def test_who_knows_a_part_is_judged_with_the_rest_fresh_and_others_as_ever():
    made = stochastic.dw_box(EIGHT)
    found = {
        knowledge: (row["judged"], row["mean"])
        for knowledge in ("none", "forward", "reverse", "all")
        for row in [only(made, family="pgd", knowledge=knowledge, seed="all")]
    }
    assert found == {
        "none": ("fresh", 7 / 8),
        "forward": ("rest-fresh", 3 / 8),
        "reverse": ("rest-fresh", 2 / 4),
        "all": ("fixed", 1 / 4),
    }


def test_clean_images_are_judged_under_both_and_are_a_family_of_their_own():
    clean = stochastic.dw_box(EIGHT).query("attack == 'clean' and seed == 'all'")
    assert dict(zip(clean["judged"], clean["mean"], strict=True)) == {"fresh": 3 / 8, "fixed": 3 / 4}
    assert set(clean["family"]) == {"clean"}


def test_but_for_families_it_is_the_table_of_robustness():
    measured = boxed()["measured"]
    made, wanted = stochastic.dw_box(measured), tables.robustness(measured)
    assert list(made) == ["purifier", "attack", "family", *list(wanted)[2:]]
    pd.testing.assert_frame_equal(made.drop(columns="family"), wanted)
    assert len(made) == 2 * (2 + 8) * 3


# Fine-tuned purifiers.


def hundredfold(seed, vanilla, tuned, **of):
    """Two records of which the second is of the purifier fine-tuned from that of the first."""
    return [
        outcomes("ddpm", seed=seed, **{**of, **vanilla}),
        outcomes("tuned", seed=seed, vanilla="ddpm", ablation=False, **{**of, **tuned}),
    ]


PAIR = [
    *hundredfold(0, {"fixed": [1, 0, 0, 0]}, {"fixed": [1, 1, 1, 0]}),
    *hundredfold(1, {"fixed": [1, 1, 0, 0]}, {"fixed": [1, 1, 0, 0]}),
]


def test_what_is_gained_is_counted_image_by_image_over_seeds():
    row = only(stochastic.addt(PAIR), measure="gain")
    gained = np.array([0, 0.5, 0.5, 0])
    assert (row["purifier"], row["attack"], row["knowledge"], row["judged"]) == ("tuned", "pgd", "all", "fixed")
    assert (row["seed"], row["seeds"], row["n"]) == ("all", 2, 4)
    assert (row["mean"], row["low"], row["high"]) == stats.mean_interval(gained)


def test_the_interval_is_of_pairs_and_not_of_two_accuracies():
    """Images are hard or easy; each is gained alike."""
    generator = np.random.default_rng(0)
    hard = np.sort(generator.random(1000)) < 0.5
    tuned = hard.copy()
    tuned[np.flatnonzero(~hard)[:100]] = True
    row = only(stochastic.addt(hundredfold(0, {"fixed": hard}, {"fixed": tuned})), measure="gain")
    assert row["mean"] == pytest.approx(0.1)
    # √(.1·.9/1000), not √(2·.25/1000)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * np.sqrt(0.09 / 1000), rel=0.01)


@pytest.mark.parametrize(("attack", "knowledge"), [("clean", "none"), ("pgd-eot", "none")])
def test_who_knows_nothing_gains_over_fresh_draws(attack, knowledge):
    """Also where numbers of draws or seeds differ: of each purifier its own mean counts."""
    of = {"attack": attack, "knowledge": knowledge, "fixed": [0, 0]}
    records = hundredfold(0, {"fresh": [[1, 0], [0, 0]]}, {"fresh": [[1, 1]]}, **of)
    records += hundredfold(1, {"fresh": [[0, 0], [0, 0]]}, {"fresh": [[1, 0]]}, **of)[:1]
    made = stochastic.addt(records)
    row = only(made, measure="gain")
    assert (row["mean"], row["low"], row["high"]) == stats.mean_interval(np.array([1 - 0.25, 1 - 0]))
    assert row["judged"] == "fresh" and row["seeds"] == 1


def test_a_gain_is_the_difference_of_two_accuracies_of_the_table():
    made = stochastic.addt(hardened()["measured"])
    of_all = made[made["seed"] == "all"]
    gains = of_all[of_all["measure"] == "gain"]
    assert len(gains) == 6
    for row in gains.itertuples():
        same = {"measure": "accuracy", "attack": row.attack, "knowledge": row.knowledge}
        tuned, vanilla = (only(of_all, purifier=purifier, **same) for purifier in (row.purifier, row.vanilla))
        assert row.mean == pytest.approx(tuned["mean"] - vanilla["mean"], abs=1e-12)
        assert row.low < row.mean < row.high


def test_accuracies_are_those_of_the_table_of_robustness():
    """Of clean images, those under fresh ξ."""
    measured = hardened()["measured"]
    made, wanted = stochastic.addt(measured), tables.robustness(measured)
    wanted = wanted[(wanted["attack"] != "clean") | (wanted["judged"] == "fresh")]
    found = made[made["measure"] == "accuracy"][list(wanted)]
    pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted.reset_index(drop=True))


def test_vanilla_purifiers_have_no_gain():
    made = stochastic.addt(hardened()["measured"])
    assert set(made[made["measure"] == "gain"]["purifier"]) == set(TUNED)
    assert made[made["purifier"] == "ddpm"]["vanilla"].isna().all()
    assert set(made[made["purifier"] == "ddpm-addt"]["vanilla"]) == {"ddpm"}


def test_a_purifier_tuned_from_one_that_was_tuned_has_its_gain_over_that_one():
    tuned = {"once": ("ddpm", False), "twice": ("once", True)}
    made = stochastic.addt(hardened(tuned)["measured"])
    gains = made[made["measure"] == "gain"].groupby("purifier")["vanilla"].unique()
    assert gains.map(list).to_dict() == {"once": ["ddpm"], "twice": ["once"]}


def test_without_the_vanilla_purifier_under_the_same_attack_nothing_is_said_to_be_gained():
    tuned = PAIR[1]
    other = outcomes("ddpm", attack="pgd-eot", knowledge="none")
    for records in ([tuned], [tuned, other]):
        made = stochastic.addt(records)
        assert set(made["measure"]) == {"accuracy"}
        assert only(made, purifier="tuned", seed="all")["mean"] == 0.75


def test_the_order_of_records_does_not_matter_to_a_gain():
    vanilla_last = only(stochastic.addt(PAIR[::-1]), measure="gain")
    pd.testing.assert_series_equal(vanilla_last, only(stochastic.addt(PAIR), measure="gain"), check_names=False)


def test_ablations_are_marked():
    made = stochastic.addt(hardened()["measured"])
    assert made.groupby("purifier")["ablation"].unique().map(list).to_dict() == {
        "ddpm": [False],
        "ddpm-addt": [False],
        "ddpm-addt-no-rbgm": [True],
    }


def test_of_a_single_image_a_gain_has_no_interval():
    row = only(stochastic.addt(hundredfold(0, {"fixed": [0]}, {"fixed": [1]})), measure="gain")
    assert row["mean"] == 1 and np.isnan(row["low"]) and np.isnan(row["high"])


# Paths.


def path_record(moved: dict, x0=0.5, ids=(4,), purifier="ddpm", seed=0, **losses) -> Record:
    """moved: by kind (n, R, S + 1, 4), the places less x₀, of images of 2×2."""
    arrays = {"ids": np.array(ids)}
    for kind in stochastic.KINDS:
        of = np.array(moved[kind], float)
        arrays[kind] = (x0 + of).reshape(*of.shape[:3], 1, 2, 2).astype(np.float32)
        arrays[f"{kind}_loss"] = np.array(losses.get(kind, np.zeros(of.shape[:3])), np.float32)
    return Record({"purifier": purifier, "attack": "pgd", "seed": seed}, arrays)


# In a plane of the first and last of four pixels, largest along the first: in binary fractions.
FLAT = {
    "white_box": [[[[0, 0, 0, 0], [-0.25, 0, 0, 0.125]], [[0, 0, 0, 0], [0.25, 0, 0, -0.125]]]],
    "eot": [[[[0, 0, 0, 0], [0.25, 0, 0, 0.125]], [[0, 0, 0, 0], [0.25, 0, 0, 0.125]]]],
    "dw_box": [[[[0, 0, 0, 0], [-0.25, 0, 0, 0.125]]]],
}


def test_a_path_has_a_row_for_each_kind_repeat_and_step():
    made = stochastic.attack_paths(walked()["paths"])
    assert len(made) == 2 * 3 * (3 + 3 + 1) * 5
    assert list(dict.fromkeys(made["kind"])) == ["white-box", "white-box EOT", "DW-box"]
    assert list(dict.fromkeys(made["image"])) == [7, 3, 11]
    for _, part in made.groupby(["purifier", "image"]):
        assert part.groupby("kind")["repeat"].nunique().to_dict() == {"white-box": 3, "white-box EOT": 3, "DW-box": 1}
        assert part["step"].tolist() == 7 * [0, 1, 2, 3, 4]


def test_places_in_a_plane_are_counted_there_by_hand():
    """Lengths and angles are those of the images."""
    made = stochastic.attack_paths([path_record(FLAT)])
    assert made["kept"].to_numpy() == pytest.approx(np.ones(10))
    end = lambda kind, repeat: only(made, kind=kind, repeat=repeat, step=1)[["u", "v"]].to_numpy(float)  # noqa: E731
    length = np.hypot(0.25, 0.125)
    for kind, repeat in (("white-box", 0), ("white-box", 1), ("white-box EOT", 0), ("DW-box", 0)):
        assert np.hypot(*end(kind, repeat)) == pytest.approx(length)
        assert only(made, kind=kind, repeat=repeat, step=0)[["u", "v"]].tolist() == [0, 0]
    assert end("white-box", 0) == pytest.approx(end("DW-box", 0))
    assert end("white-box", 1) == pytest.approx(-end("DW-box", 0))
    # the cosine of (−2, 1) and (2, 1) is −3/5
    assert end("DW-box", 0) @ end("white-box EOT", 1) == pytest.approx(-0.6 * length**2)
    assert (end("DW-box", 0) >= 0).all()


def test_where_the_path_of_who_knows_ends_no_coordinate_is_negative():
    made = stochastic.attack_paths(walked(ids=range(20))["paths"])
    ends = made[(made["kind"] == "DW-box") & (made["step"] == 4)]
    assert len(ends) == 40 and (ends[["u", "v"]] >= 0).all(axis=None) and (ends[["u", "v"]] > 0.01).any(axis=None)
    assert (made["u"] < 0).any() and (made["v"] < 0).any()


def test_the_share_that_is_kept_is_that_of_the_largest_two_moments_of_all_places_of_the_image():
    (record,) = walked(["ddpm"])["paths"]
    made = stochastic.attack_paths([record])
    for i, image in enumerate(record.arrays["ids"]):
        places = np.concatenate([record.arrays[kind][i].reshape(-1, 6) for kind in stochastic.KINDS]).astype(float)
        moved = places - places[0]
        values = np.linalg.eigvalsh(moved.T @ moved)
        part = made[made["image"] == image]
        assert part["kept"].to_numpy() == pytest.approx(np.full(len(part), values[-2:].sum() / values.sum()))
        assert (part["u"] ** 2).sum() == pytest.approx(values[-1])
        assert (part["v"] ** 2).sum() == pytest.approx(values[-2])
        assert (np.hypot(part["u"], part["v"]) <= np.linalg.norm(moved, axis=1) + 1e-9).all()


def test_every_image_has_a_plane_of_its_own():
    """The second moves in the other two pixels; both are kept whole."""
    two = {kind: [of[0], np.array(of[0])[..., [1, 0, 3, 2]]] for kind, of in FLAT.items()}
    made = stochastic.attack_paths([path_record(two, ids=[4, 9])])
    assert made["kept"].to_numpy() == pytest.approx(np.ones(20))
    one, other = (made[made["image"] == image][["u", "v"]].to_numpy() for image in (4, 9))
    assert one == pytest.approx(other)


def test_heights_are_the_losses_of_the_same_steps():
    records = walked()["paths"]
    made = stochastic.attack_paths(records)
    for row in made.iloc[::7].itertuples():
        (record,) = [r for r in records if r.keys["purifier"] == row.purifier]
        (kind,) = [kind for kind, name in stochastic.KINDS.items() if name == row.kind]
        i = record.arrays["ids"].tolist().index(row.image)
        assert row.loss == record.arrays[f"{kind}_loss"][i, row.repeat, row.step]


def test_paths_that_stay_at_the_image_are_no_failure():
    still = {kind: np.zeros_like(of) for kind, of in FLAT.items()}
    made = stochastic.attack_paths([path_record(still)])
    assert not made[["u", "v", "kept"]].any(axis=None) and len(made) == 10


# Landscapes.


def test_the_landscape_is_the_mean_over_images_at_each_point():
    """a is the first axis of the array, b the second."""
    lost = np.array([[[1, 2], [3, 4]], [[3, 6], [5, 4]]], np.float32)
    arrays = {"at": np.array([0, 1.5]), "loss": lost}
    made = stochastic.landscape([Record({"purifier": "ddpm", "attack": "pgd", "seed": 3}, arrays)])
    assert made[["a", "b", "mean"]].to_numpy().tolist() == [[0, 0, 2], [0, 1.5, 4], [1.5, 0, 4], [1.5, 1.5, 4]]
    assert made["std"].to_numpy() == pytest.approx(np.array([2, 4, 2, 0]) / np.sqrt(2))
    assert set(made["n"]) == {2} and set(made["seed"]) == {3} and set(made["purifier"]) == {"ddpm"}


def test_every_purifier_has_a_landscape_of_its_own():
    made = stochastic.landscape(walked()["landscapes"])
    assert made.groupby("purifier", sort=False).size().to_dict() == {"ddpm": 25, "ddpm-addt": 25}
    assert not np.array_equal(made["mean"][:25], made["mean"][25:])


def test_paths_on_a_landscape_are_means_over_images_of_the_first_repeat():
    made = walked(["ddpm"])
    (landscape,), (paths,) = made["landscapes"], made["paths"]
    found = stochastic.landscape_paths(made["landscapes"], made["paths"])
    assert list(dict.fromkeys(found["kind"])) == ["white-box EOT", "DW-box"]
    for kind, name in (("eot", "white-box EOT"), ("dw_box", "DW-box")):
        part = found[found["kind"] == name]
        assert part["step"].tolist() == [0, 1, 2, 3, 4] and set(part["n"]) == {3}
        assert part[["a", "b"]].to_numpy() == pytest.approx(landscape.arrays[kind].mean(axis=0))
        assert part["loss"].to_numpy() == pytest.approx(paths.arrays[f"{kind}_loss"][:, 0].mean(axis=0))


def test_paths_and_landscapes_are_paired_by_purifier_not_by_place():
    made = walked()
    wanted = stochastic.landscape_paths(made["landscapes"], made["paths"])
    pd.testing.assert_frame_equal(stochastic.landscape_paths(made["landscapes"], made["paths"][::-1]), wanted)
    assert wanted.groupby(["purifier", "step"])["loss"].sum().nunique() == 10


# On disk.

TABLES = {
    "dw_box": lambda: stochastic.dw_box(boxed()["measured"]),
    "addt": lambda: stochastic.addt(hardened()["measured"]),
    "attack_paths": lambda: stochastic.attack_paths(walked()["paths"]),
    "landscape": lambda: stochastic.landscape(walked()["landscapes"]),
    "landscape_paths": lambda: stochastic.landscape_paths(walked()["landscapes"], walked()["paths"]),
}
SAID = {"purifier", "attack", "family", "knowledge", "judged", "seed", "measure", "vanilla", "kind"}  # in words


def same_as_read_back(table: pd.DataFrame, path) -> pd.DataFrame:
    store.save_table(path, table)
    read = store.load_table(path)
    assert list(read) == list(table) and len(read) == len(table) > 0
    for name, column in table.items():
        if name in SAID:
            assert read[name].dropna().tolist() == column.dropna().astype(str).tolist(), name
            assert read[name].isna().tolist() == column.isna().tolist(), name
        else:
            assert read[name].dtype == column.dtype and read[name].dtype.kind in "bif", name
            assert np.array_equal(read[name].to_numpy(), column.to_numpy(), equal_nan=column.dtype.kind == "f"), name
    return read


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_read_back_as_it_was(name, tmp_path):
    """Every bit of its numbers, flags as flags, whole numbers whole, names as words."""
    same_as_read_back(TABLES[name](), tmp_path / "table.csv")


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_purifiers_may_be_called_like_nothing_or_like_numbers(seeds, tmp_path):
    called = {"none": ["none"], "NA": ["none"], "007": ["none", "forward"]}
    same_as_read_back(stochastic.dw_box(boxed(called, seeds=seeds)["measured"]), tmp_path / "dw-box.csv")
    tuned = {"NA": ("none", False), "007": ("none", True)}
    same_as_read_back(stochastic.addt(hardened(tuned, seeds=seeds)["measured"]), tmp_path / "addt.csv")
    made = walked(["none", "007"])
    same_as_read_back(stochastic.attack_paths(made["paths"]), tmp_path / "paths.csv")
    same_as_read_back(stochastic.landscape(made["landscapes"]), tmp_path / "landscape.csv")
    same_as_read_back(stochastic.landscape_paths(made["landscapes"], made["paths"]), tmp_path / "way.csv")
