/**
 * A writer of WebAssembly binary modules (core specification 2.0, chapter 5), as little of one as the code generator needs.
 *
 * A program is compiled while its user waits, so code is written straight into bytes: no instruction objects, no inference
 * of types, no second pass. The engine validates the module anyway.
 */

import { append, joined, lengthOf, name, signed, unsigned, type Code, type Piece } from './bytes.js';
import { KERNELS } from './kernel-cache.js';

export const I32 = 0x7f;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
export type Type = typeof I32 | typeof F32 | typeof F64 | typeof V128;

/** Code that leaves one value on the stack. Emitting it twice computes it twice: see {@link Body.let}. */
export type Expr = (b: Body) => void;

const SIMD = 0xfd;
const VOID = 0x40;

/** The code of one function. */
export class Body {
  readonly bytes: number[] = [];
  private readonly locals: Type[] = [];
  private fences = 0;

  constructor(
    readonly module: ModuleWriter,
    private readonly parameters: readonly Type[],
  ) {}

  parameter(index: number): Expr {
    return (b) => {
      b.get(index);
    };
  }

  /** A new local variable. */
  local(type: Type): number {
    this.locals.push(type);
    return this.parameters.length + this.locals.length - 1;
  }

  get(local: number): void {
    this.bytes.push(0x20);
    unsigned(this.bytes, local);
  }

  set(local: number, value: Expr): void {
    value(this);
    this.bytes.push(0x21);
    unsigned(this.bytes, local);
  }

  /** Set a variable and leave its value. */
  tee(local: number, value: Expr): Expr {
    return (b) => {
      value(b);
      b.bytes.push(0x22);
      unsigned(b.bytes, local);
    };
  }

  /** Compute `value` here, once, and use the result as often as wanted. */
  let(type: Type, value: Expr): Expr {
    const local = this.local(type);
    this.set(local, value);
    return (b) => {
      b.get(local);
    };
  }

  /** A vector computed once. */
  vector(value: Expr): Expr {
    return this.let(V128, value);
  }

  plain(...opcodes: number[]): void {
    this.bytes.push(...opcodes);
  }

  simd(opcode: number): void {
    if (opcode < 0x80) this.bytes.push(SIMD, opcode);
    else this.bytes.push(SIMD, (opcode & 0x7f) | 0x80, opcode >>> 7); // all are below 2^14
  }

  /** Does it call others, whose numbers differ from module to module? */
  isLeaf = true;

  call(index: number): void {
    this.isLeaf = false;
    this.bytes.push(0x10);
    unsigned(this.bytes, index);
  }

  /** Offset and (unpromised) alignment of a memory access. */
  memory(offset: number): void {
    this.bytes.push(0);
    unsigned(this.bytes, offset);
  }

  /** `do { body } while (condition)`. */
  repeat(body: () => void, condition: Expr): void {
    this.bytes.push(0x03, VOID);
    body();
    condition(this);
    this.bytes.push(0x0d, 0, 0x0b);
  }

  /** `variable` runs from `from` while below `to`; the caller knows that it runs at least once. */
  loop(variable: number, from: number, to: number, step: number, body: () => void): void {
    this.set(variable, i32(from));
    this.repeat(
      () => {
        body();
        this.set(variable, i32add(localExpr(variable), i32(step)));
      },
      binary(0x49, localExpr(variable), i32(to)),
    );
  }

  when(condition: Expr, then: () => void): void {
    condition(this);
    this.bytes.push(0x04, VOID);
    then();
    this.bytes.push(0x0b);
  }

  /** Code with a place behind it to branch to: see {@link fence}. */
  block(body: () => void): void {
    this.bytes.push(0x02, VOID);
    body();
    this.bytes.push(0x0b);
  }

  /**
   * Within a block: a branch behind it that no program takes, for no address of a float is odd. In straight code V8 computes
   * as late as it can and so needs registers for all that is loaded before; what precedes a branch it computes before that.
   */
  fence(pointer: number): void {
    this.fences += 2;
    binary(0x46, localExpr(pointer), i32(this.fences - 1))(this);
    this.bytes.push(0x0d, 0);
  }

  /** `body` so many times. */
  times(count: number, body: () => void): void {
    if (count === 1) body();
    if (count <= 1) return;
    const left = this.local(I32);
    this.set(left, i32(count));
    this.repeat(body, this.tee(left, i32add(localExpr(left), i32(-1))));
  }

  /** Move a pointer on. */
  bump(pointer: number, bytes: number): void {
    if (bytes !== 0) this.set(pointer, i32add(localExpr(pointer), i32(bytes)));
  }

  /** A variable of its own that begins with the pointer's address. */
  copy(pointer: number): number {
    const local = this.local(I32);
    this.set(local, localExpr(pointer));
    return local;
  }

  /** Its parts: their length and the declarations of variables, then the instructions. */
  encode(): Code {
    const { locals, bytes } = this;
    const declared: number[] = [];
    let groups = 0;
    for (let i = 0; i < locals.length;) {
      let next = i + 1;
      while (next < locals.length && locals[next] === locals[i]) next++;
      unsigned(declared, next - i);
      declared.push(locals[i]);
      groups++;
      i = next;
    }
    const count: number[] = [];
    unsigned(count, groups);
    const head: number[] = [];
    unsigned(head, count.length + declared.length + bytes.length + 1);
    return [head, count, declared, bytes, END];
  }
}

