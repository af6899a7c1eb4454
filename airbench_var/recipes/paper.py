"""The recipes of the paper, arXiv 2304.01910 v4."""

from airbench_var.recipe import (
    SGD,
    AdamW,
    Augment,
    FinetuningRecipe,
    LinearNet,
    PhotoRecipe,
    Recipe,
    ResNet9Net,
    ResNet18Net,
)


def resnet9() -> Recipe:
    """Return the paper's ResNet-9 at 64 epochs; the other lengths are epochs = 0, 4, 16.

    Source: paper, Appendix A; github.com/KellerJordan/ffcv-cifar for the fill of shifted pixels (black).
    Not as there: images are divided by the published standard deviation of CIFAR-10 (63 units of 255, not
    51), and the loss scale in float16 is constant.
    """
    return Recipe(
        name="resnet9",
        network=ResNet9Net(width=64, output_scale=0.2),
        optimizer=SGD(lr=0.5, momentum=0.9, nesterov=False, weight_decay=5e-4),
        augment=Augment(flip="random", translate=2, padding="zero", cutout=12),
        epochs=64,
        batch_size=500,
    )


def linear() -> Recipe:
    """Return a regularised linear model, the paper's example of almost no variance between runs (Fig 7).

    The paper does not print its hyperparameters; these are ours. The problem is strongly convex, batches are
    large and training is long enough to come near its one solution: little is left for a seed to decide.
    """
    return Recipe(
        name="linear",
        network=LinearNet(init_std=1e-4),
        optimizer=SGD(lr=0.003, momentum=0.9, nesterov=True, weight_decay=1.0),
        epochs=100,
        batch_size=5000,
        precision="single",
    )


def bert_mrpc() -> FinetuningRecipe:
    """Return the paper's finetuning of BERT on MRPC: three epochs, batches of 16, lr 2e-5 falling to 0.

    Source: paper, section 4.1. BERT-large is checkpoint = "google-bert/bert-large-uncased". What the paper
    does not print is as in transformers' example of text classification: 128 tokens, no weight decay,
    gradients of norm 1 at most.
    """
    return FinetuningRecipe(
        name="bert-mrpc",
        checkpoint="google-bert/bert-base-uncased",
        optimizer=AdamW(lr=2e-5),
        epochs=3,
        batch_size=16,
    )


def resnet18_imagenet() -> PhotoRecipe:
    """Return the paper's ResNet-18 on ImageNet: 100 epochs at resolution 192, tested at 256.

    Source: paper, section 4.4; github.com/libffcv/ffcv-imagenet for the crops. Not as there: max-pooling is
    not blurred, and half precision is bfloat16, which needs no loss scale.
    """
    return PhotoRecipe(
        name="resnet18-imagenet",
        network=ResNet18Net(width=64),
        optimizer=SGD(lr=0.5, momentum=0.9, nesterov=False, weight_decay=5e-5),
        epochs=100,
        batch_size=1024,
        warmup_epochs=2,
        first_lr_share=1e-4,
        resolution=192,
        first_resolution=192,
        test_resolution=256,
        test_crop=0.875,
    )
