const LATER_MS = 250; // after the last key
const OWN = Math.random().toString(36).slice(2, 10); // every widget loads this module for itself
let made = 0;

// What every control gets: the field, what it holds now, and how to say something else.
function controls(field, say, ids) {
  const typed = (input, later = true) => {
    let timer = 0;
    const flush = () => { clearTimeout(timer); timer = 0; say(input.value); };
    input.addEventListener("input", () => { clearTimeout(timer); timer = later ? setTimeout(flush, LATER_MS) : flush(); });
    input.addEventListener("change", () => { if (timer) flush(); });
    input.addEventListener("keydown", (event) => { if (event.key === "Enter" && input.tagName === "INPUT" && timer) flush(); });
    return input;
  };
  const plain = (attributes = {}) => typed(el("input", { type: "text", id: ids.control, autocomplete: "off", spellcheck: "false", ...attributes }));
  // what is being typed is never overwritten by what was said before
  const hold = (input) => (held) => { if (document.activeElement !== input && input.value !== (held ?? "")) input.value = held ?? ""; };
  return { typed, plain, hold };
}

function textControl(field, say, ids) {
  const { plain, hold } = controls(field, say, ids);
  const input = plain({ class: "geolab-wide" });
  return { node: input, set: hold(input), inputs: [input] };
}

function numberControl(field, say, ids) {
  const { plain, hold } = controls(field, say, ids);
  const input = plain({ inputmode: "decimal", class: "geolab-number" });
  return { node: el("span", { class: "geolab-beside" }, input, field.unit && el("span", { class: "geolab-soft", text: field.unit })), set: hold(input), inputs: [input] };
}

const STEPS = 200; // of a logarithmic slider

function sliderControl(field, say, ids) {
  const { plain, hold } = controls(field, say, ids);
  const input = plain({ inputmode: "decimal", class: "geolab-number" });
  const { low, high, step, log } = field;
  const range = el("input", { type: "range", class: "geolab-range", "aria-label": `${field.label}, slider`, min: log ? 0 : low, max: log ? STEPS : high, step: log ? 1 : step });
  range.value = String(log ? STEPS / 2 : (low + high) / 2);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  const short = (value) => (log ? Number(value.toPrecision(2)) : value);
  const valueOf = (at) => Math.min(high, Math.max(low, log ? short(low * (high / low) ** (at / STEPS)) : at));
  const placeOf = (value) => (log ? STEPS * Math.log(value / low) / Math.log(high / low) : value);
  const place = (text) => {
    const value = Number(text), known = String(text ?? "").trim() !== "" && Number.isFinite(value);
    if (known) range.value = String(placeOf(Math.min(high, Math.max(low, value))));
    range.classList.toggle("geolab-unset", !known);
    range.setAttribute("aria-valuetext", `${text ?? "none"} ${field.unit}`.trim());
    range.style.setProperty("--at", `${100 * (range.value - range.min) / (range.max - range.min)}%`);
  };
  range.addEventListener("input", () => {
    input.value = String(Number(valueOf(Number(range.value)).toFixed(digits)));
    place(input.value);
    input.dispatchEvent(new Event("input"));
  });
  input.addEventListener("input", () => place(input.value));
  const shown = hold(input);
  const node = el("span", { class: "geolab-beside geolab-slider" }, range, input, field.unit && el("span", { class: "geolab-soft", text: field.unit }));
  const middle = log ? Math.sqrt(low * high) : (low + high) / 2;
  return {
    node, inputs: [range, input], first: input,
    set: (held) => { if (document.activeElement !== range) { shown(held); place(document.activeElement === input ? input.value : held); } },
    start: String(Number(valueOf(placeOf(field.step === 1 ? Math.round(middle) : middle)).toFixed(digits))),
  };
}

