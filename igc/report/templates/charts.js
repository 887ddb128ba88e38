// Region profiles, curves, and the table of yardsticks.

const SHAPES = ["circle", "square", "diamond", "up", "down", "cross", "bar"];
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];

function marker(shape, x, y, size, fill, open) {
  const points = {
    diamond: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
    up: [[0, -1.2], [1.15, 0.95], [-1.15, 0.95]],
    down: [[0, 1.2], [1.15, -0.95], [-1.15, -0.95]],
    square: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
    cross: [[-0.4, -1.2], [0.4, -1.2], [0.4, -0.4], [1.2, -0.4], [1.2, 0.4], [0.4, 0.4], [0.4, 1.2], [-0.4, 1.2], [-0.4, 0.4], [-1.2, 0.4], [-1.2, -0.4], [-0.4, -0.4]],
    bar: [[-0.5, -1.3], [0.5, -1.3], [0.5, 1.3], [-0.5, 1.3]],
  };
  const style = { fill: open ? "#fff" : fill, stroke: fill, "stroke-width": 1.5 };
  if (shape === "circle") return draw("circle", { cx: x, cy: y, r: size, ...style });
  const corners = points[shape].map(([a, b]) => `${x + a * size},${y + b * size}`).join(" ");
  return draw("polygon", { points: corners, ...style });
}

// Colour and shape belong to a method, open marks and dashes to a model, whatever else is chosen.
function lookOf(study, result) {
  const models = state.model === ALL ? study.models.findIndex((one) => one.name === result.model) : 0;
  if (result.method === LOOK.random) return { colour: LOOK.grey, shape: "bar", open: true, dash: DASHES[2] };
  const k = Math.max(0, study.methods.findIndex((one) => one.name === result.method));
  const dash = DASHES[(models + Math.floor(k / LOOK.palette.length)) % DASHES.length];
  return { colour: LOOK.palette[k % LOOK.palette.length], shape: SHAPES[k % SHAPES.length], open: models % 2 === 1, dash };
}

function labelOf(study, result) {
  const method = study.methods.find((one) => one.name === result.method);
  const model = study.models.find((one) => one.name === result.model);
  const name = method ? method.label : result.method === LOOK.random ? "random ranking" : result.method;
  return state.model === ALL && model ? `${name} \u00b7 ${model.label}` : name;
}

function legendOf(study, series, lines) {
  const list = make("ul", { class: "legend" });
  for (const one of series) {
    const look = lookOf(study, one);
    const icon = draw("svg", { width: lines ? 30 : 14, height: 14, "aria-hidden": "true" });
    if (lines) icon.append(draw("line", { x1: 0, x2: 30, y1: 7, y2: 7, stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dash }));
    icon.append(marker(look.shape, lines ? 15 : 7, 7, 4, look.colour, look.open));
    list.append(make("li", {}, icon, labelOf(study, one)));
  }
  return list;
}

function ticksOf(low, high, count) {
  const raw = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((one) => one >= raw);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + 1e-9 * step; k += 1) found.push(k * step);
  return found;
}

function shorten(text, room) {
  const most = Math.max(4, Math.floor(room / 7));
  return text.length <= most ? text : `${text.slice(0, Math.ceil(most / 2) - 1)}\u2026${text.slice(text.length - Math.floor(most / 2))}`;
}

