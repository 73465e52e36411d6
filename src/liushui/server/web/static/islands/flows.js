// The window over the flows: only rows in sight are elements, the next ones are fetched before they are reached.
import { sumsByCurrency } from "./selection.js";
import { made } from "./tip.js";

const AHEAD = 600; // rows that are kept ready on either side
const KEPT_MAX = 20_000; // rows that are remembered; what is farther away is fetched again
const OVER = 24; // rows that are drawn beyond each edge, for scrolls that are faster than a frame
const POINT = new Intl.NumberFormat(document.documentElement.lang).format(0.5).replace(/\d/g, "");

const pane = document.getElementById("ledger");
const body = pane.querySelector(".ledger-rows");
const state = document.getElementById("ledger-state");
const drawer = document.getElementById("drawer");
const selection = document.getElementById("selection");
const selected = new Map(); // the rows to add up, by key; they stay when they are scrolled out of sight
const first = JSON.parse(document.getElementById("first-rows").textContent);

let rows = first.rows;
let older = first.older;
let newer = first.newer;
let asking = { older: false, newer: false };
let searched = first.searched;
let wrong = false;
let chosen = -1;
let height = 0;

// ---------------------------------------------------------------- rows as elements, used again and again

const pool = [];
// Each column: the class of its cells, where its text is in a row, and its width.
const COLUMNS = {
  time: ["time", 1, "9rem"],
  account: ["account", 2, "minmax(9.5rem, 1.2fr)"],
  kind: ["kind", 3, "7.5rem"],
  description: ["what", 4, "minmax(8rem, 2fr)"],
  symbol: ["symbol", 5, "6rem"],
  amount: ["amount-cell figure", 6, "minmax(11rem, 1fr)"],
  currency: ["currency", 8, "4.25rem"],
  balance: ["balance figure", 9, "minmax(11rem, 1fr)"],
  direction: ["direction", 11, "5.5rem"],
  category: ["category", 12, "5.5rem"],
  reference: ["reference", 13, "minmax(10rem, 1fr)"],
  order_reference: ["order-reference", 14, "minmax(10rem, 1fr)"],
};
const names = pane.dataset.columns.split(" ");
const columns = names.map((name) => COLUMNS[name]);
const least = (width) => parseFloat(width.replace("minmax(", "")) + 0.75; // with the space between two columns
pane.style.setProperty("--columns", ["1rem", ...columns.map(([, , width]) => width)].join(" "));
pane.style.setProperty("--row-width", `${3 + columns.reduce((sum, [, , width]) => sum + least(width), 0)}rem`);

function rowElement(number) {
  let row = pool[number];
  if (!row) {
    row = made("div", "ledger-row", pickCell(), ...columns.map(([name]) => cell(name)));
    row.setAttribute("role", "row");
    row.id = `ledger-row-${number}`;
    pool[number] = row;
    body.append(row);
  }
  return row;
}

function cell(name) {
  const element = made("span", name);
  element.setAttribute("role", "gridcell");
  return element;
}

/** The cell whose box selects the row for a sum. */
function pickCell() {
  const box = made("input", "");
  box.type = "checkbox";
  box.tabIndex = -1; // the space bar does the same
  box.setAttribute("aria-label", selection.dataset.select);
  const pick = made("span", "pick", box);
  pick.setAttribute("role", "gridcell");
  return pick;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Characters of an amount from which it may not fit its column: its whole text is a pointer away.
const LONG = 20;

let decimalsMax = 0; // of the amounts that were drawn: the width of the part of the column after the point

/** The parts of an exact amount: before the point, decimals, zeros that are not shown, and zeros to add. */
function parts(text, decimals) {
  const at = text.lastIndexOf(POINT);
  const [whole, own] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + POINT.length)];
  const shown = Math.max(own.replace(/0+$/, "").length, text ? decimals : 0);
  const hidden = `${shown || !own ? "" : POINT}${own.slice(shown)}`;
  const fraction = shown && own ? POINT + own.slice(0, shown) : "";
  const added = shown > own.length ? (own ? "" : POINT) + "0".repeat(shown - own.length) : "";
  return { whole, fraction, hidden, added, shown };
}

