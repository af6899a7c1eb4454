"""A run on a pretend GPU: what CUDA would refuse, and what would make the host wait for the device.

Tensors on torch's "meta" device have a shape and a type and no data. The trainer takes them for a GPU's: they
are not on the CPU, so activations are float16 and the kernels are the Triton ones, all but their launch.
`PretendGpu` sees every operation of forward pass, backward pass and optimizer.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from airbench_var.data.dataset import Dataset
from airbench_var.recipe import Recipe
from airbench_var.recipes import find_recipe
from airbench_var.seeds import Seeds
from airbench_var.training import Settings, Trainer
from airbench_var.training.lane import Lane

pytest.importorskip("triton")

GPU = torch.device("meta")
SEEDS = Seeds(init=1, order=2, aug=2**64 - 1)
SMALL: dict[str, dict[str, object]] = {
    "tiny": {"network.widths": (16, 32, 32)},
    "airbench94": {"network.widths": (16, 32, 32)},
    "resnet9": {"network.width": 4},
    "linear": {},
}
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten._unsafe_index.Tensor)
PRODUCTS = (
    aten.convolution.default,
    aten.convolution_backward.default,
    aten.mm.default,
    aten.addmm.default,
    aten.bmm.default,
)
SGD = aten._fused_sgd_.tensor_lr
NORMS = (aten.native_batch_norm.default, aten.native_batch_norm_backward.default)
GARBAGE = 99
DATA_DEPENDENT = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


#: What is done to the network's input, to see whether it is found.
Plant = Callable[[Tensor], object]


class HostWaitsError(Exception):
    """The host would wait for the device inside a run."""


class RefusedError(Exception):
    """CUDA would refuse the operation, though the CPU or the meta device takes it."""


class PretendGpu(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within this context, operations on meta tensors obey CUDA's rules.

    While `running`, whatever waits raises HostWaitsError; otherwise, reading the device gives zeros. What is
    downloaded without waiting is garbage until the lane has been waited for, as it may be on a GPU.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.running = False
        self.pinned: list[Tensor] = []
        self.types: dict[str, set[tuple[torch.dtype, ...]]] = {}  #: of the tensors that an operation took
        self.augmented = 0  #: batches
        self.evaluated = 0  #: test sets
        self.downloaded: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if func in COPIES:
            return self._copy(func, args, kwargs)
        if not any(tensor.device == GPU for tensor in tensors):
            return func(*args, **kwargs)
        self.types.setdefault(func.overloadpacket.__name__, set()).add(tuple(t.dtype for t in tensors))
        self._refuse(func, args, kwargs, tensors)
        if func in INDEXING:
            if any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]):
                self.wait("a boolean mask")
        elif DATA_DEPENDENT & set(func.tags):
            self.wait(str(func))
            return torch.zeros((), dtype=args[0].dtype).item()
        # The meta device lacks the fused optimizer; it works in place, and there is nothing to compute.
        return None if func is SGD else func(*args, **kwargs)

    def _copy(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Copies between host and device wait, but for those with pinned memory that are asked not to.

        A download that is asked not to gets pinned memory from torch (ATen/native/TensorConversions.cpp).
        """
        if func is aten.copy_.default:
            target, source = args[0].device, args[1]
            non_blocking = len(args) > 2 and args[2]
        else:
            source = args[0]
            target, non_blocking = kwargs.get("device") or source.device, kwargs.get("non_blocking")
        if (source.device == GPU) == (target == GPU):
            return func(*args, **kwargs)
        as_it_is = func is aten._to_copy.default and kwargs.get("dtype") in (None, source.dtype)
        if target != GPU and as_it_is and non_blocking:
            garbage = torch.full(source.shape, GARBAGE, dtype=source.dtype)
            self.downloaded.append(garbage)
            return garbage
        pinned = any(source is tensor for tensor in self.pinned)
        if target != GPU or not (pinned and non_blocking):
            self.wait(f"a copy from {source.device} to {target}")
        if target != GPU:
            return torch.zeros(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        return func(*args, **kwargs)

    def _refuse(self, func: Any, args: Any, kwargs: Any, tensors: list[Tensor]) -> None:
        """What CUDA checks and the meta device does not."""
        strangers = [t for t in tensors if t.device != GPU and t.ndim]  # one number may come from the host
        if strangers:
            raise RefusedError(f"{func} on tensors of two devices")
        if func in PRODUCTS and len({t.dtype for t in tensors}) > 1:
            raise RefusedError(f"{func} on {[t.dtype for t in tensors]}")
        if func in NORMS and args[2 if func is NORMS[1] else 1] is None:
            # The gradient of the bias is empty there: ATen/native/cuda/Normalization.cuh, channels last.
            raise RefusedError(f"{func} without a scale, on channels-last tensors")
        if func is SGD:
            if kwargs["lr"].dtype != torch.float32 or kwargs["lr"].device != GPU:
                raise RefusedError("fused SGD with a rate that its kernel does not read as float32")
            for together in zip(*(group for group in args[:3] if group), strict=True):
                if len({(t.dtype, t.shape, t.stride()) for t in together}) > 1:
                    raise RefusedError("fused SGD on weights and gradients of different layout")

    def wait(self, why: str = "synchronize") -> None:
        """The host waits."""
        if self.running:
            raise HostWaitsError(why)

    def wait_for_lane(self) -> None:
        """Stand for Lane.wait, with which a run ends."""
        self.running = False
        for tensor in self.downloaded:
            tensor.zero_()

    def pin(self, tensor: Tensor) -> Tensor:
        """Stand for Tensor.pin_memory."""
        self.pinned.append(tensor.clone())
        return self.pinned[-1]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendGpu]:
    """A pretend GPU."""
    gpu = PretendGpu()

    def choose_backend(device: torch.device, requested: str = "auto", in_c: bool = False) -> tuple[str, str]:
        return "triton" if device == GPU else "torch", "pretended"

    def augment(out_BHWC: Tensor, images_NHWC: Tensor, *indices_and_key: Any) -> None:
        *indices_B, key, settings = indices_and_key
        assert {t.device for t in (out_BHWC, images_NHWC, *indices_B, key)} == {GPU}
        assert out_BHWC.dtype == settings.dtype
        gpu.augmented += 1

    def correctness(packed: Tensor, predicted_N: Tensor, logits_NK: Tensor, labels_N: Tensor) -> None:
        assert {t.device for t in (packed, predicted_N, logits_NK, labels_N)} == {GPU}
        assert logits_NK.dtype == torch.float32
        gpu.evaluated += 1

    for name in ("augment", "correctness"):
        monkeypatch.setattr(f"airbench_var.kernels.{name}.choose_backend", choose_backend)
    monkeypatch.setattr("airbench_var.kernels.augment.kernel.augment_into", augment)
    monkeypatch.setattr("airbench_var.kernels.correctness.kernel.correctness_into", correctness)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: gpu.pin(tensor))
    monkeypatch.setattr(torch.cuda, "synchronize", gpu.wait)
    monkeypatch.setattr(Lane, "wait", lambda lane: gpu.wait_for_lane())
    with gpu:
        yield gpu


