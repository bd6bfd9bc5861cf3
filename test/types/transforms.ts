/**
 * Static types of derivatives, checked by tsc: every line marked as an error must be one, every other must not.
 */
import * as tf from '@tensorflow/tfjs';
import { grad, valueAndGrad, type Tensor } from '../../src/index.js';

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- two are compared by their use of it
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Compiles only where the value is exactly of that type. */
const expectType =
  <B>() =>
  <A>(_: A, _same: Equal<A, B>): void =>
    undefined;

interface Weights {
  w: Tensor;
}
const ps: Weights = { w: tf.ones([2]) };
const x = tf.ones([2]);
const loss = (p: Weights, v: Tensor): Tensor => tf.sum(tf.mul(p.w, v));
const noted = (p: Weights, v: Tensor): [Tensor, { note: string }] => [loss(p, v), { note: 'n' }];

export function gradients(): void {
  expectType<Weights>()(grad(loss)(ps, x), true);
  expectType<Tensor>()(grad(loss, { argnums: 1 })(ps, x), true);
  expectType<[Tensor, Weights]>()(grad(loss, { argnums: [1, 0] })(ps, x), true);
  const some: readonly number[] = [0, 1];
  expectType<(Weights | Tensor)[]>()(grad(loss, { argnums: some })(ps, x), true);
  // @ts-expect-error the function takes weights first
  grad(loss)(x, x);
  // @ts-expect-error a function that returns a pair needs hasAux
  grad(noted);
}

export function auxiliaries(): void {
  expectType<[Weights, { note: string }]>()(grad(noted, { hasAux: true })(ps, x), true);
  expectType<[[Weights, Tensor], { note: string }]>()(grad(noted, { hasAux: true, argnums: [0, 1] })(ps, x), true);
  // @ts-expect-error with hasAux the function returns a pair
  grad(loss, { hasAux: true });
}

export function values(): void {
  expectType<{ value: Tensor; grad: Weights }>()(valueAndGrad(loss)(ps, x), true);
  expectType<{ value: Tensor; grad: [Tensor, Weights] }>()(valueAndGrad(loss, { argnums: [1, 0] })(ps, x), true);
  expectType<{ value: Tensor; grad: Tensor; aux: { note: string } }>()(
    valueAndGrad(noted, { hasAux: true, argnums: 1 })(ps, x),
    true,
  );
}
