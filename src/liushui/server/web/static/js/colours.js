// The page's colours, for what draws on a canvas: as they are in the theme that is shown.
const probe = document.createElement("span");

/** The colour that a custom property stands for now: colour("--money-in") is "rgb(15, 107, 65)". */
export function colour(name) {
  probe.hidden = true;
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}

/** Calls `draw` whenever the colours change: with the system's theme, for the page's own is chosen by loading it again. */
export function whenColoursChange(draw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
}
