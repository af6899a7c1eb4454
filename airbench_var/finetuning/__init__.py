"""Finetuning of pretrained networks on pairs of sentences (paper, section 4.1): a subject of campaigns."""

from airbench_var.finetuning.subject import FinetuningOnPairs
from airbench_var.finetuning.trainer import FinetuningTrainer

__all__ = ["FinetuningOnPairs", "FinetuningTrainer"]
