"""A BERT of two small layers with a vocabulary of its own, saved as a checkpoint, and pairs it can learn."""

from pathlib import Path

import numpy as np
import pytest

from airbench_var.data.mrpc import CLASSES, PairData, Pairs

WORDS = ("alpha", "beta", "gamma", "delta", "yes", "no")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    import torch

    folder = tmp_path_factory.mktemp("checkpoint")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pairs() -> PairData:
    """Paraphrases are those whose first sentence says yes; of 203 examples the last byte is ragged."""
    rng = np.random.default_rng(0)

    def some(n: int) -> Pairs:
        labels_N = rng.integers(0, 2, n).astype(np.uint8)
        words = rng.choice(WORDS[:4], (n, 2, 6))
        sizes = rng.integers(1, 6, (n, 2))
        first = [
            " ".join([*w[0, : s[0]], "yes" if y else "no"])
            for w, s, y in zip(words, sizes, labels_N, strict=True)
        ]
        second = [" ".join(w[1, : s[1]]) for w, s in zip(words, sizes, strict=True)]
        return Pairs(first=tuple(first), second=tuple(second), labels_N=labels_N)

    return PairData(
        name="pairs",
        title="Pairs",
        source="tests",
        classes=CLASSES,
        train=some(320),
        tests={"pairs-validation": some(64), "pairs-test": some(203)},
    )
