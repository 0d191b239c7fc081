"""One HTML page that needs nothing else: no network, its own script alone, every word escaped, every image inside."""

import base64
import dataclasses
import hashlib
import importlib.resources
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxstyle.reports.exhibits import explorer, images, source_images
from jaxstyle.reports.html import Rows, data_address, paired, tabular, text, value
from jaxstyle.reports.images import Shown, Source
from jaxstyle.reports.layout import lay_out
from jaxstyle.reports.ranking import Ranking
from jaxstyle.reports.records import Recorded, mapping, scale_starts
from jaxstyle.reports.table import common_settings, varied_keys
from jaxstyle.reports.words import letters, number, readable
from jaxstyle.version import __version__

GENERATOR = "jaxstyle report"
"""Marks a page as one that may be replaced by the next."""

_GROUPS = {
    "gram_distance": (
        "Gram distance by layer",
        "‖G/M − A/M‖ / ‖A/M‖: how far each style layer's Gram matrix is from the style image's, relative to it. "
        "0 is the same texture. Comparable between runs on the same network, whatever was optimized.",
    ),
    "paper_terms": (
        "Loss terms as in the paper",
        "The content loss of Eq. 1 and the style loss of Eq. 4 for each layer, to the letter and without weights, "
        "whatever convention was optimized; in the network that was used.",
    ),
}
"""What is known of the tables among the metrics: a heading and an explanation."""

_TIMES = {
    "evaluations": "evaluations",
    "iterations": "iterations",
    "compile_seconds": "compiling, s",
    "run_seconds": "running, s",
    "peak_memory_bytes": "peak memory, MB",
}


@dataclasses.dataclass(frozen=True)
class Curves:
    """The loss curves as SVG, for a light and for a dark page."""

    light: bytes
    dark: bytes