function switchControl(field, say, ids) {
  const input = el("input", { type: "checkbox", role: "switch", id: ids.control, class: "geolab-switch" });
  const word = el("span", { class: "geolab-soft", "aria-hidden": "true" });
  const set = (held) => { input.checked = held === true; word.textContent = input.checked ? "on" : "off"; };
  input.addEventListener("change", () => { set(input.checked); say(input.checked); });
  return { node: el("span", { class: "geolab-beside" }, input, word), set, inputs: [input] };
}

const NONE = "\u0000none";

function choiceControl(field, say, ids) {
  const words = [...field.words], values = () => [...words, ...(field.optional ? [null] : [])];
  const few = words.length <= 4 && words.join("").length <= 36;
  const node = few
    ? el("span", { class: "geolab-segments", role: "radiogroup", "aria-labelledby": ids.label, id: ids.control })
    : el("select", { id: ids.control, class: "geolab-wide" });
  const key = (value) => (value === null ? NONE : value);
  const draw = () => node.replaceChildren(...values().map((value) => {
    const text = value === null ? "none" : value;
    if (!few) return el("option", { value: key(value), text });
    const input = el("input", { type: "radio", name: ids.control, value: key(value) });
    input.addEventListener("change", () => say(value));
    return el("label", {}, input, el("span", { text }));
  }));
  draw();
  if (!few) node.addEventListener("change", () => say(node.value === NONE ? null : node.value));
  const set = (held) => {
    if (held !== null && !words.includes(held)) { words.push(held); draw(); }
    if (few) for (const input of node.querySelectorAll("input")) input.checked = input.value === key(held);
    else node.value = key(held);
  };
  return { node, set, inputs: few ? [] : [node], group: few, first: () => node.querySelector("input:checked, input, select") ?? node };
}

function checksControl(field, say, ids) {
  const node = el("span", { class: "geolab-checks", role: "group", "aria-labelledby": ids.label, id: ids.control });
  const boxes = field.words.map((word) => [word, el("input", { type: "checkbox" })]);
  for (const [, box] of boxes) box.addEventListener("change", () => say(boxes.filter(([, one]) => one.checked).map(([word]) => word)));
  node.append(...boxes.map(([word, box]) => el("label", {}, box, el("span", { text: word }))));
  const set = (held) => { for (const [word, box] of boxes) box.checked = Array.isArray(held) && held.includes(word); };
  return { node, set, inputs: [], group: true, first: () => boxes[0]?.[1] };
}

const DAY = /^\d{4}-\d\d-\d\d$/;

function dateControl(field, say, ids) {
  const { typed } = controls(field, say, ids);
  const input = typed(el("input", { type: "date", id: ids.control, class: "geolab-day" }), false);
  const set = (held) => {
    input.type = !held || DAY.test(held) ? "date" : "text"; // a text that is no day stays to be seen
    if (input.value !== (held ?? "")) input.value = held ?? "";
  };
  return { node: input, set, inputs: [input] };
}

function datesControl(field, say, ids) {
  const day = (id, label) => el("input", { type: "date", id, class: "geolab-day", "aria-label": `${field.label}, ${label}` });
  const from = day(ids.control, "from"), to = day(`${ids.control}-to`, "to");
  const { plain } = controls(field, say, ids);
  const text = plain({ class: "geolab-wide", "aria-label": field.label, id: `${ids.control}-text` });
  const both = () => say(from.value || to.value ? `${from.value || ".."}/${to.value || ".."}` : "");
  for (const input of [from, to]) input.addEventListener("change", both);
  const days = el("span", { class: "geolab-beside" }, from, el("span", { class: "geolab-soft", text: "to" }), to);
  const set = (held) => {
    const [a = "", b = a] = String(held ?? "").split("/").map((part) => (part === ".." ? "" : part));
    const simple = [a, b].every((part) => part === "" || DAY.test(part)) && String(held ?? "").split("/").length <= 2;
    days.hidden = !simple; text.hidden = simple;
    if (simple) { if (from.value !== a) from.value = a; if (to.value !== b) to.value = b; } else if (text.value !== held) text.value = held;
  };
  return { node: el("span", { class: "geolab-wide" }, days, text), set, inputs: [from, to, text], first: () => (days.hidden ? text : from) };
}