function writeAmount(element, text, side, decimals) {
  if (element.dataset.text !== text) {
    const { whole, fraction, hidden, added, shown } = parts(text, decimals);
    element.dataset.text = text;
    const rest = made("i", "", fraction, ...(hidden ? [made("span", "zeros", hidden)] : []));
    rest.dataset.pad = added;
    element.replaceChildren(whole, rest);
    element.title = hidden || text.length > LONG ? text : "";
    if (shown > decimalsMax) {
      decimalsMax = shown;
      pane.style.setProperty("--decimals", `${shown + 1}ch`);
    }
  }
  element.classList.toggle("in", side === "in");
  element.classList.toggle("out", side === "out");
}

function fill(row, index) {
  const values = rows[index];
  const [key, , , , , , , side, , , decimals] = values;
  const cells = row.children;
  row.dataset.index = index;
  row.dataset.key = key;
  row.setAttribute("aria-rowindex", index + 2);
  row.setAttribute("aria-selected", index === chosen);
  cells[0].firstChild.checked = selected.has(key);
  row.style.transform = `translateY(${index * height}px)`;
  names.forEach((name, number) => {
    const cell = cells[number + 1];
    const text = values[columns[number][1]];
    if (name === "amount") writeAmount(cell, text, side, decimals);
    else if (name === "balance") writeAmount(cell, text, "", decimals);
    else write(cell, text);
  });
  row.hidden = false;
}

// ---------------------------------------------------------------- what is in sight

let due = 0;

function draw() {
  due = 0;
  measure();
  stretch();
  const top = Math.floor(pane.scrollTop / height);
  const shown = Math.ceil(pane.clientHeight / height);
  const from = Math.max(0, top - OVER);
  const to = Math.min(rows.length, top + shown + OVER);
  const used = shown + 2 * OVER + 2;
  const taken = new Set();
  for (let index = from; index < to; index += 1) {
    taken.add(index % used);
    fill(rowElement(index % used), index);
  }
  pool.forEach((row, number) => {
    if (!taken.has(number)) row.hidden = true;
  });
  const active = chosen >= from && chosen < to ? pool[chosen % used].id : null;
  if (active) pane.setAttribute("aria-activedescendant", active);
  else pane.removeAttribute("aria-activedescendant");
  pane.setAttribute("aria-rowcount", older === null ? rows.length + 1 : -1);
  say(top + shown);
  if (older !== null && rows.length - to < AHEAD) fetchOlder();
  if (newer !== null && from < AHEAD) fetchNewer();
}

function stretch() {
  body.style.height = `${Math.max(1, rows.length) * height}px`;
}

function soon() {
  if (!due) due = requestAnimationFrame(draw);
}

function measure() {
  const found = parseFloat(getComputedStyle(pane).getPropertyValue("--row")) * 16;
  if (found !== height) {
    const at = height ? pane.scrollTop / height : 0;
    height = found;
    pool.forEach((row) => delete row.dataset.index);
    pane.scrollTop = at * height;
  }
}

function say(end = rows.length) {
  let text = "";
  if (wrong) text = state.dataset.wrong;
  else if (older === null && !rows.length) text = state.dataset.none;
  else if (end < rows.length) text = "";
  else if (older === null) text = state.dataset.all;
  else if (searched) text = `${state.dataset.searched} ${searched.slice(0, 10)}`;
  write(state, text);
}

// ---------------------------------------------------------------- fetching

