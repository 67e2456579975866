// Choosing something by its picture and name: items, collections, models, splats; or typing what it is.
const PICK_WORDS = {
  item: ["Choose an image", "an id, a title, a path or an address"],
  collection: ["Choose a collection", "a collection or a folder"],
  scene: ["Choose a collection of photos", "a collection, a folder or an address"],
  model: ["Choose a model", "name@alias or name/version"],
  splats: ["Choose a model", "a file or an item"],
  source: ["", "a path or an address"],
};

function pickControl(field, say, ids, { model, ask }) {
  const [choosing, typing] = PICK_WORDS[field.reference] ?? ["Choose", "a name"];
  const plainly = controls(field, say, ids);
  const finds = field.reference !== "source";
  let number = 0, page = 0, held = "", timer = 0;

  const card = el("span", { class: "geolab-card-inside" });
  const words = el("span", { class: "geolab-words", role: "group", "aria-label": `${field.label}, instead of a name` });
  const choose = !finds ? null : el("button", { type: "button", class: "geolab-plain-button", id: ids.control, "aria-expanded": "false", text: "Choose", on: { click: () => open(panel.hidden) } });
  const clear = el("button", { type: "button", class: "geolab-plain-button", text: "None", "aria-label": `${field.label}: none`, on: { click: () => take(field.optional ? null : "") } });
  const upload = !field.upload ? null : el("button", { type: "button", class: "geolab-plain-button", text: "Upload", "aria-label": `Upload a file for ${field.label}`, on: { click: () => ask("upload") } });
  const draw = !field.draws ? null : el("button", { type: "button", class: "geolab-plain-button", text: "Draw", "aria-label": `Draw ${field.label} on the map`, on: { click: () => ask("map") } });
  const typed = plainly.plain({ class: "geolab-wide geolab-mono", placeholder: typing[0].toUpperCase() + typing.slice(1), "aria-label": `${field.label}: ${typing}`, ...(finds ? { id: `${ids.control}-text` } : {}) });
  const search = el("input", { type: "search", class: "geolab-wide", placeholder: "Search by title, id or date", "aria-label": `Search for ${field.label}` });
  const list = el("ul", { class: "geolab-found" });
  const status = el("p", { class: "geolab-soft", role: "status" });
  const back = el("button", { type: "button", class: "geolab-small", text: "Back", on: { click: () => find(page - 1) } });
  const next = el("button", { type: "button", class: "geolab-small", text: "More", on: { click: () => find(page + 1) } });
  const panel = el("div", { class: "geolab-panel-box", role: "group", "aria-label": choosing, hidden: true },
    search, list, el("span", { class: "geolab-beside" }, status, back, next),
    el("label", { class: "geolab-soft", for: `${ids.control}-text`, text: `Or type ${typing}` }), typed);
  const actions = el("span", { class: "geolab-beside geolab-pick-actions" }, choose, draw, upload, field.empty && clear);
  const node = el("div", { class: "geolab-pick", role: "group", "aria-labelledby": ids.label }, words,
    el("span", { class: finds ? "geolab-chosen" : "geolab-typed" }, finds ? card : typed, actions), finds && panel);

  function take(value, close = true) {
    held = value ?? "";
    typed.value = field.words.includes(held) ? "" : held;
    say(value); show();
    if (close && finds && !panel.hidden) { open(false); choose.focus(); }
  }
  function open(on) {
    panel.hidden = !on;
    choose.setAttribute("aria-expanded", String(on));
    if (on) { if (!list.childElementCount) find(0); search.focus(); }
  }
  function find(wanted) {
    number += 1;
    list.classList.add("geolab-looking");
    status.textContent = "Looking…";
    model.send({ kind: "find", name: field.name, text: search.value, page: Math.max(0, wanted), number });
  }
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => find(0), LATER_MS); });
  search.addEventListener("keydown", (event) => { if (event.key === "ArrowDown") { list.querySelector("button")?.focus(); event.preventDefault(); } });
  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && finds && !panel.hidden) { open(false); choose.focus(); event.stopPropagation(); }
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key], all = [...list.querySelectorAll("button")], at = all.indexOf(event.target);
    if (step && at >= 0) { (all[at + step] ?? (step < 0 ? search : all[at])).focus(); event.preventDefault(); }
  });

  const picture = (row) => (here(row.thumb) ? el("img", { src: here(row.thumb), alt: "", loading: "lazy", on: { error: (e) => e.target.replaceWith(el("span", { class: "geolab-no-picture" })) } }) : "thumb" in row ? el("span", { class: "geolab-no-picture" }) : null);
  const about = (row) => el("span", { class: "geolab-about" }, el("b", { text: row.title }), row.note ? el("span", { class: "geolab-soft", text: row.note }) : null);

  function hear(message) {
    if (message.kind !== "found" || message.number !== number) return;
    list.classList.remove("geolab-looking");
    page = message.page;
    list.replaceChildren(...message.rows.map((row) => el("li", {},
      el("button", { type: "button", class: "geolab-one", "aria-pressed": String(row.value === held), on: { click: () => take(row.value) } }, picture(row), about(row)))));
    list.classList.toggle("geolab-pictures", message.rows.some((row) => "thumb" in row));
    status.textContent = message.problem || message.words;
    back.hidden = page === 0; next.hidden = !message.more;
  }

  function show() {
    const row = (model.get("cards") ?? {})[field.name], isWord = field.words.includes(held);
    const known = row && row.value === held ? row : null;
    words.replaceChildren(...field.words.map((word) => el("button", { type: "button", class: "geolab-word", "aria-pressed": String(word === held), text: word, on: { click: () => take(word) } })));
    words.hidden = !field.words.length;
    if (isWord) card.replaceChildren(el("span", { class: "geolab-soft", text: "Or choose one" }));
    else if (held === "") card.replaceChildren(el("span", { class: "geolab-soft", text: field.empty ? "None chosen" : "Nothing chosen yet" }));
    else card.replaceChildren(...(known ? [picture(known), about(known)] : [el("span", { class: "geolab-about" }, el("b", { text: held }))]).filter(Boolean));
    card.parentElement?.classList.toggle("geolab-absent", Boolean(known?.missing) || held === "" || isWord);
    clear.hidden = held === "";
    for (const one of list.querySelectorAll("button")) one.setAttribute("aria-pressed", "false");
    if (choose) choose.textContent = held === "" || isWord ? "Choose" : "Change";
    choose?.setAttribute("aria-label", `${choosing}: ${field.label}`);
  }
  return {
    node, hear, show, group: true, inputs: [typed], first: () => choose || typed,
    set: (value) => { held = value ?? ""; if (document.activeElement !== typed) typed.value = field.words.includes(held) ? "" : held; show(); },
  };
}
