"""One HTML page that needs nothing else: no network, no script, every word escaped, every picture inside."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from jaxstyle.report.records import Recorded
from jaxstyle.version import __version__

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --ink: #1c1b19; --paper: #fbfaf7; --faint: #6d6a64; --line: #dedad2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9e6df; --paper: #181715; --faint: #9c978d; --line: #37342f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 2.5rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 Charter, "Iowan Old Style", "Palatino Linotype", Georgia, serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .3rem; font-weight: 600; }
h2 { font-size: 1.2rem; margin: 3rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
p.note, figcaption span, td.less { color: var(--faint); }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1.6rem 1.2rem; }
figure { margin: 0; }
figure img { width: 100%; height: auto; display: block; border-radius: 2px; image-rendering: auto; }
figcaption { padding-top: .45rem; font-size: .93rem; }
figcaption span { display: block; font-size: .84rem; font-variant-numeric: tabular-nums; }
.missing { aspect-ratio: 4 / 3; display: grid; place-items: center; border: 1px dashed var(--line); color: var(--faint);
  padding: 1rem; text-align: center; overflow-wrap: anywhere; }
.sources { display: flex; gap: 1.2rem; flex-wrap: wrap; margin-top: 1.4rem; }
.sources figure { width: 11rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; min-width: 40%; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td.number { text-align: right; white-space: nowrap; }
.curves { background: #fff; padding: .5rem; border-radius: 2px; max-width: 60rem; }
.error { color: #b3261e; }
code { font: .85em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
"""


def page(
    title: str, runs: Sequence[Recorded], pictures: Mapping[int, bytes], sources: Mapping[str, bytes], curves: bytes
) -> str:
    """Writes the page.

    Args:
      title: what the runs show.
      runs: the records.
      pictures: result PNGs by the run's place in `runs`; some may be missing.
      sources: pictures of the content and style that all runs share, by role.
      curves: the loss curves as a PNG.
    """
    settled, varied = _settings(runs)
    panels = "".join(_panel(runs, index, pictures) for index in range(len(runs)))
    loss = f'<img alt="loss and its terms against evaluations" src="{_data(curves)}">'
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="note">{len(runs)} {"run" if len(runs) == 1 else "runs"}, reported by jaxstyle {__version__}</p>',
        _sources(sources),
        f'<h2>Pictures</h2><div class="panels">{panels}</div>',
        _errors(runs),
        f"<h2>Numbers</h2>{_numbers(runs)}",
        f'<h2>Loss</h2><figure class="curves">{loss}</figure>',
    ]
    if varied:
        body.append(f"<h2>What differs</h2>{_differences(runs, varied)}")
    body.append(f"<h2>Settings{' that all share' if len(runs) > 1 else ''}</h2>{_pairs(settled)}")
    body.append(f"<h2>Made with</h2>{_pairs(_provenance(runs))}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _panel(runs: Sequence[Recorded], index: int, pictures: Mapping[int, bytes]) -> str:
    run = runs[index]
    label = escape(run.label)
    if index in pictures:
        shown = f'<img alt="{label}" src="{_data(pictures[index])}">'
    else:
        shown = f'<div class="missing">no picture: {escape(run.status)}</div>'
    known = (
        ("grey_correlation", "correlation {}"),
        ("psnr", "PSNR {} dB"),
        ("loss", "loss {}"),
        ("evaluations", "{} evaluations"),
    )
    numbers = run.numbers
    said = [form.format(_form(numbers[name])) for name, form in known if name in numbers]
    facts = escape(", ".join([*said, run.status]))
    return f"<figure>{shown}<figcaption>{label}<span>{facts}</span></figcaption></figure>"


def _sources(sources: Mapping[str, bytes]) -> str:
    figures = [
        f'<figure><img alt="{escape(role)}" src="{_data(data)}"><figcaption>{escape(role)}</figcaption></figure>'
        for role, data in sources.items()
    ]
    return f'<div class="sources">{"".join(figures)}</div>' if figures else ""


def _errors(runs: Sequence[Recorded]) -> str:
    failed = [run for run in runs if "error" in run.manifest]
    rows = [f"<tr><th>{escape(run.label)}</th><td>{escape(str(run.manifest['error']))}</td></tr>" for run in failed]
    return f'<h2 class="error">What failed</h2><div class="wide"><table>{"".join(rows)}</table></div>' if rows else ""


def _numbers(runs: Sequence[Recorded]) -> str:
    """Runs side by side, a number to a line: few runs and many numbers are the usual case."""
    columns = [run.numbers for run in runs]
    names = list(dict.fromkeys(name for column in columns for name in column))
    head = "".join(f"<th>{escape(run.label)}</th>" for run in runs)
    rows = [
        f"<tr><th>{escape(name)}</th>"
        + "".join(f'<td class="number">{escape(_form(column.get(name, "")))}</td>' for column in columns)
        + "</tr>"
        for name in names
    ]
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _settings(runs: Sequence[Recorded]) -> tuple[dict[str, Any], list[str]]:
    """The settings that all share, and the keys that differ."""
    each = [run.settings for run in runs]
    keys = list(dict.fromkeys(key for settings in each for key in settings))
    varied = [key for key in keys if any(settings.get(key) != each[0].get(key) for settings in each)]
    return {key: each[0][key] for key in keys if key not in varied}, varied


def _differences(runs: Sequence[Recorded], varied: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(key)}</th>" for key in varied)
    rows = [
        f"<tr><th>{escape(run.label)}</th>"
        + "".join(f"<td>{escape(_form(run.settings.get(key, '')))}</td>" for key in varied)
        + "</tr>"
        for run in runs
    ]
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _provenance(runs: Sequence[Recorded]) -> dict[str, Any]:
    """What is known of the software, the device and the files, each with every value that occurs."""
    known: dict[str, list[str]] = {}
    for run in runs:
        parts = {key: run.manifest.get(key, {}) for key in ("versions", "device", "weights")}
        images = {role: facts.get("sha256", "") for role, facts in run.manifest.get("images", {}).items()}
        for part, facts in {**parts, "pictures, sha256": images}.items():
            for name, value in facts.items():
                seen = known.setdefault(f"{part}: {name}", [])
                if str(value) not in seen:
                    seen.append(str(value))
    return {name: ", ".join(values) for name, values in known.items()}


def _pairs(pairs: Mapping[str, Any]) -> str:
    rows = [f"<tr><th>{escape(name)}</th><td>{escape(_form(value))}</td></tr>" for name, value in pairs.items()]
    return f'<div class="wide"><table>{"".join(rows)}</table></div>'


def _form(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
