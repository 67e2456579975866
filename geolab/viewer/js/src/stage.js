// The canvas: three's renderer, Spark's splats, an orbit, and a loop that draws only when something changed.
import { SparkRenderer, SplatEdit, SplatEditRgbaBlendMode, SplatEditSdf, SplatEditSdfType, SplatFileType, SplatMesh } from "@sparkjsdev/spark";
import { Color, MathUtils, PerspectiveCamera, Quaternion, Scene, Vector3, WebGLRenderer } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

import { fitted, intrinsics, poseOf, project, worldToCamera } from "./cameras.js";
import { readHarmonics, writeHarmonics } from "./harmonics.js";

const FOV_DEG = 50;
const FLIGHT_MS = 700;
export const CLICK_PX = 4; // a pointer that moved less has clicked
const UP = new Vector3(0, 0, 1);

export class Stage {
  /** box: [xmin, ymin, zmin, xmax, ymax, zmax] of what shall be seen, metres; home: the first view. */
  constructor(parent, { box, home, still }) {
    this.box = box;
    this.home = home;
    this.calm = still; // no motion that nobody asked for
    this.canvas = document.createElement("canvas");
    this.canvas.className = "gs-canvas";
    this.canvas.tabIndex = 0;
    parent.append(this.canvas);
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(FOV_DEG, 1, 0.1, 1000);
    this.camera.up.copy(UP);
    this.onDraw = [];
    this.exact = null; // a photo's camera that the view equals
    this.flight = null;
    this.frame = 0;
    this.gone = false;
    this._renderer();
    this._controls();
    this.resize();
    this.reset(false);
  }

  _renderer() {
    this.renderer = new WebGLRenderer({ canvas: this.canvas, antialias: false, powerPreference: "high-performance" });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.spark = new SparkRenderer({
      renderer: this.renderer,
      onDirty: () => this.invalidate(),
      // As gsplat's classic rasterisation: a low-pass filter of 0.3 pixels squared, no compensation for it,
      // order by depth along the axis, contributions of 1/255 and above.
      preBlurAmount: 0.3,
      blurAmount: 0,
      sortRadial: false,
      minAlpha: 1 / 255,
      maxStdDev: Math.sqrt(11.1),
      clipXY: 2,
      maxPixelRadius: 4096,
      accumExtSplats: true, // float32 places: float16 has steps of 6 cm at 100 m
      enableLod: false,
    });
    this.scene.add(this.spark);
  }

  _controls() {
    const controls = new OrbitControls(this.camera, this.canvas);
    controls.enableDamping = !this.calm;
    controls.dampingFactor = 0.15;
    controls.zoomToCursor = true;
    controls.screenSpacePanning = false;
    controls.zoomSpeed = 1.5;
    controls.addEventListener("change", () => {
      this.steered = true;
      this.invalidate();
    });
    this.controls = controls;
    this.held = new Map(); // pointers that went down while the view equals a photo
    const first = { capture: true, passive: true };
    this.canvas.addEventListener("wheel", () => (this.land(), this.release()), first);
    this.canvas.addEventListener("pointerdown", (event) => this._hold(event), first);
    this.canvas.addEventListener("pointermove", (event) => this._pull(event), first);
    for (const name of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(name, (event) => this.held.delete(event.pointerId), first);
    }
  }

  _hold(event) {
    this.land();
    if (this.exact) this.held.set(event.pointerId, event);
  }

