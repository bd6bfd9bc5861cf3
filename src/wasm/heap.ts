/**
 * One WebAssembly memory and the allocator over it.
 *
 * Small blocks come from size classes, four to each doubling; a page of memory holds blocks of one class. Larger blocks
 * are runs of pages. All bookkeeping is on the JavaScript side, so a kernel that writes beyond its block cannot break it.
 */
import { PageRuns } from './pages.js';

export class HeapError extends Error {
  override readonly name = 'HeapError';
}

export interface HeapOptions {
  /** Never grow beyond this many bytes; at most, and by default, the 4 GiB that 32-bit WebAssembly addresses. */
  readonly maximumBytes?: number;
}

const WASM_PAGE = 65_536;
const LIMIT = 65_536 * WASM_PAGE;
const PAGE_BITS = 14;
const PAGE = 1 << PAGE_BITS;
const ALIGNMENT = 16;

/** 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, ... 8192. */
const CLASS_SIZES: readonly number[] = (() => {
  const sizes = [16, 32, 48, 64];
  for (let base = 64; base < PAGE / 2; base *= 2) for (let k = 5; k <= 8; k++) sizes.push((base / 4) * k);
  return sizes;
})();
const LARGEST_SMALL = CLASS_SIZES[CLASS_SIZES.length - 1];

/** The class of a block of `16 i` bytes, at index i. */
const CLASS_OF: Uint8Array = (() => {
  const table = new Uint8Array(LARGEST_SMALL / ALIGNMENT + 1);
  for (let i = 0, c = 0; i < table.length; i++) {
    if (i * ALIGNMENT > CLASS_SIZES[c]) c++;
    table[i] = c;
  }
  return table;
})();

interface Views {
  readonly f32: Float32Array;
  readonly f64: Float64Array;
  readonly i32: Int32Array;
  readonly u8: Uint8Array;
}

/** Zero-filled memory is not promised: a block holds what its last owner left there. */
export class Heap {
  private present: WebAssembly.Memory;
  private shared = false;
  private readonly maximumBytes: number;
  private views: Views;
  private bytes: number;
  private used = 0;
  private readonly runs: PageRuns;
  private readonly free: number[][] = CLASS_SIZES.map(() => []);
  /** One more than the class of the blocks in each page; 0 where a run of pages is one block. */
  private classes = new Uint8Array(64);
  /** A bit for each 16 bytes, set where a small block in use begins: tells a second release from the first. */
  private starts = new Uint32Array(64 * (PAGE / ALIGNMENT / 32));

  constructor({ maximumBytes = LIMIT }: HeapOptions = {}) {
    this.maximumBytes = Math.max(Math.min(Math.floor(maximumBytes / WASM_PAGE) * WASM_PAGE, LIMIT), WASM_PAGE);
    const initial = Math.min(16, this.maximumBytes / WASM_PAGE);
    this.present = new WebAssembly.Memory({ initial, maximum: this.maximumBytes / WASM_PAGE });
    this.bytes = initial * WASM_PAGE;
    this.views = viewsOf(this.present);
    // Page 0 stays unused: no block has the pointer 0. So does the last: a vector read from within a block may end beyond it.
    this.runs = new PageRuns(1, this.bytes / PAGE - 1);
    this.coverPages();
  }

  /** Code is linked to one memory: what was linked before {@link move} must not run afterwards. */
  get memory(): WebAssembly.Memory {
    return this.present;
  }

  /** Do several threads use it? Then growth leaves old views as they are: of the part there was. */
  get isShared(): boolean {
    return this.shared;
  }

  /**
   * Move everything to another memory, shared by threads or not. Blocks stay where they are in it, with what they hold.
   *
   * @throws HeapError when there is no room for a second memory of that size; nothing has changed then.
   */
  move(isShared: boolean): void {
    const [initial, maximum] = [this.bytes / WASM_PAGE, this.maximumBytes / WASM_PAGE];
    let memory: WebAssembly.Memory;
    try {
      memory = new WebAssembly.Memory({ initial, maximum, shared: isShared });
    } catch (cause) {
      throw new HeapError(`out of memory: no room for another memory of ${this.bytes} bytes`, { cause });
    }
    const views = viewsOf(memory);
    views.u8.set(this.u8);
    this.present = memory;
    this.shared = isShared;
    this.views = views;
  }

  /** Bytes in blocks that are allocated, rounded up as they are stored. */
  get bytesInUse(): number {
    return this.used;
  }

  /** The present size of the memory. */
  get size(): number {
    return this.bytes;
  }

  // Views are made anew after growth, which detaches the old ones. Fetch them after the last allocation.
  get f32(): Float32Array {
    return this.current().f32;
  }
  get f64(): Float64Array {
    return this.current().f64;
  }
  get i32(): Int32Array {
    return this.current().i32;
  }
  get u8(): Uint8Array {
    return this.current().u8;
  }

