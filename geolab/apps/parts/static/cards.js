function render({ model, el: root }) {
  root.classList.add("geolab-cards");
  const grid = el("div", { class: "geolab-cards-grid", role: "list" }), words = el("p", { class: "geolab-soft" });
  root.append(grid, words);
  const choose = (id) => {
    const now = new Set(model.get("selected")), had = now.has(id);
    if (model.get("select") === "one") now.clear();
    if (had) now.delete(id); else now.add(id);
    model.set("selected", [...now]); model.save_changes();
  };

  function one(row, marked) {
    const src = here(row.thumb), href = here(row.href), select = model.get("select") !== "none", opens = model.get("opens");
    const inside = [
      "thumb" in row ? (src ? el("img", { src, alt: "", loading: "lazy", class: "geolab-card-thumb" }) : el("span", { class: "geolab-card-thumb geolab-none" })) : null,
      el("span", { class: "geolab-card-words" },
        el("span", { class: "geolab-card-name", text: row.title ?? row.id }),
        row.note ? el("span", { class: "geolab-soft", text: row.note }) : null,
        row.state ? stateMark(row.state) : null),
    ];
    const on = { click: () => (select ? choose(row.id) : model.send({ kind: "open", ids: [row.id] })) };
    let made;
    if (!select && !opens && href) made = el("a", { href, class: "geolab-card-one" }, ...inside);
    else if (select || opens) made = el("button", { type: "button", class: "geolab-card-one", "aria-pressed": select ? String(marked.has(row.id)) : null, on }, ...inside);
    else made = el("div", { class: "geolab-card-one" }, ...inside);
    made.dataset.id = row.id;
    if (opens && select) made.addEventListener("dblclick", () => model.send({ kind: "open", ids: [row.id] }));
    return el("div", { role: "listitem" }, made);
  }

  return follow(model, ["rows", "selected", "select", "empty", "opens"], () => {
    const rows = model.get("rows"), marked = new Set(model.get("selected"));
    const focused = grid.contains(document.activeElement) ? document.activeElement.dataset.id : "";
    grid.replaceChildren(...rows.map((row) => one(row, marked)));
    if (model.get("label")) grid.setAttribute("aria-label", model.get("label"));
    words.textContent = rows.length ? "" : model.get("empty");
    words.hidden = rows.length > 0;
    if (focused) [...grid.querySelectorAll("[data-id]")].find((node) => node.dataset.id === focused)?.focus();
  });
}
export default { render };
