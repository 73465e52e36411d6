"""nginx with the answers as static files: about the highest speed that HTTP allows on this machine."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.load import Request
from bench.process import Server, serving
from liushui.testing.processes import free_port

_CONFIG = """\
daemon off;
worker_processes 2;
{user}pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=10000;
    keepalive_requests 100000000;
    default_type application/json;
    client_body_temp_path {folder}/temp;
    proxy_temp_path {folder}/temp;
    fastcgi_temp_path {folder}/temp;
    uwsgi_temp_path {folder}/temp;
    scgi_temp_path {folder}/temp;
    server {{ listen 127.0.0.1:{port}; root {folder}/pages; }}
}}
"""


@contextmanager
def static_pages(nginx: str, folder: Path, bodies: Sequence[bytes]) -> Iterator[tuple[Server, list[Request]]]:
    """A server with a file for each body, and the requests for them."""
    pages = folder / "pages"
    pages.mkdir(parents=True)
    for number, body in enumerate(bodies):
        (pages / f"{number}.json").write_bytes(body)
    port = free_port()
    config = folder / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""  # otherwise its workers cannot open the folder
    config.write_text(_CONFIG.format(folder=folder, port=port, user=user), encoding="utf-8")
    command = [nginx, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(config)]
    with serving(command, port=port, log=folder / "nginx.log", path="/0.json") as server:
        yield server, [Request(f"/{number}.json", {}) for number in range(len(bodies))]
