/**
 * What the image models share: their type, and how a list of parts becomes one layer.
 */
import type { Layer } from '../../src/core/layer.js';
import { numberThat } from '../../src/core/options.js';
import type { StateTree, Tensor, Tree } from '../../src/core/tree.js';
import { chain } from '../../src/layers/containers.js';
import type { NamedParts, Part } from '../../src/layers/types.js';

/** A layer from tensor to tensor whose parameters and states are records, by the names of its parts. */
export type Network = Layer<Tensor, Tensor, { readonly [name: string]: Tree }, { readonly [name: string]: StateTree }>;

/** Parts one after another, under their names. */
export const sequence = (parts: NamedParts): Network => chain(parts) as Network;

/** Parts one after another, under a name and numbers from 1: `block1`, `block2`. */
export const numbered = (name: string, parts: readonly Part[]): NamedParts =>
  Object.fromEntries(parts.map((part, i) => [`${name}${i + 1}`, part]));

/** Of dropout: 1 would leave nothing. */
export const dropoutRate = numberThat((x) => x >= 0 && x < 1, 'a number from 0 to 1, without 1');
