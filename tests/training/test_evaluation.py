import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airbench_var.training.evaluation import tta_logits


class Picture(nn.Module):
    """A network that depends on where things are: logits are a random linear map of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(10, 3 * 8 * 8, generator=generator)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return F.linear(x_BCHW.flatten(1), self.weight)


def test_tta_weights_its_six_views() -> None:
    """Both mirror images: half of the weight unshifted, a quarter each shifted up-left and down-right."""
    model = Picture()
    images = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    expected = torch.zeros(5, 10)
    for dy, dx, weight in ((0, 0, 0.5), (-1, -1, 0.25), (1, 1, 0.25)):
        rows = torch.tensor([abs(y) if y < 8 else 14 - y for y in range(dy, 8 + dy)])
        columns = torch.tensor([abs(x) if x < 8 else 14 - x for x in range(dx, 8 + dx)])
        shifted = images[:, :, rows][:, :, :, columns]
        expected += weight * (model(shifted) + model(shifted.flip(3))) / 2
    torch.testing.assert_close(tta_logits(model, images, model(images)), expected)
