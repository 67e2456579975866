// The list of layers, the uppermost first: shown or not, opacity, order.

function rowOf(told, send, last) {
  const row = make("li", "geolab-layer");
  row.dataset.key = told.key;
  row.classList.toggle("off", !told.visible);

  const button = (name, sign, words, act, off = false) => {
    const made = make("button", `geolab-layer-button ${name}`, sign);
    made.type = "button";
    made.title = words;
    made.setAttribute("aria-label", `${words}: ${told.name}`);
    made.disabled = off;
    made.addEventListener("click", act);
    return made;
  };

  const shown = make("input");
  shown.type = "checkbox";
  shown.checked = told.visible;
  shown.setAttribute("aria-label", `Show ${told.name}`);
  shown.addEventListener("change", () => send("visible", told.key, shown.checked));

  const words = make("button", "geolab-layer-name");
  words.type = "button";
  words.title = `Zoom to ${told.name}`;
  words.append(make("span", "title", told.name), make("span", "soft", told.note));
  words.addEventListener("click", () => send("zoom", told.key));

  const opacity = make("input", "geolab-layer-opacity");
  Object.assign(opacity, { type: "range", min: "0", max: "1", step: "0.05", value: String(told.opacity) });
  opacity.setAttribute("aria-label", `Opacity of ${told.name}`);
  const share = make("span", "geolab-layer-share", `${Math.round(told.opacity * 100)} %`);
  const tell = later(40, () => send("opacity", told.key, Number(opacity.value)));
  opacity.addEventListener("input", () => {
    share.textContent = `${Math.round(Number(opacity.value) * 100)} %`;
    tell();
  });

  const head = make("div", "geolab-layer-head");
  head.append(shown, words);
  const foot = make("div", "geolab-layer-foot");
  foot.append(
    opacity, share,
    button("up", "↑", "Further up", () => send("move", told.key, 1), told.first),
    button("down", "↓", "Further down", () => send("move", told.key, -1), last),
    button("remove", "×", "Take away", () => send("remove", told.key)),
  );
  row.append(head, foot);
  return row;
}

function render({ model, el }) {
  el.classList.add("geolab-layer-list");
  const list = make("ul");
  const none = make("p", "soft", "");
  el.append(list, none);
  const send = (kind, key, value) => model.send({ kind, key, value });
  let known = "";

  function update() {
    const rows = model.get("rows");
    none.textContent = rows.length ? "" : model.get("empty");
    // a slider that is being dragged must not be replaced by its own echo
    const now = JSON.stringify(rows.map(({ opacity, ...rest }) => rest));
    if (now === known) return;
    known = now;
    const focus = document.activeElement?.closest?.("li")?.dataset.key;
    const control = document.activeElement?.className;
    list.replaceChildren(...rows.map((row, i) => rowOf({ ...row, first: i === 0 }, send, i === rows.length - 1)));
    if (focus && control && el.contains(list)) {
      const again = [...list.children].find((row) => row.dataset.key === focus);
      again?.getElementsByClassName(control)[0]?.focus();
    }
  }

  model.on("change:rows", update);
  update();
  return () => model.off("change:rows", update);
}

export default { render };
