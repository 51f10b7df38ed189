"""Noise predictors of published diffusion models: diffusers' UNet2DModel, under each publisher's names of weights.

UNet2DModel represents both publishers' networks exactly (tests/unit/test_parity.py). Its gradients are exact, nothing
is checkpointed inside, and attention is written out instead of fused: it can be differentiated forward too, gives the
same bits every time on a GPU, and is no slower.
"""

import re
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from purity.run.rules import broken
from purity.run.state_dicts import bare

State = dict[str, Tensor]
Rename = Callable[[State], State]


class Predictor(nn.Module):
    """ε_θ(x, index): x (B, C, H, W) in [-1, 1], index (1,) or (B,) int64 → ε (B, C, H, W), or with v (B, 2C, H, W).

    patch: the UNet2DModel sees patch × patch pixels as one of patch² · C channels.
    """

    def __init__(self, rename: Rename, patch: int = 1, **options):
        super().__init__()
        from diffusers import UNet2DModel
        from diffusers.models.attention_processor import Attention, AttnProcessor

        self.unet = UNet2DModel(**options)
        self._rename, self._patch = rename, patch
        for module in self.modules():
            if isinstance(module, Attention):
                module.set_processor(AttnProcessor())
                module.upcast_softmax = False  # which makes float64 float32

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        if self._patch == 1:
            return self.unet(x, index).sample
        return F.pixel_shuffle(self.unet(F.pixel_unshuffle(x, self._patch), index).sample, self._patch)

    def adapted(self, state: dict) -> State:
        """A checkpoint under its publisher's names, or diffusers' new or old ones, under this module's.

        One that is under these already stays as it is.
        """
        if state.keys() == self.state_dict().keys():
            return state
        state = bare(state)
        if "time_embedding.linear_1.weight" not in state:
            state = self._rename(state)
        return {f"unet.{key}": value for key, value in _new_attention(state).items()}


def diffusers(patch: int = 1, **options) -> nn.Module:
    """Any UNet2DModel that predicts ε, by its own options (those of a config.json; what begins with _ is left out).

    patch: it sees patch × patch pixels as one (Luhman & Luhman 2022, arXiv 2207.04316), which is cheaper by much:
    `sample_size` is the side of the images over patch, `in_channels` patch² times their channels, `out_channels` too.
    ValueError: a config.json of another class, or of a network that wants to be told a class.
    """
    kind = options.get("_class_name", "UNet2DModel")
    if kind != "UNet2DModel":
        raise broken(f"config.json says _class_name: {kind}; purity.unets:diffusers makes UNet2DModel", "weights")
    if options.get("class_embed_type") or options.get("num_class_embeds"):
        raise broken("config.json says that the network wants to be told a class, which no purifier does", "weights")
    return Predictor(dict, patch, **{key: value for key, value in options.items() if not key.startswith("_")})


