"""Runs that were trained elsewhere: from a .npy file of predictions to a store, in bounded memory."""

from airbench_var.importing.runs import Import, Imported, Track, import_runs

__all__ = ["Import", "Imported", "Track", "import_runs"]
