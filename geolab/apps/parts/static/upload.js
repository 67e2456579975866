function cookie(name) {
  const found = document.cookie.split("; ").find((one) => one.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

// One file to the server, streamed by the browser. Resolves to what the server says, or {error}.
function put(url, file, progress, started) {
  return new Promise((done) => {
    const request = new XMLHttpRequest(), to = new URL(url, document.baseURI);
    to.searchParams.set("name", file.name);
    request.open("POST", to);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-XSRFToken", cookie("_xsrf"));
    const token = new URLSearchParams(location.search).get("token");
    if (token) request.setRequestHeader("Authorization", `token ${token}`);
    request.upload.addEventListener("progress", (event) => progress(event.loaded, event.total));
    request.addEventListener("load", () => {
      let told = {};
      try { told = JSON.parse(request.responseText); } catch { /* said below */ }
      if (request.status < 300 && told.id) done(told);
      else done({ error: String(told.message || told.error || `The server answered ${request.status}.`) });
    });
    request.addEventListener("error", () => done({ error: "The connection was lost; try again." }));
    request.addEventListener("abort", () => done({ error: "cancelled" }));
    started(request);
    request.send(file);
  });
}

function render({ model, el: root }) {
  root.classList.add("geolab-upload");
  const input = el("input", { type: "file", class: "geolab-hidden", tabindex: -1, "aria-hidden": "true" });
  const words = el("span", { class: "geolab-upload-words" });
  const choose = el("button", { type: "button", class: "geolab-plain-button", text: "Choose files", on: { click: () => input.click() } });
  const zone = el("div", { class: "geolab-drop" }, words, el("span", { class: "geolab-soft", text: "or" }), choose, input);
  const list = el("ul", { class: "geolab-upload-list", "aria-live": "polite" });
  root.append(zone, list);
  let queue = Promise.resolve();

  async function take(files) {
    const chosen = model.get("many") ? [...files] : [...files].slice(0, 1), told = [];
    const lines = chosen.map((file) => [file, line(file)]);
    for (const [file, shown] of lines) {
      if (shown.cancelled) { shown.end("cancelled", "warn"); continue; }
      const answer = await put(model.get("url"), file, shown.progress, shown.started);
      if (answer.error) shown.end(answer.error, answer.error === "cancelled" ? "warn" : "fail");
      else { shown.end("uploaded", "ok"); told.push({ id: answer.id, name: answer.name, size: answer.size, sha256: answer.sha256 }); }
    }
    if (told.length) model.send({ kind: "done", files: told });
  }

  function line(file) {
    const bar = el("span", { class: "geolab-bar" }, el("i")), note = el("span", { class: "geolab-soft", text: bytes(file.size) });
    const shown = { cancelled: false };
    const stop = el("button", { type: "button", class: "geolab-small", text: "Cancel", "aria-label": `Cancel ${file.name}`,
      on: { click: () => { shown.cancelled = true; shown.request?.abort(); } } });
    const item = el("li", {}, el("span", { class: "geolab-upload-name", text: file.name }), bar, note, stop);
    list.append(item);
    shown.started = (request) => { shown.request = request; };
    shown.progress = (loaded, total) => {
      bar.firstChild.style.width = `${(100 * loaded) / Math.max(total, 1)}%`;
      note.textContent = loaded < total ? `${bytes(loaded)} of ${bytes(total)}` : "being checked";
    };
    shown.end = (text, kind) => {
      stop.remove(); bar.remove();
      note.className = `geolab-state geolab-is-${kind}`; note.textContent = text;
    };
    return shown;
  }

  const more = (files) => { if (files.length) queue = queue.then(() => take(files)); };
  input.addEventListener("change", () => { more([...input.files]); input.value = ""; });
  let depth = 0;
  const over = (by) => { depth = Math.max(0, depth + by); zone.classList.toggle("geolab-over", depth > 0); };
  zone.addEventListener("dragenter", (event) => { event.preventDefault(); over(1); });
  zone.addEventListener("dragleave", () => over(-1));
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => { event.preventDefault(); over(-99); more([...event.dataTransfer.files]); });
  return follow(model, ["text", "accept", "many"], () => {
    words.textContent = model.get("text");
    input.accept = model.get("accept"); input.multiple = model.get("many");
    choose.textContent = model.get("many") ? "Choose files" : "Choose a file";
  });
}
export default { render };
