"""What a store holds, in the formats of others: arrays, tables, and a folder for the Hugging Face Hub."""

from airbench_var.exporting.export import COLUMNS, FORMATS, Export, Exported, export
from airbench_var.exporting.selected import Track

__all__ = ["COLUMNS", "FORMATS", "Export", "Exported", "Track", "export"]
