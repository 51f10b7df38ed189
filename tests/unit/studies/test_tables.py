"""What holds for the tables of all studies."""

import numpy as np
import pandas as pd
import pytest
from made_up import boxed, experiment, features_apart, hardened, known_outcomes, probe, record, walked

from purity.run import store
from purity.studies import (
    addt,
    ball,
    budget,
    compression,
    distances,
    dw_box,
    jacobian,
    law,
    paths,
    pca,
    predictors,
    robustness,
    timesteps,
    trajectory,
    transfer,
)
from purity.studies.records import Record

# Of attacks and balls.

ATTACKED = {
    "identity": {"pgd": ["none"]},
    "ddpm": {"uniform": ["none"], "pgd": ["none", "all"], "bpda": ["all", "reverse"]},
}


def of_attacks(made: dict) -> dict[str, pd.DataFrame]:
    attacked = [record for record in made["measured"] if record.keys["attack"] != "clean"]
    return {
        "trajectory": trajectory.trajectory(made["purified"]),
        "distances": distances.distances(attacked),
        "robustness": robustness.robustness(made["measured"]),
        "transfer": transfer.transfer(attacked, made["crafted"], made["subset"]),
        "compression": compression.compression(attacked),
        **{
            name: getattr(ball, name)(made["balls"])
            for name in ("directions", "directions_matrix", "centroids", "centroids_histogram", "variance")
        },
    }


@pytest.mark.parametrize("seeds", [[0], [3, 1, 2]])
def test_a_row_has_keys_that_no_other_row_has(seeds):
    numbers = ["n", "seeds", "mean", "std", "low", "high", "time", "right", "density", "correlation"]
    for name, table in of_attacks(experiment(ATTACKED, seeds)).items():
        assert not table.drop(columns=numbers, errors="ignore").duplicated().any(), name


def test_the_order_of_records_changes_no_number():
    made = experiment(ATTACKED, [0, 1, 2])
    turned = {kind: records[::-1] for kind, records in made.items()}
    for (name, one), other in zip(of_attacks(made).items(), of_attacks(turned).values(), strict=True):
        by = [c for c in one.columns if one[c].dtype == object or str(one[c].dtype).startswith("str")]
        by += [c for c in ("step", "i", "j", "left") if c in one.columns]
        one, other = (
            t.assign(**{c: t[c].astype(str) for c in by if c != "left"}).sort_values(by) for t in (one, other)
        )
        columns = sorted(one.columns)
        pd.testing.assert_frame_equal(
            one[columns].reset_index(drop=True), other[columns].reset_index(drop=True), rtol=1e-12, obj=name
        )


def test_every_number_says_how_many_images_it_is_made_of():
    made = of_attacks(experiment(ATTACKED, [0, 1]))
    del made["directions_matrix"]  # the entries of one image's matrix
    for name, table in made.items():
        assert {"n", "purifier"} <= set(table.columns), name


# Of the parts.


def of_parts(seeds: list[int]) -> dict[str, pd.DataFrame]:
    generator = np.random.default_rng(2)
    random = lambda *shape: generator.random(shape)  # noqa: E731
    falling = lambda *shape: -np.sort(-generator.random(shape))  # noqa: E731
    of_each = [(purifier, seed) for purifier in ("ddpm", "ddim") for seed in seeds]
    jacobians = [record(p, s, singular_values=2 * falling(6, 9)) for p, s in of_each]
    measured = [known_outcomes(random(6) < 0.5, p, s) for p, s in of_each]
    balls = [record(p, s, before=falling(6, 9), after=falling(6, 9)) for p, s in of_each]
    probes = [
        probe(
            p,
            t,
            s,
            **{name: random(6) for name in ("alpha", "magnitude")},
            **{name: random(6) < 0.5 for name in ("robust", "clean_fixed", "clean_fresh")},
            **features_apart(random(1)[0], 6),
        )
        for p, s in of_each
        for t in (90, 10, 50)
    ]
    budgets = [
        Record(
            {"attack": "pgd", "seed": s},
            {"scale": np.arange(3), "epsilon": np.arange(3) / 30, "robust": random(3, 6) < 0.5},
        )
        for s in seeds
    ]
    return {
        "jacobian": jacobian.jacobian(jacobians, measured),
        "jacobian_spectrum": jacobian.jacobian_spectrum(jacobians),
        "pca": pca.pca(balls),
        "budget": budget.budget(budgets),
        "timesteps": timesteps.timesteps(probes),
        "clean_t": timesteps.clean_t(probes),
        "law": law.law(probes),
        "law_fit": law.law_fit(probes),
        "predictors": predictors.predictors(probes),
        "predictors_rank": predictors.predictors_rank(predictors.predictors(probes)),
    }


@pytest.fixture(scope="module", params=[[0], [3, 1, 2]], ids=str)
def parts(request):
    return of_parts(request.param)


def test_a_row_of_a_part_has_keys_that_no_other_row_has(parts):
    names = {"purifier", "attack", "t", "seed", "outcome", "measure", "rank", "when", "component", "scale", "predictor"}
    names |= {"through", "beside"}
    assert not parts["law_fit"].duplicated(["quantity", "alpha"]).any()
    for name in parts.keys() - {"law_fit"}:
        assert not parts[name].duplicated([c for c in parts[name].columns if c in names]).any(), name


def test_every_number_of_a_part_says_how_much_it_is_made_of(parts):
    for name, table in parts.items():
        assert {"n", "points"} & set(table.columns), name
        assert not table.empty


# On disk.

TABLES = {
    "dw_box": lambda: dw_box.dw_box(boxed()["measured"]),
    "addt": lambda: addt.addt(hardened()["measured"]),
    "attack_paths": lambda: paths.attack_paths(walked()["paths"]),
    "landscape": lambda: paths.landscape(walked()["landscapes"]),
    "landscape_paths": lambda: paths.landscape_paths(walked()["landscapes"], walked()["paths"]),
}


SAID = {
    "purifier",
    "attack",
    "family",
    "knowledge",
    "judged",
    "seed",
    "measure",
    "vanilla",
    "again_of",
    "kind",
}  # in words


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
    same_as_read_back(dw_box.dw_box(boxed(called, seeds=seeds)["measured"]), tmp_path / "dw-box.csv")
    tuned = {"NA": ("none", False), "007": ("none", True)}
    same_as_read_back(addt.addt(hardened(tuned, seeds=seeds)["measured"]), tmp_path / "addt.csv")
    made = walked(["none", "007"])
    same_as_read_back(paths.attack_paths(made["paths"]), tmp_path / "paths.csv")
    same_as_read_back(paths.landscape(made["landscapes"]), tmp_path / "landscape.csv")
    same_as_read_back(paths.landscape_paths(made["landscapes"], made["paths"]), tmp_path / "way.csv")
