/**
 * The examples on WebGPU: the first steps of each reach the losses of the compiled backend.
 */
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { expectClose } from '../support/close.js';
import { finalLosses, runExample, SHORT } from '../support/run-example.js';

describe('the examples on WebGPU', () => {
  for (const [name, options] of Object.entries(SHORT)) {
    it(name, async function () {
      this.timeout(0);
      const here = await runExample(name, [...options, '--backend', 'webgpu']);
      expect(here.status, here.stderr).to.equal(0);
      expect(here.stdout).to.match(/ackend webgpu\b/);
      expect(Object.keys(here.files)).to.have.members(['png', 'safetensors', 'svg'].map((end) => `${name}.${end}`));
      const expected = finalLosses(await runExample(name, [...options, '--backend', 'nullcline']));
      expect(expected.length).to.be.greaterThan(0);
      // A step that is accepted here and rejected there moves the solution within its tolerance, and Adam what it learns by a little more.
      expectClose(finalLosses(here), expected, { rtol: 5e-3 }, name);
    });
  }
});
