// Trends: a step of a chart opens its mails, as the links of its table do; the cells of the heat map are one stop of the tab key, and the arrows go from cell to cell.
"use strict";

document.addEventListener("click", (event) => {
  const step = event.target.closest("g[data-opens]");
  if (step) location.href = step.dataset.opens;
});

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

document.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  const cell = event.target.closest("#heat td");
  if (!step || !cell) return;
  event.preventDefault();
  const rows = cell.closest("tbody").rows;
  let [row, column] = [cell.parentElement.sectionRowIndex, cell.cellIndex];
  for (;;) { // past cells without mail
    row += step[0];
    column += step[1];
    const next = rows[row]?.cells[column];
    if (!next || column < 2) return;
    const link = next.querySelector("a");
    if (!link) continue;
    event.target.tabIndex = -1;
    link.tabIndex = 0;
    link.focus();
    return;
  }
});

function prepareHeat() {
  document.querySelectorAll("#heat td > a").forEach((cell, place) => { cell.tabIndex = place ? -1 : 0; });
  // What is newest stands at the right end, which a narrow screen would hide.
  for (const scroll of document.querySelectorAll(".heat .scroll")) scroll.scrollLeft = scroll.scrollWidth;
}

prepareHeat();
document.addEventListener("filled", prepareHeat); // the map came later
