// The 3-D view: splats on a canvas, tools over it, and its state in the widget's model.
import { Vector3 } from "three";

import { Overlay } from "./overlay.js";
import { card, cropPanel, toolbar } from "./panel.js";
import { flatten, medianPoint } from "./pick.js";
import { CLICK_PX, Stage } from "./stage.js";

const STEP = Math.PI / 24;

export async function start({ model, place, bytes, restart }) {
  const viewer = new Viewer(model, place, restart);
  try {
    await viewer.open(bytes);
  } catch (error) {
    viewer.dispose();
    throw error;
  }
  return () => viewer.dispose();
}

class Viewer {
  constructor(model, place, restart) {
    this.model = model;
    this.place = place;
    this.restart = restart;
    this.facts = model.get("facts");
    this.ending = [];
    this.picks = [];
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.stage = new Stage(place.stage, { box: this.facts.box, home: this.facts.home, still });
    this.overlay = new Overlay(this.stage, place.stage, { onPhoto: (index) => this.flyTo(index) });
    this._panel();
    this._listen();
    this._follow();
  }

  async open(bytes) {
    this.paint();
    this.stage.resize();
    const splats = await this.stage.load(bytes);
    if (!splats) return;
    this.splats = splats;
    this.syncCameras();
    this.syncCrop();
    this.syncTool();
    this.syncPose(false);
    await this.firstPicture();
    this.place.veil.hidden = true;
    this.place.root.dataset.ready = "true";
  }

  firstPicture() {
    return new Promise((resolve) => {
      const check = () => {
        if (!this.stage.spark.activeSplats && !this.stage.gone) return;
        this.stage.onDraw.splice(this.stage.onDraw.indexOf(check), 1);
        resolve();
      };
      this.stage.onDraw.push(check);
      this.stage.invalidate();
    });
  }

  // ---------------------------------------------------------------- the page

  _panel() {
    const { stage } = this;
    const acts = {
      fit: () => stage.fit(),
      reset: () => this.reset(),
      above: () => stage.fromAbove(),
      north: () => stage.northUp(),
      pick: () => this.toggleTool("pick"),
      measure: () => this.toggleTool("measure"),
      cameras: () => this.set("show_cameras", !this.model.get("show_cameras")),
      crop: () => this.toggleCrop(),
      photo: (index) => this.flyTo(index),
      full: () => this.toggleFull(),
    };
    this.acts = acts;
    const names = this.model.get("cameras").map((camera) => camera.name);
    this.tools = toolbar(this.place.stage, acts, names);
    this.say = card(this.place.stage);
    this.cropping = cropPanel(
      this.place.stage,
      this.facts.box,
      (box) => this.set("crop", box),
      () => this.set("crop", []),
    );
    stage.canvas.setAttribute("aria-label", `${this.facts.title}: arrow keys turn, shift and arrows move, plus and minus zoom`);
  }

  toggleTool(name) {
    this.set("tool", this.model.get("tool") === name ? "orbit" : name);
  }

  toggleCrop() {
    const { form } = this.cropping;
    form.hidden = !form.hidden;
    if (!form.hidden && !this.model.get("crop").length) this.cropping.write(this.facts.box);
    this.tools.buttons.crop.setAttribute("aria-pressed", String(!form.hidden));
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.place.stage.requestFullscreen();
  }

  reset() {
    this.set("crop", []);
    this.picks = [];
    this.overlay.mark([]);
    this.say([]);
    this.stage.reset();
  }

  /** Theme: the page's colours as they are computed now. */
  paint() {
    const style = getComputedStyle(this.place.root);
    this.stage.setBackground(this.model.get("background") || style.getPropertyValue("--gs-ground").trim());
    this.overlay.setAccent(style.getPropertyValue("--gs-accent").trim());
  }

  // ---------------------------------------------------------------- pointer and keys

