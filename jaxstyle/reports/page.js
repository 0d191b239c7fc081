"use strict";
// Moves along the axes of a sweep: a slider for each, and the image that lies there. Without this the page is whole.
for (const box of document.querySelectorAll(".explore")) {
  const places = JSON.parse(box.dataset.places);
  const sliders = [...box.querySelectorAll("input")];
  const labels = sliders.map((slider) => JSON.parse(slider.dataset.labels));
  const stage = box.querySelector(".stage");
  const figures = places.map((_, run) => document.querySelector(`figure[data-run="${run}"]`));
  const copies = new Map();

  const reached = () => places.findIndex((place) => place.every((at, axis) => at === sliders[axis].valueAsNumber));

  const copy = (run) => {
    if (!copies.has(run)) {
      const figure = figures[run].cloneNode(true);
      figure.removeAttribute("data-run");
      copies.set(run, figure);
    }
    return copies.get(run);
  };

  const show = (moved) => {
    if (reached() < 0) {
      // An ablation has one change at a time: the other sliders go back to the baseline.
      sliders.forEach((slider, axis) => { if (slider !== moved) slider.valueAsNumber = places[0][axis]; });
    }
    sliders.forEach((slider, axis) => {
      const label = labels[axis][slider.valueAsNumber];
      slider.setAttribute("aria-valuetext", label);
      slider.nextElementSibling.textContent = label;
    });
    stage.replaceChildren(copy(reached()));
  };

  sliders.forEach((slider) => slider.addEventListener("input", () => show(slider)));
  show(null);
  box.hidden = false;
}
