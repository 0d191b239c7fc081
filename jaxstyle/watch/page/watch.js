// The page: asks for what is new, and changes only what differs. Words of the records become text, never elements.
import { Curves } from "./curves.js";

const LIVE = 1000, STILL = 8000; // milliseconds between questions while something runs, and otherwise
const TALLEST = 80; // hundredths of the window's height that the image takes
const main = document.querySelector("#main"), trouble = document.querySelector("#trouble");

const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const hide = (element, hidden) => { if (element.hidden !== hidden) element.hidden = hidden; };

const duration = (seconds) => {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
};

const percent = (fraction) => `${Math.floor(100 * fraction)} %`;
const address = (run, image, small) => `runs/${run}/${encodeURIComponent(image.name)}?${small ? "small&" : ""}v=${image.version}`;

// A new image takes the place of the one before only once it is there.
const display = (element, source) => {
  if (element.dataset.wanted === source) return;
  element.dataset.wanted = source;
  const next = new Image();
  next.onload = () => { if (element.dataset.wanted === source) { element.src = source; element.hidden = false; } };
  next.onerror = () => { if (element.dataset.wanted === source) delete element.dataset.wanted; };
  next.src = source;
};

const WORDS = {
  stopped: "stopped: its process is gone",
  silent: "no news",
  "not begun": "not begun",
  unreadable: "cannot be read",
};
const pill = () => make("span", { className: "status" });
const setPill = (element, run) => {
  write(element, WORDS[run.state] ?? run.state);
  const kind = run.bad ? "status bad" : run.state === "running" ? "status running" : "status";
  if (element.className !== kind) element.className = kind;
};

const facts = (run) => {
  const said = [];
  if (run.iterations && run.state !== "not begun") said.push(`iteration ${run.iteration} of ${run.iterations}`);
  if (run.evaluations !== null && run.evaluations !== undefined) said.push(`${run.evaluations} evaluations`);
  if (run.loss !== "–") said.push(`loss ${run.loss}`);
  if (run.seconds) said.push(duration(run.seconds));
  if (run.left !== null && run.iteration) said.push(`about ${duration(run.left)} left`);
  return said.join(" · ");
};

// ---- one run

class RunView {
  constructor(id) {
    this.id = id;
    this.tag = null;
    this.generation = "";
    this.points = [];
    this.next = 0;
    this.images = [];
    this.follows = true;
    this.title = make("h1");
    this.status = pill();
    this.summary = make("p", { className: "summary" });
    this.bar = make("progress", { max: 1, value: 0, ariaLabel: "Progress of the run" });
    this.error = make("p", { className: "error", hidden: true });
    this.back = make("a", { href: "#", className: "back", textContent: "← all runs" });
    this.image = make("img", { alt: "The image so far", className: "so-far", hidden: true });
    this.none = make("div", { className: "missing", textContent: "no image yet" });
    this.slider = make("input", { type: "range", min: 0, max: 0, step: 1, value: 0, ariaLabel: "Saved iterations" });
    this.at = make("output");
    this.newest = make("button", { type: "button", textContent: "newest" });
    this.saved = make("div", { className: "saved" }, this.slider, make("div", {}, this.at, this.newest));
    this.box = make("div", {}, this.image, this.none, this.saved);
    this.image.addEventListener("load", () => {
      this.box.style.maxWidth = `${(TALLEST * this.image.naturalWidth) / this.image.naturalHeight}vh`;
    });
    this.sources = make("div", { className: "beside" });
    const box = make("figure", { className: "curves" });
    this.curves = new Curves(box);
    this.settings = make("dl", { className: "pairs" });
    this.facts = make("dl", { className: "pairs" });
    this.slider.addEventListener("input", () => {
      this.follows = this.slider.valueAsNumber === this.images.length - 1;
      this.showImage();
    });
    this.newest.addEventListener("click", () => { this.follows = true; this.showImages(this.images); });
    this.element = make("article", { className: "run" },
      make("header", {}, this.back, make("p", { className: "eyebrow", textContent: "jaxstyle watch" }), this.title,
        make("p", { className: "summary" }, this.status, " ", this.summary), this.bar, this.error),
      make("div", { className: "stage-and-sources" }, this.box, this.sources),
      make("h2", { textContent: "Loss" }), box,
      make("h2", { textContent: "Record" }), this.facts,
      make("details", {}, make("summary", { textContent: "Settings" }), this.settings));
  }

  showSummary(run, group, alone) {
    hide(this.back, alone);
    this.iteration = run.iteration;
    write(this.title, group.sweep ? `(${run.letter}) ${run.label}` : group.title);
    setPill(this.status, run);
    write(this.summary, facts(run));
    this.bar.value = run.fraction;
    hide(this.error, !run.error);
    write(this.error, run.error);
  }

