import { createHmac, hkdfSync } from "node:crypto";
import { MeshError } from "../mesh/errors.ts";
import type { Alert } from "../store/alert-operations.ts";

/** A message as it is posted. */
export interface AlertMessage {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What a message says beside its alert. */
export interface AlertSender {
  /** Of the installation: receivers may hear several. */
  readonly installationId: string;
  readonly secret: WebhookSecret;
  /** Seconds since 1970. */
  readonly nowSeconds: number;
}

/** The secret that messages are signed with. */
export interface WebhookSecret {
  readonly bytes: Uint8Array;
  /** `whsec_` and base64: what libraries that verify take. */
  readonly text: string;
}

/**
 * The secret of an installation, from the key that seals its other secrets: all control processes
 * that share that key sign alike, and none of them keeps one more secret.
 */
export function deriveWebhookSecret(secretKey: Uint8Array): WebhookSecret {
  const info = Buffer.from("weir webhook");
  return createWebhookSecret(new Uint8Array(hkdfSync("sha256", secretKey, "", info, 24)));
}

export function createWebhookSecret(bytes: Uint8Array): WebhookSecret {
  return { bytes, text: `whsec_${Buffer.from(bytes).toString("base64")}` };
}

/**
 * The message of an alert. An address of Slack's, or one that begins with `slack+`, gets one line
 * of text; every other gets JSON, signed as Standard Webhooks says: HMAC-SHA-256 over id, time and
 * body. The id is the same for each try, so that receivers can tell a repetition.
 */
export function createAlertMessage(url: string, alert: Alert, sender: AlertSender): AlertMessage {
  const json = { "content-type": "application/json" };
  const plain = url.replace(/^slack\+/, "");
  if (plain !== url || isSlack(url)) {
    return { url: plain, headers: json, body: JSON.stringify({ text: describeAlert(alert) }) };
  }
  const body = JSON.stringify({
    type: "quota.alert",
    timestamp: new Date(alert.raisedMs).toISOString(),
    data: {
      installation_id: sender.installationId,
      policy: alert.policy,
      subject: alert.subject,
      dimension: alert.unit,
      percent: alert.percent,
      spent: alert.spent,
      limit: alert.ceiling,
      window_start: new Date(alert.windowStartMs).toISOString(),
      resets_at: alert.windowEndMs === null ? null : new Date(alert.windowEndMs).toISOString(),
      text: describeAlert(alert),
    },
  });
  const id = identifyAlert(alert);
  const signed = `${id}.${sender.nowSeconds}.${body}`;
  const signature = createHmac("sha256", sender.secret.bytes).update(signed).digest("base64");
  return {
    url,
    headers: {
      ...json,
      "webhook-id": id,
      "webhook-timestamp": String(sender.nowSeconds),
      "webhook-signature": `v1,${signature}`,
    },
    body,
  };
}

/** Throws INVALID_REQUEST for what is no address of http or https. */
export function checkAlertUrl(field: string, given: string): void {
  const url = URL.parse(given.replace(/^slack\+/, ""));
  if (url !== null && (url.protocol === "https:" || url.protocol === "http:")) return;
  throw new MeshError(
    "INVALID_REQUEST",
    `${field}: ${JSON.stringify(given)} is no address: write https://…, or slack+https://… for ` +
      "one that takes Slack's messages.",
    { field },
  );
}

/** One line for people. */
export function describeAlert(alert: Alert): string {
  const whose = alert.subject === "" ? "" : ` for ${alert.subject}`;
  const until =
    alert.windowEndMs === null
      ? ""
      : `, until ${new Date(alert.windowEndMs).toISOString().slice(0, 16)}Z`;
  const spent = formatAmount(alert.spent, alert.unit);
  const ceiling = formatAmount(alert.ceiling, alert.unit);
  return `${alert.policy}${whose}: ${alert.percent} % reached (${spent} of ${ceiling}${until})`;
}

function formatAmount(amount: number, unit: string): string {
  if (unit === "nano_usd") return `$${(amount / 1e9).toFixed(2)}`;
  return `${amount.toLocaleString("en-US")} ${unit.replaceAll("_", " ")}`;
}

function isSlack(url: string): boolean {
  return URL.parse(url)?.hostname === "hooks.slack.com";
}

function identifyAlert({ bucket, windowStartMs, percent }: Alert): string {
  const digest = createHmac("sha256", "weir alert").update(`${bucket}|${windowStartMs}|${percent}`);
  return `alert_${digest.digest("hex").slice(0, 32)}`;
}
