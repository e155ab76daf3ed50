// Numbers that took longer than a page waits for them: the page is asked for again with all of them, and what is marked with `data-part`
// takes the place of what is here. Without this file the link does the same.
"use strict";

async function fill(link) {
  const said = link.parentElement;
  link.remove();
  try {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.reload(); // logged out meanwhile
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    showLocalTimes(page);
    for (const part of document.querySelectorAll("[data-part]")) {
      const filled = page.querySelector(`[data-part="${part.dataset.part}"]`);
      part.replaceWith(...(filled ? [document.adoptNode(filled)] : []));
    }
    document.dispatchEvent(new Event("filled"));
  } catch {
    said.textContent = "The numbers could not be read just now: load the page again.";
  }
}

const later = document.querySelector("#later a");
if (later) fill(later);
