function render({ model, el: root }) {
  root.classList.add("geolab-matrix");
  const legend = el("div", { class: "geolab-matrix-legend" }), place = el("div", { class: "geolab-matrix-grids" });
  root.append(legend, place);
  const drawn = new Map(); // name of a grid -> what draws it

  function colours() {
    const style = getComputedStyle(root), of = (name) => style.getPropertyValue(name).trim();
    const kinds = { ok: of("--g-ok"), run: of("--g-run"), warn: of("--g-warn"), fail: of("--g-fail"), soft: of("--g-line") };
    const found = {};
    for (const [letter, word] of Object.entries(model.get("states"))) found[letter] = word === "queued" ? of("--g-soft") : kinds[stateKind(word)];
    return found;
  }

  function one() {
    const canvas = el("canvas", { tabindex: 0, role: "img" }), title = el("h4", {}), said = el("p", { class: "geolab-soft geolab-matrix-said", "aria-live": "polite" });
    const scroll = el("div", { class: "geolab-matrix-scroll" }, canvas), box = el("section", {}, title, scroll, said);
    const own = { box, grid: null, at: -1 };
    const shape = () => {
      const { rows, columns } = own.grid, wide = Math.max(scroll.clientWidth || 600, 200);
      const count = rows.length * columns.length, step = count > 4000 ? 6 : count > 800 ? 10 : 14;
      if (rows.length === 1) { const per = Math.max(1, Math.floor(wide / step)); return { step, per, left: 0, lines: Math.ceil(columns.length / per) }; }
      const names = rows.every((name) => name === "") ? 0 : Math.min(120, 8 + 7 * Math.max(...rows.map((name) => name.length)));
      return { step, per: columns.length, left: step < 10 ? 0 : names, lines: rows.length };
    };
    const label = (index) => {
      const { rows, columns, cells } = own.grid, row = Math.floor(index / columns.length), column = index % columns.length;
      const name = [rows[row], columns[column]].filter(Boolean).join(" / ") || own.grid.name;
      return `${name}: ${model.get("states")[cells[index]] ?? "not part of it"}`;
    };
    const spot = (index, s) => [s.left + (index % s.per) * s.step, Math.floor(index / s.per) * s.step];
    own.draw = () => {
      const { rows, columns, cells, name } = own.grid, s = shape(), ratio = devicePixelRatio || 1, known = colours();
      const width = s.left + s.per * s.step, height = s.lines * s.step;
      canvas.width = width * ratio; canvas.height = height * ratio;
      canvas.style.width = `${width}px`; canvas.style.height = `${height}px`;
      const pen = canvas.getContext("2d"), gap = s.step > 8 ? 2 : 1;
      pen.scale(ratio, ratio);
      for (let i = 0; i < cells.length; i += 1) {
        if (cells[i] === ".") continue;
        const [x, y] = spot(i, s);
        pen.fillStyle = known[cells[i]] ?? "#888";
        pen.fillRect(x, y, s.step - gap, s.step - gap);
      }
      const style = getComputedStyle(root);
      if (s.left) {
        pen.fillStyle = style.getPropertyValue("--g-soft"); pen.font = `11px ${style.fontFamily}`; pen.textBaseline = "middle";
        rows.forEach((text, row) => pen.fillText(text, 0, row * s.step + s.step / 2 - 1, s.left - 8));
      }
      if (own.at >= 0) {
        const [x, y] = spot(own.at, s);
        pen.strokeStyle = style.getPropertyValue("--g-ink"); pen.lineWidth = 2; pen.strokeRect(x - 1, y - 1, s.step - gap + 2, s.step - gap + 2);
      }
      title.textContent = name;
      canvas.setAttribute("aria-label", `${name}: ${rows.length} by ${columns.length} runs. Arrow keys move, Enter opens.`);
    };
    const hit = (event) => {
      const s = shape(), column = Math.floor((event.offsetX - s.left) / s.step), row = Math.floor(event.offsetY / s.step);
      if (column < 0 || column >= s.per) return -1;
      const index = row * s.per + column;
      return index >= 0 && index < own.grid.cells.length && own.grid.cells[index] !== "." ? index : -1;
    };
    const open = (index) => {
      const wide = own.grid.columns.length;
      model.send({ kind: "open", grid: own.grid.name, row: Math.floor(index / wide), column: index % wide });
    };
    const go = (index) => { own.at = index; said.textContent = index >= 0 ? label(index) : ""; own.draw(); };
    canvas.addEventListener("mousemove", (event) => { const index = hit(event); canvas.title = index >= 0 ? label(index) : ""; canvas.style.cursor = index >= 0 ? "pointer" : ""; });
    canvas.addEventListener("click", (event) => { const index = hit(event); if (index >= 0) { go(index); open(index); } });
    canvas.addEventListener("keydown", (event) => {
      const s = shape(), by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: s.per, ArrowUp: -s.per }[event.key];
      if (by) {
        event.preventDefault();
        let next = own.at < 0 ? 0 : own.at + by;
        while (next >= 0 && next < own.grid.cells.length && own.grid.cells[next] === ".") next += by;
        if (next >= 0 && next < own.grid.cells.length) go(next);
      } else if (event.key === "Enter" && own.at >= 0) { event.preventDefault(); open(own.at); }
    });
    return own;
  }

  function draw() {
    const grids = model.get("grids"), names = new Set(grids.map((grid) => grid.name));
    for (const [name, own] of drawn) if (!names.has(name)) { own.box.remove(); drawn.delete(name); }
    const counts = {};
    for (const grid of grids) {
      if (!drawn.has(grid.name)) { const own = one(); drawn.set(grid.name, own); place.append(own.box); }
      const own = drawn.get(grid.name);
      own.grid = grid; if (own.at >= grid.cells.length) own.at = -1;
      own.draw();
      for (const letter of grid.cells) counts[letter] = (counts[letter] ?? 0) + 1;
    }
    legend.replaceChildren(...Object.entries(model.get("states")).filter(([letter]) => counts[letter]).map(([letter, word]) =>
      el("span", { class: `geolab-state geolab-is-${stateKind(word)}`, text: `${word} ${counts[letter].toLocaleString("en")}` })));
  }
  const scheme = matchMedia("(prefers-color-scheme: dark)"), again = () => draw();
  scheme.addEventListener("change", again);
  const watcher = new ResizeObserver(() => { for (const own of drawn.values()) own.draw(); });
  watcher.observe(place);
  const end = follow(model, ["grids", "states"], draw);
  return () => { scheme.removeEventListener("change", again); watcher.disconnect(); end(); };
}
export default { render };
