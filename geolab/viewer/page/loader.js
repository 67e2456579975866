// What the page runs first: it fetches the bundle through the kernel and starts it, or, where there is no
// bundle or no WebGL, shows pictures that the kernel draws. Plain JavaScript: it needs no build.

const BUNDLES = Symbol.for("geolab.viewer.bundles"); // loaded once a page, however many views there are

const STEP = Math.PI / 24; // of an arrow key, radians

/** One answer of the kernel to a message of ours; its bytes. */
function ask(model, what, patience_ms, waiting) {
  return new Promise((resolve, reject) => {
    const impatient = setTimeout(waiting, patience_ms);
    const finish = () => {
      clearTimeout(impatient);
      model.off("msg:custom", hear);
    };
    const hear = (message, buffers) => {
      if (message?.kind !== what) return;
      finish();
      if (message.error) reject(new Error(message.error));
      else resolve(asBytes(buffers[0]));
    };
    model.on("msg:custom", hear);
    model.send({ kind: "want", what });
  });
}

function asBytes(buffer) {
  return buffer instanceof ArrayBuffer
    ? new Uint8Array(buffer)
    : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

async function unzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).blob();
}

function loadBundle(model, waiting) {
  const name = model.get("_bundle");
  const loaded = (globalThis[BUNDLES] ??= new Map());
  if (!loaded.has(name)) {
    const started = ask(model, "bundle", 1500, waiting).then(async (bytes) => {
      const script = new Blob([await unzip(bytes)], { type: "text/javascript" });
      const url = URL.createObjectURL(script);
      try {
        return await import(/* @vite-ignore */ url);
      } finally {
        URL.revokeObjectURL(url);
      }
    });
    started.catch(() => loaded.delete(name));
    loaded.set(name, started);
  }
  return loaded.get(name);
}

function canDraw() {
  const gl = document.createElement("canvas").getContext("webgl2");
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(gl);
}

