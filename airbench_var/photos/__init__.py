"""Training on photographs that stay on the disk (paper, section 4.4): a subject of campaigns."""

from airbench_var.photos.subject import RecipeOnPhotos

__all__ = ["RecipeOnPhotos"]
