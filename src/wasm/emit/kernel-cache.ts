/**
 * Functions as they were written, by what they compute: the next module that needs one copies its bytes.
 */
export class KernelCache {
  private readonly known = new Map<string, Uint8Array>();

  /** @param room - Bytes of code, and characters of keys, to keep; what was added longest ago goes first. */
  constructor(private room: number) {}

  get(key: string): Uint8Array | undefined {
    return this.known.get(key);
  }

  add(key: string, code: Uint8Array): void {
    this.known.set(key, code);
    this.room -= key.length + code.length;
    for (const [oldest, { length }] of this.known) {
      if (this.room >= 0) break;
      this.known.delete(oldest);
      this.room += oldest.length + length;
    }
  }
}

export const KERNELS = new KernelCache(2 ** 21);
