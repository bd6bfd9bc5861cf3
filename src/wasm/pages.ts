/**
 * Runs of pages: the large blocks of a {@link Heap}. Free neighbours merge at once, so memory that returns can be used
 * for a block of another size.
 *
 * A run is known by its first page. Both of its ends hold its length, negative while it is free (boundary tags, Knuth,
 * The Art of Computer Programming 1, section 2.5), and free runs hang in doubly linked lists by the logarithm of their
 * length.
 */
const NONE = -1;
const BINS = 32;

export class PageRuns {
  private tags: Int32Array;
  private next: Int32Array;
  private previous: Int32Array;
  private readonly heads = new Int32Array(BINS).fill(NONE);

  /** Pages from `first` up to `end` exist and are free. */
  constructor(
    private readonly first: number,
    private end: number,
  ) {
    this.tags = new Int32Array(end);
    this.next = new Int32Array(end);
    this.previous = new Int32Array(end);
    if (end > first) this.insert(first, end - first);
  }

  /** The first page of a run of that many, or -1 where there is none. */
  take(count: number): number {
    for (let bin = binOf(count); bin < BINS; bin++) {
      for (let page = this.heads[bin]; page !== NONE; page = this.next[page]) {
        const length = -this.tags[page];
        if (length < count) continue;
        this.remove(page, length);
        this.mark(page, count, 1);
        if (length > count) this.insert(page + count, length - count);
        return page;
      }
    }
    return NONE;
  }

  /** How many pages the run that starts there has; 0 where no run in use starts. */
  lengthAt(page: number): number {
    return page >= this.first && page < this.end && this.isStart(page) ? this.tags[page] : 0;
  }

  give(page: number): void {
    let start = page;
    let length = this.tags[page];
    this.next[page] = NONE; // should it end up inside a longer run, it must not look like the start of one in use
    const after = page + length;
    if (after < this.end && this.tags[after] < 0) {
      const more = -this.tags[after];
      this.remove(after, more);
      length += more;
    }
    if (page > this.first && this.tags[page - 1] < 0) {
      const more = -this.tags[page - 1];
      start -= more;
      this.remove(start, more);
      length += more;
    }
    this.insert(start, length);
  }

  /** There are now pages up to `end`. */
  extend(end: number): void {
    if (end > this.tags.length) {
      const room = Math.max(end, 2 * this.tags.length);
      const larger = (old: Int32Array): Int32Array => {
        const array = new Int32Array(room);
        array.set(old);
        return array;
      };
      this.tags = larger(this.tags);
      this.next = larger(this.next);
      this.previous = larger(this.previous);
    }
    const start = this.end;
    this.end = end;
    this.mark(start, end - start, 1);
    this.give(start);
  }

  /** Pages of the free run that ends where the memory ends. */
  freeAtEnd(): number {
    const tag = this.end > this.first ? this.tags[this.end - 1] : 0;
    return tag < 0 ? -tag : 0;
  }

  private isStart(page: number): boolean {
    const length = this.tags[page];
    return length > 0 && this.next[page] === page && this.tags[page + length - 1] === length;
  }

  private mark(page: number, length: number, sign: 1 | -1): void {
    // Inner tags of a run are stale; `next` pointing at itself tells the start of a run in use from them.
    this.tags[page] = sign * length;
    this.tags[page + length - 1] = sign * length;
    if (sign > 0) this.next[page] = page;
  }

  private insert(page: number, length: number): void {
    this.mark(page, length, -1);
    const bin = binOf(length);
    const head = this.heads[bin];
    this.next[page] = head;
    this.previous[page] = NONE;
    if (head !== NONE) this.previous[head] = page;
    this.heads[bin] = page;
  }

  private remove(page: number, length: number): void {
    const next = this.next[page];
    const previous = this.previous[page];
    if (previous === NONE) this.heads[binOf(length)] = next;
    else this.next[previous] = next;
    if (next !== NONE) this.previous[next] = previous;
  }
}

const binOf = (length: number): number => 31 - Math.clz32(length);
