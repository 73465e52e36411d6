// The overview's drawings, and the parts of it that are fetched when they are wanted.
import { openPage } from "../js/address.js";
import { drawCharts } from "./charts.js";
import { hideTip, made, showTip } from "./tip.js";

const DAY_MS = 86_400_000;

/** Fetches a part of the page into an element. What went wrong is said there. */
async function load(element, target, address = element.dataset.loads) {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  target.replaceChildren(...(answer.ok ? page.body.childNodes : [made("p", "wrong panel-body", `${answer.status}`)]));
  element.removeAttribute("aria-busy");
  drawCharts(target);
  wireCalendars(target);
}

for (const element of document.querySelectorAll("[data-loads]")) {
  if (element instanceof HTMLDetailsElement) {
    element.addEventListener("toggle", () => load(element, element.querySelector(".loaded")), { once: true });
  } else {
    load(element, element);
  }
}

// Links within a part that was fetched change that part alone. The focus stays on what was chosen.
document.addEventListener("click", async (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[data-reloads]") : null;
  const part = link?.closest("[data-loads]");
  if (!part || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const place = [...part.querySelectorAll("a[data-reloads]")].indexOf(link);
  await load(part, part, link.href);
  part.querySelectorAll("a[data-reloads]")[place]?.focus(); // the part has the same links in the same order
});

function dayUnder(drawing, told, event) {
  const box = drawing.getBoundingClientRect();
  const scale = box.width / drawing.viewBox.baseVal.width;
  const week = Math.floor((event.clientX - box.left) / scale / told.pitch);
  const weekday = Math.floor(((event.clientY - box.top) / scale - told.top) / told.pitch);
  if (weekday < 0 || weekday > 6) return null;
  const day = new Date(Date.parse(told.origin) + (7 * week + weekday) * DAY_MS);
  const run = told.runs.find(([first, days]) => {
    const after = (day - Date.parse(first)) / DAY_MS;
    return after >= 0 && after < days;
  });
  return run ? { day, words: run[2], reason: run[3] } : null;
}

const named = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeZone: "UTC" });

/** Makes the days of each calendar in a part of the page tell their state, and lead to their flows. */
function wireCalendars(root) {
  for (const drawing of root.querySelectorAll("[data-calendar]")) wireCalendar(drawing);
}

function wireCalendar(drawing) {
  const told = JSON.parse(drawing.closest(".calendar").querySelector("script").textContent);
  drawing.addEventListener("pointermove", (event) => {
    const found = dayUnder(drawing, told, event);
    if (!found) return hideTip();
    const lines = [made("strong", "", named.format(found.day)), made("div", "", found.words)];
    if (found.reason) lines.push(made("div", "quiet", found.reason));
    return showTip(event.clientX, event.clientY, ...lines);
  });
  drawing.addEventListener("pointerleave", hideTip);
  drawing.addEventListener("click", (event) => {
    const found = dayUnder(drawing, told, event);
    if (!found) return;
    const day = found.day.toISOString().slice(0, 10);
    openPage(`/flows?${new URLSearchParams({ account: told.account, since: day, until: dayAfter(found.day) })}`);
  });
  drawing.parentElement.scrollLeft = drawing.parentElement.scrollWidth;
}

const dayAfter = (day) => new Date(day.getTime() + DAY_MS).toISOString().slice(0, 10);

wireCalendars(document);

drawCharts(document);