  /**
   * A block of at least that many bytes, aligned to 16 and padded to a multiple of 16: a vector load or store at its end
   * touches no other block.
   *
   * @throws HeapError when the memory cannot grow as far as needed.
   */
  allocate(bytes: number): number {
    if (bytes > LARGEST_SMALL) return this.allocateRun(bytes);
    if (!(bytes >= 0)) throw new HeapError(`cannot allocate ${bytes} bytes`);
    const c = CLASS_OF[(bytes + ALIGNMENT - 1) >>> 4];
    const pointer = this.free[c].pop() ?? this.refill(c, bytes);
    this.starts[pointer >>> 9] |= 1 << (pointer >>> 4);
    this.used += CLASS_SIZES[c];
    return pointer;
  }

  /** @throws HeapError when no block in use begins there. */
  release(pointer: number): void {
    const c = this.classes[pointer >>> PAGE_BITS] - 1;
    if (c >= 0) {
      const bit = 1 << (pointer >>> 4);
      if (pointer % ALIGNMENT !== 0 || (this.starts[pointer >>> 9] & bit) === 0) throw notInUse(pointer);
      this.starts[pointer >>> 9] &= ~bit;
      this.free[c].push(pointer);
      this.used -= CLASS_SIZES[c];
      return;
    }
    const length = pointer % PAGE === 0 ? this.runs.lengthAt(pointer / PAGE) : 0;
    if (length === 0) throw notInUse(pointer);
    this.runs.give(pointer / PAGE);
    this.used -= length * PAGE;
  }

  /** Is the array a view of this memory? It would outlive its block. */
  isPart({ buffer }: { readonly buffer: ArrayBufferLike }): boolean {
    return buffer === this.u8.buffer || (this.shared && buffer instanceof SharedArrayBuffer);
  }

  private current(): Views {
    if (this.views.u8.length === 0) this.views = viewsOf(this.present); // grown by somebody else
    return this.views;
  }

  private allocateRun(bytes: number): number {
    const count = Math.ceil(bytes / PAGE);
    const page = this.takePages(count, bytes);
    this.used += count * PAGE;
    return page * PAGE;
  }

  private takePages(count: number, bytes: number): number {
    let page = this.runs.take(count);
    if (page < 0) {
      this.reclaim();
      page = this.runs.take(count);
    }
    if (page < 0) {
      this.grow(count, bytes);
      page = this.runs.take(count);
    }
    return page;
  }

  /** Divide another page into blocks of that class; the first of them. */
  private refill(c: number, bytes: number): number {
    const page = this.takePages(1, bytes);
    this.classes[page] = c + 1;
    const size = CLASS_SIZES[c];
    const list = this.free[c];
    // Blocks are popped from the end: the lowest address first.
    for (let k = Math.floor(PAGE / size) - 1; k > 0; k--) list.push(page * PAGE + k * size);
    return page * PAGE;
  }

  /** Give pages back whose small blocks are all free. Only before growth: a page that is used again costs a refill. */
  private reclaim(): void {
    const wordsPerPage = PAGE / ALIGNMENT / 32;
    const empty = new Set<number>();
    for (let page = 0; page < this.bytes / PAGE; page++) {
      if (this.classes[page] === 0) continue;
      const words = this.starts.subarray(page * wordsPerPage, (page + 1) * wordsPerPage);
      if (words.every((w) => w === 0)) empty.add(page);
    }
    if (empty.size === 0) return;
    for (const [c, list] of this.free.entries()) {
      this.free[c] = list.filter((pointer) => !empty.has(pointer >>> PAGE_BITS));
    }
    for (const page of empty) {
      this.classes[page] = 0;
      this.runs.give(page);
    }
  }

  private grow(count: number, bytes: number): void {
    const missing = (count - this.runs.freeAtEnd()) * PAGE;
    const room = this.maximumBytes - this.bytes;
    const atLeast = Math.ceil(missing / WASM_PAGE);
    const fail = (cause?: unknown): HeapError =>
      new HeapError(
        `out of memory: ${bytes} bytes were needed; ${this.used} of ${this.bytes} bytes are in use, and WebAssembly ` +
          `memory grows to at most ${this.maximumBytes}`,
        { cause },
      );
    if (missing > room) throw fail();
    // By half of what there is, so that growing step by step costs little in all.
    const generous = Math.min(Math.max(atLeast, Math.ceil(this.bytes / 2 / WASM_PAGE)), room / WASM_PAGE);
    try {
      this.present.grow(generous);
    } catch {
      try {
        this.present.grow(atLeast);
      } catch (error) {
        throw fail(error);
      }
    }
    this.bytes = this.present.buffer.byteLength;
    this.views = viewsOf(this.present);
    this.coverPages();
    this.runs.extend(this.bytes / PAGE - 1);
  }

  private coverPages(): void {
    const pages = this.bytes / PAGE;
    if (pages <= this.classes.length) return;
    const classes = new Uint8Array(2 * pages);
    classes.set(this.classes);
    this.classes = classes;
    const starts = new Uint32Array(2 * pages * (PAGE / ALIGNMENT / 32));
    starts.set(this.starts);
    this.starts = starts;
  }
}

function viewsOf({ buffer }: WebAssembly.Memory): Views {
  return {
    f32: new Float32Array(buffer),
    f64: new Float64Array(buffer),
    i32: new Int32Array(buffer),
    u8: new Uint8Array(buffer),
  };
}

const notInUse = (pointer: number): HeapError => new HeapError(`no block in use begins at ${pointer}`);
