// Buttons, readings and the crop's sliders: plain HTML with labels, reachable by keyboard.

const ICONS = {
  fit: '<path d="M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"/>',
  reset: '<path d="M3 8a5 5 0 1 0 1.6-3.7L3 6M3 2.5V6h3.5"/>',
  above: '<path d="M8 2v8M5 7.5 8 10.5l3-3M2.5 14h11"/>',
  pick: '<path d="M8 14s-4.5-4-4.5-7.5a4.5 4.5 0 0 1 9 0C12.5 10 8 14 8 14z"/><circle cx="8" cy="6.5" r="1.4"/>',
  measure: '<path d="M2 11 11 2l3 3-9 9zM5 8l1.5 1.5M7.5 5.5 9 7"/>',
  cameras: '<path d="M2 5h3l1-2h4l1 2h3v8H2z"/><circle cx="8" cy="9" r="2.4"/>',
  crop: '<path d="M4 1v11h11M1 4h11v11"/>',
  full: '<path d="M9.5 6.5 14 2M10 2h4v4M6.5 9.5 2 14M6 14H2v-4"/>',
};
const COMPASS =
  '<svg viewBox="0 0 20 20"><path class="north" d="M10 1 14 10H6z"/><path class="south" d="M10 19 6 10h8z"/></svg>';

export function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

export function button(label, icon, hint, onClick) {
  const element = make("button", "gs-button");
  element.type = "button";
  element.title = hint;
  element.setAttribute("aria-label", hint);
  element.innerHTML = icon.startsWith("<svg") ? icon : `<svg viewBox="0 0 16 16" aria-hidden="true">${ICONS[icon]}</svg>`;
  if (label) element.append(make("span", "word", label));
  element.addEventListener("click", onClick);
  return element;
}

/** The bar of buttons. acts: functions by name. cameras: names of the photos, for the list. */
export function toolbar(parent, acts, cameras) {
  const bar = make("div", "gs-tools");
  bar.setAttribute("role", "toolbar");
  bar.setAttribute("aria-label", "View");
  const buttons = {
    fit: button("Fit", "fit", "Show the whole model (F)", acts.fit),
    reset: button("Reset", "reset", "Back to the first view (R)", acts.reset),
    above: button("Above", "above", "Look straight down (T)", acts.above),
    pick: button("Pick", "pick", "Pick a point: longitude, latitude, height (P)", acts.pick),
    measure: button("Measure", "measure", "Measure between two points (M)", acts.measure),
    crop: button("Crop", "crop", "Crop to a box (B)", acts.crop),
  };
  for (const name of ["pick", "measure", "crop"]) buttons[name].setAttribute("aria-pressed", "false");
  let photos = null;
  if (cameras.length) {
    buttons.cameras = button("Photos", "cameras", "Show where the photos were taken (C)", acts.cameras);
    buttons.cameras.setAttribute("aria-pressed", "false");
    photos = photoList(cameras, acts.photo);
  }
  bar.append(...Object.values(buttons), ...(photos ? [photos] : []));
  const side = make("div", "gs-side");
  const compass = button("", COMPASS, "North up (N)", acts.north);
  compass.classList.add("gs-compass");
  const full = button("", "full", "Full screen", acts.full);
  side.append(compass, ...(document.fullscreenEnabled ? [full] : []));
  parent.append(bar, side);
  return { bar, side, buttons, photos, compass };
}

function photoList(names, onChoose) {
  const list = make("select", "gs-select");
  list.setAttribute("aria-label", "Fly to a photo");
  list.append(new Option("Fly to photo…", ""));
  names.forEach((name, index) => list.append(new Option(name, String(index))));
  list.addEventListener("change", () => list.value && onChoose(Number(list.value)));
  return list;
}

const SIDES = [
  ["West", 0, 3], ["East", 3, 0], ["South", 1, 4], ["North", 4, 1], ["Bottom", 2, 5], ["Top", 5, 2],
];

/** Six sliders for the sides of a box. limits: the largest box; onChange(box) while one moves. */
export function cropPanel(parent, limits, onChange, onClear) {
  const form = make("fieldset", "gs-crop");
  const legend = make("legend");
  legend.hidden = true;
  legend.textContent = "Crop box, metres from the model's origin";
  form.append(legend);
  const rows = SIDES.map(([word, side, opposite]) => {
    const axis = side % 3;
    const input = make("input");
    Object.assign(input, { type: "range", min: limits[axis], max: limits[axis + 3], step: "any" });
    input.setAttribute("aria-label", `${word} side of the crop box, metres`);
    const output = make("output");
    form.append(make("span", "", word), input, output);
    return { side, opposite, input, output };
  });
  const read = () => {
    const box = new Array(6);
    for (const { side, input } of rows) box[side] = Number(input.value);
    return box;
  };
  const write = (box) => {
    for (const { side, input, output } of rows) {
      input.value = box[side];
      output.textContent = `${box[side].toFixed(1)} m`;
      input.setAttribute("aria-valuetext", output.textContent);
    }
  };
  for (const { side, opposite, input } of rows) {
    input.addEventListener("input", () => {
      const box = read(); // a side never passes the one across
      box[side] = side < 3 ? Math.min(box[side], box[opposite]) : Math.max(box[side], box[opposite]);
      write(box);
      onChange(box);
    });
  }
  const clear = make("button", "gs-button", "Show everything");
  clear.type = "button";
  clear.addEventListener("click", onClear);
  form.append(clear);
  form.hidden = true;
  parent.append(form);
  return { form, write };
}

/** A card of readings at the lower left. lines: [word, value] each; hidden when there are none. */
export function card(parent) {
  const element = make("p", "gs-card");
  element.setAttribute("role", "status");
  element.hidden = true;
  parent.append(element);
  return (lines) => {
    element.hidden = !lines.length;
    element.replaceChildren(
      ...lines.flatMap(([word, value], i) => [
        ...(i ? [document.createElement("br")] : []),
        make("span", "", `${word} `),
        make("b", "", value),
      ]),
    );
  };
}
