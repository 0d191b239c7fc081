"""Reports of sweeps: rows and columns by the swept keys, the sliders' places, the best and the worst."""

import csv
import io
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from recorded import EXPERIMENT, Strict, record
from typer.testing import CliRunner

from jaxstyle.cli.main import app
from jaxstyle.errors import JaxstyleError
from jaxstyle.reports.images import show
from jaxstyle.reports.layout import Row, lay_out, sheets
from jaxstyle.reports.page import Curves, page
from jaxstyle.reports.ranking import Ranking, rank
from jaxstyle.reports.records import Recorded, read_runs
from jaxstyle.reports.sheet import contact_sheet
from jaxstyle.reports.table import table_lines, table_rows, table_text
from jaxstyle.reports.words import lettered

GRID = [{"loss.content_weight": alpha, "start.seed": seed} for alpha in ("1e-3", "1e-2") for seed in "012"]
CUBE = [{"network.pooling": pooling} | place for pooling in ("max", "average") for place in GRID]
BASELINE = {"loss.content_weight": "1e-3", "start.seed": "0", "network.pooling": "average"}
ABLATION = [BASELINE, *(BASELINE | change for change in ({"start.seed": "1"}, {"start.seed": "2"}))]
ABLATION += [BASELINE | {"network.pooling": "max"}, BASELINE | {"loss.content_weight": "1"}]


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Figures of a sixth of the print's resolution, which are drawn quickly."""
    monkeypatch.setattr("jaxstyle.reports.drawing.PRINT_DPI", 50)


def placed(places: Sequence[Mapping[str, str]]) -> list[Recorded]:
    """Runs that only lie somewhere."""
    return [Recorded(Path(str(index)), f"run {index}", {}, {}, (), place) for index, place in enumerate(places)]


def page_of(runs: Sequence[Recorded], ranking: Ranking | None = None) -> str:
    """The page without its curves."""
    return page("title", runs, [show(run) for run in runs], [], Curves(b"", b""), ranking)


def sheets_of(places: Sequence[Mapping[str, str]]):
    return sheets(lay_out(placed(places)))


def test_a_grids_last_axis_goes_across_and_the_one_before_it_down():
    (sheet,) = sheets_of(GRID)
    assert (sheet.down, sheet.across, sheet.columns) == ("loss.content_weight (α)", "start.seed", ("0", "1", "2"))
    assert sheet.rows == (Row("1e-3", (0, 1, 2)), Row("1e-2", (3, 4, 5)))
    assert sheet.heading == ""


def test_further_axes_make_several_sheets():
    first, second = sheets_of(CUBE)
    assert (first.heading, second.heading) == ("network.pooling: max", "network.pooling: average")
    assert [row.runs for row in second.rows] == [(6, 7, 8), (9, 10, 11)]


def test_an_ablation_has_a_row_for_each_factor_with_the_baseline_first():
    (sheet,) = sheets_of(ABLATION)
    assert [row.label for row in sheet.rows] == ["loss.content_weight (α)", "start.seed", "network.pooling"]
    assert [row.runs for row in sheet.rows] == [(0, 4), (0, 1, 2), (0, 3)]
    assert sheet.rows[1].captions == ("0 (baseline)", "1", "2")


@pytest.mark.parametrize(
    "places",
    [
        GRID[:3],  # one axis
        [GRID[0], GRID[4]],  # side by side
        GRID[:5],  # a hole
        [*GRID[:2], GRID[0]],  # two runs in one place
        [{}, *GRID],  # one that belongs elsewhere
        [{}],
    ],
)
def test_other_runs_are_wrapped(places):
    assert sheets_of(places) == []
    layout = lay_out(placed(places))
    assert len(layout.axes) == 1
    assert sorted(layout.places) == [(index,) for index in range(len(places))]


def test_what_does_not_vary_is_no_axis():
    (sheet,) = sheets_of([{"image.size": "64"} | place for place in GRID])
    assert sheet.heading == ""


def test_runs_side_by_side_are_called_by_their_labels():
    (axis,) = lay_out(placed([GRID[0], GRID[4]])).axes
    assert axis.labels == ("run 0", "run 1")


@pytest.fixture
def grid(tmp_path) -> Path:
    """A sweep over α and seed, run completely; recorded as the program records it."""
    sweep = {"mode": "grid", "loss.content_weight": [1e-3, 1e-2], "start.seed": [0, 1, 2]}
    (tmp_path / "sweep").mkdir()
    planned = EXPERIMENT | {"sweep": sweep}
    (tmp_path / "sweep/experiment.json").write_text(json.dumps(planned), encoding="utf-8")
    for index, place in enumerate(GRID):
        alpha, seed = (float(place[key]) for key in place)
        own = {**EXPERIMENT, "loss": {**EXPERIMENT["loss"], "content_weight": alpha}, "start": {"seed": int(seed)}}
        member = {"index": index, "label": f"run {index}", "values": {}, "place": place}
        metrics = {"psnr": 10.0 + (index * 5) % 6, "gram_distance": {"conv1_1": 1.0 - index / 10}}
        folder = tmp_path / "sweep/members" / str(index)
        record(folder, experiment=own, member=member, loss=1.0 + (index - 2) ** 2, metrics=metrics)
    return tmp_path / "sweep"


