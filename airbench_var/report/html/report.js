"use strict";
// The page is whole without this: it adds the button for dark and light, and the downloads.

const root = document.documentElement;
const THEME = "airbench_var-theme";

function remembered() {
  try { return localStorage.getItem(THEME); } catch { return null; } // a browser may keep nothing for files
}

function show(theme) {
  root.dataset.theme = theme;
  try { localStorage.setItem(THEME, theme); } catch { /* then it holds until the page is closed */ }
}

function toggle() {
  const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  show((root.dataset.theme || preferred) === "dark" ? "light" : "dark");
}

// A link whose content is made when it is clicked.
function download(text, file, type, content) {
  const link = document.createElement("a");
  link.textContent = text;
  link.download = file;
  link.href = "#";
  link.addEventListener("click", () => {
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([content()], { type }));
  });
  return link;
}

function standalone(svg) {
  const copy = svg.cloneNode(true);
  const [, , width, height] = svg.getAttribute("viewBox").split(" ");
  copy.setAttribute("width", `${width}pt`);
  copy.setAttribute("height", `${height}pt`);
  copy.style.color = "#000000"; // what the page gave
  copy.style.background = "#ffffff";
  const text = new XMLSerializer().serializeToString(copy).replace(/var\(--\w+, (#[0-9a-f]{6})\)/g, "$1");
  return `<?xml version="1.0" encoding="utf-8"?>\n${text}\n`;
}

if (remembered()) root.dataset.theme = remembered();
document.getElementById("theme").addEventListener("click", toggle);

for (const data of document.querySelectorAll('script[type="application/json"]')) {
  const file = data.dataset.file;
  const content = () => `${data.textContent}\n`; // as it is: parsing would round seeds of 64 bits
  document.getElementById("downloads").append(download(file, file, "application/json", content));
}
for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector("svg");
  const link = download("SVG", `${figure.id}.svg`, "image/svg+xml", () => standalone(svg));
  link.className = "download";
  link.setAttribute("aria-label", `Download as SVG: ${figure.querySelector("h4").textContent}`);
  figure.prepend(link);
}
document.querySelector(".buttons").hidden = false;
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
