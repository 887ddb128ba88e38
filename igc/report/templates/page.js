// The state of the page, its controls, and what is drawn from it.

const byId = (id) => document.getElementById(id);
const ALL = "all models";
const state = { study: 0, model: "", target: 0, methods: new Set(), scale: "same", contrast: 0, outline: "", set: "", curve: "", plane: 2, slice: 0, montage: false, order: "", cursor: null };
let cards = [];
let layout = null;

const study = () => PAGE.studies[state.study];
const models = () => (state.model === ALL ? study().models.map((one) => one.name) : [state.model]);
const inModel = () => study().results.filter((one) => models().includes(one.model));
const shown = () => inModel().filter((one) => state.methods.has(one.method)).sort((a, b) => rank(a) - rank(b));
const rank = (one) => study().methods.findIndex((method) => method.name === one.method);

function fill(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, label]) => make("option", { value }, label)));
  select.value = chosen;
  select.disabled = entries.length < 2;
}

// --- the chosen view in the address, so that it can be kept and sent ---

function remember() {
  const kept = new URLSearchParams({
    study: study().name, model: state.model, target: study().targets[state.target], methods: [...state.methods].join(","), scale: state.scale,
  });
  try { window.location.replace(`#${kept}`); } catch { /* pages inside other pages may not change their address */ }
}

function recall() {
  const kept = new URLSearchParams(window.location.hash.slice(1));
  const place = PAGE.studies.findIndex((one) => one.name === kept.get("study"));
  chooseStudy(Math.max(0, place));
  if (place < 0) return;
  const model = kept.get("model");
  if (model === ALL || study().models.some((one) => one.name === model)) state.model = model;
  state.target = Math.max(0, study().targets.indexOf(kept.get("target")));
  const methods = (kept.get("methods") || "").split(",").filter((name) => study().methods.some((one) => one.name === name));
  if (kept.has("methods")) state.methods = new Set(methods);
  if (["same", "unit"].includes(kept.get("scale"))) state.scale = kept.get("scale");
}

// --- controls ---

function strongestSlice() {
  const { geometry } = study();
  const first = shown().find((one) => one.map) || study().results.find((one) => one.map);
  const sums = new Array(geometry.shape[state.plane]).fill(0);
  if (!first) return Math.floor(sums.length / 2);
  const map = mapOf(first.map, state.target);
  const [, ny, nz] = geometry.shape;
  codes(geometry.place).forEach((where, k) => {
    const at = [Math.floor(where / (ny * nz)), Math.floor(where / nz) % ny, where % nz];
    sums[at[state.plane]] += Math.abs(map[k]) || 0;
  });
  return sums.indexOf(Math.max(...sums));
}

function chooseStudy(place) {
  state.study = place;
  const own = study();
  const runs = (one) => own.results.filter((result) => result.model === one.name).length;
  state.model = [...own.models].sort((a, b) => runs(b) - runs(a))[0].name;
  state.target = 0;
  state.methods = new Set(inModel().sort((a, b) => rank(a) - rank(b)).slice(0, 6).map((one) => one.method));
  [state.outline, state.order, state.cursor] = ["", "", null];
  if (own.geometry.kind !== "volume") return;
  const flat = own.geometry.shape.indexOf(1);
  state.plane = flat < 0 ? 2 : flat;
  state.slice = strongestSlice();
}

function showMethods() {
  const present = new Set(inModel().map((one) => one.method));
  byId("methods").replaceChildren(...study().methods.map((method) => {
    const box = make("input", { type: "checkbox", value: method.name });
    box.checked = state.methods.has(method.name);
    box.addEventListener("change", () => { state.methods[box.checked ? "add" : "delete"](method.name); show(); });
    const icon = draw("svg", { width: 14, height: 14, "aria-hidden": "true" });
    const look = lookOf(study(), { model: study().models[0].name, method: method.name });
    icon.append(marker(look.shape, 7, 7, 4.2, look.colour, false));
    const label = make("label", { class: present.has(method.name) ? null : "absent" }, box, icon, method.label);
    if (!present.has(method.name)) label.append(" (not here)");
    return label;
  }));
}

