// Maps on canvases: all maps of a study share one layout, which says which component each pixel shows.

const SIDES = { 0: ["P", "A"], 1: ["L", "R"], 2: ["L", "R"] };
const TILES = 9;
const RGB = LOOK.diverging.map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));

function slicesOf(state, depth) {
  if (!state.montage || depth === 1) return [Math.min(state.slice, depth - 1)];
  const count = Math.min(TILES, depth);
  return Array.from({ length: count }, (_, k) => Math.round(((k + 0.5) * depth) / count - 0.5));
}

function layoutOfVolume(geometry, state) {
  const [nx, ny, nz] = geometry.shape;
  const place = codes(geometry.place);
  const shades = codes(geometry.background);
  const component = new Int32Array(nx * ny * nz).fill(-1);
  place.forEach((where, k) => { component[where] = k; });
  const axis = state.plane;
  const [across, up] = [[1, 2], [0, 2], [0, 1]][axis];
  const shape = geometry.shape;
  const slices = slicesOf(state, shape[axis]);
  const perRow = Math.ceil(Math.sqrt(slices.length));
  const gap = slices.length > 1 ? 1 : 0;
  const columns = perRow * (shape[across] + gap) - gap;
  const rows = Math.ceil(slices.length / perRow) * (shape[up] + gap) - gap;
  const layout = {
    columns, rows, component: new Int32Array(columns * rows).fill(-1), shade: new Uint8Array(columns * rows).fill(255),
    aspect: (columns * geometry.size[across]) / (rows * geometry.size[up]), sides: SIDES[axis], kind: "volume",
  };
  slices.forEach((slice, tile) => {
    const left = (tile % perRow) * (shape[across] + gap);
    const top = Math.floor(tile / perRow) * (shape[up] + gap);
    for (let u = 0; u < shape[up]; u += 1) {
      for (let a = 0; a < shape[across]; a += 1) {
        const where = [0, 0, 0];
        where[axis] = slice; where[across] = a; where[up] = shape[up] - 1 - u;
        const from = (where[0] * ny + where[1]) * nz + where[2];
        const to = (top + u) * columns + left + a;
        layout.component[to] = component[from];
        layout.shade[to] = shades[from];
      }
    }
  });
  return layout;
}

function layoutOf(geometry, state) {
  if (geometry.kind === "volume") return layoutOfVolume(geometry, state);
  const [rows, columns] = geometry.kind === "image" ? geometry.shape : [1, geometry.shape[0]];
  const component = Int32Array.from({ length: rows * columns }, (_, k) => k);
  return { columns, rows, component, shade: null, aspect: geometry.kind === "image" ? columns / rows : 2, kind: geometry.kind };
}

function colour(value, limit) {
  const place = Math.round((Math.max(-1, Math.min(1, value / limit)) + 1) * 127.5);
  return RGB[place];
}

function pixels(layout, map, limit) {
  const image = new ImageData(layout.columns, layout.rows);
  for (let k = 0; k < layout.component.length; k += 1) {
    const shade = layout.shade ? layout.shade[k] : 255;
    const value = layout.component[k] < 0 ? 0 : map[layout.component[k]];
    let mixed = [shade, shade, shade];
    if (Number.isNaN(value)) mixed = [205, 205, 205];
    else if (layout.component[k] >= 0) {
      const weight = layout.shade ? Math.min(1, Math.abs(value) / (LOOK.fade * limit)) : 1;
      mixed = colour(value, limit).map((own) => own * weight + shade * (1 - weight));
    }
    image.data.set([...mixed, 255], 4 * k);
  }
  return image;
}

function strokeBorders(context, layout, labels, wide, tall) {
  const label = (row, column) => {
    if (row < 0 || column < 0 || row >= layout.rows || column >= layout.columns) return 0;
    const component = layout.component[row * layout.columns + column];
    return component < 0 ? 0 : labels[component];
  };
  context.beginPath();
  for (let row = 0; row <= layout.rows; row += 1) {
    for (let column = 0; column <= layout.columns; column += 1) {
      const here = label(row, column);
      if (here !== label(row, column - 1)) { context.moveTo(column * wide, row * tall); context.lineTo(column * wide, (row + 1) * tall); }
      if (here !== label(row - 1, column)) { context.moveTo(column * wide, row * tall); context.lineTo((column + 1) * wide, row * tall); }
    }
  }
  context.strokeStyle = "#222";
  context.lineWidth = 1.5;
  context.stroke();
}

function paintBars(context, layout, map, limit, width, height) {
  const wide = width / layout.columns;
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  for (let k = 0; k < layout.columns; k += 1) {
    const share = Math.max(-1, Math.min(1, map[k] / limit)) || 0;
    context.fillStyle = `rgb(${colour(share, 1).join()})`;
    const from = (height / 2) * (1 - Math.max(share, 0));
    context.fillRect(k * wide, from, Math.max(wide * 0.9, 0.5), (height / 2) * Math.abs(share));
    context.strokeStyle = LOOK.grey;
    if (wide > 4) context.strokeRect(k * wide, from, wide * 0.9, (height / 2) * Math.abs(share));
  }
  context.strokeStyle = "#222";
  context.beginPath(); context.moveTo(0, height / 2); context.lineTo(width, height / 2); context.stroke();
}

function paintMap(canvas, layout, map, limit, labels, cursor) {
  const width = 480;
  const height = Math.max(40, Math.round(width / layout.aspect));
  canvas.width = width;
  canvas.height = height;
  canvas.style.aspectRatio = `${width} / ${height}`;
  const context = canvas.getContext("2d");
  const [wide, tall] = [width / layout.columns, height / layout.rows];
  if (layout.kind === "vector") paintBars(context, layout, map, limit, width, height);
  else {
    const small = document.createElement("canvas");
    [small.width, small.height] = [layout.columns, layout.rows];
    small.getContext("2d").putImageData(pixels(layout, map, limit), 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, width, height);
    if (labels) strokeBorders(context, layout, labels, wide, tall);
  }
  if (layout.sides) {
    context.font = "bold 20px sans-serif";
    context.lineWidth = 4;
    context.strokeStyle = "#fff";
    context.fillStyle = "#222";
    layout.sides.forEach((side, k) => {
      context.textAlign = k ? "right" : "left";
      context.strokeText(side, k ? width - 6 : 6, height - 8);
      context.fillText(side, k ? width - 6 : 6, height - 8);
    });
  }
  if (cursor) {
    for (const [line, style] of [[5, "#fff"], [2, "#000"]]) {
      context.lineWidth = line;
      context.strokeStyle = style;
      context.strokeRect(cursor.column * wide, cursor.row * tall, Math.max(wide, 4), Math.max(tall, 4));
    }
  }
}
