// The frame's own script: the skeleton until widgets are there, the status, a page that is no longer live.
(function () {
  "use strict";
  const STATUS_EVERY_MS = 10000;
  const LONG_MS = 20000;
  const one = (selector) => document.querySelector(selector);

  // The token has let the browser in and is in a cookie now: nobody shall read it off the address
  const here = new URL(window.location.href);
  if (here.searchParams.has("token")) {
    here.searchParams.delete("token");
    window.history.replaceState(window.history.state, "", here);
  }

  // ------------------------------------------------------------ loading

  function show() {
    const skeleton = document.getElementById("loading");
    if (skeleton) { skeleton.remove(); }
  }

  function watch(cells) {
    const ready = () => cells.querySelector(".jupyter-widgets, .geolab-failed, .jp-RenderedImage") !== null;
    if (ready()) { show(); return; }
    const observer = new MutationObserver(() => { if (ready()) { observer.disconnect(); show(); } });
    observer.observe(cells, { childList: true, subtree: true });
    window.setTimeout(() => { observer.disconnect(); show(); }, 8000);
  }

  function say(text) {
    const line = document.getElementById("loading_text");
    if (line) { line.textContent = text; }
  }

  // What Voila's scripts call, here without a word to the console
  window.voila_heartbeat = function () {};
  window.voila_process = function () {};
  window.update_loading_text = function () {};
  window.display_cells = function () {
    if (!window.themeLoaded) { window.cellLoaded = true; return; }
    const cells = document.getElementById("rendered_cells");
    if (cells) { cells.style.display = ""; watch(cells); }
  };
  window.voila_finish = window.display_cells;
  window.setTimeout(() => say("This takes longer than usual."), LONG_MS);

  // ------------------------------------------------------------ one sentence, one action

  function notice(text, action, act) {
    const place = document.getElementById("geolab-notice");
    if (!place) { return; }
    place.replaceChildren();
    place.hidden = !text;
    if (!text) { return; }
    const words = document.createElement("span");
    words.textContent = text;
    place.append(words);
    if (action) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = action;
      button.addEventListener("click", act);
      place.append(button);
    }
  }
  const again = () => window.location.reload();

  window.geolab = {
    failed() {
      show();
      notice("This page could not be made.", "Load it again", again);
    },
  };

  // ------------------------------------------------------------ the status

  let lost = 0;
  let over = false;

  function kernel() {
    const told = document.getElementById("jupyter-config-data");
    try { return told ? JSON.parse(told.textContent).kernelId || "" : ""; } catch { return ""; }
  }

  function put(state, text, label) {
    const place = document.getElementById("geolab-status");
    if (!place) { return; }
    place.dataset.state = state;
    place.title = label;
    const words = place.querySelector(".geolab-status-text");
    if (words.textContent !== text) { words.textContent = text; }
  }

  function tell(found) {
    const { running, queued } = found;
    const parts = [];
    if (running) { parts.push(`${running} running`); }
    if (queued) { parts.push(`${queued} waiting`); }
    if (running === null) { put("fail", "No ledger", "The ledger of runs does not answer"); return; }
    put(parts.length ? "run" : "ok", parts.join(", ") || "Ready", parts.length ? "Runs in progress: open the monitor" : "Nothing runs");
  }

  async function ask() {
    const id = kernel();
    const base = document.body.dataset.geolab;
    try {
      const answer = await fetch(`${base}geolab/status?no_track_activity=1&kernel=${encodeURIComponent(id)}`, {
        cache: "no-store",
        headers: { "X-XSRFToken": /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? "" }, // a hub wants it for reading too
      });
      if (answer.status === 403) { put("fail", "Logged out", "Log in again"); notice("You are no longer logged in.", "Log in again", again); return; }
      if (!answer.ok) { throw new Error(String(answer.status)); }
      const found = await answer.json();
      if (lost > 1) { notice(""); }
      lost = 0;
      tell(found);
      if (id && found.kernel === false && !over) {
        over = true;
        notice("This page has ended: it was not used for a while, or its process stopped. Runs go on.", "Load it again", again);
      }
    } catch {
      lost += 1;
      if (lost > 1) {
        put("fail", "Offline", "The server does not answer");
        notice("The server does not answer. Runs go on; this page does not follow them.", "Load it again", again);
      }
    }
  }

  function tick() { if (!document.hidden) { ask(); } }

  document.addEventListener("DOMContentLoaded", () => {
    ask();
    window.setInterval(tick, STATUS_EVERY_MS);
    document.addEventListener("visibilitychange", tick);
    const search = one(".geolab-search input");
    const asked = new URLSearchParams(window.location.search).get("text");
    if (search && asked && document.body.dataset.page === "data") { search.value = asked; }
    const skip = one(".geolab-skip");
    if (skip) { skip.addEventListener("click", (e) => { e.preventDefault(); const to = document.getElementById("rendered_cells"); if (to) { to.focus(); } }); }
  });
  // A page that comes back from the browser's memory has lost its kernel
  window.addEventListener("pageshow", (e) => { if (e.persisted) { again(); } });
})();