def test_places_come_from_the_record_or_from_the_plan(grid):
    recorded = [run.place for run in read_runs([grid])]
    assert recorded == GRID
    for manifest in grid.glob("members/*/manifest.json"):
        manifest.unlink()
    assert [run.place for run in read_runs([grid])] == GRID


def test_the_page_has_a_table_of_images_and_a_slider_for_each_axis(grid):
    content = page_of(read_runs([grid]))
    (script,) = Strict(content).scripts
    assert re.findall(r'<table class="([^"]*)"', content)[0] == "sheet grid across3"
    places = json.loads(re.findall('data-places="([^"]*)"', content)[0])
    assert places == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    labels = [json.loads(found.replace("&quot;", '"')) for found in re.findall('data-labels="([^"]*)"', content)]
    assert labels == [["1e-3", "1e-2"], ["0", "1", "2"]]
    assert sorted(re.findall('<figure data-run="([^"]*)"', content)) == [str(index) for index in range(6)]
    assert '<section class="explore" hidden' in content  # shown by the script alone
    assert "addEventListener" in script


def test_the_contact_sheet_names_the_axes(grid):
    runs = read_runs([grid])
    figure = contact_sheet(sheets(lay_out(runs)), runs, [show(run) for run in runs], [], "title")
    words = [text.get_text() for text in figure.texts]
    assert {"title", "loss.content_weight (α)", "start.seed", "1e-3", "1e-2", "0", "1", "2", "(f)"} <= {*words}
    corners = [tuple(round(edge, 3) for edge in axes.get_position().p0) for axes in figure.axes]
    assert len({left for left, _ in corners}) == 3
    assert len({low for _, low in corners}) == 2
    assert all(0 <= edge <= 1 for axes in figure.axes for edge in axes.get_position().extents)


def test_losses_of_different_objectives_name_no_best(grid):
    ranking = rank(read_runs([grid]))
    assert ranking.order == ()
    assert ranking.reason.startswith("the losses cannot be compared, because loss.content_weight differs; --rank")
    assert "No best and worst: the losses cannot be compared" in page_of(read_runs([grid]), ranking)


def test_losses_of_one_objective_do(grid):
    runs = read_runs([grid])[:3]  # one α
    ranking = rank(runs)
    assert (ranking.metric, ranking.order, ranking.rule) == ("loss", (2, 1, 0), "lowest loss")
    assert ranking.ranks == {2: 1, 1: 2, 0: 3}


@pytest.mark.parametrize(("metric", "best", "worst"), [("psnr", 1, 0), ("gram_distance/conv1_1", 5, 0), ("loss", 2, 5)])
def test_the_number_that_the_user_names_ranks(grid, metric, best, worst):
    runs = read_runs([grid])
    ranking = rank(runs, metric)
    assert (ranking.order[0], ranking.order[-1]) == (best, worst)
    ranks = [row["rank"] for row in table_rows(runs, ranking.ranks)]
    assert (ranks[best], ranks[worst]) == (1, 6)
    figures = page_of(runs, ranking).split("<figure ")
    marked = [re.findall('data-run="(.)".*class="status">(best|worst)<', figure) for figure in figures]
    assert {mark: run for found in marked for run, mark in found} == {"best": str(best), "worst": str(worst)}


def test_a_number_that_no_run_has_is_answered(grid):
    with pytest.raises(JaxstyleError, match=r"--rank: no run has a number 'pnsr'; did you mean 'psnr'\? Allowed: "):
        rank(read_runs([grid]), "pnsr")


def test_a_run_whose_method_found_no_way_down_is_ranked_as_others(grid):
    shutil.rmtree(grid / "members/1")
    record(grid / "members/1", status="stalled", loss=0.0)
    assert rank(read_runs([grid]), "loss").order[0] == 1


def test_runs_that_have_not_ended_are_not_ranked(grid):
    shutil.rmtree(grid / "members/1")
    record(grid / "members/1", status="failed", error="out of memory", loss=0.0)
    assert rank(read_runs([grid]), "loss").order == (2, 3, 0, 4, 5)


def test_the_tables_lines_are_its_rows(grid):
    runs = read_runs([grid])
    lines = [json.loads(line) for line in table_lines(runs).splitlines()]
    found = list(csv.DictReader(io.StringIO(table_text(runs))))
    assert [list(line) for line in lines] == [list(row) for row in found]
    assert [line["psnr"] for line in lines] == [float(row["psnr"]) for row in found]
    assert [line["start.seed"] for line in lines] == [0, 1, 2, 0, 1, 2]


def test_the_command_names_the_best(grid):
    result = CliRunner().invoke(app, ["report", str(grid), "--rank", "psnr"])
    assert "best, by the highest psnr: run 1; worst: run 0" in result.output
    assert CliRunner().invoke(app, ["report", str(grid), "--rank", "beauty"]).exit_code == 2


def test_neighbouring_letters_are_named_by_the_first_and_the_last():
    assert lettered([0]) == "(a)"
    assert lettered([0, 1, 3, 4, 5, 27]) == "(a), (b), (d)–(f), (ab)"