def pesser(
    resolution: int = 32,
    ch: int = 128,
    ch_mult: Sequence[int] = (1, 2, 2, 2),
    num_res_blocks: int = 2,
    attn_resolutions: Sequence[int] = (16,),
) -> nn.Module:
    """The DDPM network (Ho et al. 2020) as pesser/pytorch_diffusion converted it; as it stands, that of CIFAR-10.

    Options are named as in its config. Takes `ema_diffusion_cifar10` under its own names or diffusers'.
    """
    attention = [resolution // 2**i in attn_resolutions for i in range(len(ch_mult))]
    return Predictor(
        lambda state: _renamed(state, _pesser_names(len(ch_mult))),
        sample_size=resolution,
        block_out_channels=tuple(ch * m for m in ch_mult),
        layers_per_block=num_res_blocks,
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        downsample_padding=0,  # it pads on the right and below
        attention_head_dim=None,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    )


def guided(
    image_size: int = 256,
    num_channels: int = 256,
    channel_mult: Sequence[int] = (1, 1, 2, 2, 4, 4),
    num_res_blocks: int = 2,
    attention_resolutions: Sequence[int] = (32, 16, 8),
    num_head_channels: int = 64,
    learn_sigma: bool = True,
) -> nn.Module:
    """The network of openai/guided-diffusion (Dhariwal & Nichol 2021), unconditional, with scale-shift norm, residual
    up- and downsampling; as it stands, that of `256x256_diffusion_uncond.pt`. Options are named as its flags.

    ValueError for what UNet2DModel cannot represent: a first multiplier other than 1.
    """
    if channel_mult[0] != 1:
        raise ValueError(f"channel_mult: {list(channel_mult)} must begin with 1; bring a network function of your own")
    attention = [image_size // 2**i in attention_resolutions for i in range(len(channel_mult))]
    return Predictor(
        lambda state: _renamed(_split_qkv(state, num_head_channels), _guided_names(num_res_blocks)),
        sample_size=image_size,
        out_channels=6 if learn_sigma else 3,
        block_out_channels=tuple(num_channels * m for m in channel_mult),
        layers_per_block=num_res_blocks,
        down_block_types=tuple("AttnDownBlock2D" if a else "ResnetDownsampleBlock2D" for a in attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "ResnetUpsampleBlock2D" for a in reversed(attention)),
        downsample_type="resnet",
        upsample_type="resnet",
        resnet_time_scale_shift="scale_shift",
        attention_head_dim=num_head_channels,
        attn_norm_num_groups=32,
        flip_sin_to_cos=True,
        freq_shift=0,
        norm_eps=1e-5,
    )


# Names of weights. A rule is (pattern, replacement); all that match are applied, in this order.

Rules = list[tuple[str, str | Callable[[re.Match], str]]]


def _renamed(state: State, rules: Rules) -> State:
    out = {}
    for key, value in state.items():
        for old, new in rules:
            key = re.sub(old, new, key)
        # attention's 1×1 convolutions are matrices here
        out[key] = value.flatten(1) if ".attentions." in key and value.ndim > 2 else value
    return out


def _new_attention(state: State) -> State:
    """diffusers' attention as it is named since 0.15."""
    old = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    return _renamed(state, [(rf"(\.attentions\.\d+)\.{name}\.", rf"\1.{new}.") for name, new in old.items()])


def _pesser_names(levels: int) -> Rules:
    return [
        (r"^temb\.dense\.0\.", "time_embedding.linear_1."),
        (r"^temb\.dense\.1\.", "time_embedding.linear_2."),
        (r"^norm_out\.", "conv_norm_out."),
        (r"^down\.(\d+)\.", r"down_blocks.\1."),
        # numbered by resolution there, by order of use here
        (r"^up\.(\d+)\.", lambda m: f"up_blocks.{levels - 1 - int(m[1])}."),
        (r"^mid\.block_1\.", "mid_block.resnets.0."),
        (r"^mid\.attn_1\.", "mid_block.attentions.0."),
        (r"^mid\.block_2\.", "mid_block.resnets.1."),
        (r"\.block\.", ".resnets."),
        (r"\.attn\.", ".attentions."),
        (r"\.(down|up)sample\.", r".\1samplers.0."),
        (r"\.temb_proj\.", ".time_emb_proj."),
        (r"\.nin_shortcut\.", ".conv_shortcut."),
        (r"(\.attentions\.\d+)\.norm\.", r"\1.group_norm."),
        (r"(\.attentions\.\d+)\.([qkv])\.", r"\1.to_\2."),
        (r"(\.attentions\.\d+)\.proj_out\.", r"\1.to_out.0."),
    ]


def _guided_names(blocks: int) -> Rules:
    def entering(m: re.Match) -> str:
        i, j = divmod(int(m[1]) - 1, blocks + 1)  # a level's residual blocks, then its downsampler
        if j == blocks:
            return f"down_blocks.{i}.downsamplers.0."
        return f"down_blocks.{i}.{'resnets' if m[2] == '0' else 'attentions'}.{j}."

    def leaving(m: re.Match) -> str:
        i, j = divmod(int(m[1]), blocks + 1)
        if m[2] == "0":
            return f"up_blocks.{i}.resnets.{j}."
        # an attention has a norm, a projection and to_q, to_k, to_v by now; what else follows is the upsampler
        attention = re.match(r"(norm|proj_out|to_[qkv])\.", m[3])
        return f"up_blocks.{i}.{f'attentions.{j}' if attention else 'upsamplers.0'}.{m[3]}"

    return [
        (r"^time_embed\.0\.", "time_embedding.linear_1."),
        (r"^time_embed\.2\.", "time_embedding.linear_2."),
        (r"^input_blocks\.0\.0\.", "conv_in."),
        (r"^out\.0\.", "conv_norm_out."),
        (r"^out\.2\.", "conv_out."),
        (r"^input_blocks\.(\d+)\.(\d)\.", entering),
        (r"^output_blocks\.(\d+)\.(0)\.", leaving),
        (r"^output_blocks\.(\d+)\.([12])\.(.*)", leaving),
        (r"^middle_block\.0\.", "mid_block.resnets.0."),
        (r"^middle_block\.1\.", "mid_block.attentions.0."),
        (r"^middle_block\.2\.", "mid_block.resnets.1."),
        (r"\.in_layers\.0\.", ".norm1."),
        (r"\.in_layers\.2\.", ".conv1."),
        (r"\.emb_layers\.1\.", ".time_emb_proj."),
        (r"\.out_layers\.0\.", ".norm2."),
        (r"\.out_layers\.3\.", ".conv2."),
        (r"\.skip_connection\.", ".conv_shortcut."),
        (r"(\.attentions\.\d+)\.norm\.", r"\1.group_norm."),
        (r"(\.attentions\.\d+)\.proj_out\.", r"\1.to_out.0."),
    ]


def _split_qkv(state: State, head_channels: int) -> State:
    """guided diffusion's qkv (3C, …), which lies head by head as (heads, 3, head_channels, …), as three of C rows."""
    out = {}
    for key, value in state.items():
        if ".qkv." not in key:
            out[key] = value
            continue
        heads = value.reshape(-1, 3, head_channels, *value.shape[1:])
        out |= {key.replace("qkv", f"to_{name}"): heads[:, i].flatten(0, 1) for i, name in enumerate("qkv")}
    return out
