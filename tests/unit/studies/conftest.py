"""Figures that several tests look at are drawn once."""

import matplotlib.pyplot as plt
import pytest
from drawings import Drawn, draw


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """drawn(name, case)"""
    made = {}

    def get(name: str, case: str = "all") -> Drawn:
        if (name, case) not in made:
            made[name, case] = draw(name, case, tmp_path_factory.mktemp(name))
        return made[name, case]

    yield get
    plt.close("all")
