/**
 * The safetensors format (https://github.com/huggingface/safetensors): eight bytes with the length of the header, a JSON
 * header, then the values of all tensors one after the other, everything little-endian. Python's safetensors reads what
 * is written here, and the other way round.
 */
import { isRecord } from '../core/tree.js';

/** The bytes are not what the format says. `defect` says how. */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
}

interface Format {
  readonly bytes: number;
  readonly read: (view: DataView, at: number) => number;
  /** Absent for formats that are only read. */
  readonly write?: (view: DataView, at: number, x: number) => void;
}

const LITTLE = true;

/** One byte after the other through a DataView: right on hosts of either byte order, and for unaligned data. */
const FORMATS = {
  F64: { bytes: 8, read: (v, i) => v.getFloat64(i, LITTLE), write: (v, i, x) => { v.setFloat64(i, x, LITTLE); } },
  F32: { bytes: 4, read: (v, i) => v.getFloat32(i, LITTLE), write: (v, i, x) => { v.setFloat32(i, x, LITTLE); } },
  F16: { bytes: 2, read: (v, i) => halfToNumber(v.getUint16(i, LITTLE)) },
  BF16: { bytes: 2, read: (v, i) => truncatedToNumber(v.getUint16(i, LITTLE)) },
  I64: { bytes: 8, read: (v, i) => safeInteger(v.getBigInt64(i, LITTLE)) },
  I32: { bytes: 4, read: (v, i) => v.getInt32(i, LITTLE), write: (v, i, x) => { v.setInt32(i, x, LITTLE); } },
  I16: { bytes: 2, read: (v, i) => v.getInt16(i, LITTLE) },
  I8: { bytes: 1, read: (v, i) => v.getInt8(i) },
  U16: { bytes: 2, read: (v, i) => v.getUint16(i, LITTLE) },
  U8: { bytes: 1, read: (v, i) => v.getUint8(i), write: (v, i, x) => { v.setUint8(i, x); } },
  BOOL: { bytes: 1, read: (v, i) => v.getUint8(i), write: (v, i, x) => { v.setUint8(i, x === 0 ? 0 : 1); } },
} as const satisfies Record<string, Format>; // prettier-ignore

/** The types of the format that can be read. F64, F32, I32, U8 and BOOL can also be written. */
export type SafetensorsDtype = keyof typeof FORMATS;

export interface SafetensorsEntry {
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** The values in row-major order: doubles hold every type here exactly. */
  readonly values: ArrayLike<number>;
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: SafetensorsMetadata;
  /** Where each tensor lies in {@link data}, in the order of the header. */
  readonly layout: readonly SafetensorsPlace[];
  /** The bytes of all values, as they stand after the header. */
  readonly data: Uint8Array;
}

/** What the header says of a tensor. */
export interface SafetensorsPlace {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export type SafetensorsMetadata = Readonly<Record<string, string>>;

const METADATA = '__metadata__';
const LENGTH_BYTES = 8;
/** The reference implementation refuses longer headers. */
const MAX_HEADER = 100_000_000;

/**
 * The bytes of a file of these tensors.
 *
 * Widest types first and then by name, as the reference implementation does, so that all values are aligned; the header is
 * padded with spaces to a multiple of eight.
 *
 * @param metadata Words for the header, or a function that makes them from the bytes of the values and the layout (a
 *   checksum, say).
 * @throws SafetensorsError for a shape that does not fit its values, a type that cannot be written, a reserved name.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, SafetensorsEntry>,
  metadata: SafetensorsMetadata | ((data: Uint8Array, layout: readonly SafetensorsPlace[]) => SafetensorsMetadata) = {},
): Uint8Array {
  const entries = [...tensors].map(([name, entry]) => ({ name, entry, format: writable(name, entry) }));
  entries.sort((a, b) => b.format.bytes - a.format.bytes || (a.name < b.name ? -1 : 1));
  const size = entries.reduce((n, { entry, format }) => n + entry.values.length * format.bytes, 0);
  const data = new Uint8Array(size);
  const dataView = new DataView(data.buffer);
  const layout: SafetensorsPlace[] = [];
  let at = 0;
  for (const { name, entry, format } of entries) {
    const { dtype, shape, values } = entry;
    const begin = at;
    for (let i = 0; i < values.length; i++, at += format.bytes) format.write(dataView, at, values[i]);
    layout.push({ name, dtype, shape, begin, end: at });
  }
  const words = typeof metadata === 'function' ? metadata(data, layout) : metadata;
  const specs = layout.map(({ name, dtype, shape, begin, end }): [string, unknown] => [
    name,
    { dtype, shape, data_offsets: [begin, end] },
  ]);
  const named = Object.keys(words).length > 0 ? [[METADATA, words] as [string, unknown], ...specs] : specs;
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(named)));
  const length = Math.ceil(text.length / 8) * 8;
  if (length > MAX_HEADER) throw new SafetensorsError(`a header of ${length} bytes is longer than the format allows`);
  const bytes = new Uint8Array(LENGTH_BYTES + length + size);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), LITTLE);
  bytes.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + length);
  bytes.set(text, LENGTH_BYTES);
  bytes.set(data, LENGTH_BYTES + length);
  return bytes;
}

function writable(name: string, { dtype, shape, values }: SafetensorsEntry): Required<Format> {
  const format: Format = FORMATS[dtype];
  if (name === METADATA) throw new SafetensorsError(`no tensor can be named "${METADATA}"`);
  if (format.write === undefined) throw new SafetensorsError(`tensor "${name}": ${dtype} can be read but not written`);
  if (sizeOf(shape) !== values.length) {
    throw new SafetensorsError(`tensor "${name}": shape [${shape.join(', ')}] does not fit ${values.length} values`);
  }
  return { ...format, write: format.write };
}

/**
 * The tensors and the metadata of a file, every length, offset and type checked before any value is read.
 *
 * @throws SafetensorsError naming the defect.
 */
export function readSafetensors(bytes: Uint8Array): SafetensorsFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { header, start } = readHeader(bytes, view);
  const available = bytes.byteLength - start;
  const metadata = checkMetadata(header[METADATA]);
  const specs = Object.entries(header)
    .filter(([name]) => name !== METADATA)
    .map(([name, spec]) => checkSpec(name, spec));
  checkCoverage(specs, available);
  const tensors = new Map<string, SafetensorsEntry>();
  for (const { name, dtype, shape, begin } of specs) {
    const { bytes: width, read }: Format = FORMATS[dtype];
    const values = new Float64Array(sizeOf(shape));
    for (let i = 0, at = start + begin; i < values.length; i++, at += width) values[i] = read(view, at);
    tensors.set(name, { dtype, shape, values });
  }
  return { tensors, metadata, layout: specs, data: bytes.subarray(start) };
}