function showControls() {
  const own = study();
  fill(byId("study"), PAGE.studies.map((one, k) => [k, one.title]), state.study);
  const names = own.models.map((one) => [one.name, one.label]);
  fill(byId("model"), names.length > 1 ? [...names, [ALL, ALL]] : names, state.model);
  fill(byId("target"), own.targets.map((name, k) => [k, name]), state.target);
  const outlined = Object.keys(own.sets).filter((name) => own.sets[name].labels);
  fill(byId("outline"), [["", "none"], ...outlined.map((name) => [name, name])], state.outline);
  byId("scale").value = state.scale;
  byId("contrast").value = state.contrast;
  showMethods();
  const deep = own.geometry.kind === "volume" && !own.geometry.shape.includes(1);
  for (const label of document.querySelectorAll(".deep")) label.hidden = !deep;
  if (!deep) return;
  byId("plane").value = state.plane;
  const depth = own.geometry.shape[state.plane];
  byId("slice").max = depth - 1;
  byId("slice").value = state.slice;
  byId("slice").disabled = state.montage;
  byId("montage").checked = state.montage;
  const place = own.geometry.corner[state.plane] + state.slice * own.geometry.size[state.plane];
  byId("slice-name").textContent = state.montage ? "" : `${"xyz"[state.plane]} = ${Math.round(place)} mm`;
}

// --- maps ---

function scaled(result) {
  const map = mapOf(result.map, state.target);
  const whole = result.magnitude[state.target];
  return state.scale === "same" && whole > 0 ? map.map((value) => value / whole) : map;
}

function limits(entries) {
  const factor = 2 ** state.contrast;
  const groups = new Map();
  for (const one of entries) {
    const key = state.scale === "same" ? "all" : one.result.shared;
    groups.set(key, [...(groups.get(key) || []), one.map]);
  }
  const found = new Map([...groups].map(([key, maps]) => [key, limitOf(maps, factor)]));
  return (result) => found.get(state.scale === "same" ? "all" : result.shared);
}

function unitOf(result) {
  return state.scale === "same" ? "share of the map's absolute sum" : result.unit;
}

function card(title, detail, map, limit, unit, link) {
  const canvas = make("canvas", { tabindex: 0, role: "img", "aria-label": `Map of ${title}. ${detail}. Colours from ${number(-limit)} to ${number(limit)}, ${unit}.`, "aria-describedby": "maps-hint" });
  const value = make("span", { class: "value" });
  const stops = LOOK.diverging.filter((_, k) => k % 15 === 0).join();
  const bar = make("div", { class: "bar", "aria-hidden": "true" }, make("i", { style: `background: linear-gradient(90deg, ${stops})` }), make("span", {}, number(-limit)), make("span", {}, "0"), make("span", {}, number(limit)));
  const caption = make("figcaption", {}, make("h3", {}, title), make("p", {}, detail));
  if (link) caption.append(make("p", {}, make("a", { href: link, title: "the map of the best predicted target, in an interactive viewer" }, "in three planes")));
  const figure = make("figure", {}, caption, canvas, bar, ...(state.scale === "same" ? [] : [make("p", { class: "hint" }, unit)]), value);
  const own = { figure, canvas, map, limit, value, title };
  canvas.addEventListener("pointermove", (event) => point(canvas, event));
  canvas.addEventListener("pointerdown", (event) => point(canvas, event));
  canvas.addEventListener("keydown", (event) => steer(event));
  return own;
}

function showMaps() {
  const own = study();
  layout = layoutOf(own.geometry, state);
  const entries = shown().filter((one) => one.map).map((result) => ({ result, map: scaled(result) }));
  const limit = limits(entries);
  cards = entries.map(({ result, map }) => {
    const [score, sum] = [result.score[state.target], result.sum[state.target]];
    const detail = result.complete ? `sums to r = ${number(score)}` : `r = ${number(score)}, sum ${number(sum)}`;
    const viewer = own.viewers.find((one) => one[0] === result.model && one[1] === result.method);
    return card(labelOf(own, result), detail, map, limit(result), unitOf(result), viewer && viewer[2]);
  });
  if (own.truth && entries.length) {
    const map = mapOf(own.truth, state.target);
    cards.push(card("planted truth", "what a map should find", map, limitOf([map], 1), "scaled to itself", null));
  }
  byId("maps").style.setProperty("--card", layout.aspect > 1.8 ? "19rem" : "13rem");
  byId("maps").style.setProperty("--card-small", layout.aspect > 1.8 ? "100%" : "9.5rem");
  byId("maps").replaceChildren(...cards.map((one) => one.figure));
  if (!cards.length) byId("maps").append(make("p", {}, shown().length ? "The maps of this study are not in the page." : "Choose a method that this model has."));
  const fades = own.geometry.kind === "volume" ? ` Values below ${Math.round(100 * LOOK.fade)} % of the limit fade into the mean image; left is on the left.` : "";
  byId("maps-hint").textContent = `${state.scale === "same" ? "Each map is divided by the sum of its absolute values, and all share one scale" : "Maps in one unit share a scale"}: red above zero, blue below.${fades} Point at a map, or focus it and use the arrow keys, to read the same place in all maps.`;
  repaint();
}

