"""One device here; what holds on several is in `four_devices_*.py`, which need processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxstyle.cli.devices import parse_devices
from jaxstyle.devices.sharding import count_devices, mesh_over, place, replicate, spread, store, to_host, unstore
from jaxstyle.errors import JaxstyleError

FLAGS = (
    "--xla_force_host_platform_device_count=4",
    # A device that waits for another gives up after so many seconds: on a busy machine they wait for a processor.
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds=600",
    "--xla_cpu_collective_call_terminate_timeout_seconds=1200",
)
PATIENCE = 900  # seconds on a busy machine


def test_one_device_is_all_there_is():
    assert count_devices("all") == 1
    assert mesh_over("all") is None
    with pytest.raises(JaxstyleError, match="devices: found 2; allowed: 1, for there is no other, or all"):
        mesh_over(2)


@pytest.mark.parametrize(
    ("devices", "shown"),
    [
        ("1", "'1', which is text"),
        ("two", "'two'"),
        (" all", "' all'"),
        (1.0, "1\\.0"),
        (None, "None"),
        (True, "True"),
        (np.int64(2), "2"),
    ],
)
def test_what_is_no_number_of_devices_is_shown_as_what_it_is(devices, shown):
    with pytest.raises(JaxstyleError, match=f"devices: found {shown}; allowed: 1, for there is no other, or all"):
        count_devices(devices)


def test_numpys_integers_are_numbers():
    assert type(count_devices(np.int32(1))) is int


def test_on_one_device_nothing_is_done():
    image = np.ones((3, 4, 3), np.float32)
    placed = place(None, image)
    np.testing.assert_array_equal(to_host(None, placed), image)
    for same in (store(None, placed), unstore(None, placed, 3), spread(None, placed), replicate(None, placed)):
        assert same is placed


def test_workers_of_a_cluster_have_one_device_each():
    assert parse_devices("1", here=False) == 1
    with pytest.raises(JaxstyleError, match="--devices: belongs to --engine local; found --devices all"):
        parse_devices("all", here=False)


@pytest.mark.long
@pytest.mark.parametrize("parts", [("losses",), ("optimizers", "commands")], ids=" ".join)
def test_on_four_devices(parts: tuple[str, ...]):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    tests = [str(Path(__file__).with_name(f"four_devices_{part}.py")) for part in parts]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        env={**environment, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(FLAGS)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
