// Photos, and items too small to be seen, as dots; those that are near each other as one with a number.
// The kernel says which: [latitude, longitude, count, key, title, kind].

function dots({ model, map, L }) {
  const shown = new Map();

  function icon(count, title, kind) {
    if (count === 1) {
      const mark = make("span", `geolab-mark ${kind === "photo" ? "photo" : "item"}`);
      return L.divIcon({ html: mark, iconSize: [16, 16], className: "geolab-mark-holder" });
    }
    const side = count < 10 ? 28 : count < 100 ? 34 : count < 1000 ? 40 : 46;
    const mark = make("span", "geolab-cluster", count < 10000 ? String(count) : `${Math.floor(count / 1000)}k`);
    return L.divIcon({ html: mark, iconSize: [side, side], className: "geolab-mark-holder" });
  }

  function add([latitude, longitude, count, key, title, kind]) {
    const words = count === 1 ? title : `${count.toLocaleString("en")} items here: zoom in`;
    const marker = L.marker([latitude, longitude], {
      icon: icon(count, title, kind), title: words, alt: words, keyboard: true, bubblingMouseEvents: false,
    });
    marker.on("click", () => model.send({ kind: "dot", key }));
    marker.addTo(map);
    const element = marker.getElement();
    if (element) element.setAttribute("aria-label", words);
    shown.set(key, marker);
  }

  function update() {
    const wanted = new Map(model.get("dots").map((dot) => [dot[3], dot]));
    for (const [key, marker] of [...shown]) {
      if (!wanted.has(key)) {
        marker.remove();
        shown.delete(key);
      }
    }
    for (const [key, dot] of wanted) {
      if (!shown.has(key)) add(dot);
    }
  }

  model.on("change:dots", update);
  update();
  return () => model.off("change:dots", update);
}
