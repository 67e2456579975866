function render({ model, el: root }) {
  root.classList.add("geolab-copy");
  const code = el("code", { tabindex: 0 });
  const button = el("button", { type: "button", class: "geolab-small", "aria-live": "polite" });
  root.append(code, button);
  const said = () => (model.get("address") ? here(model.get("text")) || model.get("text") : model.get("text"));
  const byHand = () => { // a page without https has no clipboard
    const area = el("textarea", { class: "geolab-hidden" });
    area.value = said();
    root.append(area); area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  let timer = 0;
  button.addEventListener("click", async () => {
    let done = false;
    try { await navigator.clipboard.writeText(said()); done = true; } catch { done = byHand(); }
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    if (!done) getSelection().selectAllChildren(code);
    clearTimeout(timer);
    timer = setTimeout(() => { button.textContent = model.get("label"); }, 2000);
  });
  const end = follow(model, ["text", "label", "shown", "address"], () => {
    code.textContent = said(); code.hidden = !model.get("shown"); button.textContent = model.get("label");
  });
  return () => { clearTimeout(timer); end(); };
}
export default { render };