function repaint() {
  const set = study().sets[state.outline];
  const labels = set && set.labels ? codes(set.labels) : null;
  const component = state.cursor ? layout.component[state.cursor.row * layout.columns + state.cursor.column] : -1;
  for (const one of cards) {
    paintMap(one.canvas, layout, one.map, one.limit, labels, state.cursor);
    one.value.textContent = !state.cursor ? "" : component < 0 ? "outside" : `here: ${number(one.map[component])}`;
  }
}

function point(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left) / box.width) * layout.columns);
  const row = Math.floor(((event.clientY - box.top) / box.height) * layout.rows);
  if (column < 0 || row < 0 || column >= layout.columns || row >= layout.rows) return;
  if (state.cursor && state.cursor.column === column && state.cursor.row === row) return;
  state.cursor = { column, row };
  repaint();
}

function steer(event) {
  const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (event.key === "Escape") state.cursor = null;
  else if (!move) return;
  else {
    const far = event.shiftKey ? 5 : 1;
    const from = state.cursor || { row: Math.floor(layout.rows / 2), column: Math.floor(layout.columns / 2) };
    const keep = (value, count) => Math.max(0, Math.min(count - 1, value));
    state.cursor = { row: keep(from.row + far * move[0], layout.rows), column: keep(from.column + far * move[1], layout.columns) };
  }
  event.preventDefault();
  repaint();
  const place = state.cursor ? `Row ${state.cursor.row + 1}, column ${state.cursor.column + 1}. ` : "";
  byId("readout").textContent = place + cards.map((one) => `${one.title} ${one.value.textContent}`).join("; ");
}

// --- regions, curves, yardsticks ---

function showProfile() {
  const own = study();
  const sets = [...new Set(shown().flatMap((one) => Object.keys(one.regions)))];
  byId("profile-section").hidden = !sets.length;
  if (!sets.length) return;
  if (!sets.includes(state.set)) [state.set] = sets;
  fill(byId("set"), sets.map((name) => [name, name]), state.set);
  const comparable = shown().filter((one) => state.set in one.regions && (state.scale === "same" || one.complete));
  const left = shown().length - comparable.length;
  const rows = comparable.length ? comparable[0].regions[state.set].names : [];
  const series = comparable.map((result) => {
    const found = result.regions[state.set];
    const whole = state.scale === "same" ? result.magnitude[state.target] || 1 : 1;
    const pick = (values) => rows.map((name) => {
      const value = values[state.target][found.names.indexOf(name)];
      return value === null || value === undefined ? null : value / whole;
    });
    return { result, value: pick(found.value), error: pick(found.error) };
  });
  const meaning = comparable.length ? comparable[0].regions[state.set].meaning : "";
  const hidden = left ? ` ${left} of the chosen maps ${left > 1 ? "are" : "is"} left out: without sums over this set, or in a unit of its own.` : "";
  byId("profile-hint").textContent = `Sums of the maps over regions of interest. ${meaning ? `Lines: ${meaning}.` : ""}${hidden}`;
  byId("profile").replaceChildren();
  byId("profile-table").replaceChildren();
  if (!series.length) return;
  const unit = state.scale === "same" ? "share of the map's absolute sum" : comparable[0].unit;
  drawProfile(byId("profile"), own, rows, series, unit);
  byId("profile-table").append(profileTable(own, rows, series));
}

const AXES = { deletion: "share taken away", insertion: "share put in", score_deletion: "share taken away", sensitivity_n: "share of units in a subset", randomization: "share of layers with random weights" };
const ANSWERS = { score_deletion: "correlation of prediction and response", sensitivity_n: "correlation of sums with changes", randomization: "similarity of maps" };

