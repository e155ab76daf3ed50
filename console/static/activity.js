// Activity: rows unfold in place, a drag over the chart chooses a time, and live mode announces what is new. Without this file the
// links of the page do the same.
"use strict";

const results = document.getElementById("results");

// --- rows that unfold

async function unfold(link) {
  const row = link.closest("tr");
  const open = row.nextElementSibling?.classList.contains("more") ? row.nextElementSibling : null;
  if (open) {
    open.remove();
    link.setAttribute("aria-expanded", "false");
    return;
  }
  const more = document.createElement("tr");
  more.className = "more";
  const cell = more.insertCell();
  cell.colSpan = row.cells.length;
  cell.textContent = "…";
  row.after(more);
  link.setAttribute("aria-expanded", "true");
  try {
    const answer = await fetch(link.dataset.row, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.reload(); // logged out meanwhile
    if (!answer.ok) throw new Error(answer.status);
    cell.innerHTML = await answer.text();
    showLocalTimes(cell);
  } catch {
    cell.textContent = "This could not be read just now: open the mail instead.";
  }
}

function prepareRows(root) {
  for (const link of root.querySelectorAll("a.unfold")) {
    link.setAttribute("role", "button");
    link.setAttribute("aria-expanded", "false");
  }
}

results.addEventListener("click", (event) => {
  const row = event.target.closest("tr.mail");
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const link = event.target.closest("a");
  if (link && !link.classList.contains("unfold")) return;
  if (event.target.closest("button") || (!link && String(getSelection()))) return;
  event.preventDefault();
  unfold(row.querySelector("a.unfold"));
});
results.addEventListener("keydown", (event) => {
  if (event.key !== " " || !event.target.matches("a.unfold")) return; // what is a button answers to the space bar
  event.preventDefault();
  unfold(event.target);
});
prepareRows(document);

// --- a time from the chart

function chooseByDrag() {
  const volume = document.getElementById("volume");
  if (!volume) return;
  const chosen = volume.querySelector(".chosen");
  const bars = volume.querySelectorAll("g").length;
  let from = null;
  const bar = (event) => {
    const box = volume.getBoundingClientRect();
    return Math.min(bars - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * bars)));
  };
  const span = (event) => [Math.min(from, bar(event)), Math.max(from, bar(event)) + 1];
  volume.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    from = bar(event);
    volume.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  volume.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const [low, high] = span(event);
    chosen.setAttribute("x", (low * 1000) / bars);
    chosen.setAttribute("width", ((high - low) * 1000) / bars);
  });
  volume.addEventListener("pointercancel", () => {
    from = null;
    chosen.setAttribute("width", 0);
  });
  volume.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const [low, high] = span(event);
    from = null;
    const moment = (place) => new Date((Number(volume.dataset.first) + place * volume.dataset.step) * 1000).toISOString();
    const parameters = new URLSearchParams(location.search);
    parameters.delete("cursor");
    parameters.set("since", moment(low));
    parameters.set("until", moment(high));
    location.search = parameters;
  });
}
chooseByDrag();
document.addEventListener("filled", chooseByDrag); // the chart came later

// --- a time from the form, which is read in the reader's zone

const range = document.getElementById("range");
if (range) {
  const local = (moment) => new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  for (const field of range.querySelectorAll("[data-utc]")) field.value = local(new Date(field.dataset.utc));
  range.addEventListener("submit", (event) => {
    event.preventDefault();
    const parameters = new URLSearchParams(new FormData(range));
    for (const name of ["since", "until"]) {
      if (parameters.get(name)) parameters.set(name, new Date(parameters.get(name)).toISOString());
      else parameters.delete(name);
    }
    location.search = parameters;
  });
}

// --- live: what is new is announced, and shown when it is asked for

const EVERY = 3000; // milliseconds between two questions
const PATIENCE = 5000; // milliseconds that an answer may take before the connection counts as lost
const news = document.getElementById("news");
const linkState = document.getElementById("link-state");
const live = document.getElementById("live");
let lastAnswer = new Date();
let lost = false;

function say(text, isLost) {
  if (linkState.textContent !== text) linkState.textContent = text;
  linkState.classList.toggle("lost", isLost);
  live.setAttribute("aria-checked", String(!isLost));
}

function keysOf(root) {
  return new Set([...root.querySelectorAll("tr[data-key]")].map((row) => row.dataset.key));
}

function announce(page) {
  const known = keysOf(document);
  const fresh = [...keysOf(page)].filter((key) => !known.has(key)).length;
  const many = fresh === page.querySelectorAll("tr[data-key]").length && known.size ? `${fresh} or more` : String(fresh);
  if (!fresh || news.dataset.said === many) return;
  news.dataset.said = many;
  const show = document.createElement("a");
  show.href = location.href;
  show.className = "button";
  show.textContent = `${many} new: show`;
  news.replaceChildren(show);
}

function refreshStatuses(page) {
  // A row that is there keeps its place; only what became of its mail is renewed.
  const rows = new Map([...page.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));
  for (const row of document.querySelectorAll("tr[data-key]")) {
    const newer = rows.get(row.dataset.key);
    if (!newer || newer.dataset.status === row.dataset.status) continue;
    row.dataset.status = newer.dataset.status;
    row.querySelector(".status").replaceWith(newer.querySelector(".status"));
    row.querySelector(".why").replaceWith(newer.querySelector(".why"));
    row.classList.add("fresh");
  }
}

async function ask() {
  const answer = await fetch(`/activity/rows${location.search}`, {
    headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE), cache: "no-store",
  });
  if (answer.redirected) return location.reload(); // logged out meanwhile
  if (!answer.ok) throw new Error(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  showLocalTimes(page);
  refreshStatuses(page);
  announce(page);
  document.getElementById("complete").replaceWith(page.getElementById("complete"));
  if (lost) say(`Connected again at ${localTime(new Date())}.`, false);
  lost = false;
  lastAnswer = new Date();
}

async function keepAsking() {
  if (!document.hidden) {
    try {
      await ask();
    } catch {
      lost = true;
      say(`Connection lost since ${localTime(lastAnswer)}: what you see is not live.`, true);
    }
  }
  setTimeout(keepAsking, EVERY);
}

if (new URLSearchParams(location.search).has("live")) setTimeout(keepAsking, EVERY);
