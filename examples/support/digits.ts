/**
 * Digits to classify: MNIST's, those of the UCI repository, or drawn here.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { foldIn, permutation, split, type Key, type Tensor } from 'nullcline';
import { integer, UsageError, type Option } from './cli.js';
import { drawGlyphs } from './glyphs.js';
import { DataFileError, readIdx, type IdxArray } from './idx.js';
import { readOptdigits } from './optdigits.js';

/** Images `[count, size, size, 1]` with grey values in [0, 1], and their digits. */
export interface DigitSet {
  readonly count: number;
  readonly size: number;
  readonly pixels: Float32Array;
  readonly labels: Int32Array;
}

export interface Digits {
  /** Where they come from, in words. */
  readonly source: string;
  readonly train: DigitSet;
  readonly test: DigitSet;
}

/** Reads a folder, or returns undefined where its files are not there. */
type Reader = (folder: string) => Digits | undefined;

export type DigitFormat = 'mnist' | 'optdigits';

/** What `--data` is when no folder is given. */
export const DRAWN = 'drawn';

export const dataOption = (formats: string): Option<string> => ({
  about: `folder with ${formats}; without one, glyphs are drawn`,
  placeholder: 'FOLDER',
  fallback: DRAWN,
  expected: 'a folder',
  read: (given) => (given === '' ? undefined : given),
});

/** The file, as it is or compressed, with either of the two spellings in use. */
function idxFile(folder: string, set: 'train' | 't10k', kind: 'images-idx3' | 'labels-idx1'): string | undefined {
  const names = [`${set}-${kind}-ubyte`, `${set}-${kind.replace('-idx', '.idx')}-ubyte`];
  return names.flatMap((name) => [join(folder, name), join(folder, `${name}.gz`)]).find((path) => existsSync(path));
}

function fromIdx(images: IdxArray, labels: IdxArray): DigitSet {
  const [count, height, width] = images.shape;
  if (images.shape.length !== 3 || height !== width)
    throw new DataFileError(`images: expected [count, size, size], got [${images.shape.join(', ')}]`);
  if (labels.shape.length !== 1 || labels.shape[0] !== count)
    throw new DataFileError(`labels: expected [${count}], one for each image, got [${labels.shape.join(', ')}]`);
  const pixels = new Float32Array(images.values.length);
  images.values.forEach((grey, i) => (pixels[i] = grey / 255));
  return { count, size: width, pixels, labels: Int32Array.from(labels.values) };
}

/** Part of a set, in order. */
export function slice({ size, pixels, labels }: DigitSet, from: number, to: number): DigitSet {
  const each = size * size;
  return { count: to - from, size, pixels: pixels.slice(from * each, to * each), labels: labels.slice(from, to) };
}

const readMnist: Reader = (folder) => {
  const read = (set: 'train' | 't10k'): DigitSet | undefined => {
    const [images, labels] = [idxFile(folder, set, 'images-idx3'), idxFile(folder, set, 'labels-idx1')];
    return images === undefined || labels === undefined ? undefined : fromIdx(readIdx(images), readIdx(labels));
  };
  const test = read('t10k');
  if (test === undefined) return undefined;
  const train = read('train');
  if (train !== undefined) return { source: 'MNIST', train, test };
  const cut = Math.floor(0.8 * test.count);
  return {
    source: `the test images of MNIST, of which the first ${cut} train and the others test`,
    train: slice(test, 0, cut),
    test: slice(test, cut, test.count),
  };
};

const readUci: Reader = (folder) => {
  const paths = ['optdigits.tra', 'optdigits.tes'].map((name) => join(folder, name));
  if (!paths.every((path) => existsSync(path))) return undefined;
  const [train, test] = paths.map((path) => readOptdigits(readFileSync(path, 'utf8'), path));
  return { source: 'optdigits of the UCI repository', train, test };
};

const READERS: Readonly<Record<DigitFormat, Reader>> = { mnist: readMnist, optdigits: readUci };

/**
 * Digits from a folder, in the first of the formats that is there: in the folder itself or in one below it that is named for the format.
 *
 * @throws UsageError when there is none; DataFileError when a file is not what its name says.
 */
