/**
 * Reduced rank extrapolation of the plain iteration, for an affine map `f(x) = b + J x`.
 *
 * The plain iteration `x <- f(x)` from zero makes residuals `r_k = J r_{k-1}`, and needs next to nothing besides the products with J. Since f is
 * affine, whatever combination of its states one takes, the same combination of its residuals is the residual there. So
 *
 *     gamma = argmin |r_k - sum_j gamma_j (r_{j+1} - r_j)|,   x = f(x_k) - sum_j gamma_j r_{j+1}
 *
 * is the image of the best state there is, and no product more is spent on knowing the residual of that state: this is GMRES, in the basis
 * that the products leave. The differences are the last few; where they reduce the residual by much, the iteration goes on from x, with none. Where they do
 * not (eigenvalues all round a disc: nothing accelerates there), the plain iteration goes on.
 *
 * The residual of x itself is J times the one that is known. It is taken to be smaller by the factor by which the last products
 * shortened theirs (the estimate of E. Hairer, G. Wanner, Solving Ordinary Differential Equations II, IV.8), but never by more than
 * {@link GREATEST_GAIN}.
 *
 * R. P. Eddy, in: Information Linkage Between Applied Mathematics and Industry, 1979; M. Mešina, Comput. Methods Appl. Mech. Eng. 10,
 * 1977; that it is GMRES: A. Sidi, J. Comput. Appl. Math. 22, 1988.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '../../src/core/tree.js';
import { sizeOf } from '../../src/graph/graph.js';
import { defineAlgorithm, type Ending, type NonlinearAlgorithm, type Solving } from '../nonlinear/algorithm.js';
import { Mixing } from '../nonlinear/mixing.js';
import { computesInDoubles } from '../nonlinear/precision.js';
import type { Session } from '../nonlinear/session.js';
import type { Watch } from '../nonlinear/termination.js';
import type { NonlinearRetcode } from '../retcode.js';

/**
 * Differences kept. In single precision the products span no more than some eight directions anyway; of a state that does not fit in
 * the first cache reading the oldest costs more at every iteration than they save.
 */
const memoryFor = (elements: number): number => (elements > 2 ** 14 ? 5 : 8);

/** To go on from the combination pays where its residual is this much smaller. */
const PAYS = 0.5;

const GREATEST_GAIN = 3;

const inner = (a: Tensor, b: Tensor): Tensor => tf.sum(tf.mul(a, b));

const plus = (x: Tensor, weights: readonly Tensor[], xs: readonly Tensor[]): Tensor =>
  weights.reduce((sum, weight, i) => tf.add(sum, tf.mul(weight, xs[i])), x);

/**
 * For affine maps whose value at zero is the start: the linear system of an implicit derivative. It gives up ('Stalled') as soon as it sees that its
 * iterations will not be enough; GMRES then does better.
 */
export function reducedRank(): NonlinearAlgorithm {
  return defineAlgorithm({ name: 'reducedRank', solves: ['fixedPoint'], open });
}

