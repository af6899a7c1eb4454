"""A BERT of two small layers with a vocabulary of its own, saved as a checkpoint, and pairs it can learn."""

from pathlib import Path

import numpy as np

from airbench_var.data.mrpc import CLASSES, COLUMNS, PairData, Pairs

WORDS = ("alpha", "beta", "gamma", "delta", "yes", "no")


def write_checkpoint(folder: Path) -> Path:
    """Write the network with its tokenizer into a folder."""
    import torch
    import transformers

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


def small_pairs() -> PairData:
    """Return pairs in the place of MRPC: paraphrases are those whose first sentence says yes.

    Of 203 examples the last byte is ragged.
    """
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
        name="mrpc",
        title="Pairs",
        source="tests",
        classes=CLASSES,
        train=some(320),
        tests={"mrpc-validation": some(64), "mrpc-test": some(203)},
    )


def write_pairs(folder: Path, data: PairData) -> Path:
    """Write pairs as the three files of MRPC; their test sets are named in the order of those."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("train.tsv", "dev.tsv", "msr_paraphrase_test.txt")
    for name, pairs in zip(names, (data.train, *data.tests.values()), strict=True):
        rows = zip(pairs.labels_N, pairs.first, pairs.second, strict=True)
        lines = [f"{label}\t1\t2\t{first}\t{second}\n" for label, first, second in rows]
        (folder / name).write_text("\t".join(COLUMNS) + "\n" + "".join(lines), encoding="utf-8")
    return folder
