function render({ model, el: root }) {
  root.classList.add("geolab-progress");
  const inner = el("i"), bar = el("div", { class: "geolab-progress-bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, inner);
  const text = el("span", { class: "geolab-progress-text" }), end = el("span", { class: "geolab-soft" });
  root.append(bar, el("div", { class: "geolab-progress-words" }, text, end));
  return follow(model, ["part", "text", "eta_s", "state"], () => {
    const part = model.get("part"), known = typeof part === "number" && Number.isFinite(part), eta = model.get("eta_s");
    const pct = known ? Math.min(100, Math.max(0, part * 100)) : 0;
    bar.className = `geolab-progress-bar geolab-is-${stateKind(model.get("state"))}`;
    bar.classList.toggle("geolab-unknown", !known && stateKind(model.get("state")) === "run");
    inner.style.width = known ? `${pct}%` : "";
    if (known) bar.setAttribute("aria-valuenow", Math.round(pct)); else bar.removeAttribute("aria-valuenow");
    bar.setAttribute("aria-label", model.get("text") || "Progress");
    text.textContent = model.get("text");
    end.textContent = [known ? `${Math.round(pct)} %` : "", typeof eta === "number" && eta > 0 ? `about ${duration(eta)} left` : ""].filter(Boolean).join(", ");
  });
}
export default { render };
