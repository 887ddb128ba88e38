"use strict";
// What the page holds, and how packed arrays become numbers again.

const PAGE = JSON.parse(document.getElementById("data").textContent);
const LOOK = PAGE.look;
const MISSING = -32768;
const decoded = new WeakMap();

function bytes(text) {
  const raw = atob(text);
  const found = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k += 1) found[k] = raw.charCodeAt(k);
  return found;
}

// Whole numbers as pack_codes writes them.
function codes(packed) {
  if (!decoded.has(packed)) {
    const view = new DataView(bytes(packed.data).buffer);
    const read = { 1: "getUint8", 2: "getUint16", 4: "getUint32" }[packed.bytes];
    const found = new Int32Array(view.byteLength / packed.bytes);
    for (let k = 0; k < found.length; k += 1) found[k] = view[read](k * packed.bytes, true);
    decoded.set(packed, found);
  }
  return decoded.get(packed);
}

// One map of those pack_maps writes; NaN where it has no value.
function mapOf(packed, target) {
  if (!decoded.has(packed)) decoded.set(packed, new DataView(bytes(packed.data).buffer));
  const view = decoded.get(packed);
  const count = view.byteLength / 2 / packed.scale.length;
  const found = new Float64Array(count);
  for (let k = 0; k < count; k += 1) {
    const step = view.getInt16(2 * (target * count + k), true);
    found[k] = step === MISSING ? NaN : step * packed.scale[target];
  }
  return found;
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort();
  if (!sorted.length) return 0;
  const place = (sorted.length - 1) * share;
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}

// The symmetric limit of maps that share a scale.
function limitOf(maps, factor) {
  const sizes = [];
  for (const map of maps) for (const value of map) if (Number.isFinite(value)) sizes.push(Math.abs(value));
  const limit = quantile(sizes, LOOK.quantile) || sizes.reduce((a, b) => Math.max(a, b), 0);
  return limit > 0 ? limit / factor : 1;
}

function number(value) {
  if (value === null || !Number.isFinite(value)) return "n/a";
  const size = Math.abs(value);
  const text = value === 0 ? "0" : size >= 1e-3 && size < 1e4 ? String(Number(value.toPrecision(3))) : value.toExponential(1);
  return text.replace("-", "\u2212").replace("e\u2212", "e-").replace("e+", "e");
}

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function draw(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