// rows: names of regions; series: {result, value (row), error (row)}
function drawProfile(host, study, rows, series, unit) {
  const width = Math.max(280, host.clientWidth);
  const left = Math.min(170, width * 0.3);
  const step = Math.max(9, Math.min(14, 60 / series.length));
  const rowTall = Math.max(24, step * series.length + 10);
  const height = rows.length * rowTall + 48;
  const edges = series.flatMap((one) => one.value.flatMap((value, k) => [value - (one.error[k] || 0), value + (one.error[k] || 0)]));
  const low = Math.min(0, ...edges);
  const high = Math.max(0, ...edges, low + 1e-12);
  const x = (value) => left + 10 + ((value - low) / (high - low)) * (width - left - 30);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Sums over ${rows.length} regions for ${series.length} maps; the numbers are in the table below` });
  rows.forEach((name, row) => {
    const top = row * rowTall;
    if (row % 2 === 0) svg.append(draw("rect", { x: 0, y: top, width, height: rowTall, fill: "#f6f7f8" }));
    const text = draw("text", { x: left, y: top + rowTall / 2 + 4, "text-anchor": "end" }, shorten(name, left));
    text.append(draw("title", {}, name));
    svg.append(text);
  });
  for (const tick of ticksOf(low, high, width < 500 ? 3 : 6)) {
    svg.append(draw("line", { x1: x(tick), x2: x(tick), y1: 0, y2: rows.length * rowTall, stroke: tick === 0 ? "#222" : "#ddd" }));
    svg.append(draw("text", { x: x(tick), y: rows.length * rowTall + 16, "text-anchor": "middle", class: "soft" }, number(Number(tick.toPrecision(6)))));
  }
  series.forEach((one, k) => {
    const look = lookOf(study, one.result);
    one.value.forEach((value, row) => {
      if (value === null) return;
      const y = row * rowTall + rowTall / 2 + (k - (series.length - 1) / 2) * step;
      const group = draw("g", {}, draw("title", {}, `${labelOf(study, one.result)}, ${rows[row]}: ${number(value)}`));
      if (one.error[row]) group.append(draw("line", { x1: x(value - one.error[row]), x2: x(value + one.error[row]), y1: y, y2: y, stroke: look.colour, "stroke-width": 1.5 }));
      group.append(marker(look.shape, x(value), y, 3.6, look.colour, look.open));
      svg.append(group);
    });
  });
  svg.append(draw("text", { x: (left + width) / 2, y: height - 6, "text-anchor": "middle", class: "soft" }, unit));
  host.replaceChildren(legendOf(study, series.map((one) => one.result), false), svg);
}

function profileTable(study, rows, series) {
  const head = make("tr", {}, make("th", { scope: "col" }, "region"));
  for (const one of series) head.append(make("th", { scope: "col" }, labelOf(study, one.result)));
  const body = make("tbody");
  rows.forEach((name, row) => {
    const line = make("tr", {}, make("th", { scope: "row" }, name));
    for (const one of series) line.append(make("td", {}, number(one.value[row]), ...(one.error[row] ? [make("small", {}, ` \u00b1 ${number(one.error[row])}`)] : [])));
    body.append(line);
  });
  return make("table", {}, make("thead", {}, head), body);
}

// series: {model, method, points: [[x, value, se]]}
function drawCurves(host, study, series, xLabel, yLabel) {
  const width = Math.max(280, Math.min(host.clientWidth, 900));
  const height = Math.min(420, Math.max(260, width * 0.5));
  const [left, right, top, bottom] = [52, 14, 10, 44];
  const all = series.flatMap((one) => one.points);
  const xs = all.map((point) => point[0]);
  const ys = all.flatMap((point) => [point[1] - (point[2] || 0), point[1] + (point[2] || 0)]);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(0, ...ys), Math.max(...ys)];
  const x = (value) => left + ((value - x0) / (x1 - x0 || 1)) * (width - left - right);
  const y = (value) => height - bottom - ((value - y0) / (y1 - y0 || 1)) * (height - top - bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${yLabel} by ${xLabel}, ${series.length} curves`, style: "max-width: 900px" });
  for (const tick of ticksOf(y0, y1, 5)) {
    svg.append(draw("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), stroke: "#ddd" }));
    svg.append(draw("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end", class: "soft" }, number(Number(tick.toPrecision(6)))));
  }
  for (const tick of ticksOf(x0, x1, 5)) svg.append(draw("text", { x: x(tick), y: height - bottom + 18, "text-anchor": "middle", class: "soft" }, number(Number(tick.toPrecision(6)))));
  for (const one of series) {
    const look = lookOf(study, one);
    const upper = one.points.map((p) => `${x(p[0])},${y(p[1] + (p[2] || 0))}`);
    const lower = one.points.map((p) => `${x(p[0])},${y(p[1] - (p[2] || 0))}`).reverse();
    svg.append(draw("polygon", { points: [...upper, ...lower].join(" "), fill: look.colour, opacity: 0.12 }));
  }
  for (const one of series) {
    const look = lookOf(study, one);
    const group = draw("g", {}, draw("title", {}, labelOf(study, one)));
    group.append(draw("polyline", { points: one.points.map((p) => `${x(p[0])},${y(p[1])}`).join(" "), fill: "none", stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dash }));
    for (const p of one.points) group.append(marker(look.shape, x(p[0]), y(p[1]), 3, look.colour, look.open));
    svg.append(group);
  }
  svg.append(draw("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle", class: "soft" }, xLabel));
  host.replaceChildren(legendOf(study, series, true), svg);
}

// rows: [model, method, yardstick, reference, better, value, se]; sorting: key of the column that sorts, or ""
function yardstickTable(study, rows, sorting, sortBy) {
  const columns = [...new Map(rows.map((row) => [`${row[2]}|${row[3]}`, row])).entries()];
  const lines = new Map();
  for (const row of rows) {
    const key = `${row[0]}|${row[1]}`;
    if (!lines.has(key)) lines.set(key, { model: row[0], method: row[1], cells: new Map() });
    lines.get(key).cells.set(`${row[2]}|${row[3]}`, row);
  }
  const sign = (row) => (row[4] === "higher" ? -1 : 1);
  const ranked = [...lines.values()].sort((a, b) => order(a.method) - order(b.method));
  if (sorting) {
    const key = (line) => { const row = line.cells.get(sorting); return row && row[5] !== null ? sign(row) * row[5] : Infinity; };
    ranked.sort((a, b) => key(a) - key(b) || 0);
  }
  const head = make("tr", {}, make("th", { scope: "col" }, "method"));
  for (const [key, row] of columns) {
    const better = row[4] === "higher" ? "\u2191" : "\u2193";
    const button = make("button", { type: "button", "data-sort": key, title: `${LOOK.yardsticks[row[2]] || row[2]}; ${row[4]} is better` });
    button.append(row[2].replaceAll("_", " "), make("br"), make("small", {}, `${row[3]} ${better}`));
    button.addEventListener("click", () => sortBy(key));
    head.append(make("th", { scope: "col", "aria-sort": key === sorting ? (row[4] === "higher" ? "descending" : "ascending") : null }, button));
  }
  const body = make("tbody");
  for (const line of ranked) {
    const tr = make("tr", {}, make("th", { scope: "row" }, labelOf(study, line)));
    for (const [key] of columns) {
      const row = line.cells.get(key);
      if (!row || row[5] === null) { tr.append(make("td", {}, "\u2013")); continue; }
      const rivals = ranked.filter((one) => one.method !== LOOK.random).map((one) => one.cells.get(key)).filter((one) => one && one[5] !== null);
      const best = line.method !== LOOK.random && rivals.length > 1 && rivals.every((one) => sign(one) * one[5] >= sign(row) * row[5]);
      tr.append(make("td", { class: best ? "best" : null }, number(row[5]), ...(row[6] ? [make("small", {}, ` \u00b1 ${number(row[6])}`)] : [])));
    }
    body.append(tr);
  }
  return make("table", {}, make("thead", {}, head), body);
}
