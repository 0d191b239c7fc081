"""Runs as rows: what differs between them, how they ended, and every number, as CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jaxstyle.report.records import Recorded, mapping


def common_settings(runs: Sequence[Recorded]) -> dict[str, Any]:
    """The values that all runs share; runs of which no experiment is recorded do not count."""
    known = [run.settings for run in runs if run.settings]
    varied = varied_keys(runs) if len(runs) > 1 else ()
    return {key: value for key, value in known[0].items() if key not in varied} if known else {}


def varied_keys(runs: Sequence[Recorded]) -> list[str]:
    """The dotted keys whose values differ between runs, or that a sweep varies."""
    known = [run.settings for run in runs if run.settings]
    keys = dict.fromkeys(key for settings in known for key in settings)
    swept = {key for run in runs for key in mapping(mapping(run.manifest.get("member")).get("values"))}
    return [key for key in keys if key in swept or len({_comparable(settings, key) for settings in known}) > 1]


def table_text(runs: Sequence[Recorded]) -> str:
    """Returns one line per run: label, title, folder, what differs, status, every number as recorded, and the error."""
    rows, varied = [], varied_keys(runs)
    for run in runs:
        settings = run.settings
        row = {"label": run.label, "title": run.title, "folder": str(run.folder)}
        row |= {key: _field(settings[key]) for key in varied if key in settings} | run.numbers
        rows.append(row | ({"error": run.error} if run.error else {}))
    columns = [*_in_order(rows, last="error")]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _in_order(rows: Sequence[Mapping[str, Any]], last: str) -> list[str]:
    columns = dict.fromkeys(column for row in rows for column in row)
    return sorted(columns, key=lambda column: column == last)  # stable: only `last` moves


def _comparable(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key], sort_keys=True) if key in settings else ""


def _field(value: Any) -> Any:
    """A list or a table as JSON; anything else as it is."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
