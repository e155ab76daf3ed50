// The page of a mail: copy a text, load what is related, go on to the next result of the search that it came from.
"use strict";

for (const button of document.querySelectorAll(".copies button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = button.closest(".copy-head").nextElementSibling.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied: select it";
    }
  });
}

const related = document.getElementById("related");
if (related) {
  fetch(related.dataset.from, { headers: { Accept: "text/html" } })
    .then(async (answer) => {
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("related-mail");
      if (found) related.replaceChildren(...found.childNodes);
    })
    .catch(() => undefined); // the link to it stays
}

// The list leaves the ids of its rows for this tab (activity.js).
const results = JSON.parse(sessionStorage.getItem("results") ?? "null");
const here = location.pathname.split("/")[2];
const place = results?.ids.indexOf(here) ?? -1;
const neighbours = document.getElementById("neighbours");
if (neighbours && place >= 0) {
  for (const [step, words] of [[-1, "← Newer"], [1, "Older →"]]) {
    const id = results.ids[place + step];
    if (!id) continue;
    const link = document.createElement("a");
    link.className = "button";
    link.href = `/mails/${id}`;
    link.textContent = words;
    neighbours.append(link, " ");
    neighbours.hidden = false;
  }
  const back = document.querySelector(".crumbs a");
  if (back && results.from.startsWith("/")) back.href = results.from;
}
