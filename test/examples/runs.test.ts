/**
 * The examples run on every backend with the same code, and reach the same losses: the first steps of each. On WebGPU: test/webgpu/examples.test.ts.
 */
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isFloat64 } from '../support/precision.js';
import { finalLosses, runExample, SHORT } from '../support/run-example.js';
import { expectClose } from '../support/close.js';

/** A convolution after the other is slow on cpu, where digit-models.test.ts trains the same model with fewer channels. */
const BACKENDS: Readonly<Record<string, readonly string[]>> = { 'deq-digits': ['nullcline', 'wasm'] };

describe('the examples', () => {
  for (const [name, options] of Object.entries(SHORT)) {
    const backends = BACKENDS[name] ?? ['nullcline', 'cpu', 'wasm'];
    it(`${name} trains to the same loss on ${backends.join(', ')}, and writes a picture and a checkpoint`, async function () {
      // Processes of their own know nothing of the precision of this one.
      if (isFloat64) this.skip();
      this.timeout(0);
      const losses: number[][] = [];
      for (const backend of backends) {
        const run = await runExample(name, [...options, '--backend', backend]);
        const { status, stdout, stderr, files } = run;
        expect(status, stderr).to.equal(0);
        expect(Object.keys(files).sort(), backend).to.deep.equal(
          ['png', 'safetensors', 'svg'].map((end) => `${name}.${end}`),
        );
        expect(stdout, backend).to.match(new RegExp(`ackend ${backend}\\b`));
        losses.push(finalLosses(run));
      }
      const [expected, ...others] = losses;
      expect(expected.length).to.be.greaterThan(0);
      for (const actual of others) expectClose(actual, expected, { rtol: 2e-3 }, name);
    });
  }
});
