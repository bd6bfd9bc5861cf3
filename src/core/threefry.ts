/**
 * Threefry-2x32 with 20 rounds: a keyed permutation of 64-bit counters whose outputs pass for random.
 *
 * Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (the Random123 library).
 * There is no state to advance: word i of a stream is a function of key and i alone, which is what makes a stream the
 * same on every backend, in every order of evaluation, and cheap to split.
 */

/** The parity constant of Threefish's key schedule (for 32-bit words), so that no key is all zeros. */
const PARITY = 0x1bd11bda;

/**
 * Encrypt consecutive counters: `first[i]`, `second[i]` become the two output words of counter `start + i`.
 *
 * @param k0 First word of the key.
 * @param k1 Second word of the key.
 * @param high High word of the first counter: the first input word of the block.
 * @param low Low word of the first counter; it carries into the high one.
 * @param first Receives the first output words; its length is the number of blocks.
 * @param second Receives the second output words.
 */
export function threefry2x32(
  k0: number,
  k1: number,
  high: number,
  low: number,
  first: Uint32Array,
  second: Uint32Array,
): void {
  const k2 = PARITY ^ k0 ^ k1;
  let c0 = high | 0;
  let c1 = low | 0;
  for (let i = 0; i < first.length; i++) {
    let a = (c0 + k0) | 0;
    let b = (c1 + k1) | 0;
    // The three key words are injected in turn after every fourth round.
    let p = k1 | 0;
    let q = k2;
    let r = k0 | 0;
    for (let group = 1; group <= 5; group++) {
      // The rotation distances alternate between two sets. They are written out: this loop is all the cost there is.
      if ((group & 1) === 1) {
        a = (a + b) | 0;
        b = ((b << 13) | (b >>> 19)) ^ a;
        a = (a + b) | 0;
        b = ((b << 15) | (b >>> 17)) ^ a;
        a = (a + b) | 0;
        b = ((b << 26) | (b >>> 6)) ^ a;
        a = (a + b) | 0;
        b = ((b << 6) | (b >>> 26)) ^ a;
      } else {
        a = (a + b) | 0;
        b = ((b << 17) | (b >>> 15)) ^ a;
        a = (a + b) | 0;
        b = ((b << 29) | (b >>> 3)) ^ a;
        a = (a + b) | 0;
        b = ((b << 16) | (b >>> 16)) ^ a;
        a = (a + b) | 0;
        b = ((b << 24) | (b >>> 8)) ^ a;
      }
      a = (a + p) | 0;
      b = (b + q + group) | 0;
      const next = p;
      p = q;
      q = r;
      r = next;
    }
    first[i] = a;
    second[i] = b;
    c1 = (c1 + 1) | 0;
    if (c1 === 0) c0 = (c0 + 1) | 0;
  }
}
