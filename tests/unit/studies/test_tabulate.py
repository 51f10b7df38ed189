"""A study's functions get what their arguments are called, and what is wrong says where."""

import pandas as pd
import pytest
from made_up import experiment

from purity.studies import compression, predictors, robustness
from purity.studies.records import Evidence, Record
from purity.studies.tabulate import made_by

COLUMNS = ["quantity", "case", "mean", "low", "high", "n", "cells"]
ONE = {"judgings": [Record({"seed": 0}, {})], "probes": []}


def counted(judgings: list[Record]) -> pd.DataFrame:
    return pd.DataFrame({"n": [len(judgings)]})


def doubled(counted_twice: pd.DataFrame, judgings: list[Record]) -> pd.DataFrame:
    return 2 * counted_twice + len(judgings)


def found(doubled: pd.DataFrame):
    yield Evidence("my-count", "all", float(doubled["n"].iloc[0]), 0.0, 9.0, 1)


def test_tables_are_made_in_order_of_records_and_of_tables_made_before():
    """`-` in an id is `_` in a name."""
    tables, evidence = made_by({"counted-twice": counted, "doubled": doubled}, found, ONE, ["my-count"])
    assert list(tables) == ["counted-twice", "doubled"]
    assert tables["counted-twice"]["n"].tolist() == [1] and tables["doubled"]["n"].tolist() == [3]
    assert evidence.columns.tolist() == COLUMNS and evidence.iloc[0].tolist() == [
        "my-count",
        "all",
        3.0,
        0.0,
        9.0,
        1,
        "",
    ]


def test_a_study_of_the_package_gives_its_tables_and_evidence():
    records = {"measured": experiment({"ddpm": {"uniform": ["none"], "pgd": ["none", "all"]}}, [0, 1])["measured"]}
    for module, name in ((robustness, "robustness"), (compression, "compression")):
        functions = {name: getattr(module, name)}
        tables, evidence = made_by(functions, module.evidence, records, module.QUANTITIES)
        pd.testing.assert_frame_equal(tables[name], getattr(module, name)(**records))
        assert evidence.values.tolist() == [list(e) for e in module.evidence(**records)] and len(evidence)


def test_functions_of_a_user_need_no_module():
    tables, evidence = made_by({"counted-twice": counted, "my-table": doubled}, None, ONE)
    assert tables["my-table"]["n"].tolist() == [3] and evidence.empty
    _, evidence = made_by({"doubled": counted}, found, ONE)
    assert evidence["mean"].tolist() == [1.0]


@pytest.mark.parametrize("evidence", [None, lambda: iter(())], ids=["none", "empty"])
def test_evidence_has_its_columns_though_there_is_none(evidence):
    _, frame = made_by({"counted": counted}, evidence, ONE)
    assert frame.empty and frame.columns.tolist() == COLUMNS


def test_what_is_neither_records_nor_a_table_is_an_error_that_names_the_function_and_the_argument():
    with pytest.raises(ValueError, match=r"doubled: counted_twice is neither"):
        made_by({"doubled": doubled}, None, ONE)
    with pytest.raises(ValueError, match=r"found: doubled is neither"):
        made_by({"counted": counted}, found, ONE)
    with pytest.raises(ValueError, match=r"predictors_rank: predictors is neither"):
        made_by({"predictors-rank": predictors.predictors_rank}, None, {"probes": []})


def test_an_option_with_a_default_is_left_alone_unless_something_is_called_so():
    def binned(judgings, bins=60, probes=None):
        return pd.DataFrame({"bins": [bins], "probes": [probes]})

    tables, _ = made_by({"binned": binned}, None, ONE)
    assert tables["binned"]["bins"].tolist() == [60] and tables["binned"]["probes"].tolist() == [[]]


def test_records_and_a_table_of_one_name_are_an_error():
    with pytest.raises(ValueError, match="judgings is the name of records and of a table"):
        made_by({"judgings": counted}, None, ONE)


@pytest.mark.parametrize("declared", [[], ["my-cuont"]])
def test_evidence_of_a_quantity_that_is_not_declared_is_an_error_that_names_it(declared):
    with pytest.raises(ValueError, match="my-count"):
        made_by({"doubled": counted}, found, ONE, declared)
