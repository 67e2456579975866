const MOST = 400000;

function render({ model, el: root }) {
  root.classList.add("geolab-log");
  const text = el("pre", { tabindex: 0, role: "log", "aria-label": model.get("label") });
  root.append(text);
  let all = "";
  const show = (added, whole) => {
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 24;
    all = (whole ? added : all + added).slice(-MOST);
    if (whole || all.length >= MOST || !text.dataset.some) text.textContent = all;
    else text.append(added);
    text.dataset.some = all ? "yes" : "";
    text.classList.toggle("geolab-soft", !all);
    if (!all) text.textContent = model.get("empty");
    if (atEnd || whole) text.scrollTop = text.scrollHeight;
  };
  const hear = (message) => {
    if (message.kind === "more") show(message.text, false);
    if (message.kind === "all") show(message.text, true);
  };
  model.on("msg:custom", hear);
  show("", true);
  model.send({ kind: "want" });
  return () => model.off("msg:custom", hear);
}
export default { render };
