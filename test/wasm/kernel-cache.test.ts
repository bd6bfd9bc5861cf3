import { expect } from 'chai';
import { describe, it } from 'mocha';
import { I32, i32, i32add, ModuleWriter, type Body } from '../../src/wasm/emit/assembler.js';
import { KernelCache } from '../../src/wasm/emit/kernel-cache.js';

interface Written {
  readonly module: WebAssembly.Module;
  readonly written: readonly string[];
}

/** A module in which `double` calls the kernel `store`, which stores a number where it is told; the functions that were written. */
function moduleOf(name: string, before: readonly string[] = []): Written {
  const written: string[] = [];
  const writer = new ModuleWriter([]);
  const noted = (key: string, write: (b: Body) => void) => (b: Body): void => {
    written.push(key);
    write(b);
  }; // prettier-ignore
  for (const other of before)
    writer.function(
      other,
      [],
      [],
      noted(other, () => undefined),
    );
  const store = (m: ModuleWriter): number =>
    m.kernel(`${name} store`, [I32], noted('store', (b) => {
      b.get(0);
      i32(7)(b);
      b.plain(0x36);
      b.memory(0);
    })); // prettier-ignore
  const both = writer.kernel(`${name} both`, [I32], noted('both', (b) => {
    for (const offset of [0, 4]) {
      i32add(b.parameter(0), i32(offset))(b);
      b.call(store(b.module));
    }
  })); // prettier-ignore
  writer.export('f', both);
  return { module: new WebAssembly.Module(writer.encode()), written };
}

function run(module: WebAssembly.Module): number[] {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(module, { host: { memory } });
  (exports.f as (at: number) => void)(16);
  return Array.from(new Int32Array(memory.buffer, 12, 4));
}

describe('functions of generated modules', () => {
  it('are written once for all modules, but for those that call others, whose numbers differ', () => {
    const one = moduleOf('once');
    const two = moduleOf('once', ['first', 'second']);
    expect(one.written).to.deep.equal(['both', 'store']);
    expect(two.written).to.deep.equal(['first', 'second', 'both']);
    for (const { module } of [one, two]) expect(run(module)).to.deep.equal([0, 7, 7, 0]);
  });

  it('are forgotten when there is no more room, those first that were added first', () => {
    const cache = new KernelCache(20);
    const code = (n: number): Uint8Array => new Uint8Array(n);
    cache.add('ab', code(5));
    cache.add('cd', code(6));
    expect(cache.get('ab')).to.have.length(5);
    cache.add('ef', code(4));
    expect(cache.get('ab')).to.equal(undefined);
    expect([cache.get('cd')?.length, cache.get('ef')?.length]).to.deep.equal([6, 4]);
    cache.add('too large', code(30));
    expect(['cd', 'ef', 'too large'].map((key) => cache.get(key))).to.deep.equal([undefined, undefined, undefined]);
    cache.add('gh', code(18));
    expect(cache.get('gh')).to.have.length(18);
  });
});
