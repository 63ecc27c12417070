"""Reports: one HTML file about a trained network, which needs neither a network connection nor other files."""

from fastmlp.reports.report import Subject, write_report

__all__ = ["Subject", "write_report"]
