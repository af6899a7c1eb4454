"""Two stores of real runs that come with the package: `tiny` on CIFAR-10 (JPEG), and a change of it.

README.md beside this file has their commands. They are read like any other store, and never written.
"""

from pathlib import Path

_HERE = Path(__file__).parent

#: 100 runs of the recipe `tiny`.
TINY = _HERE / "tiny"
#: 100 runs of `tiny` with shifts of up to two pixels instead of one, with other seeds.
TINY_TRANSLATE_2 = _HERE / "tiny-translate-2"

__all__ = ["TINY", "TINY_TRANSLATE_2"]
