"""The convolutional part of an Airbench network on a CPU: images to features and back, in C.

PyTorch spends most of a small network's step in convolutions of few channels, in pooling and in filling
memory with zeros. Here sixteen images are the lanes of a vector and each layer is one pass, see native.c.
Products are those of AVX512-BF16, or of AMX, which computes an order of magnitude more of them.
The reference is the network itself, `airbench_var.models.airbench`: equal up to rounding to bfloat16.
"""

import ctypes
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from airbench_var.errors import DeviceError
from airbench_var.kernels import native

SOURCE, LINKED = Path(__file__).with_name("native.c"), ("-lm",)
#: What the processor must have, as /proc/cpuinfo spells it.
NEEDS = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16")
NEEDS_FOR_TILES = (*NEEDS, "amx_tile", "amx_bf16")
#: C channels of 3x3 filters come in fours; above this a filter bank no longer stays in a core's cache.
MULTIPLE, MOST_CHANNELS, MOST_GROUPS = 4, 128, 8
MOST_WHITENED = 64  #: native.c has room for no more whitening filters


def obstacle(
    widths: Sequence[int],
    *,
    height: int,
    width: int,
    stride: int,
    activation: str,
    threads: int,
    tiles: bool = False,
) -> str | None:
    """Return why such a network cannot be computed here, for people; None when it can.

    widths: channels of each group; height, width: of the images, in pixels; stride: of the whitening; tiles:
    multiply by matrix tiles, AMX.
    """
    if activation != "relu":
        return f"its activation is {activation}, and only relu is written in C"
    if stride != 2:
        return f"its whitening has stride {stride}, and only 2 is written in C"
    if any(channels % MULTIPLE or channels > MOST_CHANNELS for channels in widths):
        return f"its channels are not all multiples of {MULTIPLE} up to {MOST_CHANNELS}"
    least = 2 ** (len(widths) + 2)
    if len(widths) > MOST_GROUPS or height % least or width % least:
        return f"images of {height} x {width} are not a multiple of {least} for {len(widths)} groups"
    if threads != 1:
        return "a run in C has one thread; more --workers use more cores"
    if missing := lacking(tiles=tiles):
        return f"this processor lacks {missing[0]}"
    if why := native.obstacle(SOURCE, _flags(tiles)):
        return why
    return None if _is_granted(tiles) else "the system refuses this process the tiles of the processor"


