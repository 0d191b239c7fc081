"""Whole runs by the command, one at a time and two at once; this process leaves the device to them."""

import functools
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import common

from accelerator.plan import PRECISIONS, Measurement, Plan, Row, environment, last_line, rounded
from jaxstyle.devices import compilation_cache


def measurements(plan: Plan) -> Iterator[Measurement]:
    """Yields whole runs, each with an empty cache of compiled programs and then with a full one; then two at once."""
    with tempfile.TemporaryDirectory(prefix="jaxstyle-cache-") as caches:
        for precision in plan.pick(PRECISIONS, PRECISIONS[:1]):
            folder = str(Path(caches, precision))
            for cache in ("empty", "full"):  # the second finds what the first compiled
                asked = {"size": plan.pick(512, 32), "precision": precision, "compiled programs": cache}
                yield Measurement(asked, functools.partial(whole_run, plan, precision, folder, cache == "full"))
        keep = {compilation_cache.ENVIRONMENT: str(Path(caches, PRECISIONS[0]))}
        yield Measurement({"what": "two processes at once"}, lambda: two_processes(plan, **keep))
        if not plan.tiny:
            share = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **keep}
            yield Measurement({"what": "two processes that share memory"}, lambda: two_processes(plan, **share))
    yield Measurement({"what": "doctor"}, doctor)


def whole_run(plan: Plan, precision: str, cache: str, full: bool) -> Row:
    """From the command to the image: 500 iterations at 512 pixels."""
    if full and not Path(cache).exists():
        whole_run(plan, precision, cache, full=False)
    size, iterations = plan.pick((512, 500), (32, 3))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "run")
        command = run_command(plan, folder, size=size, iterations=iterations, **{"network.precision": precision})
        began = time.perf_counter()
        done = subprocess.run(
            command,
            env=environment(**{compilation_cache.ENVIRONMENT: cache}),
            cwd=common.ROOT,
            capture_output=True,
            text=True,
            errors="replace",
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(last_line(done.stderr))
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        last = json.loads((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return {
        "command to image s": round(seconds, 2),
        "compile s": round(manifest["compile_seconds"], 2),
        "optimizing s": round(manifest["run_seconds"], 2),
        "evaluations": last["evaluations"],
        "ms an evaluation": rounded(1000 * manifest["run_seconds"] / last["evaluations"]),
        "status": manifest["status"],
        "loss": rounded(last["loss"], 6),
    }


def doctor() -> Row:
    """What `jaxstyle doctor` says."""
    done = subprocess.run([*common.COMMAND, "doctor"], capture_output=True, text=True, check=False)
    return {"exit": done.returncode, "lines": done.stdout.splitlines()}


def two_processes(plan: Plan, **changes: str) -> Row:
    """Two runs of the quick start on one device, started at once."""
    with tempfile.TemporaryDirectory() as scratch:
        runs = [
            subprocess.Popen(
                run_command(plan, Path(scratch, str(index)), size=plan.pick(128, 32), iterations=5),
                env=environment(**changes),
                cwd=common.ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            for index in range(2)
        ]
        outputs = [run.communicate()[0] for run in runs]
    return {"exits": [run.returncode for run in runs], "last lines": [last_line(output) for output in outputs]}


def run_command(plan: Plan, folder: Path, *, size: int, iterations: int, **settings: object) -> list[str]:
    """`jaxstyle run` of the quick start into a folder."""
    keys = {"image.size": size, "optimizer.iterations": iterations, **settings}
    if plan.tiny:
        keys |= {"loss.content_layers": '["conv2_1"]', "loss.style_layers": '["conv1_1", "conv2_1"]'}
    changes = [f"--set={key}={value}" for key, value in keys.items()]
    return [*common.COMMAND, "run", str(common.QUICKSTART), "--out", str(folder), *changes]