function readHeader(bytes: Uint8Array, view: DataView): { header: Record<string, unknown>; start: number } {
  if (bytes.byteLength < LENGTH_BYTES) {
    throw new SafetensorsError(`the file has ${bytes.byteLength} bytes, too few for the length of a header`);
  }
  const length = view.getBigUint64(0, LITTLE);
  if (length > BigInt(MAX_HEADER)) {
    throw new SafetensorsError(
      `the header claims ${length} bytes, more than the format allows: not a safetensors file`,
    );
  }
  const start = LENGTH_BYTES + Number(length);
  if (start > bytes.byteLength) {
    throw new SafetensorsError(`the header claims ${length} bytes, the file has ${bytes.byteLength}: it is truncated`);
  }
  let header: unknown;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(LENGTH_BYTES, start));
    if (!text.startsWith('{')) throw new SyntaxError('it does not begin with "{"');
    header = JSON.parse(text);
  } catch (error) {
    throw new SafetensorsError(`the header is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (!isRecord(header)) throw new SafetensorsError('the header is not a JSON object');
  return { header, start };
}

function checkMetadata(given: unknown): Record<string, string> {
  if (given === undefined) return {};
  if (!isRecord(given)) throw new SafetensorsError(`${METADATA} is not an object`);
  for (const [name, value] of Object.entries(given)) {
    if (typeof value !== 'string') throw new SafetensorsError(`${METADATA}: "${name}" is not a string`);
  }
  return given as Record<string, string>;
}

const isCount = (x: unknown): x is number => typeof x === 'number' && Number.isSafeInteger(x) && x >= 0;
const isCounts = (x: unknown): x is number[] => Array.isArray(x) && x.every(isCount);

function checkSpec(name: string, spec: unknown): SafetensorsPlace {
  const fail = (defect: string): SafetensorsError => new SafetensorsError(`tensor "${name}": ${defect}`);
  if (!isRecord(spec)) throw fail('its entry is not an object');
  const { dtype, shape, data_offsets: offsets } = spec;
  if (typeof dtype !== 'string' || !Object.hasOwn(FORMATS, dtype)) throw fail(`unknown dtype ${JSON.stringify(dtype)}`);
  if (!isCounts(shape)) throw fail(`its shape is ${JSON.stringify(shape)}, not an array of sizes`);
  if (!isCounts(offsets) || offsets.length !== 2 || offsets[1] < offsets[0]) {
    throw fail(`its data_offsets are ${JSON.stringify(offsets)}, not a beginning and an end`);
  }
  const [begin, end] = offsets;
  const known = dtype as SafetensorsDtype;
  const needed = sizeOf(shape) * FORMATS[known].bytes;
  if (end - begin !== needed) {
    throw fail(`${dtype} of shape [${shape.join(', ')}] takes ${needed} bytes, its data_offsets hold ${end - begin}`);
  }
  return { name, dtype: known, shape, begin, end };
}

/** The values must follow each other without gap or overlap, from the first byte after the header to the last. */
function checkCoverage(specs: readonly SafetensorsPlace[], available: number): void {
  let reached = 0;
  let last = 'the header';
  for (const { name, begin, end } of [...specs].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== reached) {
      const what = begin < reached ? 'overlaps' : 'leaves a gap after';
      throw new SafetensorsError(`tensor "${name}" ${what} ${last} (begins at ${begin}, expected ${reached})`);
    }
    reached = end;
    last = `tensor "${name}"`;
  }
  if (reached !== available) {
    const why = reached > available ? 'it is truncated' : 'something follows the last tensor';
    throw new SafetensorsError(`the header describes ${reached} bytes of values, the file has ${available}: ${why}`);
  }
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** IEEE binary16. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** bfloat16: the upper half of a binary32. */
function truncatedToNumber(bits: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits << 16);
  return view.getFloat32(0);
}

function safeInteger(x: bigint): number {
  const number = Number(x);
  if (!Number.isSafeInteger(number)) throw new SafetensorsError(`the integer ${x} is too large for a number`);
  return number;
}
