// What is drawn over the splats: frusta of photos and the crop box as lines, marks and photos' places in SVG.
import { BufferGeometry, Float32BufferAttribute, LineBasicMaterial, LineSegments, Vector3 } from "three";

import { frustum } from "./cameras.js";

const EDGES = [0, 1, 0, 2, 0, 3, 0, 4, 1, 2, 2, 3, 3, 4, 4, 1];
const SVG = "http://www.w3.org/2000/svg";
const BOX_EDGES = [0, 1, 1, 3, 3, 2, 2, 0, 4, 5, 5, 7, 7, 6, 6, 4, 0, 4, 1, 5, 2, 6, 3, 7];

export class Overlay {
  constructor(stage, parent, { onPhoto }) {
    this.stage = stage;
    this.onPhoto = onPhoto;
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("class", "gs-marks");
    this.svg.setAttribute("aria-hidden", "true");
    parent.append(this.svg);
    this.photos = [];
    this.points = [];
    this.accent = "#3bc9db";
    stage.onDraw.push(() => this.draw());
  }

  /** Frusta of cameras, each as deep as length metres; none for an empty list. */
  showCameras(cameras, length) {
    this._drop("frusta");
    for (const photo of this.photos) photo.dot.remove();
    const corners = cameras.map((camera) => frustum(camera, length));
    this.photos = cameras.map((camera, index) => this._photo(camera, corners[index][0], index));
    if (cameras.length) {
      this.frusta = this._lines(corners.flatMap((five) => EDGES.map((edge) => five[edge])), 0.8);
    }
    this.stage.invalidate();
  }

  _photo(camera, center, index) {
    const dot = element("circle", { r: 5, class: "photo" });
    dot.append(element("title"));
    dot.firstChild.textContent = camera.name;
    dot.addEventListener("click", () => this.onPhoto(index));
    this.svg.append(dot);
    return { center, dot };
  }

  showBox(box) {
    this._drop("box");
    if (box) {
      const corner = (i) => new Vector3(box[i & 1 ? 3 : 0], box[i & 2 ? 4 : 1], box[i & 4 ? 5 : 2]);
      this.box = this._lines(BOX_EDGES.map(corner), 1);
    }
    this.stage.invalidate();
  }

  /** Marks at points (Vector3), joined by a line where there are two. */
  mark(points) {
    this.points = points;
    for (const old of this.svg.querySelectorAll(".mark")) old.remove();
    if (points.length === 2) {
      this.svg.append(element("line", { class: "mark under" }), element("line", { class: "mark" }));
    }
    for (const _ of points) this.svg.append(element("circle", { r: 6, class: "mark" }));
    this.stage.invalidate();
  }

  setAccent(color) {
    this.accent = color;
    for (const name of ["frusta", "box"]) this[name]?.material.color.setStyle(color);
    this.stage.invalidate();
  }

  draw() {
    for (const { center, dot } of this.photos) put(dot, this.stage.place(center), ["cx", "cy"]);
    const places = this.points.map((point) => this.stage.place(point));
    [...this.svg.querySelectorAll("circle.mark")].forEach((dot, i) => put(dot, places[i], ["cx", "cy"]));
    for (const line of this.svg.querySelectorAll("line.mark")) {
      put(line, places[0] && places[1] && [...places[0], ...places[1]], ["x1", "y1", "x2", "y2"]);
    }
  }

  _lines(points, opacity) {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new Float32BufferAttribute(points.flatMap((p) => p.toArray()), 3));
    const material = new LineBasicMaterial({ color: this.accent, transparent: true, opacity, depthTest: false });
    const lines = new LineSegments(geometry, material);
    lines.renderOrder = 10; // after the splats, which write no depth
    lines.frustumCulled = false;
    this.stage.scene.add(lines);
    return lines;
  }

  _drop(name) {
    if (!this[name]) return;
    this.stage.scene.remove(this[name]);
    this[name].geometry.dispose();
    this[name].material.dispose();
    this[name] = null;
  }

  dispose() {
    this._drop("frusta");
    this._drop("box");
    this.svg.remove();
  }
}

function element(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function put(shape, numbers, names) {
  shape.style.display = numbers ? "" : "none";
  numbers?.forEach((number, i) => shape.setAttribute(names[i], number.toFixed(1)));
}
