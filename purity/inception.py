"""The network of the Fréchet inception distance (Heusel et al. 2017) as pytorch-fid has it, made without a download.

Its weights are TensorFlow's Inception of 2015-12-05, which pytorch-fid publishes as
pt_inception-2015-12-05-6726825d.pth.
"""

from torch import Tensor, nn
from torch.nn import functional as F

# The layer that gives the features of each width, by pytorch-fid's blocks.
LAST = {64: "maxpool1", 192: "maxpool2", 768: "Mixed_6e", 2048: "Mixed_7c"}


class Inception(nn.Sequential):
    """The layers up to `last`, under their names; images (B, 3 or 1, H, W) in [0, 1] → features (B, dims)."""

    def __init__(self, layers: dict[str, nn.Module], last: str):
        upto = list(layers).index(last) + 1
        super().__init__()
        for name in list(layers)[:upto]:
            self.add_module(name, layers[name])
        self.after = frozenset(list(layers)[upto:])

    def forward(self, x: Tensor) -> Tensor:
        """Grey images in three channels, 299×299 pixels (bilinear), in [−1, 1]; the layers; means over positions."""
        x = F.interpolate(x.expand(-1, 3, -1, -1), size=(299, 299), mode="bilinear", align_corners=False)
        return F.adaptive_avg_pool2d(super().forward(2 * x - 1), 1).flatten(1)

    def adapted(self, checkpoint: dict) -> dict:
        """The published file without the layers after the last one. Other names stay, for strict loading to refuse."""
        return {key: value for key, value in checkpoint.items() if str(key).split(".")[0] not in self.after}


def inception(dims: int = 768) -> nn.Module:
    """pytorch-fid's features of that width (64, 192, 768 or 2048), untrained; `adapted` reads the file it publishes.

    ValueError: another width.
    """
    from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
    from torchvision.models.inception import BasicConv2d, Inception3, InceptionAux, InceptionB, InceptionD

    if dims not in LAST:
        raise ValueError(f"inception has features of {', '.join(map(str, LAST))} dims, not of {dims}")
    e = {1280: FIDInceptionE_1, 2048: FIDInceptionE_2}
    blocks = [
        BasicConv2d,
        FIDInceptionA,
        InceptionB,
        FIDInceptionC,
        InceptionD,
        lambda channels: e[channels](channels),
        InceptionAux,
    ]
    whole = Inception3(aux_logits=False, init_weights=False, inception_blocks=blocks)
    return Inception(dict(whole.named_children()), LAST[dims])
