"""Run folders → panels, curves, a table and one page. Reads records only, so it works on half-finished runs too."""

from jaxstyle.reports.build import Report, build

__all__ = ["Report", "build"]
