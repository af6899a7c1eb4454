"""airbench94 and its small sister `tiny`."""

from airbench_var.recipe import AirbenchNet, Augment, Muon, Recipe


def airbench94() -> Recipe:
    """Return airbench94 with Muon: 94 % on CIFAR-10 in eight epochs.

    Source: github.com/KellerJordan/cifar10-airbench, airbench94_muon.py (2024).
    """
    batch_size = 2000  # examples
    return Recipe(
        name="airbench94",
        network=AirbenchNet(widths=(64, 256, 256)),
        optimizer=Muon(
            lr=0.24,
            momentum=0.6,
            newton_schulz_steps=3,
            sgd_momentum=0.85,
            bias_lr=0.053,
            head_lr=0.67,
            weight_decay=2e-6 * batch_size,  # per step
            whiten_bias_epochs=3,
        ),
        augment=Augment(flip="alternating", translate=2, padding="reflect"),
        epochs=8,
        batch_size=batch_size,
        label_smoothing=0.2,
        loss_reduction="sum",
        tta=True,
    )


def tiny() -> Recipe:
    """Return airbench94 made small: seconds a network on one CPU core. Source: ours."""
    return Recipe(
        name="tiny",
        network=AirbenchNet(whiten_stride=2, widths=(24, 48, 48), activation="relu", norm_eps=1e-5),
        optimizer=Muon(
            lr=0.24,
            momentum=0.6,
            newton_schulz_steps=3,
            sgd_momentum=0.85,
            bias_lr=0.053,
            head_lr=0.67,
            weight_decay=2e-6 * 2000,  # per step
            whiten_bias_epochs=3,
        ),
        augment=Augment(flip="alternating", translate=1, padding="reflect"),
        epochs=3,
        batch_size=500,
        label_smoothing=0.2,
        loss_reduction="sum",
    )
