/**
 * Those who are there now, where many come and go. A Set would do, but V8 gives a Set whose members
 * change a new table again and again, and has each old table point to its successor. Once one of
 * them has grown old, each later one is kept by its dead predecessor, and with it whoever was there
 * at the time: the young generation's garbage moves to the old one, request by request. Here those
 * who leave leave nothing behind.
 */
export class Roster<T> implements Iterable<T> {
  readonly #places: Place<T>[] = [];

  get size(): number {
    return this.#places.length;
  }

  /** The place is what to leave by. */
  add(item: T): Place<T> {
    const place: Place<T> = { item, at: this.#places.length };
    this.#places.push(place);
    return place;
  }

  /** Does nothing the second time. */
  leave(place: Place<T>): void {
    const places = this.#places;
    if (places[place.at] !== place) return;
    const last = places.pop();
    if (last === undefined || last === place) return;
    places[place.at] = last;
    last.at = place.at;
  }

  /** Those who are there when it begins, in no order. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (const { item } of this.#places.slice()) yield item;
  }
}

/** A member's place. Only the roster changes it. */
export interface Place<T> {
  readonly item: T;
  at: number;
}
