import '../support/backend.js';
import { expect } from 'chai';
import { powerUlps, ulps } from './math-exact.js';
import { vectorFunction } from './math-support.js';
import { repeatable } from './compile-support.js';

/** Intervals on which each function is swept. */
const SWEEPS: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  exp: [[-1, 1], [-60, 60]],
  expm1: [[-1e-6, 1e-6], [-1, 1], [-30, 60]],
  log: [[1e-6, 1], [0.9, 1.1], [0, 1e6]],
  log1p: [[-0.99, 1], [-1e-6, 1e-6], [0, 1e6]],
  tanh: [[-1e-6, 1e-6], [-1, 1], [-10, 10]],
  sigmoid: [[-1, 1], [-60, 40]],
  softplus: [[-1, 1], [-40, 40]],
  sin: [[-1, 1], [-10, 10], [-1e5, 1e5]],
  cos: [[-1, 1], [-10, 10], [-1e5, 1e5]],
  erf: [[-1e-6, 1e-6], [-1.2, 1.2], [-6, 6]],
  tan: [[-1, 1], [-10, 10], [-1e5, 1e5]],
  atan: [[-1e-6, 1e-6], [-1, 1], [-3, 3], [-1e6, 1e6]],
  asin: [[-1e-6, 1e-6], [-0.6, 0.6], [-1, 1]],
  acos: [[-0.6, 0.6], [-1, 1], [0.99, 1]],
  sinh: [[-1e-6, 1e-6], [-1, 1], [-60, 60]],
  cosh: [[-1, 1], [-60, 60]],
  asinh: [[-1e-6, 1e-6], [-1, 1], [-1e6, 1e6], [2e8, 4e8]],
  acosh: [[1, 1.001], [1, 3], [1, 1e6], [2e8, 4e8]],
  atanh: [[-1e-6, 1e-6], [-0.5, 0.5], [-0.999, 0.999]],
  rsqrt: [[1e-6, 1], [0.9, 4.1], [0, 1e6], [1e-40, 1.2e-38]],
}; // prettier-ignore

const ALLOWED = { 32: 2, 64: 4 } as const;
const POINTS = 1500;

function worst(name: string, bits: 32 | 64): number {
  const random = repeatable(1);
  let most = 0;
  for (const [low, high] of SWEEPS[name]) {
    const points = Array.from({ length: POINTS }, (_, i) => low + ((high - low) * (i + random())) / POINTS);
    const x = bits === 32 ? Float32Array.from(points) : Float64Array.from(points);
    const y = vectorFunction<Float32Array | Float64Array>(name, bits)(x);
    x.forEach((given, i) => (most = Math.max(most, ulps(name, given, y[i], bits))));
  }
  return most;
}

