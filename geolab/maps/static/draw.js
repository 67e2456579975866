// The area of interest: a rectangle drawn by dragging, a polygon by clicking; corners can be moved.

function drawing({ model, el, map, L }) {
  const container = map.getContainer();
  const style = { color: "#e8590c", weight: 2, fillOpacity: 0.08, interactive: false };
  let shape = null;
  let handles = [];
  let stop = () => {};

  const closed = (ring) => [...ring, ring[0]];
  const ringOf = (geometry) =>
    ((geometry.type === "Polygon" ? geometry.coordinates : geometry.coordinates?.[0]) || [[]])[0].slice(0, -1);
  const isBox = (ring) =>
    ring.length === 4 && new Set(ring.map((p) => p[0])).size === 2 && new Set(ring.map((p) => p[1])).size === 2;

  function keep(ring) {
    model.set("aoi", { type: "Polygon", coordinates: [closed(ring)] });
    model.set("tool", "");
    model.save_changes();
  }

  function boxRing(a, b) {
    const [west, east] = [Math.min(a.lng, b.lng), Math.max(a.lng, b.lng)];
    const [south, north] = [Math.min(a.lat, b.lat), Math.max(a.lat, b.lat)];
    return [[west, south], [east, south], [east, north], [west, north]];
  }

  // ---- drawing

  function rectangle() {
    let from = null;
    let preview = null;
    const at = (event) => map.mouseEventToLatLng(event);
    const down = (event) => {
      if (event.button || event.target.closest(".leaflet-control")) return;
      event.preventDefault();
      from = at(event);
      container.setPointerCapture(event.pointerId);
      preview = L.rectangle([from, from], style).addTo(map);
    };
    const move = (event) => from && preview.setBounds(L.latLngBounds(from, at(event)));
    const up = (event) => {
      if (!from) return;
      const [a, b] = [map.latLngToContainerPoint(from), map.mouseEventToContainerPoint(event)];
      preview.remove();
      const start = from;
      from = null;
      if (Math.abs(a.x - b.x) > 4 && Math.abs(a.y - b.y) > 4) keep(boxRing(start, at(event)));
    };
    map.dragging.disable();
    container.addEventListener("pointerdown", down);
    container.addEventListener("pointermove", move);
    container.addEventListener("pointerup", up);
    return () => {
      map.dragging.enable();
      preview?.remove();
      container.removeEventListener("pointerdown", down);
      container.removeEventListener("pointermove", move);
      container.removeEventListener("pointerup", up);
    };
  }

  function polygon() {
    const ring = [];
    const preview = L.polyline([], { ...style, dashArray: "4 4" }).addTo(map);
    const draw = (mouse) => preview.setLatLngs([...ring, ...(mouse ? [mouse] : [])].map((p) => [p.lat, p.lng]));
    const finish = () => ring.length >= 3 && keep(ring.map((p) => [p.lng, p.lat]));
    const near = (a, b) => map.latLngToContainerPoint(a).distanceTo(map.latLngToContainerPoint(b)) < 10;
    const click = (event) => {
      if (ring.length >= 3 && near(ring[0], event.latlng)) finish();
      else if (!ring.length || !near(ring[ring.length - 1], event.latlng)) {
        ring.push(event.latlng);
        draw();
      }
    };
    const move = (event) => draw(event.latlng);
    const twice = () => finish();
    const keys = (event) => {
      if (event.key === "Enter") finish();
      if (event.key === "Backspace") {
        ring.pop();
        draw();
      }
    };
    map.doubleClickZoom.disable();
    map.on("click", click).on("mousemove", move).on("dblclick", twice);
    container.addEventListener("keydown", keys);
    return () => {
      map.doubleClickZoom.enable();
      preview.remove();
      map.off("click", click).off("mousemove", move).off("dblclick", twice);
      container.removeEventListener("keydown", keys);
    };
  }

  function begin() {
    stop();
    stop = () => {};
    const tool = model.get("tool");
    container.classList.toggle("geolab-drawing", Boolean(tool));
    if (tool === "rectangle") stop = rectangle();
    if (tool === "polygon") stop = polygon();
    show();
  }

  const escape = (event) => {
    if (event.key === "Escape" && model.get("tool")) {
      model.set("tool", "");
      model.save_changes();
    }
  };
  document.addEventListener("keydown", escape); // the focus may be on the button that began it

  // ---- what is drawn, and its corners

  function show() {
    shape?.remove();
    handles.forEach((handle) => handle.remove());
    handles = [];
    const geometry = model.get("aoi");
    shape = null;
    if (!geometry.type) return;
    shape = L.geoJSON(geometry, { style }).addTo(map);
    const ring = ringOf(geometry);
    if (geometry.type === "Polygon" && geometry.coordinates.length === 1 && ring.length <= 60 && !model.get("tool")) {
      ring.forEach((_, index) => corner(ring, index));
      if (!isBox(ring)) ring.forEach((_, index) => middle(ring, index));
    }
  }

  function handle(place, name, words) {
    const icon = L.divIcon({ html: make("span", name), iconSize: [20, 20], className: "geolab-mark-holder" });
    const made = L.marker([place[1], place[0]], {
      icon, draggable: true, title: words, alt: words, bubblingMouseEvents: false, zIndexOffset: 1000,
    });
    handles.push(made.addTo(map));
    return made;
  }

  function moved(ring, index, latlng) {
    const place = [latlng.lng, latlng.lat];
    if (!isBox(ring)) return ring.map((p, i) => (i === index ? place : p));
    const opposite = ring[(index + 2) % 4];
    return boxRing({ lng: opposite[0], lat: opposite[1] }, latlng);
  }

  function preview(ring) {
    shape?.remove();
    shape = L.geoJSON({ type: "Polygon", coordinates: [closed(ring)] }, { style }).addTo(map);
  }

  function corner(ring, index) {
    const made = handle(ring[index], "geolab-handle", "Corner of the area: drag to move");
    made.on("drag", (event) => preview(moved(ring, index, event.target.getLatLng())));
    made.on("dragend", (event) => keep(moved(ring, index, event.target.getLatLng())));
    made.on("contextmenu", () => ring.length > 3 && !isBox(ring) && keep(ring.filter((_, i) => i !== index)));
  }

  function middle(ring, index) {
    const [a, b] = [ring[index], ring[(index + 1) % ring.length]];
    const made = handle([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], "geolab-handle small", "Drag for a new corner");
    const added = (latlng) => [...ring.slice(0, index + 1), [latlng.lng, latlng.lat], ...ring.slice(index + 1)];
    made.on("drag", (event) => preview(added(event.target.getLatLng())));
    made.on("dragend", (event) => keep(added(event.target.getLatLng())));
  }

  model.on("change:tool", begin);
  model.on("change:aoi", show);
  begin();
  return () => {
    stop();
    document.removeEventListener("keydown", escape);
    model.off("change:tool", begin);
    model.off("change:aoi", show);
  };
}
