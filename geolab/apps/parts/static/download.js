function render({ model, el: root }) {
  root.classList.add("geolab-download");
  const button = el("button", { type: "button", class: "geolab-small", on: { click: () => model.send({ kind: "want" }) } });
  root.append(button);
  const hear = (message, buffers) => {
    if (message.kind !== "file" || !buffers.length) return;
    const address = URL.createObjectURL(new Blob([buffers[0]], { type: "application/octet-stream" }));
    const link = el("a", { href: address, download: model.get("name") });
    root.append(link); link.click(); link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  };
  model.on("msg:custom", hear);
  const end = follow(model, ["label", "busy"], () => {
    button.disabled = model.get("busy");
    button.textContent = model.get("busy") ? `${model.get("label")} …` : model.get("label");
  });
  return () => { model.off("msg:custom", hear); end(); };
}
export default { render };
