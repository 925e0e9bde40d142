/**
 * The least room that a rate's bucket has had since any moment: so much of what was taken then can
 * come back without the bucket ever having held more than it can. It keeps the moments at which the
 * room was smaller than at every later one, a rising row of them; when that grows long, the oldest
 * two are merged into the smaller room.
 */
export class RefundRoom {
  #count = 0;
  readonly #marks: number[] = [];
  readonly #rooms: number[] = [];

  /**
   * Notes the room that there is before units are taken. Returns the mark of what is taken now:
   * rooms noted later count against it, this one does not.
   */
  note(room: number): number {
    const marks = this.#marks;
    const rooms = this.#rooms;
    let length = rooms.length;
    while (length > 0 && (rooms[length - 1] ?? 0) >= room) length -= 1;
    rooms.length = length;
    marks.length = length;
    this.#count += 1;
    marks.push(this.#count);
    rooms.push(room);
    if (rooms.length > ROOMS_MAX) this.#merge();
    return this.#count;
  }

  /** The least room noted after `mark`; Infinity when none was. */
  leastSince(mark: number): number {
    const marks = this.#marks;
    let low = 0;
    let high = marks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((marks[middle] ?? 0) > mark) high = middle;
      else low = middle + 1;
    }
    return this.#rooms[low] ?? Number.POSITIVE_INFINITY;
  }

  #merge(): void {
    this.#rooms[1] = this.#rooms[0] ?? 0;
    this.#rooms.shift();
    this.#marks.shift();
  }
}

const ROOMS_MAX = 256;
