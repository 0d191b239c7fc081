"""Runs as rows: what differs between them, how they ended, and every number, as CSV and as lines of JSON."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from jaxstyle.metrics import flatten
from jaxstyle.reports.records import Recorded, mapping
from jaxstyle.runs.record import csv_text, finite


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


Compared = Mapping[int, Mapping[str, Any]]
"""What a run was compared with, and how they compare, by the run's place."""


def table_rows(
    runs: Sequence[Recorded], ranks: Mapping[int, int] | None = None, compared: Compared | None = None
) -> list[dict[str, Any]]:
    """Returns a row per run: label, rank, title, folder, what differs, status, every number as recorded, the error.

    Args:
      runs: the records.
      ranks: the ranks of those that have one, by their places; no column if there are none.
      compared: the references, each number a column of its own.
    """
    rows, varied = [], varied_keys(runs)
    for index, run in enumerate(runs):
        settings = run.settings
        row: dict[str, Any] = {"label": run.label}
        row |= {"rank": ranks.get(index)} if ranks else {}
        row |= {"title": run.title, "folder": str(run.folder)}
        row |= {key: settings[key] for key in varied if key in settings} | run.numbers
        row |= flatten({"reference": (compared or {}).get(index, {})})
        rows.append(row | ({"error": run.error} if run.error else {}))
    columns = dict.fromkeys(column for row in rows for column in row)
    ordered = sorted(columns, key=lambda column: column == "error")  # stable: only the error moves
    return [{column: row.get(column) for column in ordered} for row in rows]


def table_text(
    runs: Sequence[Recorded], ranks: Mapping[int, int] | None = None, compared: Compared | None = None
) -> str:
    """Returns the rows as CSV."""
    return csv_text(table_rows(runs, ranks, compared))


def table_lines(
    runs: Sequence[Recorded], ranks: Mapping[int, int] | None = None, compared: Compared | None = None
) -> str:
    """Returns the rows as JSON, one to a line; what a run has not is null."""
    return "".join(json.dumps(finite(row)) + "\n" for row in table_rows(runs, ranks, compared))


def _comparable(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key], sort_keys=True) if key in settings else ""
