"""What holds on several devices; `test_sharding.py` runs these tests in a process that has four.

The devices are the CPU's, made by an XLA flag: they prove what is computed and what is exchanged, and no speed.
"""

import dataclasses
import logging
import re
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from small_runs import make, read_manifest, smooth, write_images
from typer.testing import CliRunner

import jaxstyle
from jaxstyle.cli.main import app
from jaxstyle.config import experiment_from_mapping
from jaxstyle.devices import memory
from jaxstyle.devices.sharding import Bands, count_devices, fetch, mesh_over, place
from jaxstyle.errors import JaxstyleError
from jaxstyle.images import image_of_array, write_image
from jaxstyle.network.layers import FILTERS
from jaxstyle.network.weights import Weights
from jaxstyle.optimizers import Result, needed_bytes
from jaxstyle.optimizers.device import advance_chunk, advance_once, compile_on_device
from jaxstyle.optimizers.loop import minimize_on_device
from jaxstyle.paper.objective import evaluate
from jaxstyle.runs import runner
from jaxstyle.synthesis.estimates import estimate_memory, outlines
from jaxstyle.synthesis.loss_terms import layers_of
from jaxstyle.synthesis.measurements import measure_result
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import Prepared, prepare, read_images
from jaxstyle.synthesis.state import RunState

COUNT = 4
SHALLOW = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1", "conv2_1", "conv3_1"], "tv_weight": 1e-3}


def on(devices: int, weights: Weights, size: tuple[int, int] = (21, 16), *overrides: str, **loss) -> Prepared:
    """An experiment made ready for so many devices; for no layers in particular, the paper's."""
    arrays = {
        name: smooth(*size, seed).astype(np.float32) for seed, name in enumerate(("array:content", "array:style"))
    }
    mapping = {"image": {"content": "array:content", "style": "array:style", "size": max(size)}, "loss": loss}
    experiment = experiment_from_mapping(mapping, source="here", folder=Path.cwd(), overrides=overrides)
    given = {name: image_of_array(array, name) for name, array in arrays.items()}
    (prepared,) = prepare(experiment, read_images(experiment, given), weights, devices=devices)
    assert prepared.start.shape == (*size, 3)
    return prepared


def loss_and_gradient(prepared: Prepared) -> tuple[float, np.ndarray]:
    bands = prepared.objective.bands
    (loss, _), gradient = evaluate(prepared.objective, place(bands, prepared.start), prepared.problem)
    return float(loss), fetch(bands, gradient)


def exchanged(program: jax.stages.Compiled) -> dict[str, list[tuple[int, ...]]]:
    """The shapes that devices send one another, by the kind of exchange; several may travel together."""
    found: dict[str, list[tuple[int, ...]]] = {}
    kinds = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter|collective-broadcast"
    for results, kind in re.findall(rf" = (\S+|\(.*?\)) ({kinds})(?:-start)?\(", program.as_text()):
        shapes = [tuple(map(int, filter(None, text.split(",")))) for text in re.findall(r"\w+\[([\d,]*)\]", results)]
        found.setdefault(kind, []).extend(shapes)
    return found


def test_there_are_so_many():
    assert jax.local_device_count() == COUNT
    assert [count_devices(devices) for devices in (1, 3, "all")] == [1, 3, 4]
    assert mesh_over(1) is None
    for wrong, shown in ((0, "0"), (5, "5"), (-1, "-1"), ("four", "'four'")):
        with pytest.raises(JaxstyleError, match=rf"devices: found {shown}; allowed: 1 to 4, or all"):
            count_devices(wrong)