  _listen() {
    const { canvas } = this.stage;
    let from = null;
    canvas.addEventListener("pointerdown", (event) => (from = event.isPrimary ? [event.clientX, event.clientY] : null));
    canvas.addEventListener("pointerup", (event) => {
      if (!from || event.button !== 0) return;
      const moved = Math.hypot(event.clientX - from[0], event.clientY - from[1]);
      from = null;
      if (moved <= CLICK_PX) this.click(event.offsetX, event.offsetY);
    });
    canvas.addEventListener("dblclick", (event) => this.center(event.offsetX, event.offsetY));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      if (!this.stage.gone) this.lost();
    });
    this._watch();
  }

  _watch() {
    const watcher = new ResizeObserver(() => this.stage.resize());
    watcher.observe(this.stage.canvas);
    const repaint = () => this.paint();
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", repaint);
    const themes = new MutationObserver(repaint);
    themes.observe(document.body, { attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
    const reporting = () => this.report();
    this.stage.onDraw.push(reporting);
    this.stage.onStir = () => (this.place.root.dataset.settled = "false");
    this.ending.push(
      () => watcher.disconnect(),
      () => dark.removeEventListener("change", repaint),
      () => themes.disconnect(),
      () => clearTimeout(this.telling),
    );
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { stage, acts } = this;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const letters = {
      f: acts.fit, r: acts.reset, t: acts.above, n: acts.north, p: acts.pick, m: acts.measure, b: acts.crop,
      c: this.tools.photos ? acts.cameras : null,
      Escape: () => this.set("tool", "orbit"),
      Enter: () => this.click(...stage.size().map((side) => side / 2)),
      "+": () => stage.step({ zoom: 0.8 }), "=": () => stage.step({ zoom: 0.8 }), "-": () => stage.step({ zoom: 1.25 }),
    };
    if (event.key in arrows) {
      const [x, y] = arrows[event.key];
      stage.step(event.shiftKey ? { right: x * 0.05, ahead: y * 0.05 } : { turn: x * STEP, rise: y * STEP });
    } else {
      const act = letters[event.key] ?? letters[event.key.toLowerCase()];
      if (!act) return;
      act();
    }
    event.preventDefault();
    event.stopPropagation(); // JupyterLab's own keys
  }

  lost() {
    const { veil, words } = this.place;
    words.textContent = "The graphics of this page were lost. ";
    const again = document.createElement("button");
    again.className = "gs-button";
    again.type = "button";
    again.textContent = "Draw again";
    again.addEventListener("click", () => {
      again.remove();
      this.restart();
    });
    veil.append(again);
    veil.classList.add("failed");
    veil.hidden = false;
  }

  // ---------------------------------------------------------------- picking and measuring

  /** The model's point under a place of the canvas, Vector3 or null. */
  meet(x, y) {
    this.flat ??= flatten(this.splats);
    const box = this.model.get("crop");
    const inside = box.length
      ? (e, n, u) => e >= box[0] && n >= box[1] && u >= box[2] && e <= box[3] && n <= box[4] && u <= box[5]
      : null;
    return medianPoint(this.flat, { ...this.stage.ray(x, y), inside });
  }

  click(x, y) {
    const tool = this.model.get("tool");
    if (tool === "orbit") return;
    const point = this.meet(x, y);
    if (!point) return this.say([["", "Nothing there: click on the model"]]);
    this.picks = tool === "measure" && this.picks.length === 1 ? [...this.picks, point] : [point];
    this.overlay.mark(this.picks);
    this.model.send({ kind: "picked", tool, points: this.picks.map((p) => p.toArray()) });
    this.say(tool === "measure" && this.picks.length === 1 ? [["", "Click on the second point"]] : this.placeOf(point));
  }

  placeOf(point) {
    return [["East, north, up", `${point.toArray().map((v) => v.toFixed(2)).join("  ")} ${this.facts.unit}`]];
  }

  center(x, y) {
    const point = this.meet(x, y);
    if (!point) return;
    const { camera } = this.stage;
    const back = camera.getWorldDirection(new Vector3()).negate();
    const elevation = Math.asin(back.z);
    this.stage.orbitTo(point, camera.position.distanceTo(point) * 0.6, this.stage.azimuth(), elevation);
  }

  flyTo(index) {
    const camera = this.model.get("cameras")[index];
    this.stage.through(camera);
    if (this.tools.photos) this.tools.photos.value = String(index);
    this.set("photo", camera.name);
  }

  // ---------------------------------------------------------------- the widget's state

  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  _follow() {
    const hears = {
      "change:pose": () => this.syncPose(true),
      "change:cameras": () => this.syncCameras(),
      "change:show_cameras": () => this.syncCameras(),
      "change:crop": () => this.syncCrop(),
      "change:tool": () => this.syncTool(),
      "change:background": () => this.paint(),
      "change:readings": () => this.say(this.model.get("readings")),
    };
    for (const [name, act] of Object.entries(hears)) {
      this.model.on(name, act);
      this.ending.push(() => this.model.off(name, act));
    }
  }

  syncPose(animated) {
    const pose = this.model.get("pose");
    this.wanted = pose.number ?? 0;
    const arrived = () => (this.place.root.dataset.pose = String(this.wanted));
    if (pose.K) this.stage.through(pose, { animated: animated && pose.animated, done: arrived });
    else if (pose.target) {
      this.stage.orbitTo(new Vector3(...pose.target), pose.distance, pose.azimuth, pose.elevation, animated && pose.animated);
      arrived();
    } else arrived();
  }

  syncCameras() {
    const shown = this.model.get("show_cameras");
    this.overlay.showCameras(shown ? this.model.get("cameras") : [], this.facts.frustum);
    this.tools.buttons.cameras?.setAttribute("aria-pressed", String(shown));
  }

  syncCrop() {
    const box = this.model.get("crop");
    this.stage.crop(box.length ? box : null);
    this.overlay.showBox(box.length ? box : null);
    this.cropping.write(box.length ? box : this.facts.box);
  }

  syncTool() {
    const tool = this.model.get("tool");
    this.place.stage.dataset.tool = tool;
    for (const name of ["pick", "measure"]) {
      this.tools.buttons[name].setAttribute("aria-pressed", String(tool === name));
    }
    if (tool === "measure") this.picks = this.picks.slice(0, 0);
    if (tool === "orbit") return;
    this.overlay.mark([]);
    this.say([["", tool === "pick" ? "Click on a point of the model" : "Click on the first point"]]);
  }

  /** After each drawing: turn the compass, say whether the picture is final, tell the kernel the view. */
  report() {
    const turn = (-this.stage.azimuth() * 180) / Math.PI;
    this.tools.compass.firstChild.style.transform = `rotate(${turn.toFixed(1)}deg)`;
    this.place.root.dataset.settled = String(this.stage.settled);
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      const view = this.stage.view();
      if (JSON.stringify(view) !== JSON.stringify(this.model.get("view"))) this.set("view", view);
    }, 250);
  }

  dispose() {
    for (const end of this.ending) end();
    this.overlay.dispose();
    for (const part of [this.tools.bar, this.tools.side, this.cropping.form]) part.remove();
    this.place.stage.querySelector(".gs-card")?.remove();
    this.stage.dispose();
    this.place.veil.hidden = false;
    this.place.veil.classList.remove("failed");
    this.place.words.textContent = "Loading the model";
  }
}