  /** A photo's view is left by a drag, not by a click: the orbit then gets the pointers that it missed. */
  _pull(event) {
    const down = this.held.get(event.pointerId);
    if (!down || Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) <= CLICK_PX) return;
    const missed = [...this.held.values()];
    this.held.clear();
    this.release();
    for (const each of missed) this.canvas.dispatchEvent(new PointerEvent("pointerdown", each));
  }

  /** Take the model's bytes. Resolves to the splats when they can be drawn. */
  async load(bytes) {
    const harmonics = await readHarmonics(bytes);
    if (this.gone) return null;
    this.mesh = new SplatMesh({ fileBytes: bytes, fileType: SplatFileType.SPZ, extSplats: true });
    await this.mesh.initialized;
    if (this.gone) return null;
    writeHarmonics(this.mesh.extSplats, harmonics);
    this.scene.add(this.mesh);
    this.invalidate();
    return this.mesh.extSplats;
  }

  get middle() {
    const [a, b, c, d, e, f] = this.box;
    return new Vector3((a + d) / 2, (b + e) / 2, (c + f) / 2);
  }

  get radius() {
    const [a, b, c, d, e, f] = this.box;
    return Math.max(Math.hypot(d - a, e - b, f - c) / 2, 1e-3);
  }

  size() {
    return [Math.max(this.canvas.clientWidth, 1), Math.max(this.canvas.clientHeight, 1)];
  }

  resize() {
    const [width, height] = this.size();
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this._lens();
    this.invalidate();
  }

  _lens() {
    const far = this.camera.position.distanceTo(this.middle) + 20 * this.radius;
    this.camera.far = far;
    this.camera.near = Math.max(far * 1e-5, Math.min(0.05, this.radius * 1e-3));
    if (this.exact) project(this.camera, fitted(this.exact, ...this.size()), ...this.size());
    else this.camera.updateProjectionMatrix();
  }

  setBackground(color) {
    this.scene.background = null;
    this.renderer.setClearColor(new Color().setStyle(color), 1);
    this.invalidate();
  }

  // ---------------------------------------------------------------- where one looks from

  /** The first view: { azimuth, elevation }, radians; the distance shows all of the box. */
  reset(animated = true) {
    const { azimuth, elevation } = this.home;
    this.orbitTo(this.middle, this.distanceFor(azimuth, elevation), azimuth, elevation, animated, FOV_DEG);
  }

  orbitTo(target, distance, azimuth, elevation, animated = true, fov = this.camera.fov) {
    // straight down the azimuth would be lost: a thousandth of a radian keeps it
    const e = MathUtils.clamp(elevation, -1.5698, 1.5698);
    this._fly({ position: target.clone().addScaledVector(outward(azimuth, e), distance), target, fov }, animated);
  }

  /** All of the model, seen from the present direction. */
  fit() {
    const back = this.camera.getWorldDirection(new Vector3()).negate();
    const elevation = Math.asin(MathUtils.clamp(back.z, -1, 1));
    const azimuth = this.azimuth();
    this.orbitTo(this.middle, this.distanceFor(azimuth, elevation), azimuth, elevation, true, FOV_DEG);
  }

  /** From how far all corners of the box are in the picture, looking at its middle, with some room. */
  distanceFor(azimuth, elevation) {
    const [width, height] = this.size();
    const up = Math.tan(MathUtils.degToRad(FOV_DEG / 2)) / 1.12;
    const side = (up * width) / height;
    const back = outward(azimuth, elevation);
    const right = new Vector3(Math.cos(azimuth), -Math.sin(azimuth), 0);
    const top = back.clone().cross(right);
    const [a, b, c, d, e, f] = this.box;
    const offsets = [a, d].flatMap((x) => [b, e].flatMap((y) => [c, f].map((z) => new Vector3(x, y, z).sub(this.middle))));
    return Math.max(
      ...offsets.map((o) => Math.max(Math.abs(o.dot(right)) / side, Math.abs(o.dot(top)) / up) + o.dot(back)),
      1e-3,
    );
  }

  /** Heading of the view, radians clockwise from north; of the picture's upper edge when looking down. */
  azimuth() {
    const ahead = this.camera.getWorldDirection(new Vector3());
    const top = new Vector3(0, 1, 0).applyQuaternion(this.camera.quaternion);
    const level = Math.hypot(ahead.x, ahead.y) > 0.02 ? ahead : top.multiplyScalar(ahead.z < 0 ? 1 : -1);
    return Math.atan2(level.x, level.y);
  }

  /** Turn to north without moving the middle of the picture. */
  northUp() {
    const { position } = this.camera;
    const target = this.controls.target;
    const elevation = Math.asin(MathUtils.clamp((position.z - target.z) / position.distanceTo(target), -1, 1));
    this.orbitTo(target.clone(), position.distanceTo(target), 0, elevation);
  }

  /** Straight down on the middle of the picture. */
  fromAbove() {
    const target = this.controls.target;
    this.orbitTo(target.clone(), this.camera.position.distanceTo(target), this.azimuth(), Math.PI / 2);
  }

  step({ turn = 0, rise = 0, zoom = 1, right = 0, ahead = 0 }) {
    this.land();
    this.release();
    const target = this.controls.target.clone();
    const offset = this.camera.position.clone().sub(target);
    const distance = offset.length();
    const elevation = Math.asin(MathUtils.clamp(offset.z / distance, -1, 1)) + rise;
    const azimuth = this.azimuth() + turn;
    target.x += distance * (right * Math.cos(azimuth) + ahead * Math.sin(azimuth));
    target.y += distance * (-right * Math.sin(azimuth) + ahead * Math.cos(azimuth));
    this.orbitTo(target, distance * zoom, azimuth, elevation, false);
  }

  /** View exactly through a photo's camera. depth: of what it looks at, for the orbit that may follow. */
  through(camera, { depth, animated = true, done } = {}) {
    const pose = poseOf(camera);
    const ahead = new Vector3(0, 0, -1).applyQuaternion(pose.quaternion);
    const reach = depth ?? pose.position.distanceTo(this.middle);
    const target = pose.position.clone().addScaledVector(ahead, reach);
    const [, fy] = fitted(camera, ...this.size());
    const fov = MathUtils.radToDeg(2 * Math.atan(this.size()[1] / 2 / fy));
    this._fly({ ...pose, target, fov, exact: camera, done }, animated);
  }

  /** Leave a photo's camera for the orbit nearest to it. */
  release() {
    if (!this.exact) return;
    const azimuth = this.azimuth();
    const { position } = this.camera;
    const target = this.controls.target.clone();
    const offset = position.clone().sub(target);
    const elevation = Math.asin(MathUtils.clamp(offset.z / offset.length(), -1, 1));
    this.orbitTo(target, offset.length(), azimuth, elevation, false);
  }

  land() {
    if (this.flight) this._arrive(this.flight);
  }

  _fly(goal, animated) {
    this.exact = null;
    const end = { ...goal, quaternion: goal.quaternion ?? lookAt(goal.position, goal.target) };
    if (!animated || this.calm) return this._arrive(end);
    this.flight = {
      ...end,
      began: performance.now(),
      from: { position: this.camera.position.clone(), quaternion: this.camera.quaternion.clone(), fov: this.camera.fov },
    };
    this.camera.updateProjectionMatrix();
    this.controls.enabled = false;
    this.invalidate();
  }

  _arrive(end) {
    this.flight = null;
    this.controls.enabled = !end.exact;
    this.camera.position.copy(end.position);
    this.camera.quaternion.copy(end.quaternion);
    this.camera.fov = end.fov;
    this.controls.target.copy(end.target);
    this.exact = end.exact ?? null;
    if (!this.exact) this.controls.update();
    this.steered = false;
    this._lens();
    this.invalidate();
    end.done?.();
  }

  _advance() {
    const { flight } = this;
    if (!flight) return;
    const share = Math.min((performance.now() - flight.began) / FLIGHT_MS, 1);
    if (share >= 1) return this._arrive(flight);
    const eased = share * share * (3 - 2 * share);
    this.camera.position.lerpVectors(flight.from.position, flight.position, eased);
    this.camera.quaternion.slerpQuaternions(flight.from.quaternion, flight.quaternion, eased);
    this.camera.fov = MathUtils.lerp(flight.from.fov, flight.fov, eased);
    this._lens();
    this.invalidate();
  }

  /** What is seen, in the words of a photo's camera: pixels of the page, OpenCV axes. */
  view() {
    const [width, height] = this.size();
    this.camera.updateMatrixWorld();
    const K = intrinsics(this.camera, width, height);
    return { width, height, K, world_to_camera: worldToCamera(this.camera), target: this.controls.target.toArray() };
  }

  /** The ray through a place of the canvas, pixels of the page. */
  ray(x, y) {
    const [width, height] = this.size();
    this.camera.updateMatrixWorld();
    const [fx, fy, cx, cy] = intrinsics(this.camera, width, height);
    const direction = new Vector3((x - cx) / fx, -(y - cy) / fy, -1).normalize();
    direction.transformDirection(this.camera.matrixWorld);
    const forward = this.camera.getWorldDirection(new Vector3());
    return { origin: this.camera.position.clone(), direction, forward, pixel_rad: 1 / fy };
  }

  /** [x, y] on the canvas of a point, or null behind the camera. */
  place(point) {
    const [width, height] = this.size();
    const seen = point.clone().applyMatrix4(this.camera.matrixWorldInverse);
    if (seen.z >= -this.camera.near) return null;
    seen.applyMatrix4(this.camera.projectionMatrix);
    return [((seen.x + 1) / 2) * width, ((1 - seen.y) / 2) * height];
  }

  // ---------------------------------------------------------------- cropping

  /** Show only what lies in the box [xmin, ymin, zmin, xmax, ymax, zmax]; everything for null. */
  crop(box) {
    if (this.edit) {
      this.scene.remove(this.edit);
      this.edit = null;
    }
    if (box) {
      const [a, b, c, d, e, f] = box;
      const shape = new SplatEditSdf({ type: SplatEditSdfType.BOX, invert: true, opacity: 0 });
      shape.position.set((a + d) / 2, (b + e) / 2, (c + f) / 2);
      shape.scale.set((d - a) / 2, (e - b) / 2, (f - c) / 2);
      this.edit = new SplatEdit({ rgbaBlendMode: SplatEditRgbaBlendMode.MULTIPLY, sdfSmooth: 0, softEdge: 0 });
      this.edit.addSdf(shape);
      this.scene.add(this.edit);
    }
    this.invalidate();
  }

  // ---------------------------------------------------------------- the loop

  invalidate() {
    if (this.frame || this.gone) return;
    this.onStir?.();
    this.frame = requestAnimationFrame(() => this._draw());
  }

  /** Whether the picture is final: sorted for this view and nothing moves. */
  get settled() {
    const { dirty, sorting, sortDirty, activeSplats } = this.spark;
    return Boolean(this.mesh) && !this.frame && !this.flight && !dirty && !sorting && !sortDirty && activeSplats > 0;
  }

  _draw() {
    this.frame = 0;
    if (this.gone) return;
    this._advance();
    this._glide();
    this.renderer.render(this.scene, this.camera);
    for (const listener of this.onDraw) listener();
  }

  /** Let the orbit run out. Only after a change: update() moves the camera by a rounding each time. */
  _glide() {
    if (!this.steered || this.exact || this.flight) return;
    this.steered = this.controls.update();
    this._lens();
  }

  dispose() {
    this.gone = true;
    cancelAnimationFrame(this.frame);
    this.controls.dispose();
    this.mesh?.dispose();
    this.spark.dispose();
    this.scene.clear();
    this.renderer.dispose();
    this.renderer.forceContextLoss(); // a page may hold only some 16 contexts
    this.canvas.remove();
  }
}

/** From the target to the eye, a unit vector. */
function outward(azimuth, elevation) {
  const level = Math.cos(elevation);
  return new Vector3(-Math.sin(azimuth) * level, -Math.cos(azimuth) * level, Math.sin(elevation));
}

function lookAt(position, target) {
  const helper = new PerspectiveCamera();
  helper.up.copy(UP);
  helper.position.copy(position);
  helper.lookAt(target);
  return new Quaternion().copy(helper.quaternion);
}