export function readDigits(folder: string, formats: readonly DigitFormat[]): Digits {
  for (const format of formats) {
    const found = READERS[format](folder) ?? READERS[format](join(folder, format));
    if (found !== undefined) return found;
  }
  throw new UsageError(
    `--data: no digits in "${folder}"; expected MNIST's t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte ` +
      '(with train-..., if they are there; .gz or not) or optdigits.tra and optdigits.tes',
  );
}

/** Drawn digits, all different: as many as asked for. */
export async function drawDigits(key: Key, size: number, train: number, test: number): Promise<Digits> {
  const all = await drawGlyphs(key, train + test, size);
  return {
    source: `digits drawn here (no --data): strokes with random slant, place, width and noise`,
    train: slice(all, 0, train),
    test: slice(all, train, train + test),
  };
}

/** Images and labels on the device. */
export interface DigitTensors {
  /** `[count, size, size, 1]`. */
  readonly images: tf.Tensor4D;
  /** `[count]`, int32. */
  readonly labels: tf.Tensor1D;
}

export const asTensors = ({ count, size, pixels, labels }: DigitSet): DigitTensors => ({
  images: tf.tensor4d(pixels, [count, size, size, 1]),
  labels: tf.tensor1d(labels, 'int32'),
});

/**
 * A function from the number of a step to its batch: each pass goes through all examples in an order of its own, and leaves out the
 * few at the end that do not fill a batch.
 */
export function shuffled(
  { images, labels }: DigitTensors,
  batch: number,
  key: Key,
): { readonly perPass: number; readonly batch: (step: number) => DigitTensors } {
  const [count] = labels.shape;
  const perPass = Math.floor(count / batch);
  if (perPass === 0) throw new RangeError(`a batch of ${batch} needs as many examples, got ${count}`);
  return {
    perPass,
    batch: (step) =>
      tf.tidy(() => {
        const order = permutation(foldIn(key, Math.floor(step / perPass)), count);
        const chosen = tf.slice(order, [(step % perPass) * batch], [batch]);
        return { images: tf.gather(images, chosen), labels: tf.gather(labels, chosen) };
      }),
  };
}

/** The share of digits that `predict` (images to scores `[batch, 10]`, which are freed) names right, a few hundred at a time. */
export async function accuracy(
  predict: (images: Tensor) => Promise<Tensor>,
  { images, labels }: DigitTensors,
  batch = 300,
): Promise<number> {
  const [count] = labels.shape;
  let right = 0;
  for (let from = 0; from < count; from += batch) {
    const size = Math.min(batch, count - from);
    const some = tf.slice(images, [from, 0, 0, 0], [size, -1, -1, -1]);
    const scores = await predict(some);
    const hits = tf.tidy(() =>
      tf.sum(tf.cast(tf.equal(tf.argMax(scores, -1), tf.slice(labels, [from], [size])), 'int32')),
    );
    right += (await hits.data())[0];
    tf.dispose([some, scores, hits]);
  }
  return right / count;
}

/** How many digits are drawn to learn from, and one in how many of all digits is for the test. */
const [MANY, PART] = [4000, 4];

/** At most so many of the digits to learn from, and a quarter as many to test: for a short trial. */
export function atMost(count: number, { source, train, test }: Digits): Digits {
  const first = (set: DigitSet, most: number): DigitSet => (most < set.count ? slice(set, 0, most) : set);
  return { source, train: first(train, count), test: first(test, Math.ceil(count / PART)) };
}

/** The digits an example works on: those of the folder `data`, or drawn ones of the given size; at most `count` of them to learn from. */
export async function digitsFor(
  { data, digits: count }: { readonly data: string; readonly digits: number },
  formats: readonly DigitFormat[],
  size: number,
  key: Key,
): Promise<Digits> {
  if (data !== DRAWN) return atMost(count, readDigits(data, formats));
  const [own] = split(key, 1);
  const train = Math.min(count, MANY);
  return drawDigits(own, size, train, Math.ceil(train / PART));
}

/** The option for `digits`. */
export const countOption = (batch: number): Option<number> => ({
  ...integer('digits to learn from at most, and a quarter as many to test', 0, { min: batch }),
  fallback: Infinity,
});
