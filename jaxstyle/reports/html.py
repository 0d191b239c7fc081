"""Pieces of HTML: whatever goes into them as a value comes out escaped."""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jaxstyle.reports.words import ABSENT, clean, readable

Rows = dict[str, Sequence[str]]
"""Cells, which are HTML already, by the row's heading."""


def text(words: object) -> str:
    """Returns words that mean nothing but themselves, in an element or in quotes."""
    return html.escape(clean(str(words)))


def value(found: Any) -> str:
    """Returns a cell; a number is set to the right, and shows all its digits when pointed at."""
    shown = text(readable(found))
    if shown == ABSENT:
        return f'<td class="absent">{shown}</td>'
    if found in ("inf", "-inf", "nan") or (isinstance(found, int | float) and not isinstance(found, bool)):
        return f'<td class="number" title="{text(found)}">{shown}</td>'
    return f"<td>{shown}</td>"


def tabular(head: Sequence[str], rows: Mapping[str, Sequence[str] | str]) -> str:
    """Returns a table that scrolls sideways where it is too wide; a row of one cell may be given as its content."""
    cells = {name: [f"<td>{row}</td>"] if isinstance(row, str) else list(row) for name, row in rows.items()}
    numeric = [any('class="number' in row[place] for row in cells.values()) for place in range(len(head) - 1)]
    classes = ["", *(' class="number"' if right else "" for right in numeric)]
    headings = "".join(
        f'<th scope="col"{kind}>{breakable(name)}</th>' for name, kind in zip(head, classes, strict=True)
    )
    body = "".join(f"<tr>{name}{''.join(row)}</tr>" for name, row in cells.items())
    return f'<div class="wide"><table><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table></div>'


def paired(pairs: Mapping[str, Any]) -> str:
    """Returns names with their values, in columns where there is room."""
    rows = "".join(f"<div><dt>{text(name)}</dt><dd>{text(readable(found))}</dd></div>" for name, found in pairs.items())
    return f'<dl class="pairs">{rows}</dl>'


def data_address(content: bytes, kind: str) -> str:
    """Returns an address that is the image itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def breakable(name: str) -> str:
    """Returns words that may break after a dot or a stroke, and nowhere else."""
    return re.sub(r"([./])", r"\1<wbr>", text(name))