function bboxControl(field, say, ids, { ask }) {
  const { plain, hold } = controls(field, say, ids);
  const input = plain({ class: "geolab-wide geolab-mono", placeholder: "west,south,east,north" });
  const draw = el("button", { type: "button", class: "geolab-plain-button", text: "Draw on the map", on: { click: () => ask("map") } });
  return { node: el("span", { class: "geolab-beside" }, input, draw), set: hold(input), inputs: [input] };
}

function areaControl(kind) {
  return (field, say, ids, { ask }) => {
    const { typed, hold } = controls(field, say, ids);
    const input = typed(el("textarea", { id: ids.control, rows: 3, class: `geolab-wide${kind === "json" ? " geolab-mono" : ""}`, spellcheck: "false" }));
    const choose = field.reference === "item" && el("button", { type: "button", class: "geolab-plain-button", text: "Choose", "aria-label": `Choose ${field.label}`, on: { click: () => ask("items") } });
    const node = choose ? el("span", { class: "geolab-pick" }, input, el("span", { class: "geolab-beside" }, choose)) : input;
    return { node, set: hold(input), inputs: [input], hint: kind === "json" ? "JSON" : "One a line" };
  };
}

function listControl(field, say, ids, context) {
  if (field.mode === "json") return areaControl("json")(field, say, ids, context);
  return { ...textControl(field, say, ids), hint: "Separated by commas" };
}

const CONTROLS = {
  text: textControl, number: numberControl, slider: sliderControl, switch: switchControl, choice: choiceControl, checks: checksControl,
  date: dateControl, dates: datesControl, bbox: bboxControl, list: listControl, json: areaControl("json"), pick: pickControl,
  lines: (field, ...rest) => areaControl(field.mode === "json" ? "json" : "lines")(field, ...rest),
};

// A control with a box beside it that says "none".
function withNone(control, field, say) {
  if (!field.optional || field.control === "choice" || field.control === "pick") return control;
  const box = el("input", { type: "checkbox" });
  let last = typeof field.default === "string" ? field.default : control.start ?? "";
  const able = (on) => { for (const input of control.inputs) input.disabled = !on; };
  box.addEventListener("change", () => { able(!box.checked); if (!box.checked) control.set(last); say(box.checked ? null : last); });
  const set = (held) => { box.checked = held === null; able(held !== null); if (held !== null) last = held; control.set(held === null ? "" : held); };
  const node = el("span", { class: "geolab-beside geolab-maybe" }, control.node, el("label", { class: "geolab-none-box" }, box, el("span", { text: "none" })));
  const first = () => (box.checked ? box : typeof control.first === "function" ? control.first() : control.first ?? control.inputs[0]);
  return { ...control, node, set, first };
}

function defaultWords(field) {
  if (field.default === null) return "Default: none";
  if (field.default === true || field.default === false) return `Default: ${field.default ? "on" : "off"}`;
  const text = Array.isArray(field.default) ? field.default.join(", ") : field.default.replaceAll("\n", ", ");
  return text === "" ? "" : `Default: ${text.length > 60 ? `${text.slice(0, 59)}…` : text}`;
}

