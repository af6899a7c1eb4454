"""One run of finetuning: a pure function of recipe, seeds, data and checkpoint."""

import time
from contextlib import nullcontext
from math import ceil

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from airbench_var.data.mrpc import PairData, Pairs
from airbench_var.finetuning.checkpoint import Checkpoint, Tokens
from airbench_var.recipe import FinetuningRecipe
from airbench_var.seeds import Seeds, epoch_order, init_generator
from airbench_var.store.rows import Predictions, RunResult
from airbench_var.training.settings import Settings

#: Pairs in a forward pass of the evaluation: a matter of memory and speed, not of the recipe.
BATCH_SIZE = 64


class FinetuningTrainer:
    """Trains network after network from one checkpoint; texts are tokenized once.

    The initialisation seed draws the head, the order seed the order of every epoch, and the augmentation
    seed what dropout drops, which is all that is drawn anew for each example here.
    """

    def __init__(self, recipe: FinetuningRecipe, data: PairData, settings: Settings) -> None:
        self.recipe, self.settings = recipe, settings
        self.device = torch.device(settings.device)
        self.checkpoint = Checkpoint(recipe.checkpoint, len(data.classes))
        self.model = self.checkpoint.model.to(self.device)
        train = training_pairs(recipe, data)
        self.labels_N = train.labels_N.astype(np.int64)
        self.tokens = self.checkpoint.tokens(train, recipe.tokens)
        self.tests = {
            name: (self.checkpoint.tokens(pairs, recipe.tokens), pairs.labels_N)
            for name, pairs in data.tests.items()
        }
        self.steps_per_epoch = ceil(len(train) / recipe.batch_size)

    def __call__(self, seeds: Seeds) -> RunResult:
        """Train one network and predict every test set."""
        on_gpu = [] if self.settings.on_cpu else [self.device]
        with self.settings.in_force(), torch.random.fork_rng(on_gpu):
            self.checkpoint.reset(init_generator(seeds.init))
            torch.manual_seed(seeds.aug)
            start_s = time.perf_counter()
            losses = self._train(seeds)
            finite, predictions = True, dict[str, Predictions]()
            for name, (tokens, labels_N) in self.tests.items():
                logits_NK = self.logits(tokens)
                finite &= bool(np.isfinite(logits_NK).all())
                predicted_N = logits_NK.argmax(axis=1).astype(np.uint8)  # NaN counts as the largest
                predictions[name] = Predictions.of_classes(predicted_N, labels_N)
        train_s = time.perf_counter() - start_s
        return RunResult.of_losses(
            losses, self.steps_per_epoch, predictions, logits_are_finite=finite, train_s=train_s
        )

    def _train(self, seeds: Seeds) -> list[float]:
        """Take all steps; return the loss of each."""
        recipe, steps = self.recipe, ceil(self.recipe.epochs * self.steps_per_epoch)
        chosen = recipe.optimizer
        optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=chosen.lr,
            betas=(chosen.beta1, chosen.beta2),
            eps=chosen.eps,
            weight_decay=chosen.weight_decay,
            fused=True,  # one pass over the weights instead of ten, a fifth of a step on a CPU
        )
        self.model.train()
        losses: list[Tensor] = []
        order_N: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        for step in range(steps):
            epoch, place = divmod(step, self.steps_per_epoch)
            if place == 0:
                order_N = epoch_order(seeds.order, epoch, len(self.labels_N))
            rows_B = order_N[place * recipe.batch_size : (place + 1) * recipe.batch_size]
            for group in optimizer.param_groups:
                group["lr"] = chosen.lr * rate_share(step, steps, recipe.warmup_share)
            labels_B = torch.from_numpy(self.labels_N[rows_B]).to(self.device)
            loss: Tensor = F.cross_entropy(self._forward(self.tokens, rows_B), labels_B)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            if recipe.gradient_norm:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.gradient_norm)
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).tolist() if losses else []

    @torch.no_grad()
    def logits(self, tokens: Tokens) -> npt.NDArray[np.float32]:
        """Return the logits (N, K), without dropout; pairs of like length go together."""
        self.model.eval()
        by_length_N = np.argsort(tokens.length_N, kind="stable")
        parts = [
            self._forward(tokens, by_length_N[start : start + BATCH_SIZE]).cpu().numpy()
            for start in range(0, len(by_length_N), BATCH_SIZE)
        ]
        logits_NK = np.concatenate(parts)
        found_NK = np.empty_like(logits_NK)
        found_NK[by_length_N] = logits_NK
        return found_NK

    def _forward(self, tokens: Tokens, rows_B: npt.NDArray[np.int64]) -> Tensor:
        half = self.recipe.precision == "half"
        # Faster attention adds up gradients in the order of the day on a GPU.
        attention = sdpa_kernel(SDPBackend.MATH) if self.device.type == "cuda" else nullcontext()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half), attention:
            logits_BK: Tensor = self.model(**tokens.of(rows_B, self.device)).logits
        return logits_BK.float()


def rate_share(step: int, steps: int, warmup_share: float) -> float:
    """Return the share of the learning rate at a step: up from 0 in the first steps, then down to 0.

    As get_linear_schedule_with_warmup (transformers, optimization.py).
    """
    warmup = ceil(warmup_share * steps)
    return step / warmup if step < warmup else (steps - step) / max(1, steps - warmup)


def training_pairs(recipe: FinetuningRecipe, data: PairData) -> Pairs:
    """Return the part of the training set that the recipe uses."""
    return data.train.head(max(1, round(len(data.train) * recipe.train_share)))
