// Comfort only: the page reads the same without this. Tooltips, whole trees at once, one attention head at a time, copy.
"use strict";
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
document.documentElement.classList.add("js");

// Tooltips: the marks' own <title> is slow to appear and is not shown on touch, so its text moves into one quick box.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
for (const title of all("svg.plot title")) {
  title.parentElement.dataset.tip = title.textContent;
  title.remove();
}
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  tip.style.left = Math.max(8, Math.min(x + 12, innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = (y + 20 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 12 : y + 16) + "px";
}
document.addEventListener("pointerover", (event) => {
  const mark = event.target.closest("[data-tip]");
  if (mark) showTip(mark.dataset.tip, event.clientX, event.clientY);
  else tip.hidden = true;
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

for (const button of all("[data-tree]")) {
  button.addEventListener("click", () => {
    for (const details of all(".tree details", button.closest(".search-tree"))) {
      details.open = button.dataset.tree === "open" || (button.dataset.tree === "path" && details.dataset.path !== undefined);
    }
  });
}

for (const figure of all(".attention")) {
  const map = figure.querySelector(".heat.large"), image = map.querySelector("image"), cursor = map.querySelector(".cursor");
  const names = [all(".rows text", map), all(".columns text", map)], strip = all(".strip span", figure);
  const told = figure.querySelector(".told"), box = figure.querySelector(".scroll"), buttons = all(".heads button", figure);
  const edge = Number(map.dataset.edge), cell = Number(map.dataset.cell), root = getComputedStyle(document.documentElement);
  const weightsOf = (button) => Uint8Array.from(atob(button.dataset.weights), (letter) => letter.charCodeAt(0));
  let chosen = buttons.find((button) => button.getAttribute("aria-pressed") === "true"), weights = weightsOf(chosen);
  let row = -1, column = 0;

  function look(newRow, newColumn) {
    const rows = Number(chosen.dataset.rows), columns = Number(chosen.dataset.columns);
    row = Math.max(0, Math.min(rows - 1, newRow));
    column = Math.max(0, Math.min(columns - 1, newColumn));
    cursor.setAttribute("x", edge + cell * column);
    cursor.setAttribute("y", edge + cell * row);
    cursor.setAttribute("visibility", "visible");
    names[0].forEach((name, i) => name.classList.toggle("lit", i === row));
    names[1].forEach((name, i) => name.classList.toggle("lit", i === column));
    strip.forEach((token, i) => {
      const share = i < columns ? weights[row * columns + i] / 255 : 0;
      token.classList.toggle("from", i === row);
      token.style.background = `color-mix(in srgb, ${root.getPropertyValue("--s0")} ${Math.round(70 * Math.sqrt(share))}%, transparent)`;
    });
    const percent = Math.round(weights[row * columns + column] / 2.55);
    told.textContent = `“${names[0][row].textContent}” (token ${row + 1}) gives ${percent} % of its attention to ` +
      `“${names[1][column].textContent}” (token ${column + 1}).`;
  }
  for (const button of buttons) {
    button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      chosen = button;
      weights = weightsOf(button);
      image.setAttribute("href", button.querySelector("image").getAttribute("href"));
      figure.querySelector(".which").textContent = button.getAttribute("aria-label");
      map.setAttribute("aria-label", button.getAttribute("aria-label"));
      if (row >= 0) look(row, column);
    });
    const small = button.querySelector("svg");
    small.addEventListener("pointermove", (event) => {
      const area = small.getBoundingClientRect(), rows = Number(button.dataset.rows), columns = Number(button.dataset.columns);
      const r = Math.floor((event.clientY - area.top) / area.height * rows);
      const c = Math.floor((event.clientX - area.left) / area.width * columns);
      if (r < 0 || c < 0 || r >= rows || c >= columns) return;
      const share = Math.round(weightsOf(button)[r * columns + c] / 2.55);
      showTip(`${names[0][r].textContent} → ${names[1][c].textContent}: ${share} %`, event.clientX, event.clientY);
    });
    small.addEventListener("pointerleave", () => { tip.hidden = true; });
  }
  map.addEventListener("pointermove", (event) => {
    const area = map.getBoundingClientRect(), scale = map.viewBox.baseVal.width / area.width;
    const c = Math.floor(((event.clientX - area.left) * scale - edge) / cell);
    const r = Math.floor(((event.clientY - area.top) * scale - edge) / cell);
    if (c >= 0 && r >= 0) look(r, c);
  });
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  box.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    look(row + move[0], column + move[1]);
  });
}

for (const button of all("[data-copy]")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Press Ctrl+C";
    }
  });
}
