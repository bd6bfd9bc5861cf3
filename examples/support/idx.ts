/**
 * IDX files, the format of MNIST: two zero bytes, the type of the elements, the number of axes, the length of each axis as a
 * big-endian 32-bit integer, then the elements, the last axis fastest (Y. LeCun, C. Cortes, C. Burges, The MNIST database).
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** A file that is not what its name says. */
export class DataFileError extends Error {
  override readonly name = 'DataFileError';
}

/** Bytes with a shape. */
export interface IdxArray {
  readonly shape: readonly number[];
  readonly values: Uint8Array;
}

const UNSIGNED_BYTE = 0x08;

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/**
 * The array in an IDX file of unsigned bytes, compressed by gzip or not.
 *
 * @param source What messages call the bytes, a file name as a rule.
 * @throws DataFileError when the bytes are no such file, or fewer or more than the header says.
 */
export function parseIdx(bytes: Uint8Array, source = 'idx'): IdxArray {
  const data = isGzip(bytes) ? unpacked(bytes, source) : bytes;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length < 4 || view.getUint16(0) !== 0)
    throw new DataFileError(`${source}: not an IDX file, which starts with two zero bytes`);
  const [type, axes] = [data[2], data[3]];
  if (type !== UNSIGNED_BYTE) {
    const found = `0x${type.toString(16).padStart(2, '0')}`;
    throw new DataFileError(`${source}: expected elements of type 0x08 (unsigned bytes), got ${found}`);
  }
  const start = 4 + 4 * axes;
  if (data.length < start) throw new DataFileError(`${source}: the file ends within the header`);
  const shape = Array.from({ length: axes }, (_, i) => view.getUint32(4 + 4 * i));
  const count = shape.reduce((n, m) => n * m, 1);
  if (data.length - start !== count) {
    throw new DataFileError(
      `${source}: the header says [${shape.join(', ')}], ${count} bytes, but ${data.length - start} follow`,
    );
  }
  return { shape, values: data.subarray(start) };
}

function unpacked(bytes: Uint8Array, source: string): Uint8Array {
  try {
    return gunzipSync(bytes);
  } catch (error) {
    throw new DataFileError(`${source}: damaged gzip data: ${(error as Error).message}`, { cause: error });
  }
}

/** {@link parseIdx} of a file. */
export const readIdx = (path: string): IdxArray => parseIdx(readFileSync(path), basename(path));
