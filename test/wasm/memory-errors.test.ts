import '../support/backend.js';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { wasmExecutor } from '../../src/wasm/executor.js';
import { HeapError } from '../../src/wasm/heap.js';
import { withProgram } from '../../src/wasm/memory-errors.js';
import { compiledBackend, contextOf, trace } from './compile-support.js';

describe('running out of memory', () => {
  it('names the program and what it needs', () => {
    const backend = compiledBackend('nullcline');
    const n = 40_000;
    const graph = trace(
      ([x, y]) => tf.matMul(tf.softmax(tf.matMul(x, x, false, true)), y),
      [
        { shape: [n, 1], dtype: 'float32' },
        { shape: [n, 1], dtype: 'float32' },
      ],
    );
    const before = backend.heap.bytesInUse;
    const buffers = graph.inputs.map(({ shape, dtype }) => {
      const dataId = backend.write(new Float32Array(n), [...shape], dtype);
      return { dataId, shape, dtype };
    });
    const program = wasmExecutor.prepare(graph, backend, 'nullcline');
    expect(() => program.run(buffers, [], contextOf(backend, 'nullcline'))).to.throw(
      HeapError,
      /^the program of 3 operations \(2 BatchMatMul, 1 Softmax\) from \[40000, 1\], \[40000, 1\] to \[40000, 1\] needs \d{10,} bytes for its intermediates.*out of memory: \d{10,} bytes were needed.*4294967296/,
    );
    program.dispose();
    for (const { dataId } of buffers) backend.disposeData(dataId);
    // Less where other programs had to make room for this one among those that are kept.
    expect(backend.heap.bytesInUse).to.be.at.most(before);
  });

  it('says the same of results', () => {
    const backend = compiledBackend('nullcline');
    const graph = trace(([x]) => tf.matMul(x, x, false, true), [{ shape: [40_000, 1], dtype: 'float32' }]);
    const dataId = backend.write(new Float32Array(40_000), [40_000, 1], 'float32');
    const program = wasmExecutor.prepare(graph, backend, 'nullcline');
    const before = backend.numDataIds();
    expect(() =>
      program.run([{ dataId, shape: [40_000, 1], dtype: 'float32' }], [], contextOf(backend, 'nullcline')),
    ).to.throw(HeapError, /1 BatchMatMul.* needs 6400000000 bytes for its results/);
    expect(backend.numDataIds()).to.equal(before);
    program.dispose();
    backend.disposeData(dataId);
  });

  it('leaves other errors as they are', () => {
    const error = new TypeError('something else');
    expect(withProgram(error, 'a program', 'much')).to.equal(error);
  });
});
