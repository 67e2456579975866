function render({ model, el: root }) {
  root.classList.add("geolab-frame");
  let timer = 0;
  const pulse = () => { if (!document.hidden) model.send({ kind: "pulse" }); };
  const wind = () => {
    clearInterval(timer);
    const period = model.get("period_s");
    if (period > 0) { timer = setInterval(pulse, period * 1000); pulse(); }
  };
  const seen = () => { if (!document.hidden && model.get("period_s") > 0) pulse(); };
  document.addEventListener("visibilitychange", seen);

  const remember = () => {
    const query = Object.entries(model.get("address"));
    if (!query.length || !location.pathname.includes("/voila/")) return;
    const url = new URL(location.href);
    for (const [name, value] of query) {
      if (value === "") url.searchParams.delete(name); else url.searchParams.set(name, value);
    }
    if (url.href !== location.href) history.replaceState(history.state, "", url);
  };

  const line = el("div", { class: "geolab-told-place", "aria-live": "polite" });
  root.append(line);
  const say = () => {
    const { text = "", kind = "ok", details = "" } = model.get("notice");
    line.replaceChildren();
    if (!text) return;
    const known = ["ok", "run", "warn", "fail"].includes(kind) ? kind : "warn";
    const gone = () => { model.send({ kind: "dismissed" }); line.replaceChildren(); };
    line.append(
      el("div", { class: `geolab-told geolab-is-${known}`, role: known === "fail" ? "alert" : "status" },
        el("span", { class: "geolab-told-text", text }),
        el("button", { type: "button", class: "geolab-quiet", "aria-label": "Take this line away", text: "×", on: { click: gone } }),
        details ? el("details", {}, el("summary", { text: "Details" }), el("pre", { text: details })) : null,
      ),
    );
  };
  // a reader who has scrolled down sees the line at the foot of the window
  const watcher = new IntersectionObserver(([place]) => line.classList.toggle("geolab-away", !place.isIntersecting));
  watcher.observe(root);
  const ends = [
    follow(model, ["period_s"], wind),
    follow(model, ["address"], remember),
    follow(model, ["notice"], say),
  ];
  model.on("change:_wake", pulse);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", seen);
    model.off("change:_wake", pulse);
    watcher.disconnect();
    ends.forEach((end) => end());
  };
}
export default { render };
