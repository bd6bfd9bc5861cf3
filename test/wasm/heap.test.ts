import { expect } from 'chai';
import { Heap, HeapError } from '../../src/wasm/heap.js';

/** A small deterministic generator (Numerical Recipes' linear congruential one), so that a failure repeats. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('heap', () => {
  it('gives aligned blocks that never overlap, over 20,000 random requests', () => {
    const heap = new Heap();
    const random = generator(1);
    const live: { pointer: number; bytes: number; mark: number }[] = [];
    for (let i = 0; i < 20_000; i++) {
      if (live.length > 0 && (live.length > 300 || random(100) < 48)) {
        const [block] = live.splice(random(live.length), 1);
        const view = heap.u8.subarray(block.pointer, block.pointer + block.bytes);
        // Whoever had written into this block would have changed its ends.
        expect([view[0], view[block.bytes - 1]], `block ${block.pointer}`).to.deep.equal([block.mark, block.mark]);
        heap.release(block.pointer);
      } else {
        const bytes = 1 + random(random(10) === 0 ? 400_000 : random(3) === 0 ? 20_000 : 300);
        const pointer = heap.allocate(bytes);
        expect(pointer % 16).to.equal(0);
        expect(pointer).to.be.greaterThan(0);
        const mark = i & 255;
        heap.u8.fill(mark, pointer, pointer + bytes);
        live.push({ pointer, bytes, mark });
      }
    }
    const sorted = [...live].sort((a, b) => a.pointer - b.pointer);
    for (let i = 1; i < sorted.length; i++) {
      expect(sorted[i].pointer).to.be.at.least(sorted[i - 1].pointer + sorted[i - 1].bytes);
    }
    for (const { pointer } of live) heap.release(pointer);
    expect(heap.bytesInUse).to.equal(0);
  });

  it('uses memory that returned, for blocks of other sizes too', () => {
    const heap = new Heap({ maximumBytes: 4 << 20 });
    for (const bytes of [16, 5000, 100_000, 1_000_000, 40, 300_000]) {
      const blocks: number[] = [];
      for (let room = 3 << 20; room > bytes + 20_000; room -= bytes + 3000) blocks.push(heap.allocate(bytes));
      for (const pointer of blocks) heap.release(pointer);
      expect(heap.bytesInUse, `after blocks of ${bytes}`).to.equal(0);
    }
    // One block of nearly everything: all fragments have merged.
    heap.release(heap.allocate((4 << 20) - 2 * 16_384));
    expect(heap.size).to.equal(4 << 20);
  });

  it('keeps what was written when it grows, and renews its views', () => {
    const heap = new Heap();
    const pointer = heap.allocate(64);
    heap.f32.set([1, 2, NaN, -0], pointer / 4);
    const before = heap.f32;
    const large = heap.allocate(8 << 20);
    expect(before.length).to.equal(0);
    expect(Array.from(heap.f32.subarray(pointer / 4, pointer / 4 + 4))).to.deep.equal([1, 2, NaN, -0]);
    expect(heap.f64.buffer).to.equal(heap.memory.buffer);
    heap.release(large);
    heap.release(pointer);
    expect(heap.bytesInUse).to.equal(0);
  });

  it('moves to a memory that threads share, and back, with all that is in it', () => {
    const heap = new Heap({ maximumBytes: 8 << 20 });
    const pointer = heap.allocate(64);
    const large = heap.allocate(3 << 20);
    heap.f32.set([1, 2, NaN, -0], pointer / 4);
    heap.u8[large + (3 << 20) - 1] = 7;
    for (const isShared of [true, false]) {
      const [former, view] = [heap.memory, heap.u8];
      heap.move(isShared);
      expect(heap.memory).to.not.equal(former);
      expect(heap.u8.buffer instanceof SharedArrayBuffer).to.equal(isShared);
      expect(heap.isPart(heap.f32.subarray(4, 8))).to.equal(true);
      expect(heap.isPart(new Float32Array(4))).to.equal(false);
      expect(view.length).to.be.greaterThan(0);
      expect(Array.from(heap.f32.subarray(pointer / 4, pointer / 4 + 4))).to.deep.equal([1, 2, NaN, -0]);
      expect(heap.u8[large + (3 << 20) - 1]).to.equal(7);
    }
    heap.move(true);
    const before = heap.u8;
    const more = heap.allocate(4 << 20);
    // Old views of shared memory stay, and show what they did.
    expect(before.length).to.be.lessThan(heap.u8.length);
    heap.u8[pointer] = 99;
    expect(before[pointer]).to.equal(99);
    expect(heap.u8.buffer).to.equal(heap.memory.buffer);
    expect(() => heap.allocate(4 << 20)).to.throw(HeapError, /at most 8388608/);
    for (const p of [pointer, large, more]) heap.release(p);
    expect(heap.bytesInUse).to.equal(0);
  });

  it('notices growth by somebody else', () => {
    const heap = new Heap();
    heap.memory.grow(1);
    expect(heap.u8.length).to.equal(heap.memory.buffer.byteLength);
  });

  it('does not grow under a steady load', () => {
    const heap = new Heap();
    const { size } = heap;
    for (let i = 0; i < 10_000; i++) heap.release(heap.allocate((i * 37) % 60_000));
    expect(heap.size).to.equal(size);
  });

  it('says what was needed when memory ends, and stays usable', () => {
    const heap = new Heap({ maximumBytes: 2 << 20 });
    const pointer = heap.allocate(1 << 20);
    expect(() => heap.allocate(3 << 20)).to.throw(HeapError, /3145728 bytes were needed.*at most 2097152/);
    const small: number[] = [];
    expect(() => {
      for (;;) small.push(heap.allocate(100));
    }).to.throw(HeapError, /100 bytes were needed/);
    for (const p of small) heap.release(p);
    heap.release(pointer);
    expect(heap.bytesInUse).to.equal(0);
    heap.release(heap.allocate((2 << 20) - 2 * 16_384));
  });

  it('ends no block where memory ends: a vector read from within it may go beyond it', () => {
    const heap = new Heap({ maximumBytes: 1 << 20 });
    const blocks: { pointer: number; bytes: number }[] = [];
    const fillUp = (bytes: number): void => {
      try {
        for (;;) blocks.push({ pointer: heap.allocate(bytes), bytes });
      } catch (error) {
        expect(error).to.be.instanceOf(HeapError);
      }
    };
    for (const bytes of [100_000, 16_384, 1000, 16]) fillUp(bytes);
    expect(heap.size).to.equal(1 << 20);
    for (const { pointer, bytes } of blocks) expect(pointer + bytes + 16).to.be.at.most(heap.size);
  });

  it('refuses a pointer that is not in use', () => {
    const heap = new Heap();
    const small = heap.allocate(100);
    const large = heap.allocate(100_000);
    const inside = heap.allocate(40_000);
    heap.release(inside);
    expect(() => {
      heap.release(inside);
    }).to.throw(HeapError, /no block in use/);
    expect(() => {
      heap.release(small + 16);
    }).to.throw(HeapError);
    expect(() => {
      heap.release(small + 4);
    }).to.throw(HeapError);
    expect(() => {
      heap.release(large + 16);
    }).to.throw(HeapError);
    expect(() => {
      heap.release(large + 16_384);
    }).to.throw(HeapError);
    expect(() => {
      heap.release(0);
    }).to.throw(HeapError);
    heap.release(small);
    expect(() => {
      heap.release(small);
    }).to.throw(HeapError);
    heap.release(large);
    expect(() => {
      heap.release(large);
    }).to.throw(HeapError);
    expect(() => heap.allocate(NaN)).to.throw(HeapError);
    expect(() => heap.allocate(-1)).to.throw(HeapError);
  });
});
