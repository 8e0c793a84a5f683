"use strict";
// The filter, and a panel that Escape closes.
const form = document.getElementById("filter");
const rows = [...document.querySelectorAll(".matrix tr[data-section]")];
const names = [...form.elements.runtime.options].slice(1).map((option) => option.value);
const bad = ["failed", "broken", "unexpected", "error"];

// shown says whether a row has the status: of one runtime, or of any.
function shown(row, section, status, runtime, text) {
  if (section && row.dataset.section !== section) return false;
  if (text && !row.firstElementChild.textContent.toLowerCase().includes(text)) return false;
  if (!status) return true;
  if (!runtime || status === "differ") return row.dataset.status.split(" ").includes(status);
  const own = row.dataset.each.split(" ")[names.indexOf(runtime)];
  return status === "bad" ? bad.includes(own) : own === status;
}

function apply() {
  const { section, status, runtime, text, count } = form.elements;
  let number = 0;
  for (const row of rows) {
    row.hidden = !shown(row, section.value, status.value, runtime.value, text.value.trim().toLowerCase());
    number += !row.hidden;
  }
  for (const body of document.querySelectorAll(".matrix tbody")) {
    body.hidden = ![...body.rows].slice(1).some((row) => !row.hidden);
  }
  count.value = `${number} of ${rows.length} statements`;
}

form.hidden = false;
form.addEventListener("input", apply);
form.addEventListener("submit", (event) => event.preventDefault());
apply();

// The link that opened a panel has the focus again when it is closed.
let opener = null;
document.querySelector(".matrix").addEventListener("click", (event) => {
  opener = event.target.closest("a[href^='#t']") ?? opener;
});
function panel() {
  return document.querySelector("article:target, article:has(:target)");
}
addEventListener("hashchange", () => {
  if (!panel() && opener) opener.focus({ preventScroll: true });
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") panel()?.querySelector(".close").click();
});
