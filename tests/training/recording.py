"""A recorder on the CPU that does what a CUDA graph does: it keeps operations and addresses, not Python.

A replay calls every recorded operation on the same tensors and writes its result where it was at first.
A number that Python took from a tensor, or that changed in Python, stays what it was.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from airbench_var.training.lane import Captured, Lane, Output

READS_A_NUMBER = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within this context operations are done and recorded."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert not READS_A_NUMBER & set(func.tags), f"{func} would wait for the device, in a capture"
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, tensors_of(result)))
        return result

    def replay(self) -> None:
        """Do all of it again, on what lies in the tensors now."""
        with torch.no_grad():
            for func, args, kwargs, there in self.calls:
                inputs = {tensor.untyped_storage().data_ptr() for tensor in tensors_of((args, kwargs))}
                for old, new in zip(there, tensors_of(func(*args, **kwargs)), strict=True):
                    if old.untyped_storage().data_ptr() not in inputs:  # no view, and not in place
                        old.copy_(new)


def tensors_of(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


class RecordingLane(Lane):
    """A lane on the CPU that captures functions with inputs, and counts their replays."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.captures = True
        self.replays: list[int] = []

    def captured(self, function: Callable[..., Output], inputs: Any = ()) -> Callable[..., Output]:
        return Captured(function, inputs, self.record) if inputs else function

    def record(self, call: Callable[[], Output]) -> tuple[Callable[[], None], Output]:
        call()
        recording, number = Recording(), len(self.replays)
        self.replays.append(0)
        with recording:
            output = call()

        def replay() -> None:
            self.replays[number] += 1
            recording.replay()

        return replay, output