/** Arguments where a formula may go wrong, with the value that mathematics and IEEE 754 give. */
const SPECIAL: Readonly<Record<string, readonly (readonly [x: number, y: number])[]>> = {
  exp: [[NaN, NaN], [Infinity, Infinity], [-Infinity, 0], [0, 1], [-0, 1], [1e4, Infinity], [-1e4, 0]],
  expm1: [[NaN, NaN], [Infinity, Infinity], [-Infinity, -1], [0, 0], [-0, -0], [-1e4, -1], [1e4, Infinity]],
  log: [[NaN, NaN], [Infinity, Infinity], [0, -Infinity], [-0, -Infinity], [-1, NaN], [1, 0], [-Infinity, NaN]],
  log1p: [[NaN, NaN], [Infinity, Infinity], [-1, -Infinity], [-2, NaN], [0, 0], [-0, -0]],
  tanh: [[NaN, NaN], [Infinity, 1], [-Infinity, -1], [0, 0], [-0, -0], [1e4, 1]],
  sigmoid: [[NaN, NaN], [Infinity, 1], [-Infinity, 0], [0, 0.5], [-0, 0.5], [1e4, 1], [-1e4, 0]],
  softplus: [[NaN, NaN], [Infinity, Infinity], [-Infinity, 0], [1e4, 1e4], [-1e4, 0]],
  sin: [[NaN, NaN], [Infinity, NaN], [-Infinity, NaN], [0, 0], [-0, -0]],
  cos: [[NaN, NaN], [Infinity, NaN], [0, 1], [-0, 1]],
  erf: [[NaN, NaN], [Infinity, 1], [-Infinity, -1], [0, 0], [-0, -0], [30, 1]],
  tan: [[NaN, NaN], [Infinity, NaN], [0, 0], [-0, -0]],
  atan: [[NaN, NaN], [Infinity, Math.PI / 2], [-Infinity, -Math.PI / 2], [0, 0], [-0, -0], [1, Math.PI / 4]],
  asin: [[NaN, NaN], [1, Math.PI / 2], [-1, -Math.PI / 2], [0, 0], [-0, -0], [1.5, NaN], [-Infinity, NaN]],
  acos: [[NaN, NaN], [1, 0], [-1, Math.PI], [0, Math.PI / 2], [-0, Math.PI / 2], [-1.5, NaN], [Infinity, NaN]],
  sinh: [[NaN, NaN], [Infinity, Infinity], [-Infinity, -Infinity], [0, 0], [-0, -0], [1e4, Infinity]],
  cosh: [[NaN, NaN], [Infinity, Infinity], [-Infinity, Infinity], [0, 1], [-1e4, Infinity]],
  asinh: [[NaN, NaN], [Infinity, Infinity], [-Infinity, -Infinity], [0, 0], [-0, -0]],
  acosh: [[NaN, NaN], [Infinity, Infinity], [1, 0], [0.5, NaN], [-5, NaN], [-Infinity, NaN]],
  atanh: [[NaN, NaN], [1, Infinity], [-1, -Infinity], [0, 0], [-0, -0], [1.5, NaN], [-Infinity, NaN]],
  rsqrt: [[NaN, NaN], [Infinity, 0], [-Infinity, NaN], [0, Infinity], [-0, -Infinity], [-1, NaN], [-1e-40, NaN], [4, 0.5], [2 ** -148, 2 ** 74]],
  pow: [[0, 1], [2, 4]],
}; // prettier-ignore