def lacking(*, tiles: bool) -> list[str]:
    """Return what the processor must have and has not, as /proc/cpuinfo spells it."""
    found = native.processor_flags()
    return [flag for flag in (NEEDS_FOR_TILES if tiles else NEEDS) if flag not in found]


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Whitening, and one entry a layer: 3x3 filters, and bias and running statistics of the norm behind it.

    whitening: float32 (C, 3, 2, 2); whiten_bias (C,); filters: float32 (C_out, C_in, 3, 3), channels-last in
    memory; biases, means, variances: float32 (C_out,); the latter two are moved in place when training.
    """

    whitening: Tensor
    whiten_bias: Tensor
    filters: Sequence[Tensor]
    biases: Sequence[Tensor]
    means: Sequence[Tensor]
    variances: Sequence[Tensor]

    def check(self, channels: Sequence[int]) -> None:
        """Raise ValueError for a tensor that C could not read; channels: of the whitening and the groups."""
        white, *outs = channels
        outs = [c_out for c_out in outs for _ in range(2)]  # two layers a group
        ins = [white, *outs[:-1]]
        expected: dict[str, list[tuple[int, ...]]] = {
            "whitening": [(white, 3, 2, 2)],
            "whiten_bias": [(white,)],
            "filters": [(c_out, c_in, 3, 3) for c_in, c_out in zip(ins, outs, strict=True)],
            **{name: [(c_out,) for c_out in outs] for name in ("biases", "means", "variances")},
        }
        for name, shapes in expected.items():
            value = getattr(self, name)
            tensors = [value] if isinstance(value, Tensor) else value
            if len(tensors) != len(shapes):
                raise ValueError(f"each layer needs one of {name}: {len(shapes)}, not {len(tensors)}.")
            last = torch.channels_last if name == "filters" else torch.contiguous_format
            for tensor, shape in zip(tensors, shapes, strict=True):
                whole = tensor.shape == shape and tensor.is_contiguous(memory_format=last)
                if tensor.dtype != torch.float32 or not whole:
                    raise ValueError(
                        f"{name} must be float32 and {last}, {shape}, not {tensor.dtype} "
                        f"{tuple(tensor.shape)} of strides {tensor.stride()}."
                    )


class Features:
    """Features of batches of images, with gradients: the memory of one network and one size of batch.

    batch: images of a batch in training. One call in training must be followed by its own backward pass
    before the next call, since all use the same memory. tiles: multiply by matrix tiles, AMX; sums are in
    another order then, so that bits differ.

    Raises: ValueError for a network that C does not compute, see `obstacle`; DeviceError without a C
    compiler, or when memory lacks.
    """

    def __init__(
        self, channels: Sequence[int], *, height: int, width: int, batch: int, tiles: bool = False
    ) -> None:
        """Take the memory; channels: of the whitening, then of each group."""
        self.channels, self.height, self.width, self.batch = tuple(channels), height, width, batch
        groups, least = len(channels) - 1, 2 ** (len(channels) + 1)
        odd = any(c % MULTIPLE for c in channels) or height % least or width % least
        if odd or groups > MOST_GROUPS or channels[0] > MOST_WHITENED:
            raise ValueError(f"A network {self.channels} on {height} x {width} is not one that C computes.")
        if not _is_granted(tiles):  # asked for here as well, since every process must
            raise DeviceError("The system refuses this process the tiles of the processor.")
        self._library = native.library(SOURCE, _flags(tiles))
        self._library.airbench_new.restype = ctypes.c_void_p
        counts = (ctypes.c_int * len(channels))(*channels)
        memory = self._library.airbench_new(len(channels) - 1, counts, height, width, batch)
        if not memory:
            raise DeviceError(
                f"No memory for a network on {batch} images of {height} x {width}. "
                "Use fewer --workers, or a smaller batch_size."
            )
        self._memory = ctypes.c_void_p(memory)
        self.passes = 0  #: how often the memory was used
        weakref.finalize(self, self._library.airbench_free, self._memory)

    def __call__(self, images_BCHW: Tensor, weights: Weights, *, momentum: float, eps: float) -> Tensor:
        """Return features (B, C), float32, as in training: normalised by the batch's own statistics.

        images_BCHW: bfloat16, channels-last in memory, B as announced. momentum: how far the running
        statistics move towards the batch's.
        """
        self._check(images_BCHW, weights)
        if len(images_BCHW) != self.batch:
            raise ValueError(f"{len(images_BCHW)} images in a batch that was announced as {self.batch}.")
        # autograd must see each tensor that takes a gradient
        trained = (weights.whiten_bias, *weights.filters, *weights.biases)
        features_BC: Tensor = _differentiable(self, images_BCHW, weights, momentum, eps, *trained)
        return features_BC

    def evaluate(self, images_BCHW: Tensor, weights: Weights, *, eps: float) -> Tensor:
        """Return features (B, C), float32, of any number of images by the running statistics."""
        self._check(images_BCHW, weights)
        self.passes += 1
        features_BC = torch.empty(len(images_BCHW), self.channels[-1])
        self._library.airbench_evaluate(
            self._memory,
            native.address(images_BCHW),
            ctypes.c_int(len(images_BCHW)),
            *_addresses(weights),
            ctypes.c_float(eps),
            native.address(features_BC),
        )
        return features_BC

    def forward(self, images_BCHW: Tensor, weights: Weights, momentum: float, eps: float) -> Tensor:
        """Compute what a call returns, without noting how to go back."""
        features_BC = torch.empty(self.batch, self.channels[-1])
        self._library.airbench_forward(
            self._memory,
            native.address(images_BCHW),
            *_addresses(weights),
            ctypes.c_float(momentum),
            ctypes.c_float(eps),
            native.address(features_BC),
        )
        self.passes += 1
        return features_BC

    def backward(
        self, gradient_BC: Tensor, weights: Weights, to_whiten_bias: bool
    ) -> tuple[Tensor | None, list[Tensor], list[Tensor]]:
        """Return the gradients of whitening bias (if asked for), filters, biases of the last forward."""
        whiten_bias = torch.empty_like(weights.whiten_bias) if to_whiten_bias else None
        filters, biases = ([torch.empty_like(t) for t in part] for part in (weights.filters, weights.biases))
        gradient_BC = gradient_BC.contiguous()  # has a name, so that a copy lives as long as the call
        self._library.airbench_backward(
            self._memory,
            native.address(gradient_BC),
            None if whiten_bias is None else native.address(whiten_bias),
            _all_at(filters),
            _all_at(biases),
        )
        return whiten_bias, filters, biases

    def _check(self, images_BCHW: Tensor, weights: Weights) -> None:
        shape = tuple(images_BCHW.shape)
        if images_BCHW.dtype != torch.bfloat16 or shape[1:] != (3, self.height, self.width) or not shape[0]:
            raise ValueError(
                f"images_BCHW must be bfloat16 (B, 3, {self.height}, {self.width}), "
                f"not {images_BCHW.dtype} {shape}."
            )
        if not images_BCHW.is_contiguous(memory_format=torch.channels_last):
            raise ValueError("images_BCHW must be channels-last in memory.")
        found = (len(weights.whiten_bias), *(len(filters) for filters in weights.filters[::2]))
        if found != self.channels:
            raise ValueError(f"weights have {found} channels, and {self.channels} were announced.")
        weights.check(self.channels)


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Features,
        images_BCHW: Tensor,
        weights: Weights,
        momentum: float,
        eps: float,
        *trained: Tensor,
    ) -> Tensor:
        ctx.features, ctx.weights = features, weights
        features_BC = features.forward(images_BCHW, weights, momentum, eps)
        ctx.number = features.passes
        return features_BC

    @staticmethod
    def backward(ctx: Any, gradient_BC: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.number != ctx.features.passes:
            raise RuntimeError("The memory of this forward pass was used again by a later one.")
        ctx.features.passes += 1  # a second backward pass would read sums that this one replaces
        bias, filters, biases = ctx.features.backward(gradient_BC, ctx.weights, ctx.needs_input_grad[5])
        return (None, None, None, None, None, bias, *filters, *biases)


_differentiable: Callable[..., Tensor] = _Function.apply


def _flags(tiles: bool) -> tuple[str, ...]:
    return ("-DTILES", *LINKED) if tiles else LINKED


def _is_granted(tiles: bool) -> bool:
    return native.library(SOURCE, _flags(tiles)).airbench_ready() == 0


def _addresses(weights: Weights) -> tuple[Any, ...]:
    parts = (weights.filters, weights.biases, weights.means, weights.variances)
    return (
        native.address(weights.whitening),
        native.address(weights.whiten_bias),
        *(_all_at(part) for part in parts),
    )


def _all_at(tensors: Sequence[Tensor]) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))