// One field: name, control, help and the line that says what is wrong.
function fieldOf(field, model, say) {
  made += 1;
  const ids = Object.fromEntries(["control", "label", "help", "problem"].map((part) => [part, `geolab-${OWN}-${part}-${made}`]));
  const context = { model, ask: (what) => model.send({ kind: "ask", name: field.name, what }) };
  const control = withNone(CONTROLS[field.control](field, say, ids, context), field, say);
  const head = el(control.group ? "span" : "label", { id: ids.label, class: "geolab-label", text: field.label, ...(control.group ? {} : { for: ids.control }) });
  const reset = el("button", { type: "button", class: "geolab-reset", text: "Reset", "aria-label": `Reset ${field.label}`, on: { click: () => { say(field.default); first()?.focus(); } } });
  const words = [field.help, control.hint, defaultWords(field)].filter(Boolean).map((text) => text.replace(/[.]$/, ""));
  const help = el("p", { id: ids.help, class: "geolab-help", text: words.length ? `${words.join(". ")}.` : "" });
  const problem = el("p", { id: ids.problem, class: "geolab-problem", role: "alert" });
  const node = el("div", { class: `geolab-field geolab-field-${field.control}` },
    el("div", { class: "geolab-field-head" }, head, field.named && el("code", { class: "geolab-soft", text: field.name, title: "Its name in commands and notebooks" }), reset),
    control.node, help, problem);
  node.dataset.name = field.name;
  const first = () => (typeof control.first === "function" ? control.first() : control.first) ?? control.inputs[0] ?? node.querySelector("button, input");
  for (const input of control.inputs) input.setAttribute("aria-describedby", `${ids.help} ${ids.problem}`);
  return {
    node, first,
    set: (held) => { control.set(held); reset.hidden = JSON.stringify(held) === JSON.stringify(field.default); },
    tell: (line) => {
      problem.textContent = line ?? ""; problem.hidden = !line; node.classList.toggle("geolab-wrong", Boolean(line));
      for (const input of control.inputs) input.setAttribute("aria-invalid", line ? "true" : "false");
    },
    show: () => control.show?.(),
    hear: (message) => control.hear?.(message),
  };
}

function render({ model, el: root }) {
  root.classList.add("geolab-sheet");
  let fields = {}, fold = null;
  const say = (name) => (held) => {
    model.set("said", { ...model.get("said"), [name]: held });
    model.save_changes();
  };
  const build = () => {
    fields = Object.fromEntries(model.get("fields").map((field) => [field.name, fieldOf(field, model, say(field.name))]));
    const grid = el("div", { class: "geolab-fields" }, ...Object.values(fields).map((field) => field.node));
    const title = model.get("folded");
    const was = fold ? fold.open : model.get("opened");
    fold = title ? el("details", { class: "geolab-more" }, el("summary", {}), grid) : null;
    if (fold) fold.open = was;
    root.replaceChildren(fold ?? grid);
    refresh(); judge(); cards();
  };
  const summary = () => {
    if (!fold) return;
    const said = model.get("said"), changed = model.get("fields").filter((f) => JSON.stringify(said[f.name]) !== JSON.stringify(f.default)).length;
    fold.firstChild.textContent = `${model.get("folded")} (${model.get("fields").length}${changed ? `, ${changed} changed` : ""})`;
  };
  const refresh = () => { const said = model.get("said"); for (const [name, field] of Object.entries(fields)) field.set(said[name] ?? null); summary(); };
  const judge = () => {
    const problems = model.get("problems");
    for (const [name, field] of Object.entries(fields)) field.tell(problems[name]);
    if (fold && Object.keys(fields).some((name) => problems[name])) fold.open = true;
  };
  const cards = () => { for (const field of Object.values(fields)) field.show(); };
  const focus = () => {
    const field = fields[model.get("looked").name];
    if (!field) return;
    if (fold) fold.open = true;
    field.first()?.focus();
    field.node.scrollIntoView({ block: "nearest" });
  };
  const busy = () => { root.inert = model.get("busy"); root.classList.toggle("geolab-busy", model.get("busy")); };
  const hear = (message) => fields[message?.name]?.hear(message);
  build(); busy();
  const listening = { "change:fields change:folded": build, "change:said": refresh, "change:problems": judge, "change:cards": cards, "change:looked": focus, "change:busy": busy, "msg:custom": hear };
  for (const [events, do_] of Object.entries(listening)) model.on(events, do_);
  return () => { for (const [events, do_] of Object.entries(listening)) model.off(events, do_); };
}
export default { render };
