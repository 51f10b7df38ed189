"""The small networks of the embedded experiment. Larger ones come from the libraries that own them.

All are plain functions of their input: no batch statistics, nothing drawn, drop-out at 0 even in training.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CNN(nn.Module):
    """Three convolutions, averages of parts of the image and two linear layers: (B, C, H, W) in [0, 1] → logits (B, K).

    cells: parts a side. stride: of the second and third convolution.
    """

    def __init__(self, channels: int, classes: int, width: int, features: int, stride: int, cells: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=stride, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, stride=stride, padding=1),
            nn.ReLU(),
        )
        self.cells = cells
        self.hidden = nn.Linear(2 * width * cells**2, features)
        self.readout = nn.Linear(features, classes)

    def features(self, x: Tensor) -> Tensor:
        """Penultimate activations (B, features), the space of the Fréchet distance."""
        averages = F.adaptive_avg_pool2d(self.convolutions(x), self.cells)
        return F.relu(self.hidden(averages.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.features(x))


def cnn(
    channels: int = 1, classes: int = 10, width: int = 32, features: int = 32, stride: int = 1, cells: int = 1
) -> nn.Module:
    """Classifier of small images, untrained. For images larger than the digits: stride 2 halves their size twice, cells
    3 takes the average of each ninth of an image, where 1 takes that of all of it."""
    return CNN(channels, classes, width, features, stride, cells)


def mlp(channels: int = 1, side: int = 8, classes: int = 10, width: int = 64) -> nn.Module:
    """Classifier of side × side images that knows no neighbours, untrained: two hidden layers of `width`."""
    hidden = [nn.Linear(channels * side * side, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, classes))


def sinusoids(index: Tensor, width: int) -> Tensor:
    """(B,) network indices → (B, width) sines and cosines (Vaswani et al. 2017)."""
    half = width // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(half, device=index.device) / half)
    angle = index[:, None].float() * frequency  # (B, half)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Residual(nn.Module):
    """x + convolutions of x and of the time embedding e; zero at the start of training."""

    def __init__(self, inside: int, outside: int, embedding: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inside), nn.Conv2d(inside, outside, 3, padding=1)
        self.time = nn.Linear(embedding, outside)
        self.norm2, self.conv2 = nn.GroupNorm(8, outside), nn.Conv2d(outside, outside, 3, padding=1)
        self.dropout = nn.Dropout(0.0)  # where Ho et al. have theirs; purity.dropout turns it on
        self.skip = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.time(e)[:, :, None, None]
        return self.skip(x) + self.conv2(self.dropout(F.silu(self.norm2(h))))


class UNet(nn.Module):
    """ε_θ(x, index) for small images: two resolutions, residual blocks (Ho et al. 2020, App. B, in miniature).

    x (B, C, H, W) in [-1, 1] with H, W even; index (1,) or (B,) int64 in 0 … 999 → ε (B, C, H, W).
    """

    def __init__(self, channels: int = 1, width: int = 32, embedding: int = 64):
        super().__init__()
        self.width = embedding
        self.time = nn.Sequential(
            nn.Linear(embedding, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.fine = Residual(width, width, embedding)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.coarse1 = Residual(2 * width, 2 * width, embedding)
        self.coarse2 = Residual(2 * width, 2 * width, embedding)
        self.up = nn.Conv2d(2 * width, width, 3, padding=1)
        self.merge = Residual(2 * width, width, embedding)
        self.norm, self.leave = nn.GroupNorm(8, width), nn.Conv2d(width, channels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        e = self.time(sinusoids(index, self.width).to(x.dtype))  # (1 or B, embedding)
        fine = self.fine(self.enter(x), e)  # (B, w, H, W)
        h = self.coarse2(self.coarse1(self.down(fine), e), e)  # (B, 2w, H/2, W/2)
        h = self.up(F.interpolate(h, scale_factor=2.0, mode="nearest"))  # (B, w, H, W)
        h = self.merge(torch.cat([h, fine], dim=1), e)
        return self.leave(F.silu(self.norm(h)))


def unet(channels: int = 1, width: int = 32, embedding: int = 64) -> nn.Module:
    """Noise predictor of small images, untrained. width and embedding: multiples of 8."""
    return UNet(channels, width, embedding)
