// The loss and its terms against evaluations, on a logarithmic axis: one SVG, drawn anew when there is more to draw.

const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const SPANS = { light: [0.85, 0.1], dark: [0.95, 0.35] };
const MARGIN = { left: 58, right: 14, top: 18, bottom: 40 };
const HEIGHT = 340;
const DEEPEST = 1e-7; // the smallest part of the largest loss that is drawn, as in a report

const EVALUATIONS = 1, SIZE = 2, LOSS = 3; // places in a point; a term's is LOSS + 1 + its place among the terms

const svg = (tag, attributes = {}, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

const mixed = (place) => {
  const at = Math.min(Math.max(place, 0), 1) * (VIRIDIS.length - 1), low = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const channel = (color, index) => parseInt(color.slice(1 + 2 * index, 3 + 2 * index), 16);
  const part = (index) => Math.round(channel(VIRIDIS[low], index) * (low + 1 - at) + channel(VIRIDIS[low + 1], index) * (at - low));
  return `rgb(${part(0)}, ${part(1)}, ${part(2)})`;
};

const superscript = (number) => String(number).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);

export const readable = (value) => {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e5 || size < 1e-3 ? value.toExponential(3) : String(Number(value.toPrecision(4)));
  return text.replace(/\.?0+e/, "e").replace("e+", "e").replaceAll("-", "−");
};

