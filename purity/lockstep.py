"""Attacks of libraries, on each image alone and yet in batches.

A library asks its model about some rows of a batch and does not say which, but ξ belongs to the image; and it draws
the random numbers of a whole batch from a global generator. So it is given one image at a time, in a thread of its own,
with global generators that are the image's own. One thread runs at any moment; when all have asked something, the
defence answers them together. Which images share a batch changes no result but by rounding.
"""

import random
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from purity.defence import Defence
from purity.gradients import GradientCount
from purity.noise import Noise

Model = Callable[[Tensor], Tensor]  # images in [0, 1] (r, C, H, W), all made of the same one → logits (r, K)
Alone = Callable[[Model, Tensor, Tensor], Tensor]  # model, x (1, C, H, W), y (1,), on the CPU → anything with a row


def each_alone(
    attack: Alone, defence: Defence, x: Tensor, y: Tensor, noise: Noise, progress: Callable = iter
) -> Tensor:
    """attack(model, x, y) of every image, (B, …) together. What it raises for one image is raised.

    Every row that is asked about meets the ξ of its image, and is its next attack draw. Inside the attack, the global
    generators of torch (CPU), numpy and random start from the base seed and the image's id. Outside they stay.
    """
    lanes = [_Lane(attack, x[i : i + 1].detach().cpu(), y[i : i + 1].cpu(), _seed(noise, i)) for i in range(len(x))]
    most = max(defence.max_batch, len(x))
    finished, outside = iter(progress(range(len(x)))), _generators()
    try:
        waiting = [(i, lane) for i, lane in enumerate(lanes) if lane.runs()]
        running = len(lanes)
        while running:
            for _ in range(running - len(waiting)):
                next(finished, None)
            running = len(waiting)
            _answer(waiting, defence, x.device, most)
            waiting = [(i, lane) for i, lane in waiting if lane.runs()]
        next(finished, None)
    finally:
        for lane in lanes:
            lane.stop()
        _set_generators(outside)
    return torch.cat([lane.result for lane in lanes]).to(x.device)


def _seed(noise: Noise, row: int) -> int:
    """32 bits of the base seed and the image's id."""
    seed = noise.seed[row] if isinstance(noise.seed, Tensor) else noise.seed
    return zlib.crc32(repr((int(seed), int(noise.ids[row]))).encode())


def _generators() -> tuple:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def _set_generators(state: tuple) -> None:
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    random.setstate(state[2])


class _Stopped(BaseException):
    """Ends the thread of an attack whose result nobody wants any more."""


@dataclass
class _Question:
    """images (r, C, H, W), to be classified, with a gradient to come or without; or `of`: an answered question whose
    gradient in the direction (r, K) is asked for."""

    images: Tensor | None = None
    with_gradient: bool = False
    of: "_Question | None" = None
    direction: Tensor | None = None
    answer: Tensor | None = None
    graph: Any = None  # (images of a batch, their logits, which rows of it are ours)


@dataclass
class _Lane:
    """One image, its attack's thread and its global generators. While this thread runs, all others wait."""

    attack: Alone
    x: Tensor
    y: Tensor
    seed: int
    draws: int = 0  # asked for so far
    question: _Question | None = None
    result: Tensor | None = None
    error: BaseException | None = None
    stopped: bool = False
    generators: tuple | None = None
    thread: threading.Thread | None = None
    mine: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    main: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def runs(self) -> bool:
        """Let it go on until it asks something: True. Or until its end: False, and the result is there."""
        if self.thread is None:
            state = random.Random(self.seed).getstate()
            numbers = np.random.RandomState(self.seed).get_state()
            self.generators = (torch.Generator().manual_seed(self.seed).get_state(), numbers, state)
            self.thread = threading.Thread(target=self._work, daemon=True)
            self.thread.start()
        _set_generators(self.generators)
        self.question = None
        self.mine.release()
        self.main.acquire()
        self.generators = _generators()
        if self.error is not None:
            raise self.error
        return self.question is not None

    def stop(self) -> None:
        if self.thread is not None and self.thread.is_alive():
            self.stopped = True
            self.mine.release()
            self.thread.join()

    def _work(self) -> None:
        self.mine.acquire()
        try:
            if not self.stopped:
                with torch.enable_grad():
                    self.result = self.attack(self.classify, self.x.clone(), self.y.clone()).detach()
        except _Stopped:
            pass
        except BaseException as error:
            self.error = error
        self.main.release()

    def ask(self, question: _Question) -> Tensor:
        self.question = question
        self.main.release()
        self.mine.acquire()
        if self.stopped:
            raise _Stopped
        return question.answer

    def classify(self, images: Tensor) -> Tensor:
        """The model that the library meets."""
        return _Asked.apply(images, self, torch.is_grad_enabled() and images.requires_grad)