async function ask(side, cursor) {
  const address = new URL(pane.dataset.rows, location.href);
  address.searchParams.set(side, cursor);
  const answer = await fetch(address, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

async function fetchOlder() {
  if (asking.older) return;
  asking.older = true;
  try {
    const found = await ask("older", older);
    wrong = false;
    rows = rows.concat(found.rows);
    older = found.older;
    searched = found.searched;
    forget();
  } catch {
    wrong = true;
  }
  asking.older = false;
  if (!wrong) draw();
  else say();
}

async function fetchNewer() {
  if (asking.newer) return;
  asking.newer = true;
  try {
    const found = await ask("newer", newer);
    wrong = false;
    newer = found.newer;
    rows = found.rows.concat(rows);
    if (chosen >= 0) chosen += found.rows.length;
    stretch(); // first: a browser does not scroll beyond the height that there is
    pane.scrollTop += found.rows.length * height;
  } catch {
    wrong = true;
  }
  asking.newer = false;
  if (!wrong) draw(); // at once: the rows that are drawn stand where they were before
  else say();
}

/** Lets go of rows far above: they are fetched again from the first one that stays. */
function forget() {
  const many = rows.length - KEPT_MAX;
  const above = Math.floor(pane.scrollTop / height) - 2 * AHEAD;
  if (many <= 0 || above < many) return;
  rows = rows.slice(many);
  newer = rows[0][0];
  chosen = chosen >= many ? chosen - many : -1;
  pane.scrollTop -= many * height;
}

// ---------------------------------------------------------------- choosing and opening

function choose(index) {
  chosen = Math.min(Math.max(index, 0), rows.length - 1);
  const names = pane.querySelector(".ledger-names").offsetHeight;
  const top = chosen * height;
  const room = pane.clientHeight - names - height;
  if (top < pane.scrollTop) pane.scrollTop = top;
  else if (top > pane.scrollTop + room) pane.scrollTop = top - room;
  soon();
}

const page = () => Math.max(1, Math.floor(pane.clientHeight / height) - 2);
const KEYS = {
  ArrowDown: () => choose(chosen < 0 ? Math.ceil(pane.scrollTop / height) : chosen + 1),
  ArrowUp: () => choose(chosen - 1),
  PageDown: () => choose(Math.max(chosen, 0) + page()),
  PageUp: () => choose(chosen - page()),
  Home: () => choose(0),
  End: () => choose(rows.length - 1),
  Enter: () => chosen >= 0 && open(rows[chosen][0]),
};

pane.addEventListener("keydown", (event) => {
  if (selects(event)) {
    event.preventDefault();
    return;
  }
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
  if (!drawer.hidden && event.key.startsWith("Arrow") && chosen >= 0) open(rows[chosen][0], false);
});

body.addEventListener("mousedown", (event) => {
  if (event.shiftKey) event.preventDefault(); // it would select the text between two clicks
});

body.addEventListener("click", (event) => {
  const row = event.target.closest(".ledger-row");
  if (!row) return;
  const index = Number(row.dataset.index);
  if (event.target.closest(".pick") || event.ctrlKey || event.metaKey || event.shiftKey) {
    if (event.target.matches("input")) pane.focus();
    if (event.shiftKey && chosen >= 0) selectRange(chosen, index);
    else select(index, !selected.has(rows[index][0]));
    chosen = index;
    return;
  }
  if (getSelection().toString()) return;
  chosen = index;
  soon();
  open(row.dataset.key);
});

// ---------------------------------------------------------------- selecting rows for a sum

function select(index, value) {
  const [key, , , , , , amount, , currency, , decimals] = rows[index];
  if (value) selected.set(key, { amount, currency, decimals });
  else selected.delete(key);
  tellSums();
}

function selectRange(from, to) {
  for (let index = Math.min(from, to); index <= Math.max(from, to); index += 1) {
    const [key, , , , , , amount, , currency, , decimals] = rows[index];
    selected.set(key, { amount, currency, decimals });
  }
  tellSums();
}

/** Whether a key selects rows: the space bar, an arrow with Shift, or Ctrl+A, which selects all rows loaded so far. */
function selects(event) {
  if (event.key === " " && chosen >= 0) select(chosen, !selected.has(rows[chosen][0]));
  else if (event.shiftKey && ["ArrowDown", "ArrowUp"].includes(event.key) && chosen >= 0) {
    const from = chosen;
    choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
    selectRange(from, chosen);
  } else if (event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey) && rows.length) {
    selectRange(0, rows.length - 1);
  } else if (event.key === "Escape" && drawer.hidden && selected.size) {
    clearSelection();
  } else return false;
  return true;
}

function clearSelection() {
  selected.clear();
  tellSums();
  pane.focus();
}

function tellSums() {
  const sums = sumsByCurrency(selected.values(), POINT, document.documentElement.lang);
  selection.hidden = !selected.size;
  const words = selection.dataset.count.replace("#", new Intl.NumberFormat(document.documentElement.lang).format(selected.size));
  const parts = sums.map(([currency, text]) => made("span", "selected-sum", `${text} ${currency}`));
  selection.querySelector("output").replaceChildren(made("strong", "", words), ...parts);
  soon();
}

selection.querySelector("button").addEventListener("click", clearSelection);

let opened = "";

async function open(key, moves = true) {
  opened = key;
  await show(await fetch(`${drawer.dataset.flow}?${new URLSearchParams({ key, zone: drawer.dataset.zone })}`), key);
  if (opened !== key) return;
  drawer.hidden = false;
  drawer.scrollTop = 0;
  if (moves) drawer.querySelector("[data-closes]").focus();
}

async function show(answer, key) {
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (opened === key) drawer.replaceChildren(...parsed.body.childNodes);
}

drawer.addEventListener("submit", async (event) => {
  if (!event.target.matches("[data-decides]")) return;
  event.preventDefault();
  const key = opened;
  const body = new URLSearchParams(new FormData(event.target, event.submitter));
  await show(await fetch(event.target.action, { method: "POST", body }), key);
});

function close() {
  if (drawer.hidden) return;
  opened = "";
  drawer.hidden = true;
  pane.focus();
}

drawer.addEventListener("click", (event) => {
  if (event.target.closest("[data-closes]")) close();
  const link = event.target.closest("[data-key]");
  if (link) {
    event.preventDefault();
    open(link.dataset.key);
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open], details[data-menu][open]")) close();
});

// ---------------------------------------------------------------- totals

const totals = document.querySelector(".totals");

async function loadTotals(address) {
  totals.setAttribute("aria-busy", "true");
  const answer = await fetch(address);
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  totals.replaceChildren(...parsed.body.childNodes);
  totals.removeAttribute("aria-busy");
}

totals.addEventListener("click", (event) => {
  const link = event.target.closest("[data-reloads]");
  if (!link) return;
  event.preventDefault();
  loadTotals(link.href);
});

/** Opens the flow that the address names, and chooses its row if it is among the first. */
function openNamed(key) {
  const index = rows.findIndex((row) => row[0] === key);
  if (index >= 0) choose(index);
  pane.scrollIntoView({ block: "nearest" }); // on a phone the list begins below the window
  open(key);
}

loadTotals(totals.dataset.loads).then(() => {
  // The totals have pushed the list down.
  if (drawer.dataset.opened && !drawer.hidden) pane.scrollIntoView({ block: "nearest" });
});
// The columns of the form are one field of the address, and none where they are as usual.
document.querySelector(".filters").addEventListener("formdata", ({ formData }) => {
  const list = formData.getAll("columns").join(",");
  formData.delete("columns");
  if (list && list !== document.querySelector(".columns-field").dataset.usual) formData.set("columns", list);
});

pane.addEventListener("scroll", soon, { passive: true });
new ResizeObserver(soon).observe(pane);
draw();
if (drawer.dataset.opened) openNamed(drawer.dataset.opened);
