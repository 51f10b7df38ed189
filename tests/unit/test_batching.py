"""The search for the best batch, on a clock that is moved by a known law of cost."""

import pytest
import torch

from purity import batching
from purity.batching import best_batch, candidates, found, most, of_arithmetic
from purity.diffusion.chain import graph


class Machine:
    """A batch of b takes fixed + each · b seconds, and `slow` more an image beyond `cache`; beyond `memory` it fails."""

    def __init__(self, fixed=1.0, each=0.1, cache=10**9, slow=0.0, memory=10**9, error=torch.OutOfMemoryError):
        self.now, self.seen = 0.0, []
        self.law, self.memory, self.error = (fixed, each, cache, slow), memory, error

    def seconds(self, batch):
        fixed, each, cache, slow = self.law
        return fixed + batch * (each + (slow if batch > cache else 0))

    def evaluate(self, batch):
        self.seen.append(batch)
        if batch > self.memory:
            raise self.error("out of memory")
        self.now += self.seconds(batch)

    def best(self, limit, **options):
        return best_batch(self.evaluate, limit, clock=lambda: self.now, **options)


def test_candidates_double_up_to_the_limit():
    assert candidates(1) == [1] and candidates(8) == [1, 2, 4, 8] and candidates(100) == [1, 2, 4, 8, 16, 32, 64, 100]


@pytest.mark.parametrize("limit", [1, 7, 64, 1000])
@pytest.mark.parametrize("fixed", [0.0, 0.01, 1.0, 30.0])
def test_what_is_found_is_within_the_tolerance_of_the_best_candidate(fixed, limit):
    """fixed/b + each falls with b; two doublings that gain less than 5 % each end the search, and all that follow would
    gain less than the last of them did."""
    machine = Machine(fixed=fixed)
    found = machine.best(limit)
    each = {batch: machine.seconds(batch) / batch for batch in candidates(limit)}
    assert found in each
    assert each[found] <= 1.05**2 * min(each.values())
    least = min(each[batch] for batch in set(machine.seen))
    assert each[found] <= 1.05 * least
    assert all(each[batch] > 1.05 * least for batch in each if batch < found)


def test_no_batch_is_larger_than_it_has_to_be():
    assert Machine(fixed=0).best(1000) == 1
    assert Machine(fixed=1, each=1e-9).best(1000) == 1000


def test_a_batch_that_leaves_the_cache_is_passed_by():
    machine = Machine(fixed=1.0, each=0.1, cache=32, slow=0.2)
    assert machine.best(1024) == 32
    assert max(machine.seen) == 128  # two that were worse ended it


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_a_batch_that_does_not_fit_is_not_taken(error):
    assert Machine(fixed=100, memory=20, error=error).best(1024) == 16


def test_what_never_fits_and_other_errors_are_passed_on():
    with pytest.raises(torch.OutOfMemoryError):
        Machine(memory=0).best(8)

    def broken(batch):
        if batch > 2:
            raise RuntimeError("shapes differ")

    ticks = iter(range(10**6))
    with pytest.raises(RuntimeError, match="shapes differ"):
        best_batch(broken, 64, clock=lambda: next(ticks))


def test_one_slow_moment_does_not_decide():
    """The median of three: one of each size's takes ten times as long."""
    machine, plain = Machine(fixed=5), Machine(fixed=5)
    calls = {}

    def evaluate(batch):
        calls[batch] = calls.get(batch, 0) + 1
        machine.evaluate(batch)
        if calls[batch] == 2:
            machine.now += 9 * machine.seconds(batch)

    assert best_batch(evaluate, 256, clock=lambda: machine.now) == plain.best(256)


def test_the_first_call_of_a_size_is_not_timed():
    """Kernels are chosen and memory is fetched in it."""
    machine, plain, warm = Machine(fixed=5), Machine(fixed=5), set()

    def evaluate(batch):
        machine.evaluate(batch)
        if batch not in warm:
            machine.now += 1000
            warm.add(batch)

    assert best_batch(evaluate, 256, clock=lambda: machine.now) == plain.best(256)


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ValueError, match="limit of the batch is 0"):
        Machine().best(0)


# Of a network, in the memory at hand.

X = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def at(unet):
    index = torch.tensor([50])
    return lambda z: unet(z, index)


@pytest.fixture
def room(monkeypatch):
    """room(n): there is memory for the graphs of n images."""

    def made(f, n):
        size = graph(f, X)[0]
        monkeypatch.setattr(batching.memory, "at_hand", lambda device: n * size)

    return made


def test_what_may_be_tried_has_room_for_its_graphs(at, room):
    room(at, 9)
    assert [most(at, X, graphs) for graphs in (1, 2, 3, 10)] == [9, 4, 3, 1]
    room(at, 10**9)
    assert most(at, X) == batching.MOST


def tried(monkeypatch, f, **options):
    """(the limit of the search, what one try asks of f: (images, with a graph))."""
    limits, asked = [], []

    def search(evaluate, limit, clock):
        limits.append(limit)
        evaluate(2)
        return 2

    def seen(z):
        asked.append((len(z), torch.is_grad_enabled() and z.requires_grad))
        return f(z)

    monkeypatch.setattr(batching, "best_batch", search)
    assert found(seen, X, **options) == 2
    return limits[0], [ask for ask in asked if ask[0] == 2]


def test_a_try_is_a_gradient_and_what_is_repeated_where_graphs_do_not_fit(at, room, monkeypatch):
    room(at, 20)
    assert tried(monkeypatch, at, gradient=True, times=10) == (10, [(2, True)])
    assert tried(monkeypatch, at, gradient=True, times=11) == (10, [(2, True), (2, False)])
    assert tried(monkeypatch, at, gradient=False, times=11) == (20, [(2, False)])


def test_a_chain_that_keeps_all_graphs_has_room_for_all_of_them(at, room, monkeypatch):
    room(at, 20)
    assert tried(monkeypatch, at, gradient=True, times=5, repeats=False)[0] == 4
    assert tried(monkeypatch, at, gradient=True, times=1, repeats=False)[0] == 20


def test_what_has_no_gradient_is_evaluated_without_one(monkeypatch):
    _, asked = tried(monkeypatch, lambda z: z.detach() * 2, gradient=True)
    assert (2, False) in asked


def test_a_batch_is_found_for_a_network(at, caplog):
    caplog.set_level("INFO")
    assert 1 <= found(at, X, gradient=True) <= batching.MOST
    assert "images at once, the best of" in caplog.text


def test_without_a_network_images_are_as_many_as_fit(monkeypatch):
    monkeypatch.setattr(batching.memory, "at_hand", lambda device: 6400)
    assert of_arithmetic(10) == 10 and of_arithmetic(10**6) == 1
