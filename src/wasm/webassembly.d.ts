// What this package uses of the WebAssembly JavaScript interface (W3C, version 2.0). TypeScript declares it only together
// with the whole browser.
declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
    /** A SharedArrayBuffer where the memory is shared. */
    readonly buffer: ArrayBuffer;
    /** Returns the former size in pages of 64 KiB; throws RangeError where it cannot grow. */
    grow(pages: number): number;
  }
  type Module = object;
  const Module: new (bytes: Uint8Array) => Module;
  class Instance {
    constructor(module: Module, imports?: Readonly<Record<string, Readonly<Record<string, unknown>>>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
  function validate(bytes: Uint8Array): boolean;
}
