"""The HTML report: all that a store says, on one page that can be sent to a colleague."""

from airbench_var.report.html.page import BEGINNING, report_page

__all__ = ["BEGINNING", "report_page"]