  async load() {
    const asked = `runs/${this.id}?from=${this.next}&generation=${encodeURIComponent(this.generation)}`;
    const found = await ask(asked, this);
    if (!found) return;
    if (found.first === 0) this.points = [];
    this.points = this.points.concat(found.points);
    this.generation = found.generation;
    this.next = found.next;
    this.curves.show(found.terms, this.points);
    this.showImages(found.images);
    this.showSources(found.sources);
    this.showPairs(this.settings, found.settings);
    this.showPairs(this.facts, [["folder", found.folder], ...found.facts]);
  }

  showImages(images) {
    this.images = images;
    this.slider.max = Math.max(0, images.length - 1);
    if (this.follows) this.slider.value = images.length - 1;
    hide(this.saved, images.length < 2);
    hide(this.none, images.length > 0);
    this.showImage();
  }

  showImage() {
    const image = this.images[this.slider.valueAsNumber];
    if (!image) return;
    display(this.image, address(this.id, image));
    const said = image.result ? `result, iteration ${this.iteration}` : `iteration ${image.iteration}`;
    write(this.at, said);
    this.slider.setAttribute("aria-valuetext", said);
    hide(this.newest, this.follows);
  }

  showSources(sources) {
    const key = JSON.stringify(sources);
    if (this.sourced === key) return;
    this.sourced = key;
    this.sources.replaceChildren(...sources.map((source) => make("figure", {},
      source.image
        ? make("img", { alt: source.role, src: address(this.id, source.image) })
        : make("div", { className: "missing", textContent: "not in this record" }),
      make("figcaption", {}, make("span", { className: "letter", textContent: source.role }),
        make("span", { className: "facts", textContent: source.name })))));
  }

  showPairs(list, pairs) {
    const key = JSON.stringify(pairs);
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(...pairs.map(([name, value]) =>
      make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))));
  }
}

// ---- a run in a sheet or a list

class Card {
  constructor(run) {
    this.image = make("img", { alt: "", hidden: true });
    this.none = make("div", { className: "missing" });
    this.bar = make("progress", { max: 1, value: 0 });
    this.letter = make("span", { className: "letter" });
    this.name = make("span", { className: "name" });
    this.status = pill();
    this.facts = make("span", { className: "facts" });
    this.element = make("figure", { className: "card" },
      make("a", { href: `#${run.id}` }, make("div", { className: "frame" }, this.image, this.none, this.bar),
        make("figcaption", {}, this.letter, " ", this.name, " ", this.status, this.facts)));
  }

  show(run, label, group) {
    write(this.letter, group.sweep ? `(${run.letter})` : "");
    write(this.name, label);
    this.image.alt = label;
    setPill(this.status, run);
    hide(this.status, run.ended || run.state === "not begun");
    const said = run.state === "running" && run.left !== null && run.iteration ? [`about ${duration(run.left)} left`] : [];
    write(this.facts, [...(run.loss !== "–" ? [`loss ${run.loss}`] : []), ...said].join(" · "));
    this.bar.value = run.fraction;
    hide(this.bar, run.state !== "running");
    hide(this.none, Boolean(run.image));
    write(this.none, run.error || (run.state === "running" ? "no image yet" : WORDS[run.state] ?? run.state));
    if (run.image) display(this.image, address(run.id, run.image, true));
    else hide(this.image, true);
  }
}

class GroupView {
  constructor() {
    this.title = make("h2");
    this.status = make("p", { className: "summary" });
    this.bar = make("progress", { max: 1, value: 0, ariaLabel: "Progress of the sweep" });
    this.body = make("div");
    this.element = make("section", { className: "group" }, this.title, this.status, this.bar, this.body);
    this.cards = new Map();
  }

  show(group, heading) {
    if (this.title.localName !== heading) {
      const title = make(heading);
      this.title.replaceWith(title);
      this.title = title;
    }
    write(this.title, group.title);
    hide(this.title, !group.title);
    const counted = group.counts.map(([state, count]) => `${count} ${WORDS[state] ?? state}`);
    const left = group.left === null ? [] : [`about ${duration(group.left)} left`];
    write(this.status, group.sweep ? [`${group.runs.length} members`, ...counted, percent(group.fraction), ...left].join(" · ") : "");
    hide(this.status, !group.sweep);
    hide(this.bar, !group.sweep || !group.live);
    this.bar.value = group.fraction;
    const key = JSON.stringify([group.sheets, group.runs.map((run) => run.id)]);
    if (this.key !== key) {
      this.key = key;
      this.cards = new Map(group.runs.map((run) => [run.id, this.cards.get(run.id) ?? new Card(run)]));
      this.labels = new Map();
      this.body.replaceChildren(...(group.sheets.length ? group.sheets.flatMap((sheet) => this.sheet(sheet, group)) : [this.grid(group)]));
    }
    for (const run of group.runs) {
      for (const [card, label] of this.places(run)) card.show(run, label, group);
    }
  }

  // The baseline of an ablation is in every row: each place has a card of its own.
  places(run) {
    return this.labels.get(run.id) ?? [[this.cards.get(run.id), run.label]];
  }

