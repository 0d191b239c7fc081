"""A number over a grid: the page's table, the CSV file and the command's lines."""

import csv
from pathlib import Path

import pytest
from recorded import EXPERIMENT, Strict, record, text_of
from typer.testing import CliRunner

from jaxstyle.cli.main import app
from jaxstyle.reports import build
from jaxstyle.reports.grids import MOST_ROWS, grid_lines, grids
from jaxstyle.reports.layout import Row, Sheet
from jaxstyle.reports.ranking import Ranking
from jaxstyle.reports.records import Recorded
from jaxstyle.runs.record import write_json

SSIM = {("lake", "dots"): 0.5, ("lake", "<b>"): 0.25, ("hill", "dots"): 0.125, ("hill", "<b>"): None}


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jaxstyle.reports.drawing.PRINT_DPI", 30)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A sweep over two contents and two styles, of which one member has failed."""
    contents, styles = [f"/{name}.png" for name in ("lake", "hill")], [f"/{name}.png" for name in ("dots", "<b>")]
    sweep = {"mode": "grid", "image.style": styles, "image.content": contents}  # written the other way round
    write_json(tmp_path / "s/experiment.json", EXPERIMENT | {"sweep": sweep})
    for index, ((content, style), number) in enumerate(SSIM.items()):
        member = {"index": index, "place": {"image.style": style, "image.content": content}}
        member |= {"label": f"{content} {style}", "values": member["place"]}
        known = {"metrics": {"psnr": 1.0 + index, "ssim": number}} if number else {"status": "failed"}
        record(tmp_path / "s/members" / str(index), member=member, **known)
    return tmp_path / "s"


def test_a_row_for_each_content_and_a_column_for_each_style(folders: Path):
    report = build([folders], rank_by="ssim")
    (table,) = report.grids
    assert (table.sheet.down, table.sheet.across) == ("image.content", "image.style")
    assert [row.label for row in table.sheet.rows] == ["lake", "hill"]
    assert table.sheet.columns == ("dots", "<b>")
    assert table.values == ((0.5, 0.25), (0.125, None))
    assert (table.row_means, table.column_means) == ([0.375, 0.125], [0.3125, 0.25])
    with open(folders / "report/grid.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert [row[:2] for row in rows[1:]] == [["ssim", ""]] * 2
    assert [row[2:] for row in rows] == [
        [table.sheet.down, "dots", "<b>"],
        ["lake", "0.5", "0.25"],
        ["hill", "0.125", ""],
    ]


def test_the_page_shows_it_with_the_best_of_each_row(folders: Path):
    page = text_of(build([folders], rank_by="ssim"))
    Strict(page)
    section = page.partition("Numbers over the grid")[2].partition("<h2>")[0]
    assert section.count('class="number best"') == 1  # of hill there is no choice
    assert '<td class="number best" title="0.5">0.5</td>' in section
    assert "&lt;b&gt;" in section


def test_without_a_rank_every_metric_has_a_table(folders: Path):
    report = build([folders])
    assert [table.name for table in report.grids] == ["psnr", "ssim"]
    assert [path.name for path in report.files][-1] == "grid.csv"
    assert (folders / "report/grid.csv").read_text().count("number,sheet") == 2


def test_an_earlier_grid_does_not_stay_beside_another_report(folders: Path, tmp_path: Path):
    build([folders], tmp_path / "out")
    assert (tmp_path / "out/grid.csv").exists()
    report = build([folders / "members/0"], tmp_path / "out")
    assert not (tmp_path / "out/grid.csv").exists()
    assert "grid.csv" not in [path.name for path in report.files]


def test_the_command_prints_it(folders: Path):
    result = CliRunner().invoke(app, ["report", str(folders), "--rank", "ssim"])
    lines = result.output.splitlines()
    first = lines.index("  ssim   dots   <b>   mean")
    assert lines[first + 1 : first + 3] == ["  lake    0.5  0.25  0.375", "  hill  0.125     –  0.125"]


def test_a_large_table_is_in_the_file(folders: Path):
    rows = tuple(Row(str(index), (index,)) for index in range(MOST_ROWS + 1))
    runs = [Recorded(Path(str(index)), "", {}, {"metrics": {"ssim": 0.5}}, ()) for index in range(MOST_ROWS + 1)]
    tables = grids(runs, [Sheet("", "content", "style", ("a",), rows)], Ranking("ssim"))
    assert grid_lines(tables) == [f"  ssim: {MOST_ROWS + 1} rows and 1 columns, in grid.csv"]