class _Asked(torch.autograd.Function):
    """Logits and gradients that the main thread computes. On the CPU, autograd works in the thread that calls it."""

    @staticmethod
    def forward(ctx, images: Tensor, lane: _Lane, with_gradient: bool) -> Tensor:
        ctx.lane, ctx.question = lane, _Question(images.detach(), with_gradient)
        return lane.ask(ctx.question)

    @staticmethod
    def backward(ctx, direction: Tensor):
        return ctx.lane.ask(_Question(of=ctx.question, direction=direction)), None, None


def _answer(waiting: list[tuple[int, _Lane]], defence: Defence, device: torch.device, most: int) -> None:
    """What was asked without a gradient, then with one, then gradients: all of a kind that fit in a batch together."""
    asked = [(i, lane, lane.question) for i, lane in waiting]
    for with_gradient in (False, True):
        kind = [q for q in asked if q[2].of is None and q[2].with_gradient == with_gradient]
        for part in _parts(kind, most):
            _classify(part, defence, device)
    graphs: dict[int, list[tuple[int, _Question]]] = {}
    for i, _, question in asked:
        if question.of is not None:
            graphs.setdefault(id(question.of.graph[1]), []).append((i, question))
    for questions in graphs.values():
        _differentiate(questions, defence.counted)


def _parts(asked: list, most: int) -> list[list]:
    """In order, with as many rows a part as fit; a question is never split."""
    parts, size = [], most
    for one in asked:
        rows = len(one[2].images)
        if size + rows > most:
            parts.append([])
            size = 0
        parts[-1].append(one)
        size += rows
    return parts


def _classify(asked: list[tuple[int, _Lane, _Question]], defence: Defence, device: torch.device) -> None:
    images = torch.cat([question.images for _, _, question in asked]).to(device)
    sizes = [len(question.images) for _, _, question in asked]
    rows = torch.cat([torch.full((size,), i) for (i, _, _), size in zip(asked, sizes, strict=True)])
    draws = torch.cat([lane.draws + torch.arange(size) for (_, lane, _), size in zip(asked, sizes, strict=True)])
    with torch.set_grad_enabled(asked[0][2].with_gradient):
        images.requires_grad_(asked[0][2].with_gradient)
        # not all rows are asked for a gradient when one of them is: they are counted where they are
        logits = replace(defence, counted=None).rows(rows)(images, draws)
    begin = 0
    for (_, lane, question), size in zip(asked, sizes, strict=True):
        end = begin + size
        lane.draws += size
        question.answer = logits[begin:end].detach().cpu()
        if question.with_gradient:
            question.graph = (images, logits, slice(begin, end))
        begin = end


def _differentiate(questions: list[tuple[int, _Question]], counted: GradientCount | None) -> None:
    """Of one batch. It may be asked again, for another class or by those who are not as far."""
    images, logits, _ = questions[0][1].of.graph
    direction = torch.zeros_like(logits)
    for _, question in questions:
        direction[question.of.graph[2]] = question.direction.to(logits)
    (gradient,) = torch.autograd.grad(logits, images, direction, retain_graph=True)
    for i, question in questions:
        found = gradient[question.of.graph[2]]
        if counted is not None:
            counted.of_rows(torch.full((len(found),), i)).add(found)
        question.answer = found.cpu()
