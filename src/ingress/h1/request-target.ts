/**
 * Whether a request may have this target: a path, a whole address as proxies send it, or the
 * asterisk of OPTIONS. Only visible ASCII, and no fragment.
 */
export function isTarget(target: string, method: string): boolean {
  for (let at = 0; at < target.length; at += 1) {
    const code = target.charCodeAt(at);
    if (code <= SPACE || code >= DELETE || code === HASH) return false;
  }
  if (target.charCodeAt(0) === SLASH) return true;
  if (target === "*") return method === "OPTIONS";
  return ADDRESS.test(target);
}

/** Whether a Host field may say this: a name or an address, perhaps a port; or nothing. */
export function isHost(host: string): boolean {
  for (let at = 0; at < host.length; at += 1) {
    if (hostCodes[host.charCodeAt(at)] !== 1) return false;
  }
  return true;
}

const ADDRESS = /^https?:\/\/[a-z0-9._~[\]:-]+(?:[/?]|$)/i;
const SPACE = 0x20;
const HASH = 0x23;
const SLASH = 0x2f;
const DELETE = 0x7f;

/** What host names and addresses are made of (RFC 3986, 3.2.2 and 3.2.3). */
const hostCodes = new Uint8Array(256);
for (const character of "0123456789abcdefghijklmnopqrstuvwxyz-._~%!$&'()*+,;=:[]") {
  hostCodes[character.charCodeAt(0)] = 1;
  hostCodes[character.toUpperCase().charCodeAt(0)] = 1;
}
