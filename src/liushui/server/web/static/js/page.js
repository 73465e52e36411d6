// What every page does beside showing itself: shortcuts, dialogs, menus, copying. Without it all of it works by pointer.
const WAIT_MS = 1200; // how long a second key may take

const isTyping = (target) => target instanceof Element && target.closest("input, textarea, select, [contenteditable]");

let begun = "";
let forget = 0;

function shortcut(keys) {
  for (const element of document.querySelectorAll("[data-shortcut]")) {
    if (element.dataset.shortcut === keys) return element;
  }
  return null;
}

function begins(keys) {
  return [...document.querySelectorAll("[data-shortcut]")].some((element) =>
    element.dataset.shortcut.startsWith(`${keys} `)
  );
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const keys = begun ? `${begun} ${event.key}` : event.key;
  begun = "";
  clearTimeout(forget);
  const found = shortcut(keys);
  if (found) {
    event.preventDefault();
    if (found.matches("input, select, textarea")) found.focus();
    else found.click();
  } else if (begins(keys)) {
    begun = keys;
    forget = setTimeout(() => (begun = ""), WAIT_MS);
  }
});

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const opener = target?.closest("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  if (target?.closest("[data-prints]")) print();
  const copier = target?.closest("[data-copies]");
  if (copier) copy(copier);
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// The zone of the browser is not in any request: its button carries it.
for (const button of document.querySelectorAll("[data-browser-zone]")) {
  button.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  button.title = button.value;
  button.hidden = !button.value;
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copies)?.textContent ?? "";
  await navigator.clipboard.writeText(text.trim());
  const before = button.textContent;
  button.textContent = button.dataset.copied;
  setTimeout(() => (button.textContent = before), WAIT_MS);
}