describe('vector mathematics', function () {
  this.timeout(120_000);
  const table: string[] = [];

  for (const name of Object.keys(SWEEPS)) {
    it(`${name} is accurate in both precisions`, () => {
      const errors = ([32, 64] as const).map((bits) => ({ bits, most: worst(name, bits) }));
      table.push(`      ${name.padEnd(10)}${errors.map(({ most }) => most.toFixed(2).padStart(8)).join('')}`);
      for (const { bits, most } of errors) expect(most, `${bits} bits`).to.be.at.most(ALLOWED[bits]);
    });
  }

  for (const [name, pairs] of Object.entries(SPECIAL)) {
    for (const bits of [32, 64] as const) {
      it(`${name} knows its special arguments in ${bits} bits`, () => {
        const given = pairs.map(([x]) => x);
        const kind = bits === 32 ? Float32Array : Float64Array;
        const y = vectorFunction<Float32Array | Float64Array>(
          name,
          bits,
          name === 'pow' ? 2 : 1,
        )(kind.from(given), kind.from(given.map(() => 2)));
        pairs.forEach(([x, value], i) => {
          const exact = name === 'pow' ? x ** 2 : value;
          const expected = bits === 32 ? Math.fround(exact) : exact;
          expect(Object.is(y[i], expected), `${name}(${x}) = ${y[i]}, not ${expected}`).to.equal(true);
        });
      });
    }
  }

  it('raises singles to powers as Math.pow does', () => {
    const ends = [0, 0.5, 1, 2, 3, 1.7, 2.5, 1e-20, 1e20, 1e-45, 16777217, Infinity].flatMap((x) => [x, -x]);
    const numbers = [...ends, NaN].map(Math.fround);
    const x = numbers.flatMap((n) => numbers.map(() => n));
    const y = numbers.flatMap(() => numbers);
    const random = repeatable(3);
    for (let i = 0; i < 4000; i++) {
      x.push(Math.fround(Math.exp(20 * random() - 10)));
      y.push(Math.fround(20 * random() - 10));
    }
    const z = vectorFunction<Float32Array>('pow', 32, 2)(Float32Array.from(x), Float32Array.from(y));
    z.forEach((value, i) => {
      const exact = x[i] ** y[i];
      const expected = Math.fround(exact);
      if (Object.is(value, expected)) return;
      // Half a unit in the last place, and a hair.
      const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(exact))), -126) - 23);
      expect(Math.abs(value - exact), `${x[i]} to the ${y[i]}: ${value}, not ${expected}`).to.be.at.most(
        0.50001 * unit,
      );
    });
  });

  it('raises doubles to powers within 4 units in the last place, at every size of the result', () => {
    const random = repeatable(11);
    const side = (): number => (random() < 0.5 ? -1 : 1);
    const toTheEnd = (x: number): number => (side() * (700 + 9 * random())) / Math.log(x);
    const KINDS: readonly (() => readonly [x: number, y: number])[] = [
      () => [Math.exp(8 * random() - 4), 20 * random() - 10],
      () => [Math.exp(1400 * random() - 700), 2 * random() - 1],
      () => [2 ** -1060 * (random() + 1e-3), 1.9 * random() - 0.9],
      // Where an error of the logarithm is multiplied most.
      ...[() => 0.7 + 0.75 * random(), () => 1 + side() * 2 ** -(1 + 50 * random()), () => Math.exp(1400 * random() - 700)].map((draw) => () => {
        const x = draw();
        return [x, toTheEnd(x)] as const;
      }),
      () => {
        const x = Math.exp(8 * random() - 4);
        return [x, -(709 + 35 * random()) / Math.log(x)];
      },
    ]; // prettier-ignore
    const pairs = KINDS.flatMap((draw) => Array.from({ length: POINTS }, draw));
    const [x, y] = [0, 1].map((k) => Float64Array.from(pairs, (pair) => pair[k]));
    const found = vectorFunction<Float64Array>('pow', 64, 2)(x, y);
    let most = 0;
    found.forEach((value, i) => {
      if (value === 0 || value === Infinity) {
        expect(value, `${x[i]} to the ${y[i]}`).to.equal(x[i] ** y[i]);
        return;
      }
      const error = powerUlps(x[i], y[i], value);
      expect(error, `${x[i]} to the ${y[i]}: ${value}`).to.be.at.most(ALLOWED[64]);
      most = Math.max(most, error);
    });
    table.push(`      ${'pow'.padEnd(18)}${most.toFixed(2).padStart(8)}`);
  });

  it('raises doubles to powers as Math.pow does where there are rules', () => {
    const sizes = [0, 1, 2, 3, 0.5, 2.5, 5e-324, 1e-310, 1e-20, 1e20, 2 ** 52 + 1, 2 ** 53, 1e308, 1 - 2 ** -53, 1 + 2 ** -52, Infinity]; // prettier-ignore
    const numbers = [...sizes.flatMap((x) => [x, -x]), NaN];
    const x = Float64Array.from(numbers.flatMap((n) => numbers.map(() => n)));
    const y = Float64Array.from(numbers.flatMap(() => numbers));
    vectorFunction<Float64Array>(
      'pow',
      64,
      2,
    )(x, y).forEach((value, i) => {
      const expected = x[i] ** y[i];
      if (Object.is(value, expected)) return;
      expect(Math.sign(value), `${x[i]} to the ${y[i]}: ${value}, not ${expected}`).to.equal(Math.sign(expected));
      expect(powerUlps(Math.abs(x[i]), y[i], Math.abs(value)), `${x[i]} to the ${y[i]}`).to.be.at.most(ALLOWED[64]);
    });
  });

  it('finds the angles of points as Math.atan2 does, in both precisions', () => {
    const ends = [0, 1, 0.3, 5e-324, 1e-310, 1e-30, 1e30, 1.7e308, Infinity].flatMap((n) => [n, -n]);
    const numbers = [...ends, NaN];
    const random = repeatable(5);
    const drawn = Array.from({ length: 3000 }, () => [20 * random() - 10, Math.exp(6 * random() - 3) * (random() < 0.5 ? -1 : 1)]); // prettier-ignore
    const pairs = [...numbers.flatMap((y) => numbers.map((x) => [y, x])), ...drawn];
    for (const bits of [32, 64] as const) {
      const kind = bits === 32 ? Float32Array : Float64Array;
      const [y, x] = [0, 1].map((k) => kind.from(pairs.map((pair) => pair[k])));
      const found = vectorFunction<Float32Array | Float64Array>('atan2', bits, 2)(y, x);
      found.forEach((value, i) => {
        const expected = kind.of(Math.atan2(y[i], x[i]))[0];
        if (Object.is(value, expected)) return;
        const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(expected))), bits === 32 ? -126 : -1022) - (bits === 32 ? 23 : 52)); // prettier-ignore
        expect(Math.abs(value - expected) / unit, `atan2(${y[i]}, ${x[i]}) = ${value}, not ${expected}`).to.be.at.most(bits === 32 ? 1 : 3); // prettier-ignore
      });
    }
  });

  for (const bits of [32, 64] as const) {
    it(`takes remainders as tfjs's cpu backend does, in ${bits} bits`, () => {
      const kind = bits === 32 ? Float32Array : Float64Array;
      const least = bits === 32 ? 2 ** -149 : 2 ** -1074;
      const most = bits === 32 ? 2 ** 127 : 2 ** 1023;
      const ends = [0, 1, 2, 3, 0.5, 1e-20, 7.25, 1e20, 2 ** 24 + 1, 2 ** 53 - 1, Infinity];
      const edges = [least, 3 * least, least * 2 ** 22, most, 1.5 * most, most / 8];
      const numbers = [...[...ends, ...edges].flatMap((n) => [n, -n]), NaN];
      const random = repeatable(4);
      const sign = (): number => (random() < 0.5 ? -1 : 1);
      const pairs = numbers.flatMap((x) => numbers.map((y) => [x, y]));
      for (let i = 0; i < 3000; i++) {
        const [y] = kind.of(Math.exp(30 * random() - 15) * sign());
        pairs.push([Math.exp(30 * random() - 15) * sign(), y]);
        // Next to a multiple, where a rounded quotient is off by one.
        const multiple = Math.floor(2 ** (50 * random())) * y;
        pairs.push([multiple * (1 + Math.round(4 * random() - 2) * 2 ** -(bits === 32 ? 23 : 52)), y]);
      }
      const [x, y] = [0, 1].map((k) => kind.from(pairs.map((pair) => pair[k])));
      const found = vectorFunction<Float32Array | Float64Array>('mod', bits, 2)(x, y);
      found.forEach((value, i) => {
        const rest = x[i] % y[i];
        const [expected] = kind.of(x[i] < 0 === y[i] < 0 ? rest : (rest + y[i]) % y[i]);
        expect(Object.is(value, expected), `${x[i]} mod ${y[i]} = ${value}, not ${expected}`).to.equal(true);
      });
    });
  }

  it('reaches denormal numbers from both sides', () => {
    const exp64 = vectorFunction<Float64Array>('exp', 64)(Float64Array.of(-740, -745));
    expect(exp64[0]).to.be.closeTo(Math.exp(-740), 5e-324);
    expect(exp64[1]).to.be.closeTo(Math.exp(-745), 5e-324);
    const log64 = vectorFunction<Float64Array>('log', 64)(Float64Array.of(5e-324, 1e-310));
    expect(log64[0]).to.be.closeTo(Math.log(5e-324), 2e-13);
    expect(log64[1]).to.be.closeTo(Math.log(1e-310), 2e-13);
    expect(vectorFunction<Float64Array>('rsqrt', 64)(Float64Array.of(2 ** -1074))[0]).to.equal(2 ** 537);
    const tiny = [1e-310, -1e-310, 5e-324];
    for (const name of ['tanh', 'sin', 'expm1', 'log1p']) {
      expect([...vectorFunction<Float64Array>(name, 64)(Float64Array.from(tiny))], name).to.deep.equal(tiny);
    }
  });

  after(() => {
    console.log(
      `      largest error in units of the last place\n                  32 bits 64 bits\n${table.join('\n')}`,
    );
  });
});
