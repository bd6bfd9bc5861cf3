import '../support/backend.js';
import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { crc32 } from '../../src/training/checksum.js';
import {
  readSafetensors,
  SafetensorsError,
  writeSafetensors,
  type SafetensorsEntry,
} from '../../src/training/index.js';

/** A file from its header and the bytes of its values. */
function file(header: unknown, data: readonly number[] = [], pad = ''): Uint8Array {
  const text = new TextEncoder().encode((typeof header === 'string' ? header : JSON.stringify(header)) + pad);
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const entry = (dtype: SafetensorsEntry['dtype'], shape: number[], values: number[]): SafetensorsEntry => ({
  dtype,
  shape,
  values,
});

const sample = new Map([
  ['b', entry('F32', [2], [1.5, -0.25])],
  ['flags', entry('BOOL', [3], [1, 0, 1])],
  ['a', entry('F64', [1, 2], [0.1, Infinity])],
  ['n', entry('I32', [], [-7])],
  ['empty', entry('F32', [0, 3], [])],
  ['bytes', entry('U8', [2], [0, 255])],
]);

describe('safetensors', () => {
  it('writes what it reads', () => {
    const { tensors, metadata } = readSafetensors(writeSafetensors(sample, { who: 'test', ünï: '→' }));
    expect(metadata).to.deep.equal({ who: 'test', ünï: '→' });
    expect([...tensors.keys()].sort()).to.deep.equal([...sample.keys()].sort());
    for (const [name, { dtype, shape, values }] of sample) {
      const read = tensors.get(name)!;
      expect(read.dtype).to.equal(dtype);
      expect(read.shape).to.deep.equal(shape);
      expect(Array.from(read.values)).to.deep.equal(Array.from(values));
    }
  });

  it('lays the file out as the reference does: padded header, widest type first, then by name', () => {
    const bytes = writeSafetensors(sample);
    const view = new DataView(bytes.buffer);
    const length = Number(view.getBigUint64(0, true));
    expect(length % 8).to.equal(0);
    const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
    expect(text.startsWith('{')).to.be.true;
    expect(text.trimEnd().endsWith('}')).to.be.true;
    const header = JSON.parse(text) as Record<string, { data_offsets: number[] }>;
    expect(Object.keys(header)).to.deep.equal(['a', 'b', 'empty', 'n', 'bytes', 'flags']);
    expect(Object.values(header).map((h) => h.data_offsets)).to.deep.equal([[0, 16], [16, 24], [24, 24], [24, 28], [28, 30], [30, 33]]); // prettier-ignore
    expect(view.getFloat64(8 + length, true)).to.equal(0.1);
    expect(view.getFloat32(8 + length + 16, true)).to.equal(1.5);
  });

  it('reads a file at an odd place in memory, and a header without padding', () => {
    const bytes = file({ x: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } }, [0, 0, 0x80, 0x3f]);
    const moved = new Uint8Array(bytes.length + 3);
    moved.set(bytes, 3);
    expect(Array.from(readSafetensors(moved.subarray(3)).tensors.get('x')!.values)).to.deep.equal([1]);
  });

  it('reads half, bfloat16 and 64-bit integers', () => {
    const half = [0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000].flatMap((h) => [h & 255, h >> 8]);
    const brain = [0x3f80, 0xc040].flatMap((h) => [h & 255, h >> 8]);
    const long = [0xfe, ...new Array<number>(7).fill(0xff)];
    const { tensors } = readSafetensors(
      file(
        {
          h: { dtype: 'F16', shape: [6], data_offsets: [0, 12] },
          b: { dtype: 'BF16', shape: [2], data_offsets: [12, 16] },
          l: { dtype: 'I64', shape: [1], data_offsets: [16, 24] },
        },
        [...half, ...brain, ...long],
      ),
    );
    // IEEE 754 binary16: 1, -2, the smallest subnormal, the largest number, infinity, -0
    expect(Array.from(tensors.get('h')!.values)).to.deep.equal([1, -2, 2 ** -24, 65504, Infinity, -0]);
    expect(Array.from(tensors.get('b')!.values)).to.deep.equal([1, -3]);
    expect(Array.from(tensors.get('l')!.values)).to.deep.equal([-2]);
  });

  const f32 = (begin: number, end: number, shape: unknown = [(end - begin) / 4]): object => ({ dtype: 'F32', shape, data_offsets: [begin, end] }); // prettier-ignore
  const zeros = (n: number): number[] => new Array<number>(n).fill(0);
  const huge = new Uint8Array(16);
  new DataView(huge.buffer).setBigUint64(0, 1n << 60n, true);
  const damaged: [what: string, bytes: Uint8Array, message: RegExp][] = [
    ['nothing', new Uint8Array(0), /0 bytes, too few/],
    ['seven bytes', new Uint8Array(7), /7 bytes, too few/],
    ['another format', new TextEncoder().encode('PK\x03\x04 and so on and on'), /more than the format allows/],
    ['an enormous header', huge, /more than the format allows/],
    ['a truncated header', file({ x: f32(0, 4) }, zeros(4)).subarray(0, 20), /it is truncated/],
    ['truncated values', file({ x: f32(0, 8) }, zeros(7)), /describes 8 bytes of values, the file has 7: it is truncated/],
    ['trailing bytes', file({ x: f32(0, 8) }, zeros(9)), /something follows/],
    ['no JSON', file('{"x": '), /the header is not JSON/],
    ['no object', file('[1]'), /the header is not JSON: it does not begin/],
    ['bad UTF-8', file('{"\uD800":1}').map((b, i) => (i === 10 ? 0xff : b)), /the header is not JSON/],
    ['an entry that is none', file({ x: 3 }), /tensor "x": its entry is not an object/],
    ['an unknown dtype', file({ x: { dtype: 'F7', shape: [], data_offsets: [0, 4] } }, zeros(4)), /tensor "x": unknown dtype "F7"/],
    ['a dtype of Object', file({ x: { dtype: 'toString', shape: [], data_offsets: [0, 4] } }, zeros(4)), /unknown dtype/],
    ['a negative size', file({ x: f32(0, 4, [-1]) }, zeros(4)), /its shape is \[-1\]/],
    ['a fractional size', file({ x: f32(0, 4, [0.5]) }, zeros(4)), /its shape/],
    ['no shape', file({ x: f32(0, 4, null) }, zeros(4)), /its shape is null/],
    ['offsets backwards', file({ x: f32(4, 0, []) }, zeros(4)), /data_offsets are \[4,0\]/],
    ['a shape of another size', file({ x: f32(0, 8, [3]) }, zeros(8)), /takes 12 bytes, its data_offsets hold 8/],
    ['an overflowing shape', file({ x: f32(0, 4, [2 ** 40, 2 ** 40]) }, zeros(4)), /its data_offsets hold 4/],
    ['an overlap', file({ x: f32(0, 8), y: f32(4, 12) }, zeros(12)), /"y" overlaps tensor "x"/],
    ['a gap', file({ x: f32(0, 4), y: f32(8, 12) }, zeros(12)), /"y" leaves a gap after tensor "x"/],
    ['a gap at the beginning', file({ x: f32(4, 8) }, zeros(8)), /"x" leaves a gap after the header/],
    ['metadata of another kind', file({ __metadata__: { n: 3 } }), /__metadata__: "n" is not a string/],
  ]; // prettier-ignore
  for (const [what, bytes, message] of damaged) {
    it(`refuses ${what}`, () => {
      expect(() => readSafetensors(bytes)).to.throw(SafetensorsError, message);
    });
  }

  it('refuses to write what it could not read', () => {
    const write = (name: string, e: SafetensorsEntry) => () => writeSafetensors(new Map([[name, e]]));
    expect(write('x', entry('F32', [3], [1]))).to.throw(SafetensorsError, /shape \[3\] does not fit 1 values/);
    expect(write('__metadata__', entry('F32', [1], [1]))).to.throw(SafetensorsError, /no tensor can be named/);
    expect(write('x', entry('F16', [1], [1]))).to.throw(SafetensorsError, /F16 can be read but not written/);
  });

  it('is read by Python', function () {
    // The header and the values by the format's own description, with nothing but the standard library.
    const script = `
import json, struct, sys
b = sys.stdin.buffer.read()
n, = struct.unpack('<Q', b[:8])
h = json.loads(b[8:8+n])
fmt = {'F64': 'd', 'F32': 'f', 'I32': 'i', 'U8': 'B', 'BOOL': '?'}
out = {}
for k, v in h.items():
    if k == '__metadata__': continue
    i, j = v['data_offsets']
    c = fmt[v['dtype']]
    out[k] = [v['dtype'], v['shape'], [str(x) for x in struct.unpack('<%d%s' % ((j-i)//struct.calcsize('<'+c), c), b[8+n+i:8+n+j])]]
print(json.dumps({'meta': h['__metadata__'], 'tensors': out}))
`;
    const { status, stdout, error } = spawnSync('python3', ['-c', script], {
      input: writeSafetensors(sample, { who: 'test' }),
    });
    if (error !== undefined) this.skip();
    expect(status).to.equal(0);
    expect(JSON.parse(stdout.toString())).to.deep.equal({
      meta: { who: 'test' },
      tensors: {
        a: ['F64', [1, 2], ['0.1', 'inf']],
        b: ['F32', [2], ['1.5', '-0.25']],
        empty: ['F32', [0, 3], []],
        n: ['I32', [], ['-7']],
        bytes: ['U8', [2], ['0', '255']],
        flags: ['BOOL', [3], ['True', 'False', 'True']],
      },
    });
  });

  it('crc32 has the check value of the catalogue', () => {
    // https://reveng.sourceforge.io/crc-catalogue/17plus.htm#crc.cat.crc-32-iso-hdlc: check = 0xcbf43926
    expect(crc32(new TextEncoder().encode('123456789'))).to.equal('cbf43926');
  });
});
