const FILTER_FROM = 8;

function cell(column, value) {
  const { kind, unit } = column;
  if (value === null || value === undefined || value === "") return el("span");
  if (kind === "number") return el("span", { class: "geolab-number", text: number(value, unit) });
  if (kind === "date") return el("time", { text: when(value) });
  if (kind === "state") return stateMark(value);
  if (kind === "bar") return bar(value);
  if (kind === "thumb") {
    const src = here(value);
    return src ? el("img", { src, alt: "", loading: "lazy", class: "geolab-thumb" }) : el("span", { class: "geolab-thumb geolab-none" });
  }
  if (kind === "link") {
    const text = value.text ?? value.href ?? value, href = here(value.href ?? value);
    return href ? el("a", { href, text, class: "geolab-link" }) : el("span", { text });
  }
  return el("span", { text: typeof value === "object" ? JSON.stringify(value) : value });
}

function bar(value) {
  const part = Math.min(1, Math.max(0, Number(value) || 0));
  const made = el("span", { class: "geolab-bar", role: "img", "aria-label": `${Math.round(part * 100)} %` }, el("i"));
  made.firstChild.style.width = `${part * 100}%`;
  return el("span", { class: "geolab-bar-cell" }, made, el("span", { class: "geolab-soft", text: `${Math.round(part * 100)} %` }));
}

function plain(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "object") return String(value.text ?? value.href ?? JSON.stringify(value));
  return String(value);
}

function compare(a, b) {
  const [x, y] = [a ?? "", b ?? ""];
  if (typeof x === "number" && typeof y === "number") return x - y;
  return plain(x).localeCompare(plain(y), "en", { numeric: true });
}

