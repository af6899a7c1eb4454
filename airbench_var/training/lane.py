"""A thin layer between a trainer and CUDA: its own stream, and its functions captured as graphs.

A lane changes no bit. Anywhere but on CUDA the functions are called as they are.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

#: Calls before a capture: the first compile, load and choose kernels, and make what libraries keep.
WARM_UPS = 3

Output = Any  #: tensors, or None


class Lane:
    """Where the work of one trainer is queued: on CUDA a stream, so that lanes of a GPU run side by side."""

    def __init__(self, device: torch.device) -> None:
        self.captures = device.type == "cuda"  #: may be turned off, to compare
        self._stream = torch.cuda.Stream(device) if self.captures else None
        # One for all graphs of the lane: they run one after another, and what a graph returns is kept.
        self._pool = torch.cuda.graph_pool_handle() if self.captures else None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within this context, work is queued in this lane."""
        if self._stream is None:
            yield
            return
        # Its device too: leaving a stream goes back to one of the device from before, and on another GPU that
        # makes half a gigabyte of context.
        with torch.cuda.device(self._stream.device), torch.cuda.stream(self._stream):
            yield

    def wait(self) -> None:
        """Wait until all that was queued is done; then what was downloaded can be read."""
        if self._stream:
            self._stream.synchronize()

    def captured(
        self, function: Callable[..., Output], inputs: Sequence[Tensor] = ()
    ) -> Callable[..., Output]:
        """Return the function ready to be called often, with inputs of the same shapes as these.

        It must depend on nothing that changes but tensors: its inputs, and those that keep their address.
        On CUDA it is called a few times here, so what it changes has to be reset afterwards, and what it
        returns later is overwritten by the next call.
        """
        return Captured(function, inputs, self.record) if self.captures else function

    def record(self, call: Callable[[], Output]) -> tuple[Callable[[], None], Output]:
        """Return what replays a call, and where it leaves its output."""
        with self.active():
            for _ in range(WARM_UPS):
                call()
        graph = torch.cuda.CUDAGraph()
        # Other threads may work meanwhile: their calls to CUDA are no mistake of this capture.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            output = call()
        return graph.replay, output


class Captured:
    """A function whose inputs are copied to where a recorded call reads them, before it is replayed."""

    def __init__(
        self,
        function: Callable[..., Output],
        inputs: Sequence[Tensor],
        record: Callable[[Callable[[], Output]], tuple[Callable[[], None], Output]],
    ) -> None:
        self._inputs = [tensor.clone() for tensor in inputs]
        # The function is kept because its tensors must be: a graph knows only addresses.
        self._function = function
        self._replay, self._output = record(lambda: function(*self._inputs))

    def __call__(self, *inputs: Tensor) -> Output:
        """Call the function."""
        for there, new in zip(self._inputs, inputs, strict=True):
            there.copy_(new, non_blocking=True)
        self._replay()
        return self._output