const END: readonly number[] = [0x0b];

export const localExpr =
  (local: number): Expr =>
  (b) => {
    b.get(local);
  };

export const i32 =
  (n: number): Expr =>
  (b) => {
    b.bytes.push(0x41);
    signed(b.bytes, n);
  };

export const binary =
  (opcode: number, x: Expr, y: Expr): Expr =>
  (b) => {
    x(b);
    y(b);
    b.plain(opcode);
  };

export const i32add = (x: Expr, y: Expr): Expr => binary(0x6a, x, y);
export const i32mul = (x: Expr, y: Expr): Expr => binary(0x6c, x, y);

export const i32load =
  (address: Expr, offset = 0): Expr =>
  (b) => {
    address(b);
    b.plain(0x28);
    b.memory(offset);
  };

interface Signature {
  readonly parameters: readonly Type[];
  readonly results: readonly Type[];
}

/** Collects functions and writes the module. Everything runs on one imported memory. */
export class ModuleWriter {
  private readonly types = new Map<string, { index: number; signature: Signature }>();
  private readonly imported: { name: string; type: number }[] = [];
  private readonly functions: { type: number; code: Code }[] = [];
  private readonly exported: { name: string; index: number }[] = [];
  private readonly shared = new Map<string, number>();

  /**
   * @param imports - The functions that are imported; their indices come first.
   * @param isShared - Is the memory one that several threads use?
   */
  constructor(
    private readonly imports: readonly { name: string; parameters: Type[]; results: Type[] }[],
    private readonly isShared = false,
  ) {
    for (const { name, parameters, results } of imports) {
      this.imported.push({ name, type: this.typeOf({ parameters, results }) });
    }
  }

  importIndex(name: string): number {
    const index = this.imports.findIndex((i) => i.name === name);
    if (index < 0) throw new Error(`no function "${name}" is imported`);
    return index;
  }

  private typeOf(signature: Signature): number {
    const key = `${signature.parameters.join()}>${signature.results.join()}`;
    let type = this.types.get(key);
    if (type === undefined) this.types.set(key, (type = { index: this.types.size, signature }));
    return type.index;
  }

  /** The function of that key, written at its first use. */
  function(key: string, parameters: readonly Type[], results: readonly Type[], write: (b: Body) => void): number {
    const known = this.shared.get(key);
    if (known !== undefined) return known;
    const body = new Body(this, parameters);
    // Written first, so that the functions it calls get their indices before it does.
    write(body);
    return this.add(key, parameters, results, body.encode());
  }

  /**
   * The same for a function that its key says everything about: programs that a solver is made of have most of their loops and products
   * in common, so what was written for one module serves the next.
   */
  kernel(key: string, parameters: readonly Type[], write: (b: Body) => void): number {
    const known = this.shared.get(key);
    if (known !== undefined) return known;
    const written = KERNELS.get(key);
    if (written !== undefined) return this.add(key, parameters, [], [written]);
    const body = new Body(this, parameters);
    write(body);
    const code = body.encode();
    if (body.isLeaf) KERNELS.add(key, joined(code));
    return this.add(key, parameters, [], code);
  }

  private add(key: string, parameters: readonly Type[], results: readonly Type[], code: Code): number {
    this.functions.push({ type: this.typeOf({ parameters, results }), code });
    const index = this.imported.length + this.functions.length - 1;
    this.shared.set(key, index);
    return index;
  }

  export(name: string, index: number): void {
    this.exported.push({ name, index });
  }

  encode(): Uint8Array<ArrayBuffer> {
    // Most of it is code: its pieces are copied once, each as a whole.
    const pieces: Piece[] = [[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]];
    const sectionOf = (id: number, count: number, content: Code): void => {
      const counted: number[] = [];
      unsigned(counted, count);
      const head = [id];
      unsigned(head, lengthOf(content) + counted.length);
      pieces.push(head, counted, ...content);
    };
    const section = (id: number, count: number, write: (bytes: number[]) => void): void => {
      const bytes: number[] = [];
      write(bytes);
      sectionOf(id, count, [bytes]);
    };
    section(1, this.types.size, (bytes) => {
      for (const { signature } of this.types.values()) {
        bytes.push(0x60);
        for (const list of [signature.parameters, signature.results]) {
          unsigned(bytes, list.length);
          append(bytes, list);
        }
      }
    });
    section(2, this.imported.length + 1, (bytes) => {
      name(bytes, 'host');
      name(bytes, 'memory');
      if (this.isShared) {
        bytes.push(2, 3, 0); // from 0 to the most that there are
        unsigned(bytes, 65_536);
      } else {
        bytes.push(2, 0, 0);
      }
      for (const { name: field, type } of this.imported) {
        name(bytes, 'host');
        name(bytes, field);
        bytes.push(0);
        unsigned(bytes, type);
      }
    });
    section(3, this.functions.length, (bytes) => {
      this.functions.forEach(({ type }) => {
        unsigned(bytes, type);
      });
    });
    section(7, this.exported.length, (bytes) => {
      for (const { name: field, index } of this.exported) {
        name(bytes, field);
        bytes.push(0);
        unsigned(bytes, index);
      }
    });
    sectionOf(10, this.functions.length, this.functions.flatMap(({ code }) => code)); // prettier-ignore
    return joined(pieces);
  }
}
