"""Images that a defence loses, as stores hold them."""

import numpy as np
import pytest

from purity.run import store
from purity.studies import reading

N = 4
Y = np.array([3, 1, 2, 0])
IDS = np.arange(N)


def shade(value: float) -> np.ndarray:
    """(N, 1, 2, 2): an image tells by its grey which one it is, by `value` where it is of."""
    return np.full((N, 1, 2, 2), value, np.float32) + IDS.reshape(N, 1, 1, 1).astype(np.float32) / 100


def seen(*classes: int) -> np.ndarray:
    return np.eye(5, dtype=np.float32)[list(classes)]


def part(attack: str, knowledge: str, seed: int = 0, **arrays) -> store.Part:
    keys = {"purifier": "mine", "attack": attack, "knowledge": knowledge, "seed": seed}
    return store.Part({"keys": keys}, arrays | {"ids": IDS})


@pytest.fixture
def stores(tmp_path):
    """Two attacks that know ξ; `strong` takes images 1 and 2, 0 is lost anyhow. Another seed has other images."""
    places = {name: tmp_path / f"{name}/images-0-3.zarr.zip" for name in ("subset", "weak", "strong", "purified")}
    for path in places.values():
        path.parent.mkdir()
    store.save(places["subset"], {"classes": ["a", "b", "c", "d", "e"]}, x=shade(0.1), y=Y, ids=IDS)
    for name, value in (("weak", 0.2), ("strong", 0.3)):
        made = {f"seed-{seed}": part(name, "all", seed, x=shade(value + seed / 2)) for seed in (0, 1)}
        store.save_parts(places[name], made)
    purified = {
        "clean": part("clean", "none", fixed=shade(0.4), fixed_logits=seen(4, 1, 2, 0)),
        "weak": part("weak", "all", fixed=shade(0.5), fixed_logits=seen(4, 1, 4, 0)),
        "strong": part("strong", "all", fixed=shade(0.6), fixed_logits=seen(4, 0, 4, 0)),
        "other": part("strong", "all", seed=1, fixed=shade(0.7), fixed_logits=seen(3, 1, 2, 0)),
    }
    store.save_parts(places["purified"], purified)
    crafted = [str(places["weak"]), str(places["strong"])]
    return {"subset": [str(places["subset"])], "adversarial": crafted, "purified": [str(places["purified"])]}


def test_the_strongest_attack_is_shown_on_images_that_were_held_without_it(stores):
    first, second = reading.fooled(stores, "mine", ["weak", "strong"], 0, 8)
    for (images, label, instead), row, words in ((first, 1, ("b", "a")), (second, 2, ("c", "e"))):
        assert (label, instead) == words
        for image, value in zip(images, (0.1, 0.3, 0.6), strict=True):
            np.testing.assert_array_equal(image, shade(value)[row])


def test_only_attacks_that_are_asked_for_and_as_many_images_as_there_is_room_for(stores):
    (only,) = reading.fooled(stores, "mine", ["weak"], 0, 8)
    assert only[1:] == ("c", "e")
    assert len(reading.fooled(stores, "mine", ["weak", "strong"], 0, 1)) == 1
    assert reading.fooled(stores, "mine", ["none-such"], 0, 8) == []
