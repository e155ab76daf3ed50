// The list renews itself while `live` is on. Without JavaScript a <noscript> refresh does the same.
"use strict";

const EVERY = 3000; // milliseconds

async function renew() {
  if (document.hidden || document.activeElement?.closest("#results")) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.redirected) location.reload(); // logged out meanwhile
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const known = new Set([...document.querySelectorAll("tr[data-key]")].map((row) => row.dataset.key));
  for (const row of page.querySelectorAll("tr[data-key]")) {
    if (known.size && !known.has(row.dataset.key)) row.classList.add("fresh");
  }
  for (const id of ["results", "state"]) {
    const fresh = page.getElementById(id);
    if (fresh) document.getElementById(id).replaceWith(fresh);
  }
}

if (new URLSearchParams(location.search).has("live")) {
  setInterval(() => renew().catch(() => undefined), EVERY);
}

// A click anywhere on a row opens its mail.
document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-key]");
  if (!row || event.target.closest("a") || String(getSelection())) return;
  row.querySelector(".what a").click();
});
