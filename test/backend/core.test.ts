/**
 * Only tfjs-core and its cpu backend are needed; who imports all of tfjs gets the same engine.
 */
import { execFileSync } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as all from '@tensorflow/tfjs';
import * as core from '@tensorflow/tfjs-core';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { constant, isTensor, ravel } from '../../src/index.js';
import type { Found } from '../support/core-alone.js';

/** Compiled like this file, or not. */
const extension = extname(import.meta.url);

describe('tfjs-core alone', () => {
  it('differentiates, to second order and through a solve, and nothing else of tfjs is loaded', () => {
    const script = fileURLToPath(new URL(`../support/core-alone${extension}`, import.meta.url));
    const args = [...(extension === '.ts' ? ['--import', 'tsx'] : []), script];
    const { files, knowsGradients, first, values } = JSON.parse(
      execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }),
    ) as Found;
    const parts = new Set(files.map((file) => /@tensorflow[\\/]([^\\/]+)/.exec(file)?.[1]));
    expect([...parts].sort()).to.deep.equal(['tfjs-backend-cpu', 'tfjs-core']);
    expect(knowsGradients).to.equal(false);
    expect(first).to.equal('cpu');
    const s = 1 / (1 + Math.exp(-0.7));
    const curvature = s * (1 - s) * (2 + 0.7 * (1 - 2 * s));
    for (const backend of ['cpu', 'nullcline']) {
      expect(values[backend][0]).to.be.closeTo(curvature, 1e-6);
      expect(values[backend][1]).to.be.closeTo(2 * Math.exp(0.6), 1e-5);
    }
  });
});

describe('all of tfjs beside it', () => {
  it('is the same engine, with the same classes and registries', () => {
    expect(all.engine()).to.equal(core.engine());
    expect(all.Tensor).to.equal(core.Tensor);
    expect(all.Variable).to.equal(core.Variable);
    expect(all.getKernel('Tanh', 'cpu')).to.equal(core.getKernel('Tanh', 'cpu'));
    // Registered by all of tfjs, and found by its core.
    expect(core.getGradient('Tanh')).to.not.equal(undefined);
    expect(core.getGradient('Tanh')).to.equal(all.getGradient('Tanh'));
  });

  it('makes tensors that are taken here, and takes those made here', () => {
    all.tidy(() => {
      expect(isTensor(all.ones([2]))).to.equal(true);
      const [vector] = ravel({ a: all.ones([2]), b: all.variable(all.zeros([1])) });
      expect(vector).to.be.instanceOf(all.Tensor);
      // Methods that all of tfjs adds to the class are there.
      expect(Array.from(constant([3, 4]).square().dataSync())).to.deep.equal([9, 16]);
    });
  });
});
