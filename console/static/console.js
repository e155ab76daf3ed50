// What every page has: times in the reader's zone (UTC without JavaScript, and on hover), and buttons that copy.
"use strict";

const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts().find((part) => part.type === "timeZoneName").value;

function localTime(moment, style) {
  const clock = moment.toLocaleTimeString("en-GB");
  if (moment.toDateString() === new Date().toDateString()) return style === "short" ? clock.slice(0, 5) : clock;
  return `${moment.getDate()} ${moment.toLocaleString("en-GB", { month: "short" })} ${clock.slice(0, 5)}`;
}

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[data-local]")) time.textContent = localTime(new Date(time.dateTime), time.dataset.local);
  for (const name of root.querySelectorAll("[data-zone]")) name.textContent = zone;
}

async function copyText(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // over plain HTTP a page has no clipboard
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not copied");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const box = button.closest(".unfolded");
  const said = button.parentElement.querySelector("[role=status]");
  copyText(box.querySelector("template.copied-text").content.textContent).then(
    () => { said.textContent = "Copied."; },
    () => { said.textContent = "Your browser did not let us copy."; },
  );
});

showLocalTimes(document);
