"""Jobs as stages are given them, and networks that stop one or have no room for a batch."""

from collections.abc import Callable

import torch

from purity import contract
from purity.run.job import Job
from purity.run.progress import Done


def job(batch: int = 100, done: Done | None = None, progress: Callable = iter) -> Job:
    return Job(batch, "cpu", progress, done)


def checked(purify, name: str = "mine"):
    """A purifier as the stages get it."""
    return contract.protected_purifier(purify, name)


class Stopped(BaseException):
    """What interrupts a job here, as a signal does: no part may take it for an error of its own."""


class Watched:
    """A network that may have no room for as many images, or be stopped in a call; counts its calls in `counter`."""

    def __init__(self, network, counter: list, room=10**9, stopped_in=None):
        self.network, self.counter, self.room, self.stopped_in = network, counter, room, stopped_in

    def __call__(self, x, *index):
        self._seen(x)
        return self.network(x, *index)

    def features(self, x):
        self._seen(x)
        return self.network.features(x)

    def _seen(self, x):
        if len(x) > self.room:
            raise torch.OutOfMemoryError(f"no room for {len(x)}")
        if len(self.counter) == self.stopped_in:
            raise Stopped
        self.counter.append(len(x))
