// What the page does in Airflow's frame: it wears Airflow's colours, and its links may leave the frame.
// Without this script, or in a tab of its own, the page is complete; colours then follow the browser's setting.
"use strict";

const COLOURS = [
  "bg", "bg-subtle", "bg-muted", "fg", "fg-muted", "fg-info", "border", "border-emphasized", "brand-solid", "brand-fg",
  "success-fg", "success-subtle", "warning-fg", "warning-subtle", "danger-fg", "danger-subtle",
];

/** Airflow's document around this one; null in a tab of its own. */
function airflow() {
  try {
    return window.parent === window ? null : window.parent.document;
  } catch {
    return null;
  }
}

/** Take over theme and colours, those of an installation's own theme too. */
function wear(outer) {
  const worn = outer.defaultView.getComputedStyle(outer.documentElement);
  document.documentElement.dataset.theme = outer.documentElement.classList.contains("dark") ? "dark" : "light";
  for (const name of COLOURS.map((colour) => `--chakra-colors-${colour}`)) {
    document.documentElement.style.setProperty(name, worn.getPropertyValue(name));
  }
}

/** Follow a link in Airflow's own document: the frame's sandbox lets no link of the frame leave it. */
function follow(outer, link, fresh) {
  const twin = outer.createElement("a");
  twin.href = link.href;
  if (fresh) {
    twin.target = "_blank";
    twin.rel = "noopener";
  }
  outer.body.append(twin);
  twin.click();
  twin.remove();
}

function onClick(outer, event) {
  const link = event.target.closest("a[href]");
  const fresh = event.ctrlKey || event.metaKey || event.button === 1 || link?.dataset.leave === "new";
  if (link && event.button < 2 && (fresh || "leave" in link.dataset)) {
    event.preventDefault();
    follow(outer, link, fresh);
  }
}

const outer = airflow();
if (outer) {
  wear(outer);
  new MutationObserver(() => wear(outer)).observe(outer.documentElement, { attributeFilter: ["class"] });
  for (const kind of ["click", "auxclick"]) document.addEventListener(kind, (event) => onClick(outer, event));
}
