// A map whose layers, shapes and dots are data. Leaflet is the one that ipyleaflet brings: its first model
// of this page loads it.

async function leaflet(model) {
  await model.widget_manager.get_model(String(model.get("_loader")).replace("IPY_MODEL_", ""));
  return window.L;
}

function shapes({ model, el, map, L }) {
  const shown = new Map();

  function update() {
    for (const layer of shown.values()) layer.remove();
    shown.clear();
    for (const [name, { data, style }] of Object.entries(model.get("shapes"))) {
      const look = {
        color: colour(el, style.color), weight: style.weight, opacity: style.opacity ?? 1,
        fillColor: colour(el, style.fill || style.color), fillOpacity: style.fillOpacity ?? 0, interactive: false,
      };
      shown.set(name, L.geoJSON(data, { style: look, interactive: false, pointToLayer: (_, at) => L.circleMarker(at, { ...look, radius: style.radius || 4 }) }).addTo(map));
    }
  }

  model.on("change:shapes", update);
  update();
  return () => model.off("change:shapes", update);
}

function ground({ model, map, L }) {
  let layer = null;
  let words = null;
  function update() {
    layer?.remove();
    words?.remove();
    layer = words = null;
    const told = model.get("basemap");
    if (!told.url) return;
    layer = L.tileLayer(told.url, { maxZoom: 24, maxNativeZoom: told.native || 19, zIndex: 0 }).addTo(map);
    words = L.control({ position: "bottomright" });
    words.onAdd = () => make("div", "geolab-where", told.words);
    words.addTo(map);
  }
  model.on("change:basemap", update);
  update();
  return () => model.off("change:basemap", update);
}

function movement({ model, map, L }) {
  const box = (bounds) => L.latLngBounds(bounds);
  function aim(animate = true) {
    const told = model.get("aim");
    if (!told.bounds) return map.setView([20, 0], 2);
    const around = told.exact ? box(told.bounds).pad(-0.02) : box(told.bounds);
    map.fitBounds(around, { padding: told.exact ? [0, 0] : [24, 24], maxZoom: told.exact ? 24 : told.zoom || 19, animate });
  }
  const tell = later(80, () => {
    const bounds = map.getBounds();
    const size = map.getSize();
    model.set("view", {
      south: bounds.getSouth(), west: bounds.getWest(), north: bounds.getNorth(), east: bounds.getEast(),
      zoom: map.getZoom(), width: size.x, height: size.y,
    });
    model.save_changes();
  });
  const again = () => aim(true);
  model.on("change:aim", again);
  aim(false);
  map.on("moveend resize", tell);
  tell();
  return () => model.off("change:aim", again);
}

function clicks({ model, map }) {
  let timer = 0;
  let drawn = 0; // the click that ends a drawing asks for nothing
  model.on("change:tool", () => (drawn = Date.now()));
  map.on("click", (event) => {
    if (model.get("tool") || Date.now() - drawn < 400) return;
    const at = event.latlng.wrap();
    window.clearTimeout(timer);
    timer = window.setTimeout(() => model.send({ kind: "click", lat: at.lat, lon: at.lng }), 220);
  });
  map.on("dblclick", () => window.clearTimeout(timer));
}

async function render({ model, el }) {
  const L = await leaflet(model);
  el.classList.add("geolab-map", "geolab-chart");
  const box = make("div", "geolab-chart-map");
  box.style.height = model.get("height");
  el.append(box);
  const map = L.map(box, {
    zoomControl: false, attributionControl: false, maxZoom: 24, minZoom: 1, preferCanvas: true, zoomAnimation: true,
  });
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", model.get("label"));
  L.control.zoom({ position: "topleft" }).addTo(map);
  const all = { model, el, map, L };
  const ends = [readings(all), movement(all), ground(all), pixelLayers(all), shapes(all), dots(all), drawing(all)];
  clicks(all);
  const size = new ResizeObserver(() => map.invalidateSize({ animate: false }));
  size.observe(box);
  return () => {
    size.disconnect();
    ends.forEach((end) => end());
    map.remove();
  };
}

export default { render };
