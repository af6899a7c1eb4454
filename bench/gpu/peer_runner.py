"""Run airbench94_muon.py's `main` on request: python -P peer_runner.py FILE DEVICE, where its data are.

Alone in its process and without this package: what the file imports, compiles and sets is its own affair. A
line on standard input asks for a run ("warmup", or a number); the answer is a line of JSON with the accuracy,
the seconds of the whole call, and the seconds that the file itself printed in its last line. What it prints
goes to standard error. Its last block is not executed, because that trains 200 networks; what that block does
before, is done here: the network goes to the GPU, channels-last, and is compiled with mode="max-autotune".
"""

import importlib.util
import io
import json
import re
import sys
import time
import types
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch


def serve(file: Path, device: str) -> None:
    """Answer requests until standard input ends."""
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        model = None
        peer = imported(file)
        for request in sys.stdin:
            run = request.strip()
            start_s = time.perf_counter()
            if model is None:
                model = network(peer, device)
            printed = io.StringIO()
            with redirect_stdout(printed):
                accuracy = peer.main(run if run == "warmup" else int(run), model)
            if device == "cuda":
                torch.cuda.synchronize()
            answer = {
                "accuracy": float(accuracy),
                "call_s": time.perf_counter() - start_s,
                "own_s": own_seconds(printed.getvalue()),
            }
            print(printed.getvalue(), end="", flush=True)
            print(json.dumps(answer), file=answers, flush=True)


def imported(file: Path) -> Any:
    """Import the file as it is; it reads itself through sys.argv, and torchvision may be missing."""
    sys.argv = [str(file)]
    sys.path.insert(0, str(file.parent))
    if importlib.util.find_spec("torchvision") is None:
        stand_in()
    spec = importlib.util.spec_from_file_location("peer", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["peer"] = module
    spec.loader.exec_module(module)
    return module


def network(peer: Any, device: str) -> Any:
    """Return its network, ready as in its last block."""
    model = peer.CifarNet()
    if device == "cuda":
        model = model.cuda().to(memory_format=torch.channels_last)
        model.compile(mode="max-autotune")
    return model


def own_seconds(printed: str) -> float | None:
    """Return the last number in the last row of the table that it prints: its time_seconds."""
    rows = [line for line in printed.splitlines() if line.startswith("|") and re.search(r"\d", line)]
    numbers = re.findall(r"\d+\.\d+", rows[-1]) if rows else []
    return float(numbers[-1]) if numbers else None


def stand_in() -> None:
    """Provide what the file takes from torchvision once its data are there: transforms.Normalize."""
    torchvision, transforms = (types.ModuleType(name) for name in ("torchvision", "torchvision.transforms"))
    transforms.Normalize = Normalize  # type: ignore[attr-defined]
    torchvision.transforms = transforms  # type: ignore[attr-defined]
    sys.modules |= {"torchvision": torchvision, "torchvision.transforms": transforms}


class Normalize:
    """Subtract the mean and divide by the standard deviation of each channel, in the type of the images."""

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = mean, std

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return (..., C, H, W) normalised, as a new tensor."""
        mean, std = (
            torch.as_tensor(values, dtype=images.dtype, device=images.device).view(-1, 1, 1)
            for values in (self.mean, self.std)
        )
        return images.sub(mean).div_(std)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2])
