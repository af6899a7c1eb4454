"""What people see: the live view of a campaign and the table at its end."""

from airbench_var.report.display import Mode
from airbench_var.report.live import LiveView
from airbench_var.report.table import print_analysis

__all__ = ["LiveView", "Mode", "print_analysis"]
