// Copies the diagnosis, for a ticket or a colleague.
"use strict";

const copy = document.getElementById("copy");
const copied = document.getElementById("copied");

copy.hidden = false;
copy.addEventListener("click", async () => {
  try {
    const answer = await fetch(copy.dataset.from, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`the console answered ${answer.status}`);
    await navigator.clipboard.writeText(JSON.stringify(await answer.json(), null, 1));
    copied.textContent = "Copied.";
  } catch (error) {
    copied.textContent = `Not copied: ${error.message}`;
  }
});
