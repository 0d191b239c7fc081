"""`jaxstyle.transfer`: one image from Python, without a record."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxstyle.config import experiment_from_mapping
from jaxstyle.devices.jax_settings import outside, pinned
from jaxstyle.devices.sharding import Devices
from jaxstyle.network.feature_network import FeatureNetwork
from jaxstyle.network.layers import LAYERS
from jaxstyle.network.weights import load as load_weights
from jaxstyle.optimizers import Iteration, Observer, Result, ensure_finite
from jaxstyle.synthesis.arguments import SOURCE, plain, tables_of
from jaxstyle.synthesis.interrupt import CTRL_C, interruptible
from jaxstyle.synthesis.notebook import Progress
from jaxstyle.synthesis.optimization import optimize
from jaxstyle.synthesis.preparation import prepare, read_images
from jaxstyle.synthesis.recolouring import finish
from jaxstyle.trackers import Tracked, Tracker, Tracking
from jaxstyle.trackers.periodic import periodic_images


@pinned()
def transfer(
    content: Any = None,
    style: Any = None,
    *,
    observe: Observer = lambda iterations, best: None,
    trackers: Iterable[Tracker] = (),
    devices: Devices = 1,
    progress: bool = True,
    **sections: Any,
) -> Result:
    """Finds an image with the content of one image and the style of another.

    Args:
      content: an image: a path, a name such as `paper:neckarfront`, an image of Pillow's, a file object, the bytes of a
        file, or an array [height, width] or [height, width, bands] of grey, grey and alpha, RGB or RGBA, in uint8,
        uint16 or float in [0, 1]; None for texture synthesis.
      style: likewise; or a list of them, each as {"image": …, "weight": …} if wanted; None for content reconstruction.
      observe: called now and then with the iterations that are new and a function that gives the best image.
      trackers: receive every iteration and, every few seconds, the image; one that fails is dropped.
      devices: over how many of this process's devices the image is spread, a number or "all"; more than one is for
        images that do not fit on one, and gives the same image up to rounding.
      progress: show in a notebook how far it is, with the image so far.
      **sections: the tables of an experiment file, with the same keys and defaults: `image`, `network`, `loss`,
        `start`, `optimizer`, `colour`. In the place of `network` may be a `FeatureNetwork`, whose layers
        `loss.content_layers` and `loss.style_layers` then name.

    Returns:
      The result: `image` [height, width, 3] in [0, 1], `history`, `status`, `loss`, `evaluations`. Ctrl-C, or a
      notebook's interrupt, ends the run with the best image so far and the status `interrupted`. SIGTERM is left to the
      caller's process.

    Raises:
      JaxstyleError: an image or an option is not what it should be; also for `sweep` and `output`, for which one image
        that is not written has no use; or the loss is not finite.

    Examples:
      >>> import numpy as np
      >>> stripes = np.tile(np.linspace(0, 1, 8), (32, 4))[..., None] * [1.0, 0.6, 0.2]
      >>> dots = np.random.default_rng(0).uniform(size=(32, 32, 3))
      >>> result = transfer(stripes, dots, image={"size": 32}, optimizer={"iterations": 3})
      >>> result.image.shape, str(result.status), len(result.history)
      ((32, 32, 3), 'budget spent', 4)

    References: Gatys et al., CVPR 2016, Sec. 2.3.
    """
    given = sections.get("network")
    network = given if isinstance(given, FeatureNetwork) else None
    tables, images = tables_of(content, style, {**sections, "network": None} if network else sections)
    layers = network.layers if network else LAYERS
    experiment = experiment_from_mapping(tables, source=SOURCE, folder=Path.cwd(), layers=layers)
    sources = read_images(experiment, images)
    observed = outside(observe)

    def finished(image: np.ndarray) -> np.ndarray:
        return finish(experiment.colour, sources.content, image)

    tracking = Tracking(trackers)
    preview = periodic_images(outside(tracking.image), lambda: bool(tracking))

    with Progress(experiment.optimizer.iterations, shown=progress) as shown:
        weights = network or load_weights(experiment.network.weights)
        scales = prepare(experiment, sources, weights, devices=plain(devices))
        shown.plan([prepared.scale for prepared in scales])

        def observe_all(iterations: Sequence[Iteration], best: Callable[[], np.ndarray]) -> int | None:
            def image() -> np.ndarray:
                return finished(best())

            shown.observe(iterations, image)
            outside(tracking.iterations)([iteration._asdict() for iteration in iterations])
            if iterations:
                preview(iterations[-1].iteration, image)
            return observed(iterations, image)

        outside(tracking.start)(Tracked(experiment.title or "transfer", experiment.to_json()))
        try:
            with interruptible(CTRL_C) as interrupted:
                result = optimize(scales, log=shown.log, observe=observe_all, interrupted=interrupted)
            ensure_finite(result)
        except BaseException as error:
            outside(tracking.end)("failed", {"error": str(error)})
            raise
    image = finished(result.image)
    if tracking:
        outside(tracking.image)(result.history[-1].iteration if result.history else 0, image)
        facts = {"loss": result.loss, "evaluations": result.evaluations, "run_seconds": result.run_seconds}
        outside(tracking.end)(str(result.status), facts)
    return dataclasses.replace(result, image=image)
