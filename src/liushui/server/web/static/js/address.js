// Addresses of this server. Behind a proxy that serves it under a path, they begin with that path.

/** Opens a page of this server by its address without that path: openPage("/flows"). */
export function openPage(address) {
  const root = new URL(document.documentElement.dataset.root, location.href);
  location.assign(new URL(address.slice(1), root));
}
