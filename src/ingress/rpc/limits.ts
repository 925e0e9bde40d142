/** Most bytes of a request's message, before and after it is inflated. */
export const MESSAGE_BYTES_MAX = 32 * 1024 * 1024;

/** How long a request's body may take to arrive. */
export const READ_TIMEOUT_MS = 300_000;