@pytest.mark.parametrize(("height", "stored"), [(8, 8), (9, 12), (3, 4)])
def test_a_image_is_stored_in_equal_bands_and_comes_back(height: int, stored: int):
    bands = Bands(mesh_over("all"), height)
    image = smooth(height, 5, 0).astype(np.float32)
    placed = place(bands, image)
    assert placed.shape == (stored, 5, 3)
    assert {shard.data.shape for shard in placed.addressable_shards} == {(stored // COUNT, 5, 3)}
    np.testing.assert_array_equal(fetch(bands, placed), image)


# the loss and its gradient


@pytest.mark.parametrize(
    ("size", "pooling"), [((21, 16), "average"), ((16, 17), "max")], ids=["that does not divide", "that divides"]
)
def test_loss_and_gradient_are_those_of_one_device(tiny: Weights, size: tuple[int, int], pooling: str):
    """A height of 21 is, after two poolings, 5 on four devices: two, two, one and none."""
    alone, spread = (on(devices, tiny, size, f"network.pooling={pooling}", **SHALLOW) for devices in (1, COUNT))
    (loss, gradient), (same_loss, same_gradient) = loss_and_gradient(alone), loss_and_gradient(spread)
    assert same_loss == pytest.approx(loss, rel=1e-5)  # float32, summed in another order: 3e-7 was seen
    # Through five convolutions and back, where single products cancel: 3e-6 was seen.
    np.testing.assert_allclose(same_gradient, gradient, atol=2e-5 * np.abs(gradient).max(), rtol=0)
    for layer in layers_of(alone.objective.terms, "content"):
        target, stored = (it.problem.targets[f"content/{layer}"] for it in (alone, spread))
        assert {shard.data.shape[0] for shard in stored.addressable_shards} == {-(-target.shape[0] // COUNT)}
        np.testing.assert_allclose(stored[: target.shape[0]], target, atol=1e-5 * np.abs(target).max(), rtol=0)
        assert not np.any(stored[target.shape[0] :])


def test_the_papers_networks_loss_is_that_of_winograds_algorithm_on_one_device(vgg19_normalized: Weights):
    alone, spread = (on(devices, vgg19_normalized, (85, 128)) for devices in (1, COUNT))
    (loss, gradient), (same_loss, same_gradient) = loss_and_gradient(alone), loss_and_gradient(spread)
    assert same_loss == pytest.approx(loss, rel=1e-5)
    assert np.linalg.norm(same_gradient - gradient) <= 1e-3 * np.linalg.norm(gradient)  # 3e-4 was seen, at the kinks


def test_regions_and_what_is_kept_are_those_of_one_device(tiny: Weights, tmp_path: Path):
    write_image(tmp_path / "mask.png", smooth(21, 16, 5)[..., :1].repeat(3, axis=-1))
    mask = f"{tmp_path}/mask.png"
    regions = f'image.regions={{a = {{content = "{mask}", content_weight = 2.0}}}}'
    ways = (regions, f"image.keep={mask}", "optimizer.iterations=3")
    alone, spread = (on(devices, tiny, (21, 16), *ways, **SHALLOW) for devices in (1, COUNT))
    (loss, gradient), (same_loss, same_gradient) = loss_and_gradient(alone), loss_and_gradient(spread)
    assert same_loss == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(same_gradient, gradient, atol=2e-5 * np.abs(gradient).max(), rtol=0)
    expected, found = (measure_result(it, alone.start)["paper_terms"] for it in (alone, spread))
    assert found == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(optimize([spread]).image, optimize([alone]).image, atol=1 / 255)


@pytest.mark.usefixtures("direct_convolutions")  # a response next to 0 may round to either side of the ReLU's kink
def test_the_papers_network_exchanges_edges_and_gram_matrices_alone(vgg19_normalized: Weights):
    """A height that no band and no pooling divides."""
    alone, spread = (on(devices, vgg19_normalized, (85, 128)) for devices in (1, COUNT))
    (loss, gradient), (same_loss, same_gradient) = loss_and_gradient(alone), loss_and_gradient(spread)
    assert same_loss == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(same_gradient, gradient, atol=1e-4 * np.abs(gradient).max(), rtol=0)
    image = place(spread.objective.bands, spread.start)
    found = exchanged(evaluate.lower(spread.objective, image, spread.problem).compile())
    assert found.keys() == {"collective-permute", "all-reduce"}
    rows = [shape[-3] for shape in found["collective-permute"]]
    assert max(rows) <= 3  # what a convolution reads of its neighbours, and two rows more where a pooling's bands shift
    grams = {(FILTERS[layer],) * 2 for layer in layers_of(spread.objective.terms, "style")}
    assert grams <= {*found["all-reduce"]} <= {*grams, ()}


def test_the_optimizers_step_exchanges_no_image(tiny: Weights):
    spread = on(COUNT, tiny, **SHALLOW)
    found = exchanged(compile_on_device(spread.objective, spread.start, spread.problem, spread.settings))
    assert found.keys() == {"collective-permute", "all-reduce"}
    assert max(shape[-3] for shape in found["collective-permute"]) <= 3
    assert {len(shape) for shape in found["all-reduce"]} == {0, 2}  # sums, and Gram matrices


# the optimizers


def losses(result: Result) -> list[float]:
    return [iteration.loss for iteration in result.history]


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_optimizers_go_the_same_way(tiny: Weights, method: str):
    ways = (f"optimizer.method={method}", "optimizer.iterations=10")
    before = advance_once._cache_size()
    alone, spread = (optimize([on(devices, tiny, (21, 16), *ways, **SHALLOW)]) for devices in (1, COUNT))
    if method != "scipy-lbfgsb":
        assert advance_once._cache_size() == before + 2  # one program each: what a call returns is what the next takes
    assert len(losses(alone)) == 11
    assert spread.history[0].size == 21
    # Every iteration multiplies the rounding of the one before; 1e-6 was seen.
    np.testing.assert_allclose(losses(spread), losses(alone), rtol=1e-4)
    assert spread.image.shape == alone.image.shape
    np.testing.assert_allclose(spread.image, alone.image, atol=1 / 255)


@pytest.mark.parametrize("method", ["lbfgs", "adam", "scipy-lbfgsb"])
def test_bounds_do_not_reach_the_rows_below_the_image(tiny: Weights, method: str):
    """Those rows are 0, which lies outside of these bounds; brought within, they would count as moved pixels."""
    bounds = ((0.42, 0.5), (0.4, 0.55), (0.35, 0.52))
    found = []
    for devices in (1, COUNT):
        prepared = on(devices, tiny, (21, 16), f"optimizer.method={method}", "optimizer.iterations=10", **SHALLOW)
        prepared = dataclasses.replace(prepared, settings=dataclasses.replace(prepared.settings, bounds=bounds))
        found.append(optimize([prepared]))
    alone, spread = found
    for channel, (lowest, highest) in enumerate(np.float32(bounds)):
        assert lowest <= spread.image[..., channel].min() < spread.image[..., channel].max() <= highest
    np.testing.assert_allclose(losses(spread), losses(alone), rtol=1e-4)  # as without bounds
    np.testing.assert_allclose(spread.image, alone.image, atol=1 / 255)


def test_everything_as_high_as_the_image_stays_in_bands(tiny: Weights, monkeypatch: pytest.MonkeyPatch):
    spread = on(COUNT, tiny, (21, 16), "optimizer.iterations=3", **SHALLOW)
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def watched(*arguments):
        state, step = advance_once(*arguments)
        tall = (leaf for leaf in jax.tree.leaves(state) if leaf.ndim >= 3)
        shapes.extend((leaf.shape, leaf.addressable_shards[0].data.shape) for leaf in tall)
        return state, step

    watched.lower = advance_once.lower
    monkeypatch.setattr("jaxstyle.optimizers.device.advance_once", watched)
    optimize([spread])
    image, history = ((24, 16, 3), (6, 16, 3)), ((20, 24, 16, 3), (20, 6, 16, 3))
    assert {*shapes} == {image, history}
    assert shapes.count(history) == 2 * 4


def test_many_evaluations_are_one_call_of_one_program(tiny: Weights):
    """As on accelerators."""
    alone, spread = (on(devices, tiny, (21, 16), "optimizer.iterations=6", **SHALLOW) for devices in (1, COUNT))
    before = advance_chunk._cache_size()
    found = minimize_on_device(
        spread.objective,
        spread.start,
        spread.problem,
        spread.settings,
        lambda iterations, best: None,
        lambda: False,
        chunked=True,
    )
    assert advance_chunk._cache_size() == before + 1
    np.testing.assert_allclose(losses(found), losses(optimize([alone])), rtol=1e-4)


@pytest.mark.parametrize("then", [COUNT, 1], ids=["four devices", "one device"])
def test_it_goes_on_from_where_it_was_stopped(tiny: Weights, then: int):
    """A checkpoint has the image's own height; on the same devices every number is as if nothing had happened."""
    first, second = (on(devices, tiny, (21, 16), "optimizer.iterations=6", **SHALLOW) for devices in (COUNT, then))
    whole, standings = optimize([first]), []

    def keep(standing: Callable[[], RunState], interrupted: bool) -> None:
        standings.append(standing())

    stopped = optimize([first], keep=keep, interrupted=lambda: len(standings) > 3)
    assert (stopped.status, len(stopped.history)) == ("interrupted", 4)
    assert standings[-1].saved is not None
    assert standings[-1].saved.arrays["method/s_history"].shape == (20, 21, 16, 3)
    before = advance_once._cache_size()
    result = optimize([second], resume=standings[-1])
    if then == COUNT:
        assert advance_once._cache_size() == before
        assert losses(result) == losses(whole)
        np.testing.assert_array_equal(result.image, whole.image)
    np.testing.assert_allclose(losses(result), losses(whole), rtol=1e-4)


def test_a_finished_image_is_measured_alike(tiny: Weights):
    alone, spread = (on(devices, tiny, **SHALLOW) for devices in (1, COUNT))
    expected, found = (measure_result(ready, alone.start)["paper_terms"] for ready in (alone, spread))
    assert found == pytest.approx(expected, rel=1e-4)


# memory


def test_a_device_holds_its_share(tiny: Weights):
    held = {}
    for devices in (1, COUNT):
        ready = on(devices, tiny, (128, 32), **SHALLOW | {"style_layers": ["conv1_1", "conv2_1"]})
        kernels = sum(leaf.nbytes for leaf in jax.tree.leaves(ready.problem.parameters))
        held[devices] = needed_bytes(ready.objective, ready.start, ready.problem, ready.settings) - kernels
    # A quarter; and the edges, the Gram matrices, and the kernels turned round for the way back.
    assert held[COUNT] < 0.35 * held[1]


def test_what_is_compiled_to_estimate_is_what_runs(
    tmp_path: Path, tiny: Weights, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "in_use", lambda: 0)  # this process's memory goes up and down with other tests
    experiment = make(tmp_path, "image.size=36")  # no other test has compiled this size
    images = read_images(experiment)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        together = estimate_memory(outlines(experiment, images, tiny, devices="all")[-1])
        caplog.clear()
        optimize(prepare(experiment, images, tiny, devices="all"))
    finished = [record.getMessage() for record in caplog.records if "Finished XLA compilation" in record.msg]
    assert finished
    assert [message for message in finished if "jit(advance_once)" in message] == []
    monkeypatch.setattr(memory, "is_shared", lambda: False)
    assert estimate_memory(outlines(experiment, images, tiny, devices="all")[-1]) < together


# the commands and `transfer`


@pytest.fixture
def folder(tmp_path: Path, tiny: Weights, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "load_weights", lambda name, progress: tiny)
    monkeypatch.setattr("jaxstyle.synthesis.transfer.load_weights", lambda name: tiny)
    write_images(tmp_path)
    text = 'image = { content = "content.png", style = "style.png", size = 32 }\noptimizer.iterations = 2\n'
    layers = 'loss = { content_layers = ["conv2_1"], style_layers = ["conv1_1"] }\n'
    (tmp_path / "small.toml").write_text(text + layers)
    return tmp_path


def command(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_a_run_on_all_devices_is_recorded(folder: Path):
    done = command("run", "small.toml", "--out", "spread", "--devices", "all")
    assert done.exit_code == 0, done.output
    manifest = read_manifest(folder / "spread")
    assert (manifest["devices"], manifest["status"]) == (COUNT, "budget spent")


def test_a_sweeps_members_are_spread(folder: Path):
    done = command("run", "small.toml", "--out", "s", "--devices=all", "--set", "sweep.start.seed=[1, 2]")
    assert done.exit_code == 0, done.output
    assert [read_manifest(folder / "s/members" / index)["devices"] for index in "01"] == [COUNT] * 2


def test_members_are_spread_or_go_side_by_side(folder: Path):
    refused = command("run", "small.toml", "--devices=2", "--lanes=3")
    assert (
        refused.stderr == "error: --lanes: members that are spread over devices go one after another; found --lanes 3\n"
    )


@pytest.mark.parametrize("name", ["run", "check"])
def test_a_wrong_number_is_refused_before_anything_else(folder: Path, name: str):
    refused = command(name, "small.toml", "--devices", "5")
    assert refused.exit_code == 2
    assert refused.stderr == "error: devices: found 5; allowed: 1 to 4, or all\n"
    assert not (folder / "runs").exists()


def test_transfer_in_python_spreads_every_scale(folder: Path, monkeypatch: pytest.MonkeyPatch):
    prepared: list[Prepared] = []

    def stop(scales: tuple[Prepared, ...], **_: object) -> Result:
        prepared.extend(scales)
        raise InterruptedError

    monkeypatch.setattr("jaxstyle.synthesis.transfer.optimize", stop)
    options = {"image": {"size": 32, "scales": [16, 32]}, "loss": {"content_layers": [], "style_layers": ["conv1_1"]}}
    with pytest.raises(InterruptedError):
        jaxstyle.transfer("content.png", "style.png", devices="all", **options)
    bands = [scale.objective.bands for scale in prepared]
    assert [(it.count, it.height) for it in bands if it] == [(COUNT, 12), (COUNT, 24)]
    with pytest.raises(JaxstyleError, match="devices: found 5"):
        jaxstyle.transfer("content.png", "style.png", devices=5, **options)


@pytest.mark.usefixtures("vgg19_normalized")  # nothing is estimated without the weights
def test_check_says_when_more_devices_would_help(folder: Path, monkeypatch: pytest.MonkeyPatch):
    advice = r"ver 4 devices it would take about \d\.\d GB on each: --devices all"
    small = command("check", "small.toml")
    assert "--devices" not in small.stdout
    monkeypatch.setattr(memory, "is_shared", lambda: False)  # as accelerators are
    monkeypatch.setattr(memory, "available", lambda: 0)
    refused = command("check", "small.toml")
    assert refused.exit_code == 2
    assert re.search(rf"; no size fits\. O{advice}\. To run it all the same: --ignore-memory\n$", refused.stderr)
    monkeypatch.setattr(memory, "available", lambda: 300_000_000)
    large = command("check", "small.toml")
    assert re.search(rf"^  o{advice}$", large.stdout, re.M), large.output
    spread = command("check", "small.toml", "--devices=all")
    assert re.search(r"^  about \d\.\d GB on each of 4 devices, about 0 s", spread.stdout, re.M), spread.output
    assert "would take" not in spread.stdout
