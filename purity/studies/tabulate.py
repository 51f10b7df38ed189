"""A study's tables and its evidence, each function handed what its arguments are called."""

import inspect
from collections.abc import Callable, Collection, Mapping

import pandas as pd

from purity.studies.records import Evidence, Record

Records = Mapping[str, list[Record]]


def made_by(
    tables: Mapping[str, Callable],
    evidence: Callable | None,
    records: Records,
    quantities: Collection[str] | None = None,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The tables by id, made in this order, and the evidence: a row each, columns quantity, case, mean, low, high, n,
    cells.

    A function gets records, or tables made before it, by the names of its arguments (`-` in an id is `_`). ValueError
    for an argument that is neither (unless it has a default), for records that are called as a table is, and for
    evidence of a quantity that is not among `quantities` (None: any).
    """
    clash = set(records) & {table.replace("-", "_") for table in tables}
    if clash:
        raise ValueError(f"{min(clash)} is the name of records and of a table")
    made: dict[str, pd.DataFrame] = {}
    for table, function in tables.items():
        made[table] = _called(function, records, made)
    found = [Evidence(*e) for e in _called(evidence, records, made)] if evidence else []
    unknown = [e.quantity for e in found if quantities is not None and e.quantity not in quantities]
    if evidence and unknown:
        raise ValueError(f"{_name(evidence)} yields {unknown[0]}, which its QUANTITIES do not name")
    return made, pd.DataFrame(found, columns=list(Evidence._fields))


def _called(function: Callable, records: Records, made: Mapping[str, pd.DataFrame]):
    known = {**records, **{table.replace("-", "_"): frame for table, frame in made.items()}}
    arguments = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in known:
            arguments[name] = known[name]
        elif parameter.default is parameter.empty:
            raise ValueError(f"{_name(function)}: {name} is neither records nor a table made before it")
    return function(**arguments)


def _name(function: Callable) -> str:
    return f"{function.__module__}.{function.__qualname__}"
