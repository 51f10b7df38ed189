"""Loops that can be stopped at any of their steps and taken up again, in another process, to the same bits.

A loop is a fold: a state of tensors and numbers, which each step makes anew from the one before. Loops lie in each
other (the draws of a gradient in a step, the steps in one attack of several) and follow each other; asked again in the
same order, each begins where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor

State = tuple  # of tensors and numbers


@dataclass
class _Level:
    """Loops inside one step of another, or of the whole: those there are, and how many of them were asked for."""

    loops: list[dict]
    asked: int = 0

    def next(self, items: str) -> dict:
        """The one that is asked for now; what was kept of other items is dropped, and of all that came after."""
        at, self.asked = self.asked, self.asked + 1
        if at < len(self.loops) and self.loops[at]["items"] != items:
            del self.loops[at:]
        if at == len(self.loops):
            self.loops.append({"items": items, "at": 0, "state": None, "inside": [], "end": None})
        return self.loops[at]


@dataclass
class Resumable:
    """The `progress` of an attack: wraps a range to report on it, and keeps how far its loops are.

    report: what wraps a range. save: is called whenever `due()` with all that the rest depends on, to be written before
    it returns. saved: what it was called with in a process that was stopped, on this device. counters: tensors that are
    counted up in place meanwhile; they go on from where they were too.
    """

    report: Callable[[Sequence], Iterator] = iter
    save: Callable[[dict], None] = lambda reached: None
    due: Callable[[], bool] = lambda: False
    saved: dict | None = None
    counters: Sequence[Tensor] = ()
    level: _Level = field(init=False)

    def __post_init__(self) -> None:
        reached = self.saved or {"loops": [], "counters": []}
        self.saved, self.loops = None, reached["loops"]
        self.level = _Level(self.loops)
        for counter, value in zip(self.counters, reached["counters"], strict=False):
            counter.copy_(value)

    def __call__(self, items: Sequence) -> Iterator:
        return self.report(items)

    def fold(
        self,
        items: Sequence,
        step: Callable[..., State],
        start: Callable[[], State],
        end: Callable[..., State] = lambda *state: state,
        told: bool = True,
    ) -> State:
        """end(*state) after state = step(item, *state) for each item, from start() on.

        A step depends on its item, its state and what is the same in every process. told: report on it.
        """
        loop = self.level.next(str(items))
        if loop["end"] is None:
            if loop["state"] is None:
                loop["state"] = self._inside(loop, start)
            left = items[loop["at"] :]
            for item in self.report(left) if told else left:
                loop["state"] = self._inside(loop, step, item, *loop["state"])
                loop["at"] += 1
                if self.due():
                    self.save({"loops": self.loops, "counters": list(self.counters)})
            loop["end"], loop["state"] = end(*loop["state"]), None
        return loop["end"]

    def _inside(self, loop: dict, run: Callable[..., State], *given) -> State:
        """run(*given), whose own loops are kept until it is done."""
        above, self.level = self.level, _Level(loop["inside"])
        try:
            made = tuple(run(*given))
        finally:
            self.level = above
        loop["inside"] = []
        return made


def resumable(progress: Callable) -> Resumable:
    """`progress` as an attack was given it, with `fold`; one that keeps nothing if it is a plain function."""
    return progress if isinstance(progress, Resumable) else Resumable(progress)
