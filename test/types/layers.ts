/**
 * Static types of layers, checked by tsc: every line marked as an error must be one, every other must not.
 */
import * as tf from '@tensorflow/tfjs';
import {
  branchLayer,
  chain,
  compact,
  dense,
  dropout,
  key,
  noOpLayer,
  pairwiseFusion,
  parallel,
  repeatedLayer,
  scale,
  setup,
  skipConnection,
  wrappedFunction,
  type Empty,
  type Layer,
  type Tensor,
} from '../../src/index.js';

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- two are compared by their use of it
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Compiles only where the two types are the same. */
const same = <A, B>(_: Equal<A, B>): void => undefined;

/** Names what a test is about, at no cost. */
const use = (..._: unknown[]): void => undefined;

const x = tf.zeros([3, 2]);

export function chains(): void {
  const model = chain(dense(2, 50, 'tanh'), dense(50, 2));
  const [ps, st] = setup(key(0), model);
  const weight: Tensor = ps.layer1.weight;
  weight.dispose();
  same<typeof ps, { layer1: { weight: Tensor; bias: Tensor }; layer2: { weight: Tensor; bias: Tensor } }>(true);
  same<typeof st, { layer1: {}; layer2: {} }>(true);
  // @ts-expect-error there are two layers
  ps.layer3;
  // @ts-expect-error a misspelt name
  ps.layer1.wieght;
  // @ts-expect-error counting starts at 1
  ps.layer0;
  const [y] = model.apply(x, ps, st);
  same<typeof y, Tensor>(true);
  use(y);
  // @ts-expect-error the input is a tensor
  model.apply([x, x], ps, st);
  // @ts-expect-error parameters of another model
  model.apply(x, { layer1: ps.layer1 }, st);
  const first: Layer<Tensor, Tensor, { weight: Tensor; bias: Tensor }, Empty> = model.layers.layer1;
  use(first);
  // @ts-expect-error there is no such field
  model.layers.layer3;
}

export function options(): void {
  const [ps] = setup(key(0), dense(2, 3, 'relu', { useBias: false }));
  same<typeof ps, { weight: Tensor }>(true);
  // @ts-expect-error there is no bias
  ps.bias;
  // @ts-expect-error unknown activation
  dense(2, 3, 'tanhh');
  // @ts-expect-error unknown option
  dense(2, 3, 'tanh', { usebias: false });
  const either = setup(key(0), dense(2, 3, 'tanh', { useBias: Math.random() < 0.5 }))[0];
  same<typeof either, { weight: Tensor } | { weight: Tensor; bias: Tensor }>(true);
  use(either);
}

export function names(): void {
  const model = chain({ encoder: dense(2, 3), head: chain(dense(3, 4), (h: Tensor) => tf.tanh(h), scale(4)) });
  const [ps, st] = setup(key(0), model);
  const bias: Tensor = ps.head.layer3.bias;
  bias.dispose();
  same<
    typeof ps,
    {
      encoder: { weight: Tensor; bias: Tensor };
      head: { layer1: { weight: Tensor; bias: Tensor }; layer2: {}; layer3: { weight: Tensor; bias: Tensor } };
    }
  >(true);
  // @ts-expect-error no such layer
  ps.decoder;
  // @ts-expect-error a function has no parameters
  ps.head.layer2.weight;
  const [y] = model.apply(x, ps, st);
  same<typeof y, Tensor>(true);
  use(y);
}

export function tuples(): void {
  const both = parallel(null, dense(2, 3), dense(2, 4));
  const [ps, st] = setup(key(0), both);
  const [y] = both.apply(x, ps, st);
  same<typeof y, [Tensor, Tensor]>(true);
  use(y);
  both.apply([x, x], ps, st);
  // @ts-expect-error two inputs, not three
  both.apply([x, x, x], ps, st);
  const sum = parallel((a: Tensor, b: Tensor) => tf.add(a, b), { left: dense(2, 3), right: dense(2, 3) });
  const [sumPs, sumSt] = setup(key(0), sum);
  const [total] = sum.apply(x, sumPs, sumSt);
  same<typeof total, Tensor>(true);
  use(total);
  use(sumPs.left.weight);
  // @ts-expect-error there is no such field
  sumPs.layer1;
  const [branches] = branchLayer(dense(2, 3), noOpLayer()).apply(
    x,
    { layer1: sumPs.left, layer2: {} },
    { layer1: {}, layer2: {} },
  );
  same<typeof branches, [Tensor, Tensor]>(true);
  use(branches);
  const [fused] = branchLayer(dense(2, 3), dense(2, 3), { fusion: (a: Tensor, b: Tensor) => tf.add(a, b) }).apply(
    x,
    { layer1: sumPs.left, layer2: sumPs.right },
    { layer1: {}, layer2: {} },
  );
  same<typeof fused, Tensor>(true);
  use(fused);
  // A tuple fits where a tuple is wanted, and nowhere else.
  chain(both, (pair: [Tensor, Tensor]) => tf.concat(pair, 1), dense(7, 1));
  // @ts-expect-error a dense layer takes a tensor
  chain(both, dense(7, 1));
  // @ts-expect-error not a layer
  chain(dense(1, 1), 3);
  const joined = parallel(
    chain(([a, b]: [Tensor, Tensor]) => tf.add(a, b), dense(3, 1)),
    dense(2, 3),
    dense(2, 3),
  );
  const [joinedPs] = setup(key(0), joined);
  use(joinedPs.layers.layer2.bias);
  use(joinedPs.connection.layer2.weight);
  // @ts-expect-error there is no such field
  joinedPs.layer1;
}

