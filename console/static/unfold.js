// A row is unfolded in its place; without JavaScript the same link loads the page with the row unfolded.
"use strict";

async function unfold(link) {
  const row = link.closest("tr");
  const below = row.nextElementSibling;
  if (below?.classList.contains("unfolded")) {
    below.remove();
    fold(link);
    return;
  }
  const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) {
    location.assign(link.href);
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("tr.unfolded");
  if (!fresh) {
    location.assign(link.href);
    return;
  }
  row.after(document.importNode(fresh, true));
  link.dataset.unfolds = link.href;
  link.setAttribute("aria-expanded", "true");
}

function fold(link) {
  link.setAttribute("aria-expanded", "false");
  if (link.dataset.unfolds) link.href = link.dataset.unfolds;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.unfold");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (link.getAttribute("aria-expanded") === "true" && !link.dataset.unfolds) return; // it came unfolded: its link folds it
  event.preventDefault();
  if (link.dataset.busy) return;
  link.dataset.busy = "1";
  unfold(link)
    .catch(() => location.assign(link.href))
    .finally(() => delete link.dataset.busy);
});
