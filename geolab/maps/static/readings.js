// Scale, coordinates, legend, the pin and the card of one item.

function readings({ model, el, map, L }) {
  L.control.scale({ position: "bottomleft", imperial: false, maxWidth: 140 }).addTo(map);
  const place = corner("bottomright", "geolab-where");
  const legend = corner("bottomleft", "geolab-legends");
  const tell = (latlng) => (place.textContent = where(latlng));
  map.on("mousemove", (event) => tell(event.latlng));
  map.on("move", () => L.Browser.mobile && tell(map.getCenter()));
  if (map._loaded) tell(map.getCenter());
  map.on("load", () => tell(map.getCenter()));

  function corner(position, name) {
    const control = L.control({ position });
    const element = make("div", name);
    control.onAdd = () => element;
    control.addTo(map);
    return element;
  }

  function showLegend() {
    legend.replaceChildren(
      ...model.get("legends").map((told) => {
        const box = make("div", "geolab-legend");
        if (new Set(told.colours).size === 1) {
          const swatch = make("span", "geolab-legend-swatch");
          swatch.style.background = colour(el, told.colours[0]);
          box.append(swatch, make("span", "", told.title));
          return box;
        }
        const bar = make("div", "geolab-legend-bar");
        bar.style.background = `linear-gradient(to right, ${told.colours.map((c) => colour(el, c)).join(",")})`;
        const ends = make("div", "geolab-legend-ends");
        ends.append(make("span", "", told.low), make("span", "", told.high));
        box.append(make("div", "", told.title), bar, ends);
        return box;
      }),
    );
    legend.hidden = !model.get("legends").length;
  }

  let pin = null;
  function showPin() {
    const told = model.get("pin");
    pin?.remove();
    pin = null;
    if (told.lat === undefined) return;
    const icon = L.divIcon({ html: make("span", "geolab-pin"), iconSize: [18, 18], className: "geolab-mark-holder" });
    pin = L.marker([told.lat, told.lon], { icon, keyboard: false, interactive: false, alt: "the place looked at" });
    pin.addTo(map);
  }

  const popup = L.popup({ minWidth: 232, maxWidth: 280, autoPanPadding: [24, 24], className: "geolab-popup-holder" });
  function showCard() {
    const told = model.get("card");
    if (told.lat === undefined) {
      popup.remove();
      return;
    }
    const figure = make("figure", "geolab-popup");
    if (here(told.thumb)) {
      const image = make("img");
      image.alt = "";
      image.src = here(told.thumb);
      image.addEventListener("error", () => image.remove());
      figure.append(image);
    }
    const words = make("figcaption");
    words.append(make("b", "", told.title));
    told.lines.forEach((line) => words.append(make("div", "soft", line)));
    told.links.filter((link) => here(link.href)).forEach((link) => {
      const anchor = make("a", "", link.text);
      anchor.href = here(link.href);
      anchor.target = "_blank";
      anchor.rel = "noopener";
      const row = make("div");
      row.append(anchor);
      words.append(row);
    });
    figure.append(words);
    popup.setLatLng([told.lat, told.lon]).setContent(figure);
    if (!popup.isOpen()) popup.openOn(map);
  }
  popup.on("remove", () => {
    if (model.get("card").lat !== undefined) {
      model.set("card", {});
      model.save_changes();
    }
  });

  const watched = { "change:legends": showLegend, "change:pin": showPin, "change:card": showCard };
  for (const [name, act] of Object.entries(watched)) model.on(name, act);
  showLegend();
  showPin();
  showCard();
  return () => {
    for (const [name, act] of Object.entries(watched)) model.off(name, act);
  };
}