function make(tag, name, text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

/** The frame that every form of the view stands in: stage, words over it, and a line below for facts. */
function frameOf(model, el) {
  const root = make("div", "geolab-splats");
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", `3-D view of ${model.get("facts").title}`);
  const stage = make("div", "gs-stage");
  const veil = make("div", "gs-veil");
  veil.setAttribute("role", "status");
  const words = make("p", "gs-words", "Loading the model");
  veil.append(make("span", "gs-bone"), words);
  stage.append(veil);
  const foot = make("p", "gs-foot");
  say(model, { foot }, "");
  root.append(stage, foot);
  const size = () => root.style.setProperty("--gs-height", `${model.get("height_px")}px`);
  size();
  model.on("change:height_px", size);
  el.append(root);
  return { root, stage, veil, words, foot, size };
}

/** The line below the view; hint: how to move in it. */
function say(model, { foot }, hint) {
  const { summary, note } = model.get("facts");
  foot.textContent = [summary, note, hint].filter(Boolean).join(" ");
}

function hint() {
  return matchMedia("(pointer: coarse)").matches
    ? "One finger turns, two move and zoom."
    : "Drag to turn, shift and drag to move, scroll to zoom, double-click to centre.";
}

function tell(model, renderer, message = "") {
  model.send({ kind: "status", renderer, message });
}

/** What stands beside the view has another width now; Leaflet's maps learn it from the window alone. */
function moveOver() {
  requestAnimationFrame(() => dispatchEvent(new Event("resize")));
}

async function render({ model, el }) {
  const place = frameOf(model, el);
  moveOver();
  let stop = () => {};
  let gone = false;
  const waiting = () => {
    place.words.textContent = "Waiting for the kernel: it may be busy with another cell, or gone";
  };
  const stills = (why) => {
    if (gone) return;
    place.root.dataset.renderer = "server";
    say(model, place, "");
    stop = startStills(model, place, why);
    tell(model, "server", why);
  };
  const start = async () => {
    const reason = model.get("_bundle") ? (canDraw() ? "" : "This browser has no WebGL") : model.get("_missing");
    if (reason || model.get("renderer") === "server") return stills(reason);
    try {
      const [bundle, bytes] = await Promise.all([
        loadBundle(model, waiting),
        ask(model, "model", 1500, waiting),
      ]);
      if (gone) return;
      const restart = () => {
        stop();
        start();
      };
      const ending = await bundle.start({ model, place, bytes, restart });
      if (gone) return ending();
      stop = ending;
      place.root.dataset.renderer = "webgl";
      say(model, place, hint());
      tell(model, "webgl");
    } catch (error) {
      stills(`The 3-D view did not start: ${error.message}`);
    }
  };
  const done = start();
  return () => {
    gone = true;
    model.off("change:height_px", place.size);
    stop();
    void done;
    place.root.remove();
  };
}

// ---------------------------------------------------------------- pictures drawn by the kernel

const MOVES = [
  ["Turn left", "◀", { turn: -STEP }],
  ["Turn right", "▶", { turn: STEP }],
  ["Look from higher", "▲", { rise: STEP }],
  ["Look from lower", "▼", { rise: -STEP }],
  ["Closer", "+", { zoom: 0.8 }],
  ["Farther", "−", { zoom: 1.25 }],
];

/** An orbit whose pictures come from the kernel: small ones while it moves, a full one when it rests. */
function startStills(model, place, why) {
  const { stage, veil, foot } = place;
  const page = crypto.randomUUID?.() ?? String(Math.random());
  const start = () => structuredClone(model.get("facts").home); // { target, distance, azimuth, elevation }
  let orbit = start();
  let number = 0;
  let shown = 0;
  let rest;
  let url = "";

  const image = make("img", "gs-still");
  image.alt = `${model.get("facts").title}, drawn by the kernel`;
  image.draggable = false;
  image.tabIndex = 0;
  const buttons = make("div", "gs-tools");
  buttons.setAttribute("role", "toolbar");
  buttons.setAttribute("aria-label", "Move the view");
  stage.append(image, buttons);
  if (why) foot.textContent = `${why}; these pictures are drawn by the kernel. ${foot.textContent}`;

  const want = (moving) => {
    const { width, height } = stage.getBoundingClientRect();
    if (width < 2 || height < 2) return;
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    const size = [Math.round(width * scale), Math.round(height * scale)];
    number += 1;
    const distance = orbit.distance * Math.max(1, (1.6 * height) / width); // the home view is for a wide one
    const ground = getComputedStyle(place.root).getPropertyValue("--gs-ground").trim();
    model.send({ kind: "still", page, number, orbit: { ...orbit, distance }, size, moving, ground });
  };
  const change = ({ turn = 0, rise = 0, zoom = 1, east = 0, north = 0 }) => {
    orbit.azimuth += turn;
    orbit.elevation = Math.max(-1.5, Math.min(1.5, orbit.elevation + rise));
    orbit.distance *= zoom;
    orbit.target = [orbit.target[0] + east, orbit.target[1] + north, orbit.target[2]];
    want(true);
    clearTimeout(rest);
    rest = setTimeout(() => want(false), 250);
  };
  const reset = () => {
    orbit = start();
    change({});
  };
  for (const [label, sign, move] of MOVES) {
    buttons.append(button(label, sign, () => change(move)));
  }
  buttons.append(button("Reset the view", "Reset", reset));

  const hear = (message, buffers) => {
    if (message?.kind !== "still" || message.page !== page || message.number <= shown) return;
    shown = message.number;
    if (message.error) {
      veil.hidden = false;
      place.words.textContent = message.error;
      return;
    }
    const old = url;
    url = URL.createObjectURL(new Blob([asBytes(buffers[0])], { type: "image/jpeg" }));
    image.onload = () => {
      URL.revokeObjectURL(old);
      place.root.dataset.settled = String(!message.moving);
      place.root.dataset.number = message.number;
    };
    image.src = url;
    veil.hidden = true;
  };
  model.on("msg:custom", hear);

  let held = null;
  image.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, pan: event.shiftKey || event.button === 2 };
    image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
    Object.assign(held, { x: event.clientX, y: event.clientY });
    if (held.pan) change(along(orbit, dx, dy, stage.clientHeight));
    else change({ turn: -dx * 0.008, rise: dy * 0.008 });
  });
  const drop = () => (held = null);
  image.addEventListener("pointerup", drop);
  image.addEventListener("pointercancel", drop);
  image.addEventListener("contextmenu", (event) => event.preventDefault());
  image.addEventListener("wheel", (event) => {
    event.preventDefault();
    change({ zoom: Math.exp(Math.sign(event.deltaY) * 0.12) });
  }, { passive: false });
  image.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: 0, ArrowRight: 1, ArrowUp: 2, ArrowDown: 3, "+": 4, "=": 4, "-": 5 };
    if (event.key in keys) change(MOVES[keys[event.key]][2]);
    else if (event.key === "r") reset();
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab's own keys
  });

  const watcher = new ResizeObserver(() => {
    clearTimeout(rest);
    rest = setTimeout(() => want(false), 120);
  });
  watcher.observe(stage);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => want(false);
  dark.addEventListener("change", repaint);
  const again = () => {
    const view = model.get("_still");
    if (view?.target) {
      orbit = structuredClone(view);
      change({});
    }
  };
  model.on("change:_still", again);
  return () => {
    clearTimeout(rest);
    watcher.disconnect();
    dark.removeEventListener("change", repaint);
    model.off("msg:custom", hear);
    model.off("change:_still", again);
    URL.revokeObjectURL(url);
    image.remove();
    buttons.remove();
  };
}

/** A drag of (dx, dy) pixels as metres over the ground, so that it follows the pointer. */
function along(orbit, dx, dy, height) {
  const metres = (2 * orbit.distance * Math.tan(Math.PI / 7.2)) / Math.max(height, 1);
  const [s, c] = [Math.sin(orbit.azimuth), Math.cos(orbit.azimuth)];
  return { east: metres * (-dx * c + dy * s), north: metres * (dx * s + dy * c) };
}

function button(label, text, onClick) {
  const element = make("button", "gs-button", text);
  element.type = "button";
  element.title = label;
  element.setAttribute("aria-label", label);
  element.addEventListener("click", onClick);
  return element;
}

export default { render };
