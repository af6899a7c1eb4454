import subprocess
import sys
from pathlib import Path

import pytest

from airbench_var import data
from airbench_var.errors import UsageError

from .conftest import SmallCifar


def test_names(small: SmallCifar, tmp_path: Path) -> None:
    small.write(tmp_path, "cifar-10-batches-bin")
    assert [data.load("cifar10", tmp_path).name, data.load("synthetic").name] == list(data.NAMES[:2])
    assert data.NAMES[2:] == ("mrpc", "photos")  # whose files are in test_mrpc and test_photos


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"--data cifar: no such data set.*did you mean 'cifar10'"):
        data.load("cifar")


def test_a_folder_for_a_set_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave out --data-dir"):
        data.load("synthetic", tmp_path)


def test_data_sets_are_read_without_torch() -> None:
    check = "import sys, airbench_var.data as d; d.load('synthetic'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
