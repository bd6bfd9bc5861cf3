import '../support/backend.js';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { threefry2x32 } from '../../src/core/threefry.js';

const encrypt = (k0: number, k1: number, c0: number, c1: number, n = 1): [number, number][] => {
  const first = new Uint32Array(n);
  const second = new Uint32Array(n);
  threefry2x32(k0, k1, c0, c1, first, second);
  return Array.from(first, (a, i) => [a, second[i]]);
};

describe('threefry2x32', () => {
  // Random123, tests/kat_vectors, lines "threefry2x32 20": counter, key, result.
  const ANSWERS = [
    { counter: [0, 0], key: [0, 0], result: [0x6b200159, 0x99ba4efe] },
    { counter: [0xffffffff, 0xffffffff], key: [0xffffffff, 0xffffffff], result: [0x1cb996fc, 0xbb002be7] },
    { counter: [0x243f6a88, 0x85a308d3], key: [0x13198a2e, 0x03707344], result: [0xc4923a9c, 0x483df7a0] },
  ];
  for (const { counter, key, result } of ANSWERS) {
    it(`gives the published answer for key ${key.map((w) => w.toString(16)).join(' ')}`, () => {
      expect(encrypt(key[0], key[1], counter[0], counter[1])).to.deep.equal([result]);
    });
  }

  it('encrypts consecutive counters in bulk, carrying into the high word', () => {
    const bulk = encrypt(7, 9, 3, 0xfffffffe, 4);
    const single = [
      [3, 0xfffffffe],
      [3, 0xffffffff],
      [4, 0],
      [4, 1],
    ].map(([high, low]) => encrypt(7, 9, high, low)[0]);
    expect(bulk).to.deep.equal(single);
  });

  it('is a permutation: no two of 2^16 counters share a block', () => {
    const seen = new Set(encrypt(1, 2, 0, 0, 2 ** 16).map(([a, b]) => a * 2 ** 21 + (b % 2 ** 21)));
    // 53 of the 64 bits: a collision would have probability 2.4e-7.
    expect(seen.size).to.equal(2 ** 16);
  });
});
