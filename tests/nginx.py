"""A real nginx that demands client certificates, and a pack made with openssl commands alone."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.servers import HOST
from tests.tools import find, free_port, need

CERTIFICATES = """
set -eu
ca() { # name subject issuer
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" \
        -out "$1.csr" -subj "/CN=$2"
    printf 'basicConstraints=critical,CA:TRUE\\nsubjectKeyIdentifier=hash\\n' > "$1.ext"
    if [ "$3" = self ]; then sign="-signkey $1.key"; else sign="-CA $3.pem -CAkey $3.key"; fi
    openssl x509 -req -in "$1.csr" $sign -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.pem"
}
leaf() { # name issuer days subject-alternative-name
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" \
        -out "$1.csr" -subj "/CN=$1"
    printf 'subjectAltName=%s\\n' "$4" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial \
        -days "$3" -extfile "$1.ext" -out "$1.pem"
}
pack() { # folder leaf issuer root
    mkdir "$1"
    cp "$2.pem" "$1/certificate"
    cat "$3.pem" "$4.pem" > "$1/certificateChain"
    openssl pkcs8 -topk8 -nocrypt -in "$2.key" -out "$1/certPrivateKey"
    chmod 600 "$1/certPrivateKey"
}
ca root Root self; ca issuing Issuing root; ca stranger Stranger self
leaf good root 30 IP:127.0.0.1
leaf expired root -1 IP:127.0.0.1
leaf wrong root 30 DNS:other.example
leaf untrusted stranger 30 IP:127.0.0.1
leaf client issuing 30 DNS:monitor.example
leaf foreign stranger 30 DNS:monitor.example
pack live client issuing root
pack foreign-pack foreign stranger stranger
"""

SERVER = """
server {{
    listen {host}:{port} ssl;
    ssl_certificate {name}.pem;
    ssl_certificate_key {name}.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_client_certificate root.pem;
    ssl_verify_client on;
    ssl_verify_depth 3;
    location / {{ return 404; }}
    location /view {{ return 401 "who are you"; }}
    location /broken {{ return 503; }}
    location /moved {{ return 302 /view; }}
    location /open {{ return 200 "data"; }}
    location /busy {{ return 429; }}
    location /slow {{ proxy_pass http://{host}:{slow}; }}
    location /silent {{ proxy_pass http://{host}:{silent}; }}
}}
"""

CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {servers}
}}
"""

CERTIFICATE_OF = ("good", "expired", "wrong", "untrusted")


@dataclass(frozen=True)
class Nginx:
    """A running nginx: a port for each server certificate, and the folder of its material."""

    folder: Path
    ports: dict[str, int]

    def url(self, path: str, server: str = "good") -> str:
        return f"https://{HOST}:{self.ports[server]}{path}"


class Slow(BaseHTTPRequestHandler):
    """An upstream that thinks before it answers."""

    def do_GET(self) -> None:
        time.sleep(0.15)
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@contextmanager
def nginx_server(folder: Path) -> Iterator[Nginx]:
    """nginx with a port for each server certificate, all its material made in `folder`."""
    need("nginx", "openssl")
    subprocess.run(["sh", "-c", CERTIFICATES], cwd=folder, check=True, capture_output=True)
    ports = {name: free_port() for name in CERTIFICATE_OF}
    with ExitStack() as stack:
        # Nobody accepts from this one: its connections are made and never answered.
        silent = stack.enter_context(socket.create_server((HOST, 0)))
        slow = stack.enter_context(ThreadingHTTPServer((HOST, 0), Slow))
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        stack.callback(slow.shutdown)
        upstreams = {"silent": silent.getsockname()[1], "slow": slow.server_port, "host": HOST}
        servers = [SERVER.format(name=name, port=ports[name], **upstreams) for name in ports]
        configuration = folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(servers="".join(servers)))
        stack.enter_context(running(folder, configuration, ports["good"]))
        yield Nginx(folder, ports)


@contextmanager
def running(folder: Path, configuration: Path, port: int) -> Iterator[None]:
    """nginx from its first accepted connection to its end."""
    command = [find("nginx") or "nginx", "-p", str(folder), "-c", str(configuration)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            for _ in range(200):
                if process.poll() is not None:
                    raise RuntimeError((process.stderr.read() if process.stderr else b"").decode())
                with socket.socket() as attempt:
                    if attempt.connect_ex((HOST, port)) == 0:
                        break
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