// random rankings come last, as the floor
const order = (method) => (method === LOOK.random ? Infinity : rank({ method }));
const judged = (rows) => rows.filter((row) => models().includes(row[0]) && (state.methods.has(row[1]) || row[1] === LOOK.random));

function showCurves() {
  const own = study();
  const rows = own.curves.filter((row) => models().includes(row[0]));
  byId("curve-section").hidden = !rows.length;
  if (!rows.length) return;
  const kinds = [...new Set(rows.map((row) => `${row[2]}|${row[3]}`))];
  const first = kinds.includes("deletion|mean") ? "deletion|mean" : kinds[0];
  if (!kinds.includes(state.curve)) state.curve = first;
  fill(byId("curve"), kinds.map((key) => [key, key.replaceAll("_", " ").replace("|", ", ")]), state.curve);
  const series = new Map();
  for (const row of judged(rows).sort((a, b) => order(a[1]) - order(b[1]))) {
    if (`${row[2]}|${row[3]}` !== state.curve || row[5] === null) continue;
    const key = `${row[0]}|${row[1]}`;
    if (!series.has(key)) series.set(key, { model: row[0], method: row[1], points: [] });
    series.get(key).points.push([row[4], row[5], row[6]]);
  }
  const kind = state.curve.split("|")[0];
  const answer = ANSWERS[kind] || own.answer;
  byId("curve-hint").textContent = `Up: ${answer}. Bands: one standard error. What is taken away is replaced by: ${state.curve.split("|")[1]}. All targets together.`;
  byId("curves").replaceChildren();
  if (series.size) drawCurves(byId("curves"), own, [...series.values()], AXES[kind] || "x", answer);
}

function showYardsticks() {
  const rows = judged(study().yardsticks);
  byId("yardstick-section").hidden = !rows.length;
  const sortBy = (key) => {
    state.order = state.order === key ? "" : key;
    showYardsticks();
    byId("yardsticks").querySelector(`[data-sort="${key}"]`).focus();
  };
  byId("yardsticks").replaceChildren(...(rows.length ? [yardstickTable(study(), rows, state.order, sortBy)] : []));
}

function show() {
  const missing = [...state.methods].filter((name) => !inModel().some((one) => one.method === name)).length;
  const gone = missing ? `${missing} of the chosen methods ${missing > 1 ? "were" : "was"} not run on this model.` : "";
  byId("note").textContent = [study().note, gone].filter(Boolean).join(" ");
  showMaps();
  showProfile();
  showCurves();
  showYardsticks();
  remember();
}

// --- start ---

function listen() {
  const onChange = (id, change) => byId(id).addEventListener("input", () => { change(byId(id).value); showControls(); show(); });
  onChange("study", (value) => chooseStudy(Number(value)));
  onChange("model", (value) => { state.model = value; });
  onChange("target", (value) => { state.target = Number(value); });
  onChange("plane", (value) => { state.plane = Number(value); state.slice = strongestSlice(); state.cursor = null; });
  onChange("montage", () => { state.montage = byId("montage").checked; state.cursor = null; });
  for (const [id, change] of [["scale", (value) => { state.scale = value; }], ["contrast", (value) => { state.contrast = Number(value); }], ["outline", (value) => { state.outline = value; }]]) {
    byId(id).addEventListener("input", () => { change(byId(id).value); show(); });
  }
  byId("slice").addEventListener("input", () => { state.slice = Number(byId("slice").value); showControls(); showMaps(); });
  byId("set").addEventListener("input", () => { state.set = byId("set").value; showProfile(); });
  byId("curve").addEventListener("input", () => { state.curve = byId("curve").value; showCurves(); });
  const choose = (id, pick) => byId(id).addEventListener("click", () => { state.methods = new Set(inModel().filter(pick).map((one) => one.method)); showMethods(); show(); });
  choose("choose-all", () => true);
  choose("choose-closed", (one) => one.complete);
  choose("choose-none", () => false);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  let waiting = 0;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => { showProfile(); showCurves(); }, 120); });
}

recall();
byId("about").textContent = `${PAGE.studies.length} ${PAGE.studies.length > 1 ? "studies" : "study"}. Everything is inside this page; it needs no network.`;
listen();
showControls();
show();
