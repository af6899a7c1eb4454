"""Data sets by name. No torch here; the loaders, which need it, are modules of their own."""

from pathlib import Path

from airbench_var.data import cifar10, mrpc, photos, synthetic
from airbench_var.data.dataset import Dataset, Split
from airbench_var.data.mrpc import PairData, Pairs
from airbench_var.data.photos import PhotoData
from airbench_var.errors import UsageError, nearest

__all__ = ["NAMES", "Dataset", "PairData", "Pairs", "PhotoData", "Split", "load"]

NAMES = ("cifar10", "synthetic", "mrpc", "photos")


def load(
    name: str, data_dir: Path | None = None, *, download: bool = True, progress: bool = True
) -> Dataset | PairData | PhotoData:
    """Return the named data set; synthetic has no files; cifar10 and mrpc may be downloaded.

    Raises UsageError for an unknown name or a folder without use, DataError for missing or wrong files.
    """
    if name == "cifar10":
        return cifar10.load(data_dir, download=download, progress=progress)
    if name == "mrpc":
        return mrpc.load(data_dir, download=download)
    if name == "photos":
        return photos.load(data_dir)
    if name == "synthetic":
        if data_dir is not None:
            raise UsageError("--data synthetic is generated and reads no files: leave out --data-dir.")
        return synthetic.load()
    raise UsageError(
        f"--data {name}: no such data set{nearest(name, NAMES)}. Choose from {', '.join(NAMES)}."
    )
