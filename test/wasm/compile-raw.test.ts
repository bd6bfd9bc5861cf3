import '../support/backend.js';
import '../../src/index.js';
import { expect } from 'chai';
import * as tf from '@tensorflow/tfjs';
import { RawProgram } from '../../src/wasm/raw.js';
import { compiledBackend, trace } from './compile-support.js';

describe('a program on addresses', () => {
  for (const name of ['nullcline', 'nullcline64'] as const) {
    it(`reads and writes where it is told, on ${name}`, () => {
      const backend = compiledBackend(name);
      const { heap } = backend;
      const before = heap.bytesInUse;
      const graph = trace(([x]) => [x, x.square().sum(), x.add(tf.scalar(1))], [{ shape: [3], dtype: 'float32' }]);
      const program = new RawProgram(graph, backend, name);
      const pointers = [24, 24, 8, 24].map((bytes) => heap.allocate(bytes));
      const floats = (pointer: number, n: number): number[] => {
        const all = name === 'nullcline64' ? heap.f64 : heap.f32;
        const at = pointer / all.BYTES_PER_ELEMENT;
        return [...all.slice(at, at + n)];
      };
      const all = name === 'nullcline64' ? heap.f64 : heap.f32;
      all.set([1, 2, 3], pointers[0] / all.BYTES_PER_ELEMENT);
      program.bindInput(0, pointers[0]);
      for (const i of [0, 1, 2]) program.bindOutput(i, pointers[i + 1]);
      program.run();
      expect(floats(pointers[1], 3)).to.deep.equal([1, 2, 3]);
      expect(floats(pointers[2], 1)).to.deep.equal([14]);
      expect(floats(pointers[3], 3)).to.deep.equal([2, 3, 4]);
      program.dispose();
      for (const pointer of pointers) heap.release(pointer);
      expect(heap.bytesInUse).to.equal(before);
    });
  }

  it('runs an operation of the host between two stretches of its own code', () => {
    const backend = compiledBackend('nullcline');
    const { heap } = backend;
    const before = heap.bytesInUse;
    const graph = trace(([x]) => tf.add(tf.topk(tf.mul(x, 2), 2).values, 1), [{ shape: [3], dtype: 'float32' }]);
    const program = new RawProgram(graph, backend, 'nullcline');
    const [x, y] = [heap.allocate(12), heap.allocate(8)];
    heap.f32.set([5, 1, 7], x / 4);
    program.bindInput(0, x);
    program.bindOutput(0, y);
    for (let i = 0; i < 3; i++) program.run();
    expect([...heap.f32.slice(y / 4, y / 4 + 2)]).to.deep.equal([15, 11]);
    program.dispose();
    heap.release(x);
    heap.release(y);
    expect(heap.bytesInUse).to.equal(before);
  });
});
