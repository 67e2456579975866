// What all widgets of the pages share. Text goes into textContent, addresses through `here`.
const STATES = {
  ok: ["ok", "succeeded", "done", "active", "production", "served"],
  run: ["running", "run", "started"],
  warn: ["warn", "cancelled", "low", "paused", "outdated", "blocked", "rejected", "lost"],
  fail: ["fail", "failed", "broken", "error"],
};

function el(tag, { text, on = {}, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = String(text);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [name, hear] of Object.entries(on)) made.addEventListener(name, hear);
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

// The address, if it leads to this origin; else "".
function here(address) {
  if (typeof address !== "string" || !address) return "";
  try {
    const url = new URL(address, document.baseURI);
    return url.origin === location.origin && /^https?:$/.test(url.protocol) ? url.href : "";
  } catch { return ""; }
}

function stateKind(word) {
  const lower = String(word ?? "").toLowerCase();
  return Object.keys(STATES).find((kind) => STATES[kind].includes(lower)) ?? "soft";
}

function stateMark(word) {
  return el("span", { text: word, class: `geolab-state geolab-is-${stateKind(word)}` });
}

function number(value, unit = "") {
  if (typeof value !== "number" || !Number.isFinite(value)) return value === null || value === undefined ? "" : String(value);
  const size = Math.abs(value);
  const digits = Number.isInteger(value) || size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
  const text = value.toLocaleString("en", { maximumFractionDigits: digits });
  return unit ? `${text} ${unit}` : text;
}

// 2024-08-15 14:03 by the reader's clock; a bare day stays one.
function when(value) {
  const text = String(value ?? "");
  if (!text || /^\d{4}-\d{2}-\d{2}$/.test(text)) return text;
  const moment = new Date(text);
  if (Number.isNaN(moment.getTime())) return text;
  const two = (part) => String(part).padStart(2, "0");
  const day = `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
  return `${day} ${two(moment.getHours())}:${two(moment.getMinutes())}`;
}

function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}

function bytes(size) {
  const units = ["B", "kB", "MB", "GB"];
  let value = size, at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${at && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

// Calls `draw` now and whenever one of these traits changes; the returned function ends it.
function follow(model, names, draw) {
  const events = names.map((name) => `change:${name}`).join(" ");
  model.on(events, draw);
  draw();
  return () => model.off(events, draw);
}