  grid(group) {
    return make("div", { className: "cards" }, ...group.runs.map((run) => this.cards.get(run.id).element));
  }

  sheet(sheet, group) {
    const columns = Math.max(...sheet.rows.map((row) => row.runs.length));
    const head = sheet.columns.length
      ? [make("thead", {},
          make("tr", {}, make("td"), make("th", { scope: "colgroup", colSpan: columns, className: "axis", textContent: sheet.across })),
          make("tr", {}, make("th", { className: "axis", textContent: sheet.down }),
            ...sheet.columns.map((label) => make("th", { scope: "col", textContent: label }))))]
      : [];
    const rows = sheet.rows.map((row) => make("tr", {}, make("th", { scope: "row", textContent: row.label }),
      ...row.runs.map((index, at) => {
        const run = group.runs[index], placed = this.labels.get(run.id) ?? [];
        const card = placed.length ? new Card(run) : this.cards.get(run.id);
        this.labels.set(run.id, [...placed, [card, row.captions[at] ?? run.label]]);
        return make("td", {}, card.element);
      }),
      ...Array.from({ length: columns - row.runs.length }, () => make("td"))));
    const kind = `sheet ${sheet.columns.length ? "grid" : "rows"} across${Math.min(columns, 9)}`;
    const table = make("div", { className: "wide" }, make("table", { className: kind }, ...head, make("tbody", {}, ...rows)));
    return sheet.heading ? [make("h3", { textContent: sheet.heading }), table] : [table];
  }
}

class AllView {
  constructor() {
    this.title = make("h1");
    this.header = make("header", {}, make("p", { className: "eyebrow", textContent: "jaxstyle watch" }), this.title);
    this.list = make("div");
    this.element = make("article", {}, this.header, this.list);
    this.groups = new Map();
  }

  // Runs that are alone stand together as one list.
  show(groups) {
    const single = groups.length === 1;
    const sweeps = groups.filter((group) => group.runs.length > 1 || group.sweep);
    const alone = groups.filter((group) => !sweeps.includes(group));
    const live = groups.filter((group) => group.live).length;
    write(this.title, `${groups.length} runs and sweeps${live ? `, ${live} under way` : ""}`);
    hide(this.title, single);
    const shown = [...sweeps];
    if (alone.length) {
      const runs = alone.map((group) => ({ ...group.runs[0], label: group.title }));
      shown.push({ id: "alone", title: sweeps.length ? "Single runs" : "", runs, sheets: [], counts: [], sweep: false, live: false, left: null, fraction: 0 });
    }
    const known = this.groups;
    this.groups = new Map(shown.map((group) => [group.id, known.get(group.id) ?? new GroupView()]));
    const wanted = [...this.groups.values()].map((view) => view.element);
    if (wanted.length !== this.list.children.length || wanted.some((element, at) => this.list.children[at] !== element)) {
      this.list.replaceChildren(...wanted);
    }
    for (const group of shown) this.groups.get(group.id).show(group, single ? "h1" : "h2");
  }
}

// ---- questions and answers

// Returns what is new; undefined where it is what the asker has got before.
const ask = async (path, asker) => {
  const answer = await fetch(path, { cache: "no-store", headers: asker.tag ? { "If-None-Match": asker.tag } : {} });
  if (answer.status === 304) return undefined;
  if (!answer.ok) throw new Error(`${answer.status}`);
  asker.tag = answer.headers.get("ETag");
  return answer.json();
};

let overview = null, view = null, timer = 0;
const all = new AllView();

const selected = () => {
  const runs = overview.groups.flatMap((group) => group.runs.map((run) => [run, group]));
  if (runs.length === 1) return runs[0];
  return runs.find(([run]) => `#${run.id}` === location.hash);
};

const put = (element) => { if (main.firstElementChild !== element || main.children.length > 1) main.replaceChildren(element); };

const show = async () => {
  if (!overview?.groups.length) return;
  const found = selected();
  if (!found) {
    view = null;
    put(all.element);
    all.show(overview.groups);
    document.title = `${percent(overview.groups[0].fraction)} · ${overview.groups[0].title}`;
    return;
  }
  const [run, group] = found;
  if (view?.id !== run.id) view = new RunView(run.id);
  put(view.element);
  view.showSummary(run, group, overview.groups.length === 1 && group.runs.length === 1);
  document.title = `${run.ended ? run.state : percent(run.fraction)} · ${group.sweep ? run.label : group.title}`;
  await view.load();
};

const update = async () => {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    overview = (await ask("runs", all)) ?? overview;
    await show();
    hide(trouble, true);
  } catch (error) {
    write(trouble, "The server does not answer; it may have ended. What is shown is the last that was heard.");
    hide(trouble, false);
  }
  clearTimeout(timer);
  timer = setTimeout(update, overview?.live || !overview?.groups.length || !trouble.hidden ? LIVE : STILL);
};

addEventListener("hashchange", () => { update(); scrollTo(0, 0); });
document.addEventListener("visibilitychange", update);
update();
