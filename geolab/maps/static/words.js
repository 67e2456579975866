// Text of users only ever becomes textContent; addresses only ever lead to this origin.

function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

function here(address) {
  try {
    const url = new URL(String(address), window.location.href);
    return url.origin === window.location.origin && url.protocol.startsWith("http") ? url.href : "";
  } catch {
    return "";
  }
}

function colour(el, text, fallback = "#0b7285") {
  if (text === "accent") {
    return getComputedStyle(el).getPropertyValue("--geolab-accent").trim() || fallback;
  }
  return /^#[0-9a-f]{6}$/i.test(text || "") ? text : fallback;
}

function later(milliseconds, act) {
  let timer = 0;
  return (...given) => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => act(...given), milliseconds);
  };
}

function where(latlng) {
  const at = latlng.wrap();
  const north = at.lat < 0 ? "S" : "N";
  const east = at.lng < 0 ? "W" : "E";
  return `${Math.abs(at.lat).toFixed(5)}° ${north}  ${Math.abs(at.lng).toFixed(5)}° ${east}`;
}
