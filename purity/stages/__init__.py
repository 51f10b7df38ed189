"""Stages: what works on tensors for minutes to days. A file a stage, arrays in, a dict of arrays out.

The arrays of a stage come first: x0 clean images, x attacked ones (n, C, H, W) in [0, 1], y labels (n,); then
xi: ξ of all images (n rows) at draw 0, see purity.noise.SEEDINGS. The rest by keyword:
job: how many images at once, on which device, and what an earlier job has done (purity.run.job.Job). The batch changes
how fast a result comes, not which: every row meets its own noise.
classify, purify: the classifier and purifier on `job.device`. Both are protected ones (purity.contract).
A module's AXES says on which axis of an array the images are, if not the first; None if on none. GRADIENTS = True: its
time goes into gradients, and the best batch is one for these. SEEDS_TOGETHER = True: parts that differ by their base
seed alone are made in one call, and so share its batches.
"""

from collections.abc import Callable

from torch import Tensor

Features = Callable[[Tensor], Tensor]  # images in [0, 1] (B, C, H, W) → (B, F), the space of a Fréchet distance
