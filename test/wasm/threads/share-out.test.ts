import { expect } from 'chai';
import { describe, it } from 'mocha';
import { apply, loadLeaf } from '../../../src/wasm/emit/terms.js';
import type { NestStep } from '../../../src/wasm/steps.js';
import { shareOut, type Donor, type ParallelStep } from '../../../src/wasm/threads/share-out.js';
import { whole, type BufferSlot } from '../../../src/wasm/views.js';

const SIZE = 4096;
const buffer = (home: BufferSlot['home'], index = 0): BufferSlot => ({ kind: 'float', bytes: 4 * SIZE, home, index });

/** out = x + y */
function sum(out: BufferSlot, x: BufferSlot, y: BufferSlot): NestStep {
  const along = { kind: 'float', strides: [1] } as const;
  return {
    type: 'nest',
    spec: { sizes: [SIZE], out: along, operands: [along, along], term: apply('float', 'add', loadLeaf('float', 0), loadLeaf('float', 1)) },
    views: [out, x, y].map((slot) => whole(slot, [SIZE])),
  }; // prettier-ignore
}

function shared(step: NestStep, donorOf?: Donor): ParallelStep {
  const [only, ...others] = shareOut([step], { size: 2, worth: 1 }, 4, donorOf);
  expect(others).to.have.length(0);
  if (only.type !== 'parallel') expect.fail('it was not shared out');
  return only;
}

describe('a kernel shared out to threads', () => {
  const [x, y, out] = [buffer('table', 0), buffer('arena'), buffer('table', 1)];

  it('has parts that can be computed again where it writes to a place of its own', () => {
    expect(shared(sum(out, x, y)).isRepeatable).to.equal(true);
  });

  it('has none in the place of an operand', () => {
    expect(shared(sum(y, x, y)).isRepeatable).to.equal(false);
  });

  it('has none where its result may lie in the place of a donated argument that it reads', () => {
    const donorOf: Donor = (result) => (result === out ? x : undefined);
    expect(shared(sum(out, x, y), donorOf).isRepeatable).to.equal(false);
    expect(shared(sum(out, y, y), donorOf).isRepeatable).to.equal(true);
  });
});