def page(
    title: str,
    runs: Sequence[Recorded],
    shown: Sequence[Shown],
    sources: Sequence[Source],
    curves: Curves,
    ranking: Ranking | None = None,
    compared: str = "",
    grids: str = "",
) -> str:
    """Writes the page.

    Args:
      title: what the runs show.
      runs: the records.
      shown: each run's image.
      sources: the content and style images.
      curves: the loss curves.
      ranking: which run is best; nothing is said of it if absent.
      compared: the section that sets runs beside references, as HTML.
      grids: the section of numbers over a grid, as HTML.
    """
    ranking, layout = ranking or Ranking(), lay_out(runs)
    style, moves = _own("page.css"), _own("page.js") if len(runs) > 1 else ""
    allowed = f"style-src {_digest(style)}" + (f"; script-src {_digest(moves)}" if moves else "")
    policy = f"default-src 'none'; img-src data:; {allowed}; base-uri 'none'; form-action 'none'"
    body = [
        f'<header><p class="eyebrow">jaxstyle report</p><h1>{text(title)}</h1>{_summary(runs, ranking)}</header>',
        source_images(sources),
        images(runs, shown, layout, ranking),
        compared,
        explorer(layout),
        grids,
        _failures(runs),
        _differences(runs),
        _numbers(runs),
        _loss(runs, curves),
        f"<h2>Settings{' that all runs share' if len(runs) > 1 else ''}</h2>{paired(common_settings(runs))}",
        _provenance(runs, sources),
        f"<footer>Made from the runs' records by jaxstyle {text(__version__)}.</footer>",
        f"<script>{moves}</script>" if moves else "",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="generator" content="{GENERATOR}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def _own(name: str) -> str:
    """Returns a file of the page's own."""
    return importlib.resources.files("jaxstyle.reports").joinpath(name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _best(runs: Sequence[Recorded], ranking: Ranking) -> str:
    """Names the best run and the worst, or says why they are not named."""
    if ranking.reason:
        return f'<p class="summary">No best and worst: {text(ranking.reason)}.</p>'
    if len(ranking.order) < 2:
        return ""
    best, worst = (
        f"({letters(index)}) {runs[index].label}, {readable(runs[index].numbers[ranking.metric])}"
        for index in (ranking.order[0], ranking.order[-1])
    )
    return f'<p class="summary">Best, by the {text(ranking.rule)}: {text(best)} · worst: {text(worst)}</p>'


def _summary(runs: Sequence[Recorded], ranking: Ranking) -> str:
    counted = Counter(run.status for run in runs)
    parts = [f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}"]
    parts += [f"{count} {status}" for status, count in counted.items()] if len(counted) > 1 else [*counted]
    started = [str(run.manifest["started"]) for run in runs if run.manifest.get("started")]
    parts += [f"begun {min(started).replace('T', ' ').replace('+00:00', ' UTC')}"] if started else []
    return f'<p class="summary">{" · ".join(map(text, parts))}</p>{_best(runs, ranking)}'


def _failures(runs: Sequence[Recorded]) -> str:
    rows = {_name(index, run): f'<span class="error">{text(run.error)}</span>' for index, run in _failed(runs)}
    return f"<h2>What failed</h2>{tabular(['run', 'error'], rows)}" if rows else ""


def _failed(runs: Sequence[Recorded]) -> list[tuple[int, Recorded]]:
    return [(index, run) for index, run in enumerate(runs) if run.error]


def _differences(runs: Sequence[Recorded]) -> str:
    keys = varied_keys(runs)
    if len(runs) < 2 or not keys:
        return ""
    rows = {_name(index, run): [value(run.settings.get(key)) for key in keys] for index, run in enumerate(runs)}
    return f"<h2>What differs</h2>{tabular(['run', *keys], rows)}"


def _numbers(runs: Sequence[Recorded]) -> str:
    scalars = [name for name in _names(run.metrics for run in runs) if not _is_table(runs, name)]
    explained = "" if not scalars else "Grey correlation, PSNR and SSIM are against the content image. "
    parts = [
        f'<h2>Numbers</h2><p class="note">{explained}Hold the pointer over a number to see all of its digits.</p>',
        _measured(runs, {name: name.replace("_", " ") for name in scalars}),
    ]
    for name in _names(run.metrics for run in runs):
        if not _is_table(runs, name):
            continue
        heading, meaning = _GROUPS.get(name, (name.replace("_", " "), ""))
        tables = [mapping(run.metrics.get(name)) for run in runs]
        columns = list(_names(tables))
        rows = {_name(index, run): [value(tables[index].get(key)) for key in columns] for index, run in enumerate(runs)}
        parts.append(f'<h3>{text(heading)}</h3><p class="note">{text(meaning)}</p>{tabular(["run", *columns], rows)}')
    return "".join(parts)


def _measured(runs: Sequence[Recorded], scalars: Mapping[str, str]) -> str:
    """How each run ended, and its single numbers."""
    rows: Rows = {}
    for index, run in enumerate(runs):
        numbers = run.numbers
        if math.isfinite(memory := number(numbers.get("peak_memory_bytes"))):
            numbers["peak_memory_bytes"] = round(memory / 1e6)
        row = [f'<td class="ended">{text(run.status)}</td>', *(value(run.metrics.get(name)) for name in scalars)]
        rows[_name(index, run)] = row + [value(numbers.get(name)) for name in ("loss", *_TIMES)]
    return tabular(["run", "status", *scalars.values(), "loss", *_TIMES.values()], rows)


def _names(tables: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    return dict.fromkeys(str(name) for table in tables for name in table)


def _is_table(runs: Sequence[Recorded], name: str) -> bool:
    return any(isinstance(run.metrics.get(name), Mapping) for run in runs)


def _loss(runs: Sequence[Recorded], curves: Curves) -> str:
    if not any(run.iterations for run in runs):
        return '<h2>Loss</h2><p class="note">No iteration was recorded.</p>'
    several = any(len(scale_starts(run)) > 1 for run in runs)
    enlarged = " At a dotted line the image was enlarged: losses at different sizes do not compare." if several else ""
    return (
        f'<h2>Loss</h2><p class="note">The loss and the weighted terms that it is the sum of.{enlarged}</p>'
        '<figure class="curves"><picture><source media="(prefers-color-scheme: dark)" '
        f'srcset="{data_address(curves.dark, "svg+xml")}"><img alt="The loss and its terms against evaluations of '
        f'loss and gradient" src="{data_address(curves.light, "svg+xml")}"></picture></figure>'
    )


def _provenance(runs: Sequence[Recorded], sources: Sequence[Source]) -> str:
    """The software, the device and the files; where runs differ, every value that occurs."""
    known: dict[str, list[str]] = {}
    for run in runs:
        for part in ("versions", "device", "weights"):
            for name, found in mapping(run.manifest.get(part)).items():
                seen = known.setdefault(name if part == "versions" else f"{part}, {str(name).replace('_', ' ')}", [])
                if str(found) not in seen:
                    seen.append(str(found))
    images = {
        f'<th scope="row">{text(source.role_of_runs)}</th>': [
            f"<td><code>{text(source.path)}</code></td>",
            f"<td><code>{text(source.sha256)}</code></td>",
            f"<td>{text(source.problem or 'unchanged')}</td>",
        ]
        for source in sources
    }
    places: Rows = {
        _name(index, run): [
            f"<td><code>{text(str(run.folder))}</code></td>",
            value(run.manifest.get("started")),
            value(run.manifest.get("ended")),
        ]
        for index, run in enumerate(runs)
    }
    table = tabular(["image", "path", "SHA-256", "now"], images) if images else ""
    return (
        f"<h2>Made with</h2>{paired({name: ', '.join(found) for name, found in known.items()})}"
        f"{table}{tabular(['run', 'folder', 'begun', 'ended'], places)}"
    )


def _name(index: int, run: Recorded) -> str:
    return f'<th scope="row"><span class="letter">({letters(index)})</span> {text(run.label)}</th>'
