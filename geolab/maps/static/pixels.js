// Tiles of items, in the order and with the opacity that the list of layers says; and the swipe.

function pixelLayers({ model, el, map, L }) {
  const layers = new Map(); // key -> {layer, spec}
  let loading = 0;

  function create(spec) {
    const layer = L.tileLayer(spec.url, {
      bounds: spec.bounds || undefined, maxZoom: 24, maxNativeZoom: spec.native, noWrap: !spec.bounds ? false : true,
      keepBuffer: 1, updateWhenZooming: false, className: spec.crisp ? "geolab-crisp" : "", attribution: "",
    });
    layer.on("loading", () => el.classList.toggle("geolab-tiles-loading", ++loading > 0));
    layer.on("load remove", () => {
      loading = Math.max(0, loading - 1);
      el.classList.toggle("geolab-tiles-loading", loading > 0);
    });
    return layer;
  }

  function update() {
    const wanted = new Map(model.get("layers").map((spec) => [spec.key, spec]));
    for (const [key, known] of [...layers]) {
      const spec = wanted.get(key);
      if (!spec || !spec.visible || spec.url !== known.spec.url) {
        known.layer.remove();
        layers.delete(key);
      }
    }
    model.get("layers").forEach((spec, order) => {
      if (!spec.visible) return;
      const known = layers.get(spec.key);
      const layer = known ? known.layer : create(spec);
      layers.set(spec.key, { layer, spec });
      layer.setOpacity(spec.opacity);
      layer.setZIndex(order + 1);
      if (!known) layer.addTo(map);
    });
    clip();
  }

  // ---- the swipe: what is left and right of a handle that says which is where

  let part = 0.5;
  const divider = make("div", "geolab-swipe");
  const line = make("div", "geolab-swipe-line");
  const [left, right] = [make("span", "geolab-swipe-name left"), make("span", "geolab-swipe-name right")];
  line.append(make("span", "geolab-swipe-grip", "◂ ▸"), left, right);
  line.tabIndex = 0;
  line.setAttribute("role", "slider");
  line.setAttribute("aria-label", "Where the two images meet");
  line.setAttribute("aria-valuemin", "0");
  line.setAttribute("aria-valuemax", "100");
  divider.append(line);
  L.DomEvent.disableClickPropagation(line);

  function clip() {
    const swipe = model.get("swipe");
    const on = Boolean(swipe.left && swipe.right);
    divider.hidden = !on;
    const size = map.getSize();
    const [start, end] = [map.containerPointToLayerPoint([0, 0]), map.containerPointToLayerPoint(size)];
    const middle = start.x + size.x * part;
    for (const [key, { layer }] of layers) {
      const container = layer.getContainer();
      if (!container) continue;
      const isLeft = on && swipe.left === key;
      const isRight = on && swipe.right === key;
      const [low, high] = isLeft ? [start.x, middle] : [middle, end.x];
      container.style.clip =
        isLeft || isRight ? `rect(${start.y}px ${high}px ${end.y}px ${low}px)` : "";
    }
    if (!on) return;
    line.style.left = `${part * 100}%`;
    line.setAttribute("aria-valuenow", String(Math.round(part * 100)));
    left.textContent = `◂ ${swipe.names[0]}`;
    right.textContent = `${swipe.names[1]} ▸`;
    line.setAttribute("aria-valuetext", `left ${swipe.names[0]}, right ${swipe.names[1]}`);
  }

  function move(to) {
    part = Math.min(0.98, Math.max(0.02, to));
    clip();
  }

  line.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    line.focus();
    line.setPointerCapture(event.pointerId);
    const box = divider.getBoundingClientRect();
    const follow = (e) => move((e.clientX - box.left) / box.width);
    line.addEventListener("pointermove", follow);
    line.addEventListener("lostpointercapture", () => line.removeEventListener("pointermove", follow), { once: true });
  });
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1 }[event.key];
    if (step) {
      move(part + step);
      event.preventDefault();
      event.stopPropagation();
    }
  });
  el.querySelector(".geolab-chart-map").append(divider);
  map.on("move zoomend resize", clip);
  model.on("change:layers", update);
  model.on("change:swipe", clip);
  update();
  return () => {
    model.off("change:layers", update);
    model.off("change:swipe", clip);
  };
}
