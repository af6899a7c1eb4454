"""Runs that were trained elsewhere: from files of predictions to a store, in bounded memory."""

from airbench_var.importing.runs import Import, Imported, ImportedTestSet, Track, import_runs

__all__ = ["Import", "Imported", "ImportedTestSet", "Track", "import_runs"]
