"""`python -m airbench_var`."""

import sys

from airbench_var.cli import main

if __name__ == "__main__":
    sys.exit(main())