def quick(name: str) -> Recipe:
    """Return a small recipe of three steps an epoch and five steps in all."""
    return find_recipe(name).with_values({"batch_size": 400, "epochs": 5 / 3} | SMALL[name])


def run(
    gpu: PretendGpu,
    name: str,
    data: Dataset,
    changes: dict[str, object] | None = None,
    *,
    in_step: Plant | None = None,
    in_evaluation: Plant | None = None,
) -> None:
    """Train one network; a run is under way from its first step until it waits for its lane."""
    trainer = Trainer(quick(name).with_values(changes or {}), data, Settings(device=str(GPU)))
    trainer.prepare()
    gpu.augmented = gpu.evaluated = 0

    def before_the_network(network: nn.Module, inputs: tuple[Tensor]) -> None:
        gpu.running = True
        plant = in_step if network.training else in_evaluation
        if plant is not None:
            plant(inputs[0])

    trainer.model.register_forward_pre_hook(before_the_network)
    result = trainer(SEEDS)
    assert not gpu.running
    assert gpu.augmented == 5
    assert gpu.evaluated == len(result.predictions)
    assert (result.loss, result.diverged) == (0, True)  # all zeros, not what lay there before the wait
    n = len(data.test)
    for predictions in result.predictions.values():
        assert (len(predictions.correct), len(predictions.predicted)) == (-(-n // 8), n)
        assert not predictions.correct.any()
        assert not predictions.predicted.any()  # type: ignore[union-attr]
        assert predictions.correct.dtype == predictions.predicted.dtype == np.uint8


@pytest.mark.parametrize("name", SMALL)
def test_nothing_in_a_run_waits_or_is_refused(name: str, gpu: PretendGpu, small_data: Dataset) -> None:
    run(gpu, name, small_data)


@pytest.mark.parametrize("name", SMALL)
def test_a_poke_in_a_run_does_not_wait(name: str, gpu: PretendGpu, small_data: Dataset) -> None:
    run(gpu, name, small_data, {"poke.step": 3})
    assert (torch.float32,) in gpu.types["mul_"]


@pytest.mark.parametrize("name", SMALL)
def test_arithmetic_has_the_intended_precision(name: str, gpu: PretendGpu, small_data: Dataset) -> None:
    """Products in float16 (Muon's in bfloat16), statistics, loss, gradients and weights in float32."""
    run(gpu, name, small_data)
    half, full, brain = torch.float16, torch.float32, torch.bfloat16
    seen = {op: {dtype for dtypes in taken for dtype in dtypes} for op, taken in gpu.types.items()}
    assert seen["_log_softmax"] == {full}
    assert seen["_fused_sgd_"] == {full}
    if name == "linear":
        assert seen["addmm"] == {full}
        return
    muon = {brain} if name in ("tiny", "airbench94") else set()
    assert seen["convolution"] == seen["convolution_backward"] == {half}
    assert seen["mm"] == {half}
    assert seen.get("bmm", set()) == muon
    assert gpu.types["native_batch_norm"] == {(half, full, full, full, full)}


def upload(images_BCHW: Tensor) -> Tensor:
    return torch.zeros(2).to(images_BCHW.device)


def upload_in_place(images_BCHW: Tensor) -> Tensor:
    return torch.zeros(2, device=images_BCHW.device).copy_(torch.zeros(2), non_blocking=True)


def pinned_but_blocking(images_BCHW: Tensor) -> Tensor:
    return torch.zeros(2).pin_memory().to(images_BCHW.device)


WAITING: dict[str, Plant] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.mean()),
    "truth": lambda x: bool(x.isfinite().all()),
    "cpu": lambda x: x.cpu(),
    "tolist": lambda x: x.flatten().tolist(),
    "to cpu, converted": lambda x: x.to("cpu", torch.float64, non_blocking=True),
    "copy into host memory": lambda x: torch.zeros(x.shape).copy_(x),
    "boolean mask": lambda x: x[x > 0],
    "assignment by mask": lambda x: x.clone().__setitem__(x > 0, x[0, 0, 0, 0]),
    "masked_select": lambda x: x.masked_select(x > 0),
    "nonzero": lambda x: x.nonzero(),
    "equal": lambda x: torch.equal(x, x),
    "upload": upload,
    "upload in place": upload_in_place,
    "pinned but blocking": pinned_but_blocking,
    "synchronize": lambda x: torch.cuda.synchronize(),
}


