"""`python -m airbench_var`."""

import sys

if __name__ == "__main__":
    package = sys.modules.get("airbench_var")
    if package and getattr(package, "__file__", None) is None:  # a folder of this name, as a clone is
        print(
            "airbench_var: the folder airbench_var in the current directory hides the package of this name. "
            "Run it from within that folder, or from another directory.",
            file=sys.stderr,
        )
        sys.exit(2)
    from airbench_var.cli import main
    from airbench_var.cli.output import open_closed_streams

    open_closed_streams()
    sys.exit(main())