export function wrappers(): void {
  const skip = skipConnection(dense(2, 2), (y, z) => tf.add(y, z));
  const [ps, st] = setup(key(0), skip);
  same<typeof ps, { weight: Tensor; bias: Tensor }>(true);
  const [y] = skip.apply(x, ps, st);
  same<typeof y, Tensor>(true);
  use(y);
  const repeated = repeatedLayer(chain(parallel((a: Tensor, b: Tensor) => tf.add(a, b), dense(2, 2), dense(2, 2))), {
    repeats: 3,
    inputInjection: true,
  });
  const [repeatedPs] = setup(key(0), repeated);
  use(repeatedPs.layer1.layer2.weight);
  // @ts-expect-error there is no such field
  repeatedPs.layer2;
  const fused = pairwiseFusion((a: Tensor, b: Tensor) => tf.add(a, b), dense(2, 2), dense(2, 2));
  const [fusedPs, fusedSt] = setup(key(0), fused);
  const [joint] = fused.apply([x, x, x], fusedPs, fusedSt);
  same<typeof joint, Tensor>(true);
  use(joint);
  const product = pairwiseFusion((a: Tensor, b: Tensor) => tf.mul(a, b), dense(2, 2));
  const [p] = product.apply(x, { layer1: fusedPs.layer1 }, { layer1: {} });
  same<typeof p, Tensor>(true);
  use(p);
  // @ts-expect-error three inputs for two layers
  fused.apply([x, x], fusedPs, fusedSt);
}

export function states(): void {
  const [, st] = setup(key(0), chain(dense(2, 2), dropout(0.5)));
  if ('training' in st.layer2) same<typeof st.layer2.training, boolean>(true);
  // @ts-expect-error there is no such field
  st.layer3;
}

export function many(): void {
  const layers: Layer<Tensor, Tensor, { weight: Tensor; bias: Tensor }, Empty>[] = [dense(2, 2), dense(2, 2)];
  const model = chain(...layers);
  const [ps, st] = setup(key(0), model);
  use(ps.layer1.weight);
  model.apply(x, ps, st)[0].print();
  const ten = chain(
    dense(1, 1), dense(1, 1), dense(1, 1), dense(1, 1), dense(1, 1), dense(1, 1), dense(1, 1), dense(1, 1), dense(1, 1), scale(1),
    wrappedFunction((z: Tensor) => tf.square(z)),
  ); // prettier-ignore
  const [tenPs] = setup(key(0), ten);
  use(tenPs.layer10.weight);
  // @ts-expect-error a function has no parameters
  use(tenPs.layer11.weight);
}

export function custom(): void {
  const gated = compact(
    {
      name: 'Gated',
      layers: { inner: dense(4, 4, 'tanh') },
      parameters: () => ({ gate: tf.zeros([4]) }),
      states: (): { calls: Tensor } => ({ calls: tf.scalar(0) }),
    },
    (z, { ps, st, layer, update }) => {
      same<typeof z, Tensor>(true);
      update({ calls: tf.add(st.calls, 1) });
      // @ts-expect-error no such state
      update({ count: st.calls });
      // @ts-expect-error no such layer
      layer.outer;
      const weight: Tensor = ps.inner.weight;
      return tf.add(tf.mul(tf.sigmoid(ps.gate), layer.inner(z)), tf.sum(weight));
    },
  );
  const [ps, st] = setup(key(0), gated);
  same<typeof ps, { gate: tf.Tensor; inner: { weight: Tensor; bias: Tensor } }>(true);
  same<typeof st, { calls: Tensor; inner: {} }>(true);
  gated.apply(x, ps, st)[0].print();
  // @ts-expect-error there is no such field
  ps.weight;
  const pair = compact(
    { name: 'Pair', layers: { f: dense(2, 2) } },
    ([a, b]: [Tensor, Tensor], { layer }) => [layer.f(a), layer.f(b)] as [Tensor, Tensor],
  );
  const [pairPs, pairSt] = setup(key(0), pair);
  const [out] = pair.apply([x, x], pairPs, pairSt);
  same<typeof out, [Tensor, Tensor]>(true);
  use(out);
  // @ts-expect-error it takes a pair
  pair.apply(x, pairPs, pairSt);
  chain(dense(4, 4), gated, dense(4, 1));
}
