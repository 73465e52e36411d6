// Parts of a page that are fetched again when the ledger tells of a change: server-sent events of the liushui API.
const WAIT_MS = 250; // events of about that time are one reason to fetch

let events = null;
let due = 0;

function refresh() {
  if (due) return;
  due = setTimeout(() => {
    due = 0;
    for (const part of document.querySelectorAll("[data-live]")) part.dispatchEvent(new Event("live"));
  }, WAIT_MS);
}

/** Listens only while the page is seen: a browser opens few connections to one server. */
function listen() {
  const part = document.querySelector("[data-live]");
  if (document.hidden || events || !part) return;
  events = new EventSource(part.dataset.live);
  for (const name of ["sync", "commit"]) events.addEventListener(name, refresh);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    events?.close();
    events = null;
  } else {
    listen();
    refresh();
  }
});
listen();