function render({ model, el: root }) {
  root.classList.add("geolab-table");
  const state = { sort: "", down: false, filter: "", page: 0 };
  const get = (name) => model.get(name);

  const filter = el("input", { type: "search", class: "geolab-filter", placeholder: "Filter", "aria-label": "Filter rows",
    on: { input: () => { state.filter = filter.value.toLowerCase(); state.page = 0; body(); } } });
  const bulk = el("span", { class: "geolab-table-bulk" });
  const head = el("div", { class: "geolab-table-head" }, filter, bulk);
  const table = el("table", {});
  const pages = el("div", { class: "geolab-table-pages" });
  root.append(head, el("div", { class: "geolab-table-scroll" }, table), pages);

  const chosen = () => new Set(get("selected"));
  const choose = (id, on) => {
    const now = get("select") === "one" ? new Set() : chosen();
    if (on) now.add(id); else now.delete(id);
    model.set("selected", [...now]); model.save_changes();
  };
  const open = (id) => model.send({ kind: "open", ids: [id] });
  const act = (name, ids) => model.send({ kind: "action", name, ids });
  const many = () => get("select") === "many";
  const may = (row, action) => !Array.isArray(row.actions) || row.actions.includes(action.name);

  function rowsNow() {
    const keys = get("columns").map((column) => column.key);
    let rows = get("rows").filter((row) => !state.filter || keys.some((key) => plain(row[key]).toLowerCase().includes(state.filter)));
    if (state.sort) rows = [...rows].sort((a, b) => compare(a[state.sort], b[state.sort]) * (state.down ? -1 : 1));
    return rows;
  }

  function sorter(column) {
    const is = state.sort === column.key;
    const turn = () => { state.down = is ? !state.down : false; state.sort = column.key; body(); };
    const mark = is ? (state.down ? " ↓" : " ↑") : "";
    const order = is ? (state.down ? "descending" : "ascending") : "none";
    return el("th", { scope: "col", "aria-sort": order, class: `geolab-col-${column.kind}` },
      el("button", { type: "button", text: `${column.title}${mark}`, on: { click: turn } }));
  }

  function line(row, marked) {
    const select = get("select"), opens = get("opens"), tr = el("tr", {});
    if (select !== "none") {
      const box = el("input", { type: "checkbox", "aria-label": `Choose ${plain(row[get("columns")[0]?.key]) || row.id}`,
        on: { change: () => choose(row.id, box.checked) } });
      box.checked = marked.has(row.id);
      tr.append(el("td", { class: "geolab-col-box" }, box));
      if (box.checked) tr.classList.add("geolab-chosen");
    }
    for (const column of get("columns")) {
      tr.append(el("td", { class: `geolab-col-${column.kind}`, "data-title": column.title }, cell(column, row[column.key])));
    }
    const own = many() ? [] : get("actions").filter((action) => may(row, action));
    if (own.length || (get("actions").length && !many())) {
      tr.append(el("td", { class: "geolab-col-actions" }, ...own.map((action) =>
        el("button", { type: "button", class: `geolab-small${action.danger ? " geolab-danger" : ""}`, text: action.label,
          on: { click: (event) => { event.stopPropagation(); act(action.name, [row.id]); } } }))));
    }
    if (opens) {
      tr.tabIndex = 0; tr.classList.add("geolab-opens");
      tr.addEventListener("click", (event) => { if (!event.target.closest("a, button, input")) open(row.id); });
      tr.addEventListener("keydown", (event) => {
        if (event.target !== tr) return;
        if (event.key === "Enter") { event.preventDefault(); open(row.id); }
        const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
        if (step && tr[step]) { event.preventDefault(); tr[step].focus(); }
      });
    }
    tr.dataset.id = row.id;
    return tr;
  }

  function body() {
    const focused = root.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.id : "";
    const all = get("rows"), found = rowsNow(), size = Math.max(1, get("page_rows")), marked = chosen();
    const last = Math.max(0, Math.ceil(found.length / size) - 1);
    state.page = Math.min(state.page, last);
    const shown = found.slice(state.page * size, (state.page + 1) * size);
    filter.hidden = all.length <= FILTER_FROM && !state.filter;
    table.hidden = !all.length;
    if (get("label")) table.setAttribute("aria-label", get("label"));
    const heads = get("columns").map(sorter);
    if (get("select") !== "none") heads.unshift(el("th", { scope: "col", class: "geolab-col-box" }, el("span", { class: "geolab-hidden", text: "Choose" })));
    if (get("actions").length && !many()) heads.push(el("th", { scope: "col" }, el("span", { class: "geolab-hidden", text: "Actions" })));
    table.replaceChildren(el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...shown.map((row) => line(row, marked))));
    const turn = (by) => () => { state.page += by; body(); };
    const words = !all.length ? get("empty") : !found.length ? "No row holds that text." : "";
    pages.replaceChildren(...(words ? [el("p", { class: "geolab-soft", text: words })] : last === 0 ? [] : [
      el("button", { type: "button", class: "geolab-small", text: "Back", disabled: state.page === 0, on: { click: turn(-1) } }),
      el("span", { class: "geolab-soft", text: `${state.page * size + 1}–${state.page * size + shown.length} of ${found.length.toLocaleString("en")}` }),
      el("button", { type: "button", class: "geolab-small", text: "Next", disabled: state.page === last, on: { click: turn(1) } }),
    ]));
    if (focused) [...table.querySelectorAll("tbody tr")].find((tr) => tr.dataset.id === focused)?.focus();
    above(marked);
  }

  function above(marked) {
    bulk.replaceChildren();
    if (!many() || !get("actions").length) return;
    const rows = get("rows").filter((row) => marked.has(row.id));
    for (const action of get("actions")) {
      const ids = rows.filter((row) => may(row, action)).map((row) => row.id);
      bulk.append(el("button", { type: "button", class: `geolab-small${action.danger ? " geolab-danger" : ""}`, disabled: !ids.length,
        text: ids.length ? `${action.label} (${ids.length})` : action.label, on: { click: () => act(action.name, ids) } }));
    }
  }
  return follow(model, ["rows", "columns", "selected", "select", "actions", "empty", "page_rows", "opens"], body);
}
export default { render };
