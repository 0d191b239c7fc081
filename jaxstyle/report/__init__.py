"""Run folders → panels, curves, a table and one page. Reads records only, so it works on half-finished runs too.

The room is also a function, `jaxstyle.report(runs)`: a module may be given a class of its own that can be called.
"""

import sys
from types import ModuleType
from typing import Any

from jaxstyle.report.build import Report, build
from jaxstyle.report.command import report

__all__ = ["Report", "build", "report"]


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Report:
        return report(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
