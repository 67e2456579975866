const NS = "http://www.w3.org/2000/svg";
const COLOURS = 6;

function svg(tag, attributes = {}, text) {
  const made = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

// Round numbers that cut a range into about `count` steps.
function ticks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1) || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw) ?? raw;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9 && found.length < 20; at += step) found.push(Number(at.toPrecision(12)));
  return found;
}

function label(value) {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(0) : String(Number(value.toPrecision(4)));
}

function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

function render({ model, el: root }) {
  root.classList.add("geolab-curves");
  const place = el("div", { class: "geolab-curves-place" }), key = el("div", { class: "geolab-curves-key" });
  root.append(place, key);

  let drawn = 0; // the width that it was drawn for, px; before the page has laid it out there is none
  function draw() {
    const series = Object.entries(model.get("series")).filter(([, points]) => points.length);
    place.replaceChildren(); key.replaceChildren();
    if (!series.length) { place.append(el("p", { class: "geolab-soft", text: model.get("empty") })); return; }
    drawn = place.clientWidth || 0;
    const W = Math.max(220, drawn || 480), H = model.get("height_px"), m = { l: 52, r: 12, t: 12, b: 40 };
    const points = series.flatMap(([, own]) => own);
    const [x0, x1] = extent(points.map((p) => p[0])), [low, high] = extent(points.map((p) => p[1]));
    const pad = (high - low) * 0.05, y0 = low >= 0 && low - pad < 0 ? 0 : low - pad, y1 = high + pad;
    const x = (value) => m.l + ((value - x0) / (x1 - x0)) * (W - m.l - m.r);
    const y = (value) => H - m.b - ((value - y0) / (y1 - y0)) * (H - m.t - m.b);
    const names = series.map(([name]) => name).join(", ");
    const chart = svg("svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "img", "aria-label": `Curves of ${names}` });
    for (const at of ticks(y0, y1, H / 48)) {
      chart.append(svg("line", { class: "grid", x1: m.l, x2: W - m.r, y1: y(at), y2: y(at) }),
        svg("text", { x: m.l - 8, y: y(at) + 4, "text-anchor": "end" }, label(at)));
    }
    for (const at of ticks(x0, x1, W / 96)) chart.append(svg("text", { x: x(at), y: H - m.b + 16, "text-anchor": "middle" }, label(at)));
    chart.append(svg("line", { class: "axis", x1: m.l, x2: W - m.r, y1: H - m.b, y2: H - m.b }),
      svg("text", { class: "title", x: (m.l + W - m.r) / 2, y: H - 6, "text-anchor": "middle" }, model.get("x_title")),
      svg("text", { class: "title", x: -(m.t + H - m.b) / 2, y: 12, "text-anchor": "middle", transform: "rotate(-90)" }, model.get("y_title")));
    for (const [name, at] of Object.entries(model.get("marks"))) {
      if (!(at >= x0 && at <= x1)) continue;
      const late = at > (x0 + x1) / 2;
      chart.append(svg("line", { class: "mark", x1: x(at), x2: x(at), y1: m.t, y2: H - m.b }),
        svg("text", { class: "title", x: x(at) + (late ? -4 : 4), y: m.t + 8, "text-anchor": late ? "end" : "start" }, name));
    }
    series.forEach(([name, own], index) => {
      const kind = `geolab-curve-${index % COLOURS}`;
      if (own.length === 1) chart.append(svg("circle", { class: `dot ${kind}`, cx: x(own[0][0]), cy: y(own[0][1]), r: 3 }));
      else chart.append(svg("path", { class: `curve ${kind}`, d: own.map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`).join("") }));
      key.append(el("span", { class: `geolab-key ${kind}` }, el("i"), el("span", { text: name }), el("b", { text: number(own[own.length - 1][1]) })));
    });
    place.append(chart);
  }
  const watcher = new ResizeObserver(() => { if (Math.abs((place.clientWidth || 0) - drawn) > 8) draw(); });
  watcher.observe(root);
  const end = follow(model, ["series", "marks", "x_title", "y_title", "height_px", "empty"], draw);
  return () => { watcher.disconnect(); end(); };
}
export default { render };