function open(session: Session, watch: Watch): () => Solving {
  const { ws, u0 } = session;
  const { norm } = watch.termination;
  const memory = memoryFor(sizeOf(session.system.state.shape));
  // Residual number t lies in place t modulo their number, the difference from t to t + 1 in column t modulo theirs.
  const count = memory + 1;
  const places = (n: number) => Array.from({ length: n }, () => session.cell());
  const residuals = places(count);
  const [one, other, next, combined, combinedResidual] = places(5);
  const isDouble = computesInDoubles(ws.backend);
  const mixing = new Mixing(memory, isDouble ? 1e-14 : 1e-7);
  /** Where the square of the residual falls to this part of itself, rounding hides how far: then the combination is made, and seen. */
  const unclear = isDouble ? 1e-13 : 1e-5;
  const { gram, projections, gamma } = mixing;
  const [toImage, toResidual] = [session.coefficients(count), session.coefficients(count)];
  const [imageWeights, residualWeights] = [new Float64Array(count), new Float64Array(count)];
  // The new difference's products with those between neighbouring places, with itself and with the new residual; sizes of that and of the image.
  const numbers = session.numbers(count + 4);
  const sizes = session.numbers(2);
  const { values } = numbers;

  const step = session.step(
    `reduced rank ${count} ${norm}`,
    [u0, u0, ...residuals],
    [one, next, ...numbers.cells],
    ([at, before, ...rs], maps) => {
      const image = maps.image(at);
      const r = maps.residual(at, image);
      const newest = tf.sub(r, before);
      const differences = rs.map((x, i) => tf.sub(rs[(i + 1) % count], x));
      const products = [...differences, newest, r].map((x) => inner(x, newest));
      return [image, r, ...numbers.pack([...products, ...watch.measure(r, image)])];
    },
  );
  const combine = session.step(
    `reduced rank combination ${count} ${norm}`,
    [u0, u0, ...residuals, ...toImage.cells, ...toResidual.cells],
    [combined, combinedResidual, ...sizes.cells],
    ([image, r, ...rest]) => {
      const rs = rest.slice(0, count);
      const weights = rest.slice(count);
      const x = plus(image, toImage.unpack(weights.slice(0, toImage.cells.length)), rs);
      const left = plus(r, toResidual.unpack(weights.slice(toImage.cells.length)), rs);
      return [x, left, ...sizes.pack(watch.measure(left, x))];
    },
  );

  /** Write what `combine` adds to the image and to the residual: `-gamma r_{t+1}` and `-gamma (r_{t+1} - r_t)` for each difference. */
  const writeWeights = (newest: number, used: number): void => {
    imageWeights.fill(0);
    residualWeights.fill(0);
    for (let t = newest; t > newest - used; t--) {
      const weight = gamma[t % memory];
      imageWeights[(t + 1) % count] -= weight;
      residualWeights[(t + 1) % count] -= weight;
      residualWeights[t % count] += weight;
    }
    toImage.write(imageWeights);
    toResidual.write(residualWeights);
  };

  return function* (): Solving {
    /** The number of the newest residual since the last combination. */
    let newest = 0;
    let ratioBefore = 0;
    let at = u0;
    // The residual number 0: that of zero, whose image is the start, is the start.
    let before = u0;
    for (let i = 0; i < count; i++) step.inputs[2 + i] = combine.inputs[2 + i] = u0; // those not written yet are not read
    for (;;) {
      const image = at === one ? other : one;
      step.inputs[0] = at;
      step.inputs[1] = before;
      step.inputs[2 + (newest % count)] = combine.inputs[2 + (newest % count)] = before;
      step.outputs[0] = image;
      step.run();
      watch.evaluations++;
      if (ws.immediate) numbers.read();
      else numbers.accept(yield numbers.cells[0]);
      const squared = values[count];
      const onResidual = values[count + 1];
      const rr = values[count + 2];
      const imageSize = values[count + 3];

      // Difference number `newest` leads from that residual to the new one. What older ones have to do with the residual follows.
      const column = newest % memory;
      const used = Math.min(newest + 1, memory);
      let [place, older] = [newest % count, column];
      for (let i = 1; i < used; i++) {
        place = place > 0 ? place - 1 : memory;
        older = older > 0 ? older - 1 : memory - 1;
        const product = values[place];
        gram[column * memory + older] = gram[older * memory + column] = product;
        projections[older] += product;
      }
      gram[column * memory + column] = squared;
      projections[column] = onResidual;
      mixing.solve(used, column);

      const ratio = rr === 0 ? 0 : Math.sqrt(rr / Math.max(rr - 2 * onResidual + squared, 0));
      const contraction = Math.max(ratio, ratioBefore, 1 / GREATEST_GAIN);
      ratioBefore = ratio;
      let left = rr;
      for (let j = 0; j < used; j++) left -= gamma[j] * projections[j];
      const tolerance = watch.toleranceAt(imageSize);
      const isNear = contraction * watch.norm(Math.max(left, 0)) <= tolerance;
      if (isNear || left <= unclear * rr || (used === memory && left < PAYS * PAYS * rr)) {
        writeWeights(newest, used);
        combine.inputs[0] = image;
        combine.inputs[1] = next;
        combine.inputs[2 + ((newest + 1) % count)] = next;
        combine.run();
        if (ws.immediate) sizes.read();
        else sizes.accept(yield sizes.cells[0]);
        const retcode = watch.judge(contraction * contraction * sizes.values[0], sizes.values[1]);
        if (retcode !== null) return ending(combined, retcode);
        newest = 0;
        at = combined;
        [before] = residuals;
        ws.swap(before, combinedResidual);
        continue;
      }
      const retcode = watch.judge(rr, imageSize);
      if (retcode !== null) return ending(at, retcode);
      if (used === memory && !isWithinReach(watch, contraction, tolerance)) return ending(at, 'Stalled');
      newest++;
      before = residuals[newest % count];
      ws.swap(before, next);
      at = image;
    }
  };
}

/** Only a state that was judged good enough counts: the best of those before is not kept. */
const ending = (u: Ending['u'], retcode: NonlinearRetcode): Ending => ({
  u,
  retcode: retcode === 'StalledSuccess' ? 'Stalled' : retcode,
});

/** Will the iterations that are left be enough if each multiplies the residual by `contraction`? */
function isWithinReach({ last, iterations, termination }: Watch, contraction: number, tolerance: number): boolean {
  return last * contraction ** (termination.maxIters - iterations) <= tolerance;
}
