"""The images on the page: sources, panels, sheets by the swept keys, and sliders along these."""

import json
from collections.abc import Mapping, Sequence

from jaxstyle import metrics as kinds
from jaxstyle.config import Display
from jaxstyle.images import encode_png
from jaxstyle.reports.cells import numbers_of
from jaxstyle.reports.html import breakable, data_address, tabular, text, value
from jaxstyle.reports.images import Pixels, Shown, Source
from jaxstyle.reports.layout import Layout, Sheet, sheets
from jaxstyle.reports.ranking import Ranking
from jaxstyle.reports.records import ENDED_WELL, NOT_BEGUN, Recorded
from jaxstyle.reports.references import Reference
from jaxstyle.reports.words import letters, readable


def source_images(sources: Sequence[Source]) -> str:
    """Returns the content and style images."""
    figures = []
    for source in sources:
        image = (
            f'<img alt="{text(source.role)}" src="{data_address(encode_png(source.pixels), "png")}">'
            if source.pixels is not None
            else f'<div class="missing">{text(source.problem)}</div>'
        )
        name = source.path.replace("\\", "/").rpartition("/")[2]
        caption = f'<span class="letter">{text(source.role_of_runs)}</span><span class="facts">{text(name)}</span>'
        figures.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
    return f'<div class="sources">{"".join(figures)}</div>' if figures else ""


def images(runs: Sequence[Recorded], shown: Sequence[Shown], layout: Layout, ranking: Ranking) -> str:
    """Returns every run's image: in rows and columns where the runs lie on several axes, else one after another."""
    figures = [_figure(run, shown[index], index, ranking) for index, run in enumerate(runs)]
    if found := sheets(layout):
        return "".join(_sheet(sheet, figures) for sheet in found)
    columns = len(runs) if len(runs) < 4 else 2 if len(runs) == 4 else 3 if len(runs) <= 9 else 4
    return f'<div class="panels of{columns}">{"".join(figures)}</div>'


def comparison(
    runs: Sequence[Recorded], shown: Sequence[Shown], references: Mapping[int, Reference], display: Display | None
) -> str:
    """Returns each run beside its reference, and how they compare; nothing where there is no reference."""
    if not references:
        return ""
    pairs, rows = [], {}
    compared = {name for reference in references.values() for name in reference.numbers}
    named = [name for name in kinds.names() if f"{name}_with_result" in compared]
    for index, reference in references.items():
        label, found, metrics = text(f"({letters(index)}) {runs[index].label}"), reference.numbers, runs[index].metrics
        name = text(f"({letters(index)}) reference: {reference.name}")
        pairs += [_captioned(label, shown[index].pixels), _captioned(name, reference.shown(display))]
        rows[f'<th scope="row">{label}</th>'] = [
            value(each)
            for each in (
                reference.name,
                *(table.get(key) for key in named for table in (found, metrics)),
                *(found.get(f"{key}_with_result") for key in named),
                *(found.get(key) for key in ("mean_color", "mean_color_of_result")),
            )
        ]
    labels = [kinds.load(name).label for name in named]
    head = ["run", "reference", *(word for label in labels for word in (f"its {label} with the content", "the run's"))]
    head += [*(f"{label} of both" for label in labels), "its mean colour", "the run's"]
    return (
        "<h2>Beside the references</h2>"
        f'<div class="panels of2">{"".join(pairs)}</div><p class="note">Numbers are of the images themselves: where a '
        "file shows the printed look of the paper's panels, it is undone first. PSNR in dB; each pair at "
        f"the smaller size.</p>{tabular(head, rows)}"
    )


def _captioned(label: str, pixels: Pixels | None) -> str:
    image = '<div class="missing">no image</div>'
    if pixels is not None:
        image = f'<img alt="{label}" src="{data_address(encode_png(pixels), "png")}">'
    return f'<figure>{image}<figcaption><span class="name">{label}</span></figcaption></figure>'


def _sheet(sheet: Sheet, figures: Sequence[str]) -> str:
    """Returns a table of images; a row that is shorter than the others ends early."""
    columns = max(len(row.runs) for row in sheet.rows)
    heading = f"<h3>{text(sheet.heading)}</h3>" if sheet.heading else ""
    head = ""
    if sheet.columns:
        labels = "".join(f'<th scope="col">{text(label)}</th>' for label in sheet.columns)
        across = f'<th scope="colgroup" colspan="{columns}" class="axis">{breakable(sheet.across)}</th>'
        head = (
            f'<thead><tr><td></td>{across}</tr><tr><th class="axis">{breakable(sheet.down)}</th>{labels}</tr></thead>'
        )
    rows = []
    for row in sheet.rows:
        cells = [f"<td>{figures[run]}</td>" for run in row.runs]
        cells += ["<td></td>"] * (columns - len(row.runs))
        rows.append(f'<tr><th scope="row">{breakable(row.label)}</th>{"".join(cells)}</tr>')
    kind = f"sheet {'grid' if sheet.columns else 'rows'} across{min(columns, 9)}"
    return f'{heading}<div class="wide"><table class="{kind}">{head}<tbody>{"".join(rows)}</tbody></table></div>'


def explorer(layout: Layout) -> str:
    """Returns a slider for each axis, hidden unless the page's script runs; nothing for a single run."""
    if len(layout.places) < 2:
        return ""
    sliders = [
        f'<label><span>{breakable(axis.title)}</span><input type="range" min="0" max="{len(axis.labels) - 1}" step="1" '
        f'value="{first}" data-labels="{text(json.dumps(axis.labels))}"><output></output></label>'
        for axis, first in zip(layout.axes, layout.places[0], strict=True)
    ]
    return (
        f'<section class="explore" hidden data-places="{text(json.dumps(layout.places))}"><h2>One at a time</h2>'
        f'<div class="sliders">{"".join(sliders)}</div><div class="stage" aria-live="polite"></div></section>'
    )


def _figure(run: Recorded, shown: Shown, index: int, ranking: Ranking) -> str:
    letter = f"({letters(index)})"
    label = text(f"{letter} {run.label}")
    if shown.data:
        image = (
            f'<label class="zoom"><input type="checkbox" aria-label="Enlarge {label}">'
            f'<img alt="{label}" src="{data_address(shown.data, "png")}"></label>'
        )
    else:
        error = f'<span class="error">{text(run.error)}</span>' if run.error else ""
        image = f'<div class="missing"><b>{text(shown.note)}</b>{error}</div>'
    numbers = run.numbers
    facts = numbers_of(run) + ([f"loss {readable(numbers['loss'])}"] if "loss" in numbers else [])
    facts += [shown.note] if shown.data and shown.note else []
    name = f'<span class="letter">{letter}</span> <span class="name">{text(run.label)}</span>'
    return (
        f'<figure data-run="{index}">{image}<figcaption>{name}{_status(run)}{_extreme(index, ranking)}'
        f'<span class="facts">{text(" · ".join(facts))}</span></figcaption></figure>'
    )


def _extreme(index: int, ranking: Ranking) -> str:
    """A remark on the best run and on the worst."""
    if len(ranking.order) < 2 or index not in (ranking.order[0], ranking.order[-1]):
        return ""
    return f' <span class="status">{"best" if index == ranking.order[0] else "worst"}</span>'


def _status(run: Recorded) -> str:
    """A remark on a run that did not end as it should."""
    if run.status in ENDED_WELL:
        return ""
    kind = "status" if run.status in (NOT_BEGUN, "running", "interrupted") else "status bad"
    said = f"unfinished, {len(run.iterations)} iterations" if run.status == "running" else run.status
    return f' <span class="{kind}">{text(said)}</span>'