export class Curves {
  constructor(box) {
    this.names = [];
    this.points = [];
    this.hidden = new Set();
    this.pointed = null;
    this.drawing = svg("svg", { role: "img", "aria-label": "The loss and its terms against evaluations", class: "chart" });
    this.legend = document.createElement("div");
    this.legend.className = "legend";
    box.replaceChildren(this.drawing, this.legend);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => { this.legended = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(box);
    this.drawing.addEventListener("pointermove", (event) => this.point(event));
    this.drawing.addEventListener("pointerleave", () => { this.pointed = null; this.mark(); });
  }

  show(terms, points) {
    this.names = ["loss", ...terms];
    this.points = points;
    this.draw();
  }

  value(point, index) {
    const value = point[LOSS + index];
    return value !== null && value > 0 && value < 1e100 ? value : null;
  }

  color(index) {
    const styles = this.names.filter((name) => name.startsWith("style"));
    const place = styles.indexOf(this.names[index]);
    if (place < 0) return null;
    const [from, to] = this.dark.matches ? SPANS.dark : SPANS.light;
    return mixed(styles.length < 2 ? from : from + ((to - from) * place) / (styles.length - 1));
  }

  kind(index) {
    const name = this.names[index];
    return index === 0 ? "total" : name.startsWith("content") ? "content" : name.startsWith("style") ? "style" : "other";
  }

  shown() {
    return this.names.map((_, index) => index).filter((index) => !this.hidden.has(this.names[index]));
  }

  range(indices) {
    let lowest = Infinity, highest = 0;
    for (const index of indices) {
      for (const point of this.points) {
        const value = this.value(point, index);
        if (value !== null) { lowest = Math.min(lowest, value); highest = Math.max(highest, value); }
      }
    }
    if (!highest) return null;
    lowest = Math.max(lowest, highest * DEEPEST);
    return highest / lowest < 1.05 ? [lowest / 1.3, highest * 1.3] : [lowest * 0.8, highest * 1.25];
  }

  draw() {
    const width = Math.max(260, this.drawing.parentElement?.clientWidth ?? 0);
    const indices = this.shown(), range = this.range(indices);
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.drawing.setAttribute("height", HEIGHT);
    this.drawing.replaceChildren();
    this.drawLegend();
    if (!range) {
      this.drawing.append(svg("text", { x: width / 2, y: HEIGHT / 2, class: "tick", "text-anchor": "middle" }, "no iteration yet"));
      return;
    }
    const last = Math.max(this.points.at(-1)[EVALUATIONS], 1), first = Math.min(this.points[0][EVALUATIONS], last - 1);
    const [low, high] = range.map(Math.log10);
    this.x = (value) => MARGIN.left + ((value - first) / (last - first)) * (width - MARGIN.left - MARGIN.right);
    this.y = (value) => HEIGHT - MARGIN.bottom - ((Math.log10(value) - low) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
    this.width = width;
    this.drawAxes(first, last, low, high);
    this.drawScales();
    for (const index of indices.toReversed()) this.drawLine(index, range[0]);
    this.cross = svg("g", { class: "cross" });
    this.drawing.append(this.cross);
    this.mark();
  }

  drawAxes(first, last, low, high) {
    const bottom = HEIGHT - MARGIN.bottom, right = this.width - MARGIN.right;
    const steps = high - low > 6 ? [1] : high - low > 1.6 ? [1] : [1, 2, 5];
    const every = Math.ceil((high - low) / 7);
    for (let decade = Math.floor(low); decade <= Math.ceil(high); decade++) {
      if (steps.length === 1 && decade % every) continue;
      for (const step of steps) {
        const value = step * 10 ** decade, y = this.y(value);
        if (y < MARGIN.top || y > bottom) continue;
        this.drawing.append(svg("line", { x1: MARGIN.left, x2: right, y1: y, y2: y, class: "rule" }));
        const label = decade >= -2 && decade <= 3 ? readable(value) : `${step > 1 ? `${step}·` : ""}10${superscript(decade)}`;
        this.drawing.append(svg("text", { x: MARGIN.left - 7, y: y + 4, class: "tick", "text-anchor": "end" }, label));
      }
    }
    const wanted = Math.max(2, Math.floor((right - MARGIN.left) / 90)), raw = (last - first) / wanted, power = 10 ** Math.floor(Math.log10(raw));
    const step = Math.max(1, [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw));
    for (let value = Math.ceil(first / step) * step; value <= last; value += step) {
      this.drawing.append(svg("line", { x1: this.x(value), x2: this.x(value), y1: bottom, y2: bottom + 4, class: "axis" }));
      this.drawing.append(svg("text", { x: this.x(value), y: bottom + 17, class: "tick", "text-anchor": "middle" }, String(value)));
    }
    this.drawing.append(svg("line", { x1: MARGIN.left, x2: right, y1: bottom, y2: bottom, class: "axis" }));
    const middle = (MARGIN.left + right) / 2;
    this.drawing.append(svg("text", { x: middle, y: HEIGHT - 6, class: "tick", "text-anchor": "middle" }, "evaluations of loss and gradient"));
  }

  // A dotted line where the image was enlarged: losses at different sizes do not compare.
  drawScales() {
    const sizes = new Set(this.points.map((point) => point[SIZE]));
    if (sizes.size < 2) return;
    this.points.forEach((point, at) => {
      const before = this.points[at - 1];
      if (before && before[SIZE] === point[SIZE]) return;
      const x = this.x(point[EVALUATIONS]);
      if (before) this.drawing.append(svg("line", { x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, class: "enlarged" }));
      this.drawing.append(svg("text", { x: x + 3, y: MARGIN.top - 6, class: "tick" }, before ? String(point[SIZE]) : `${point[SIZE]} px`));
    });
  }

  drawLine(index, lowest) {
    let path = "", pen = false, before = null, drawn = 0;
    for (const point of this.points) {
      const value = this.value(point, index);
      pen = pen && value !== null && before === point[SIZE];
      before = point[SIZE];
      if (value === null) continue;
      path += `${pen ? "L" : "M"}${this.x(point[EVALUATIONS]).toFixed(1)} ${this.y(Math.max(value, lowest)).toFixed(1)}`;
      pen = true;
      drawn++;
    }
    if (drawn === 1) path += "h0.01"; // a point
    const line = svg("path", { d: path, class: `line ${this.kind(index)}`, "data-term": this.names[index], "data-points": drawn });
    if (this.color(index)) line.style.stroke = this.color(index);
    this.drawing.append(line);
  }

  drawLegend() {
    const key = JSON.stringify(this.names);
    if (this.legended !== key) {
      this.legended = key;
      this.entries = this.names.map((name, index) => {
        const entry = document.createElement("button"), swatch = svg("svg", { viewBox: "0 0 22 8", class: "swatch", "aria-hidden": "true" });
        const stroke = svg("path", { d: "M0 4H22", class: `line ${this.kind(index)}` });
        if (this.color(index)) stroke.style.stroke = this.color(index);
        swatch.append(stroke);
        const label = document.createElement("span"), value = document.createElement("output");
        label.textContent = name;
        entry.type = "button";
        entry.append(swatch, label, value);
        entry.addEventListener("click", () => {
          if (!this.hidden.delete(name)) this.hidden.add(name);
          this.draw();
        });
        return entry;
      });
      this.where = document.createElement("p");
      this.where.className = "where";
      this.legend.replaceChildren(this.where, ...this.entries);
    }
    this.entries.forEach((entry, index) => entry.setAttribute("aria-pressed", String(!this.hidden.has(this.names[index]))));
    this.mark();
  }

  point(event) {
    if (!this.points.length || !this.x) return;
    const box = this.drawing.getBoundingClientRect(), x = ((event.clientX - box.left) / box.width) * this.width;
    let nearest = 0, distance = Infinity;
    this.points.forEach((point, at) => {
      const away = Math.abs(this.x(point[EVALUATIONS]) - x);
      if (away < distance) { nearest = at; distance = away; }
    });
    this.pointed = nearest;
    this.mark();
  }

  // What the legend says: the values where the pointer is, else the newest.
  mark() {
    const at = this.pointed !== null && this.points[this.pointed] ? this.pointed : this.points.length - 1, point = this.points[at];
    this.entries?.forEach((entry, index) => { entry.lastChild.textContent = point ? readable(point[LOSS + index]) : ""; });
    if (this.where) this.where.textContent = point ? `At iteration ${point[0]}, evaluation ${point[EVALUATIONS]}` : "";
    if (!this.cross) return;
    this.cross.replaceChildren();
    if (this.pointed !== null && point) {
      const x = this.x(point[EVALUATIONS]);
      this.cross.append(svg("line", { x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, class: "pointer" }));
    }
  }
}
