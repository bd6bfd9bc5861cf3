import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as tf from '@tensorflow/tfjs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { key } from 'nullcline';
import { accuracy, asTensors, drawDigits, readDigits, shuffled, slice } from '../../examples/support/digits.js';
import { drawGlyphs, STROKES } from '../../examples/support/glyphs.js';
import { DataFileError, parseIdx } from '../../examples/support/idx.js';
import { readOptdigits } from '../../examples/support/optdigits.js';

/** An IDX file of unsigned bytes. */
function idx(shape: readonly number[], values: readonly number[], type = 0x08): Uint8Array {
  const lengths = shape.flatMap((n) => [n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);
  return Uint8Array.from([0, 0, type, shape.length, ...lengths, ...values]);
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe('IDX files', () => {
  it('are read as they are or compressed', () => {
    const file = idx([2, 2, 3], range(12));
    for (const bytes of [file, gzipSync(file)]) {
      const { shape, values } = parseIdx(bytes);
      expect(shape).to.deep.equal([2, 2, 3]);
      expect(Array.from(values)).to.deep.equal(range(12));
    }
    expect(
      parseIdx(
        idx(
          [1, 300],
          range(300).map(() => 255),
        ),
      ).shape,
    ).to.deep.equal([1, 300]);
  });

  const damaged: readonly [what: string, bytes: Uint8Array, message: RegExp][] = [
    ['another file', Uint8Array.from([137, 80, 78, 71]), /^f: not an IDX file/],
    ['an empty file', new Uint8Array(0), /^f: not an IDX file/],
    ['floats', idx([1], [0, 0, 0, 0], 0x0d), /^f: expected elements of type 0x08 .*, got 0x0d$/],
    ['too few bytes', idx([2, 2], [1, 2, 3]), /^f: the header says \[2, 2\], 4 bytes, but 3 follow$/],
    ['too many bytes', idx([2], [1, 2, 3]), /^f: the header says \[2\], 2 bytes, but 3 follow$/],
    ['half a header', idx([2, 2], []).slice(0, 9), /^f: the file ends within the header$/],
    ['broken compression', gzipSync(idx([2], [1, 2])).subarray(0, 15), /^f: damaged gzip data/],
  ];
  for (const [what, bytes, message] of damaged) {
    it(`refuse ${what}`, () => {
      expect(() => parseIdx(bytes, 'f')).to.throw(DataFileError, message);
    });
  }
});

const line = (first: number, digit: number): string => [first, ...range(63).map(() => 8), digit].join(',');

describe('optdigits', () => {
  it('are read with grey values in [0, 1]', () => {
    const { count, size, pixels, labels } = readOptdigits(`${line(0, 3)}\r\n${line(16, 9)}\n`);
    expect([count, size, pixels.length]).to.deep.equal([2, 8, 128]);
    expect(Array.from(labels)).to.deep.equal([3, 9]);
    expect([pixels[0], pixels[1], pixels[64]]).to.deep.equal([0, 0.5, 1]);
  });

  const damaged: readonly [what: string, text: string, message: RegExp][] = [
    ['an empty file', '\n', /^d\.tra: the file is empty$/],
    ['a short line', `${line(1, 2)}\n1,2`, /^d\.tra: line 2: expected 65 numbers, got 2$/],
    ['a count that is too large', line(17, 2), /line 1: number 1 must be an integer from 0 to 16, got "17"$/],
    ['a digit that is none', line(1, 10), /line 1: number 65 must be an integer from 0 to 9, got "10"$/],
    ['an empty cell', line(1, 1).replace('1,', ','), /line 1: number 1 must be an integer .* got ""$/],
  ];
  for (const [what, text, message] of damaged) {
    it(`refuse ${what}`, () => {
      expect(() => readOptdigits(text, '/a/d.tra')).to.throw(DataFileError, message);
    });
  }
});

describe('a folder of digits', () => {
  const inFolder = (work: (folder: string) => void): void => {
    const folder = mkdtempSync(join(tmpdir(), 'digits-'));
    try {
      work(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
  const images = (count: number) => idx([count, 2, 2], range(4 * count).map((i) => i % 256)); // prettier-ignore

  it('holds MNIST: its test images are divided where there are no others', () => {
    inFolder((folder) => {
      mkdirSync(join(folder, 'mnist'));
      writeFileSync(join(folder, 'mnist', 't10k-images-idx3-ubyte.gz'), gzipSync(images(10)));
      writeFileSync(join(folder, 'mnist', 't10k-labels.idx1-ubyte'), idx([10], range(10)));
      const { train, test } = readDigits(folder, ['optdigits', 'mnist']);
      expect([train.count, test.count, train.size]).to.deep.equal([8, 2, 2]);
      expect(Array.from(test.labels)).to.deep.equal([8, 9]);
      expect(test.pixels[0]).to.be.closeTo(32 / 255, 1e-7);
      writeFileSync(join(folder, 'mnist', 'train-images-idx3-ubyte'), images(5));
      writeFileSync(join(folder, 'mnist', 'train-labels-idx1-ubyte'), idx([5], range(5)));
      const whole = readDigits(join(folder, 'mnist'), ['mnist']);
      expect([whole.train.count, whole.test.count]).to.deep.equal([5, 10]);
      writeFileSync(join(folder, 'mnist', 'train-labels-idx1-ubyte'), idx([4], range(4)));
      expect(() => readDigits(folder, ['mnist'])).to.throw(DataFileError, /labels: expected \[5\].*, got \[4\]/);
    });
  });

  it('holds optdigits, or nothing', () => {
    inFolder((folder) => {
      expect(() => readDigits(folder, ['mnist', 'optdigits'])).to.throw(Error, /^--data: no digits in /);
      writeFileSync(join(folder, 'optdigits.tra'), line(1, 2));
      writeFileSync(join(folder, 'optdigits.tes'), `${line(1, 4)}\n${line(2, 5)}`);
      const { train, test } = readDigits(folder, ['mnist', 'optdigits']);
      expect([train.count, test.count]).to.deep.equal([1, 2]);
    });
  });

  it('may be the real one', function () {
    if (!existsSync('../shared/data/optdigits/optdigits.tes')) {
      console.log('      SKIPPED: no ../shared/data here');
      this.skip();
    }
    const uci = readDigits('../shared/data', ['optdigits']);
    expect([uci.train.count, uci.test.count]).to.deep.equal([3823, 1797]);
    const mnist = readDigits('../shared/data', ['mnist']);
    expect([mnist.train.count, mnist.test.count, mnist.train.size]).to.deep.equal([8000, 2000, 28]);
    expect(mnist.train.labels[0]).to.equal(7);
  });
});

describe('drawn digits', () => {
  it('are the same for a key and differ for another, all within [0, 1]', async () => {
    const [a, b, c] = await Promise.all([drawGlyphs(key(1), 20, 12), drawGlyphs(key(1), 20, 12), drawGlyphs(key(2), 20, 12)]); // prettier-ignore
    expect(Array.from(a.labels)).to.deep.equal([...range(10), ...range(10)]);
    expect(Array.from(a.pixels)).to.deep.equal(Array.from(b.pixels));
    expect(Array.from(a.pixels)).not.to.deep.equal(Array.from(c.pixels));
    expect(Math.min(...a.pixels)).to.be.at.least(0);
    expect(Math.max(...a.pixels)).to.be.within(0.5, 1);
  });

  it('have ink in the middle and none at the rim, and strokes for every digit', async () => {
    const { pixels, count } = await drawGlyphs(key(3), 30, 16);
    expect(STROKES.map((strokes) => strokes.flat().length > 1)).to.deep.equal(range(10).map(() => true));
    for (let i = 0; i < count; i++) {
      const at = (row: number, column: number): number => pixels[i * 256 + row * 16 + column];
      const ink = range(256).filter((k) => pixels[i * 256 + k] > 0.5).length;
      expect(ink, `ink of glyph ${i}`).to.be.within(8, 110);
      for (const corner of [at(0, 0), at(0, 15), at(15, 0), at(15, 15)]) expect(corner).to.be.below(0.1);
    }
  });

  it('can be told apart by their nearest neighbour', async () => {
    const { train, test } = await drawDigits(key(4), 12, 200, 50);
    const distance = (i: number, j: number): number =>
      range(144).reduce((sum, k) => sum + (test.pixels[i * 144 + k] - train.pixels[j * 144 + k]) ** 2, 0);
    const right = range(test.count).filter((i) => {
      const distances = range(train.count).map((j) => distance(i, j));
      return train.labels[distances.indexOf(Math.min(...distances))] === test.labels[i];
    });
    expect(right.length / test.count).to.be.above(0.7);
  });
});

describe('batches of digits', () => {
  it('go through every example once in a pass, in an order of their own each time', async () => {
    const before = tf.memory().numTensors;
    const set = slice(await drawGlyphs(key(0), 12, 8), 0, 10);
    const tensors = asTensors({ ...set, labels: Int32Array.from(range(10)) });
    const seed = key(5);
    const { perPass, batch } = shuffled(tensors, 5, seed);
    expect(perPass).to.equal(2);
    const passes = [0, 1, 2].map((pass) =>
      [0, 1].flatMap((i) => {
        const { images, labels } = batch(2 * pass + i);
        const found = Array.from(labels.dataSync());
        const [first] = found;
        expect(Array.from(images.dataSync().slice(0, 64))).to.deep.equal(Array.from(set.pixels.slice(64 * first, 64 * first + 64))); // prettier-ignore
        tf.dispose([images, labels]);
        return found;
      }),
    );
    for (const pass of passes) expect([...pass].sort((a, b) => a - b)).to.deep.equal(range(10));
    expect(passes[0]).not.to.deep.equal(passes[1]);
    expect(() => shuffled(tensors, 11, seed)).to.throw(RangeError, 'a batch of 11 needs as many examples, got 10');
    tf.dispose([tensors.images, tensors.labels, seed]);
    expect(tf.memory().numTensors - before).to.be.at.most(1); // the key of the glyphs, which is the caller's
  });

  it('are judged by the largest score', async () => {
    const tensors = asTensors({
      count: 7,
      size: 1,
      pixels: new Float32Array(7),
      labels: Int32Array.of(3, 3, 3, 1, 2, 3, 0),
    });
    const before = tf.memory().numTensors;
    const three = (x: tf.Tensor): tf.Tensor => tf.tidy(() => tf.oneHot(tf.fill([x.shape[0]], 3, 'int32'), 10));
    const share = await accuracy((x) => Promise.resolve(three(x)), tensors, 3);
    expect(tf.memory().numTensors).to.equal(before);
    expect(share).to.be.closeTo(4 / 7, 1e-12);
    tf.dispose([tensors.images, tensors.labels]);
  });
});
