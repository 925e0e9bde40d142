/** A snapshot cannot be served; the one before stays. */
export class SnapshotRefusal extends Error {
  /** Name of the resource at fault, such as `models/gpt-4o`; empty means none in particular. */
  readonly resource: string;

  /** `message` is a sentence for administrators; it names no secret. */
  constructor(resource: string, message: string) {
    super(message);
    this.name = "SnapshotRefusal";
    this.resource = resource;
  }
}