@pytest.mark.parametrize("where", ["in_step", "in_evaluation"])
@pytest.mark.parametrize("how", WAITING)
def test_what_waits_is_found(how: str, where: str, gpu: PretendGpu, small_data: Dataset) -> None:
    with pytest.raises(HostWaitsError):
        run(gpu, "linear", small_data, **{where: WAITING[how]})


FREE: dict[str, Plant] = {
    "slice": lambda x: x[:, 0],
    "indices": lambda x: x[torch.arange(2, device=x.device)],
    "number": lambda x: x.sum() * 2.5,
    "number as a tensor": lambda x: x + torch.tensor(1.0),
    "selection": lambda x: torch.where(x > 0, x, 0.0),
    "download": lambda x: x.to("cpu", non_blocking=True),
    "pinned upload": lambda x: torch.zeros(2).pin_memory().to(x.device, non_blocking=True),
}


@pytest.mark.parametrize("how", FREE)
def test_what_does_not_wait_passes(how: str, gpu: PretendGpu, small_data: Dataset) -> None:
    run(gpu, "linear", small_data, in_step=FREE[how], in_evaluation=FREE[how])


REFUSED: dict[str, Plant] = {
    "two devices": lambda x: x + torch.ones(x.shape),
    "indices on the host": lambda x: x[torch.arange(2)],
    "weights on the host": lambda x: F.linear(x.flatten(1), torch.zeros(2, 3072, dtype=x.dtype)),
    "two types": lambda x: F.conv2d(x.half(), torch.zeros(2, 3, 3, 3, device=x.device)),
    "bias without scale": lambda x: F.batch_norm(x, None, None, None, torch.zeros(3, device=x.device), True),
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_cuda_refuses_is_found(how: str, gpu: PretendGpu, small_data: Dataset) -> None:
    with pytest.raises(RefusedError):
        run(gpu, "linear", small_data, in_step=REFUSED[how])
