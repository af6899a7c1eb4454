"""`python -m airbench_var`."""

import sys

from airbench_var.cli import main
from airbench_var.cli.output import open_closed_streams

if __name__ == "__main__":
    open_closed_streams()
    sys.exit(main())
