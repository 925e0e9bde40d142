import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BenchProcess, hasCommand, serverCore } from "./bench-process.ts";
import { findFreePort } from "./free-port.ts";

/** nginx as a bare proxy with kept connections, in one process; undefined where it is not installed. */
export async function startNginx(
  directory: string,
  upstreamPort: number,
): Promise<{ readonly process: BenchProcess; readonly port: number } | undefined> {
  if (!hasCommand("nginx")) return undefined;
  const port = await findFreePort();
  const home = join(directory, "nginx");
  mkdirSync(join(home, "logs"), { recursive: true });
  const file = join(home, "nginx.conf");
  writeFileSync(file, createConfiguration(home, port, upstreamPort));
  const command = ["nginx", "-p", home, "-c", file];
  const log = join(directory, "nginx.log");
  return { process: new BenchProcess("nginx", command, { core: serverCore, log }), port };
}

function createConfiguration(home: string, port: number, upstreamPort: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${join(home, kind)};`)
    .join(" ");
  return `
daemon off;
master_process off;
worker_processes 1;
pid ${join(home, "nginx.pid")};
error_log ${join(home, "logs", "error.log")};
events { worker_connections 8192; }
http {
  access_log off;
  ${temporary}
  keepalive_requests 1000000000;
  upstream mock {
    server 127.0.0.1:${upstreamPort};
    keepalive 512;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    client_max_body_size 32m;
    client_body_buffer_size 64k;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffers 8 32k;
    }
    location /paced/ {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;
}
