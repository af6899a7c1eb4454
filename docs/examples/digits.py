"""Your own network as a campaign: a small scikit-learn classifier on handwritten digits, trained many times.

    python docs/examples/digits.py          # 40 runs into runs/digits; again: goes on, or does nothing
    python -m airbench_var analyze runs/digits

Needs `pip install scikit-learn`; its data come with it.
"""

import sys
import warnings
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from airbench_var import Placement, run_many
from airbench_var.seeds import Seeds

SETTINGS = {"hidden": 32, "epochs": 20, "train": 1000}

pixels, digits = load_digits(return_X_y=True)
train, test = slice(0, SETTINGS["train"]), slice(SETTINGS["train"], None)


def train_one(seeds: Seeds):
    """Return the digits that one network, trained from these seeds, reads in the test images, (797,)."""
    model = MLPClassifier(
        (SETTINGS["hidden"],),
        max_iter=SETTINGS["epochs"],
        random_state=seeds.init % 2**32,  # the one seed that scikit-learn has, for weights and order
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many epochs are meant
        model.fit(pixels[train] / 16, digits[train])
    return model.predict(pixels[test] / 16)


if __name__ == "__main__":  # with several processes, each imports this file
    runs, out = (int(sys.argv[1]), Path(sys.argv[2])) if len(sys.argv) == 3 else (40, Path("runs/digits"))
    run_many(
        train_one,
        digits[test],
        runs=runs,
        out=out,
        name="digits-mlp",
        settings=SETTINGS,
        packages=["scikit-learn"],
        placement=Placement(executor="pool", workers=2),
    )
