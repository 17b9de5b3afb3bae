// Live graphs follow the theme of the page.
"use strict";
function follow() {
  const theme = document.documentElement.dataset.theme === "dark" ? "dark" : "light";
  for (const frame of document.querySelectorAll("iframe[data-live]")) {
    const page = `${frame.dataset.live}.${theme}.html`;
    if (!frame.getAttribute("src").startsWith(page)) frame.setAttribute("src", `${page}#step=999`);
  }
}
new MutationObserver(follow).observe(document.documentElement, { attributeFilter: ["data-theme"] });
follow();

// Names that the theme leaves out, or that differ from what is read.
for (const button of document.querySelectorAll(".search-button__button")) button.removeAttribute("aria-label");
for (const summary of document.querySelectorAll("summary:has(.toctree-toggle)")) {
  summary.setAttribute("aria-label", "pages below");
}
