/**
 * One layer of a tfjs Layers (Keras) model as the conversion sees it: its name, its configuration, read with checks, and
 * its weights.
 */
import type { AnyLayer } from '../../core/layer.js';
import type { Key } from '../../core/random.js';
import { isRecord, type StateTree, type Tensor, type Tree } from '../../core/tree.js';
import { activations, type Activation } from '../../functional/activations.js';
import { InteropError } from '../errors.js';
import { kerasHardSigmoid } from './functions.js';

/** A value between layers of a Keras model, as far as it is read here. */
export interface KerasTensor {
  readonly id: number;
  readonly shape: Shape;
  readonly sourceLayer: KerasLayer;
  readonly nodeIndex: number;
}

/** A layer of `@tensorflow/tfjs-layers`, as far as it is read here: that package itself is not needed. */
export interface KerasLayer {
  readonly name: string;
  readonly inboundNodes: readonly {
    readonly inputTensors: readonly KerasTensor[];
    readonly outputTensors: readonly KerasTensor[];
  }[];
  getClassName(): string;
  getConfig(): Readonly<Record<string, unknown>>;
  getWeights(): readonly Tensor[];
}

/** A `LayersModel` of `@tensorflow/tfjs-layers`, as far as it is read here. */
export interface KerasModel {
  readonly name: string;
  readonly layers: readonly KerasLayer[];
  readonly inputs: readonly KerasTensor[];
  readonly outputs: readonly KerasTensor[];
}

/** A layer with its own parameters and states. */
export interface Converted {
  readonly layer: AnyLayer;
  readonly ps: Tree;
  readonly st: StateTree;
}

/** Converts a layer inside another, as a wrapper has one. */
export type ConvertInner = (layer: KerasLayer, inputShapes: readonly Shape[]) => Converted;

/** A shape of Keras: null where the size is known only when it runs. */
export type Shape = readonly (number | null)[];

/** What `activation` in a configuration stands for, where the name is not the one here. */
const RENAMED: Readonly<Record<string, Activation | undefined>> = {
  linear: 'identity',
  gelu_new: 'geluTanh',
  hardSigmoid: kerasHardSigmoid,
};

export class Source {
  readonly name: string;
  readonly kind: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights: readonly Tensor[];

  constructor(
    readonly layer: KerasLayer,
    /** The shapes of its inputs, batch first. */
    readonly inputShapes: readonly Shape[],
    /** For layers whose states are random. */
    readonly key: Key,
    readonly convert: ConvertInner,
  ) {
    this.name = layer.name;
    this.kind = layer.getClassName();
    this.config = layer.getConfig();
    this.weights = layer.getWeights();
  }

  /** Axes of the first input, batch and all. */
  get rank(): number {
    return this.inputShapes[0].length;
  }

  fail(message: string): never {
    throw new InteropError(`fromLayersModel: layer "${this.name}" (${this.kind}): ${message}`);
  }

  private expected(option: string, what: string, test: (x: unknown) => boolean): never {
    const value = this.config[option];
    if (test(value)) return value as never;
    return this.fail(`option "${option}": expected ${what}, got ${JSON.stringify(value)}`);
  }

  number(option: string): number {
    return this.expected(option, 'a number', (x) => typeof x === 'number');
  }

  flag(option: string): boolean {
    return this.expected(option, 'true or false', (x) => typeof x === 'boolean');
  }

  /** Numbers, one for each axis. */
  numbers(option: string): number[] {
    return this.expected(option, 'an array of numbers', isNumbers);
  }

  /** A pair for each axis. */
  pairs(option: string): [number, number][] {
    return this.expected(option, 'pairs of numbers', (x) => Array.isArray(x) && x.every(isNumbers));
  }

  record(option: string): Readonly<Record<string, unknown>> {
    return this.expected(option, 'a record', isRecord);
  }

  oneOf<const W extends string>(option: string, words: readonly W[]): W {
    return this.expected(option, `one of ${words.map((w) => `"${w}"`).join(', ')}`, (x) =>
      (words as readonly unknown[]).includes(x),
    );
  }

  activation(option = 'activation'): Activation {
    const name = this.config[option];
    if (typeof name === 'string') {
      const renamed = Object.hasOwn(RENAMED, name) ? RENAMED[name] : undefined;
      if (renamed !== undefined) return renamed;
      if (Object.hasOwn(activations, name)) return name as Activation;
    }
    return this.fail(`there is no counterpart of the activation ${JSON.stringify(name)}`);
  }

  /** The options that have no counterpart must have the value that asks for nothing. */
  needs(values: Readonly<Record<string, unknown>>): void {
    for (const [option, wanted] of Object.entries(values)) {
      const value = this.config[option];
      if (value !== undefined && JSON.stringify(value) !== JSON.stringify(wanted)) {
        this.fail(`option "${option}": only ${JSON.stringify(wanted)} has a counterpart, got ${JSON.stringify(value)}`);
      }
    }
  }

  /** The weights, which must be so many. */
  take(count: number): readonly Tensor[] {
    if (this.weights.length === count) return this.weights;
    return this.fail(`expected ${count} weight${count === 1 ? '' : 's'}, got ${this.weights.length}; is the model built?`); // prettier-ignore
  }
}

const isNumbers = (x: unknown): boolean => Array.isArray(x) && x.every((n) => typeof n === 'number');
