/**
 * Layers that are a few parameters of known shapes and one function of input and parameters.
 */
import type { Initialiser } from '../core/initialisers.js';
import type { Empty, Layer } from '../core/layer.js';
import { defineLayer } from '../core/print.js';
import { split, type Key } from '../core/random.js';
import type { Tensor } from '../core/tree.js';
import { checkParameters } from './check.js';
import { tidy } from './tidy.js';

interface Parameter {
  readonly shape: readonly number[];
  readonly init: Initialiser;
}

/** A layer without states whose parameters are those listed, each from a key of its own. */
export function parametricLayer<X, Y, P extends { readonly [name: string]: Tensor }>(definition: {
  readonly name: string;
  readonly summary: string;
  readonly parameters: { readonly [K in keyof P]: Parameter };
  /** The forward pass, given the layer's title for its messages. */
  readonly forward: (title: string, x: X, ps: P) => Y;
}): Layer<X, Y, P, Empty> {
  const { name, summary, forward } = definition;
  const title = `${name}(${summary})`;
  const parameters = Object.entries<Parameter>(definition.parameters);
  const shapes = Object.fromEntries(parameters.map(([field, { shape }]) => [field, shape]));
  return defineLayer({
    display: Object.freeze({ name, summary }),
    isCell: false,
    countParameters: () => parameters.reduce((total, [, { shape }]) => total + shape.reduce((n, m) => n * m, 1), 0),
    initialParameters: (key: Key) =>
      tidy(() => {
        if (parameters.length === 0) return {} as unknown as P;
        const keys = split(key, parameters.length);
        const ps = Object.fromEntries(parameters.map(([field, { shape, init }], i) => [field, init(keys[i], shape)]));
        checkParameters(title, ps, shapes);
        return ps as unknown as P;
      }),
    initialStates: (): Empty => ({}),
    apply: (x: X, ps: P, st: Empty): [Y, Empty] => {
      checkParameters(title, ps, shapes);
      return [tidy(() => forward(title, x, ps)), st];
    },
  });
}
