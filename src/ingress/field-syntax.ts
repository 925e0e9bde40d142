/** Whether this can be the name of a header field (RFC 9110, 5.6.2). */
export function isToken(name: string): boolean {
  for (let at = 0; at < name.length; at += 1) {
    if (codes[name.charCodeAt(at)] !== 1) return false;
  }
  return name !== "";
}

/**
 * Whether this can be its value: a character for each octet, and no control characters but tabs.
 */
export function isFieldValue(value: string): boolean {
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code < SPACE ? code !== TAB : code === DELETE || code > 0xff) return false;
  }
  return true;
}

const TAB = 0x09;
const SPACE = 0x20;
const DELETE = 0x7f;

const codes = new Uint8Array(0x80);
for (const character of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
  codes[character.charCodeAt(0)] = 1;
  codes[character.toUpperCase().charCodeAt(0)] = 1;
}

/**
 * Fields about a connection and not about a message: the connection writes them itself, and HTTP/2
 * has no use for them.
 */
export const connectionFields: ReadonlySet<string> = new Set([
  ...["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"],
]);
