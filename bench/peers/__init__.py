"""What others would write for the same recipe: plain PyTorch, our own code, with the source each follows.

Nothing here uses a kernel, loader, layer or optimizer of the package: a recipe and a data set go in, the
accuracy of a network comes out. What is measured against must not be slower than its authors would have it.
"""
