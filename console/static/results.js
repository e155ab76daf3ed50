// What this list shows is remembered in this tab, so that the page of a mail can lead to the next one (mail.js).
"use strict";

addEventListener("pagehide", () => {
  const links = [...document.querySelectorAll('main a[href^="/mails/"]')];
  const ids = [...new Set(links.map((link) => link.pathname.split("/")[2]))];
  if (ids.length) sessionStorage.setItem("results", JSON.stringify({ from: location.pathname + location.search, ids }));
});
