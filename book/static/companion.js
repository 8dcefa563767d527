// What scrolls sideways can be reached with the Tab key and scrolled with the arrows; what does not scroll cannot.
const BOXES = {
  ".bd-article .formula": "Equation",
  ".bd-article .wide": "Table",
  ".bd-article pre": "Code or output",
};

function markScrolling() {
  for (const [selector, name] of Object.entries(BOXES)) {
    for (const box of document.querySelectorAll(selector)) {
      if (box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", `${name}, scrolls sideways`);
      } else if (box.hasAttribute("tabindex")) {
        for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
      }
    }
  }
}

addEventListener("load", () => {
  document.fonts.ready.then(markScrolling);
  new ResizeObserver(markScrolling).observe(document.body);
  document.addEventListener("toggle", markScrolling, true);
});

// Paper is light.
let onScreen;
addEventListener("beforeprint", () => {
  onScreen = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
addEventListener("afterprint", () => { document.documentElement.dataset.theme = onScreen; });
