/**
 * Bases of functions, splines, Kolmogorov-Arnold layers, and layers with a value at a point.
 */
import {
  chain,
  chebyshevBasis,
  cosBasis,
  dense,
  fourierBasis,
  kolmogorovArnold,
  legendreBasis,
  periodicEmbedding,
  polynomialBasis,
  positiveDefinite,
  shiftTo,
  sinBasis,
  splineLayer,
  tensorProductLayer,
} from '../../../src/index.js';
import type { Law } from './law.js';

export const BASES: Readonly<Record<string, Law>> = {
  chebyshevBasis: { layer: chebyshevBasis(4), input: [2, 3], parameters: 0, prints: 'ChebyshevBasis(4)', output: [2, 3, 4] },
  'chebyshevBasis of one': { layer: chebyshevBasis(1), input: [3], parameters: 0, prints: 'ChebyshevBasis(1)', output: [3, 1] },
  legendreBasis: { layer: legendreBasis(5), input: [3], parameters: 0, prints: 'LegendreBasis(5)', output: [3, 5] },
  polynomialBasis: { layer: polynomialBasis(4), input: [2, 3], parameters: 0, prints: 'PolynomialBasis(4)', output: [2, 3, 4] },
  sinBasis: { layer: sinBasis(3), input: [4], parameters: 0, prints: 'SinBasis(3)', output: [4, 3] },
  cosBasis: { layer: cosBasis(3), input: [4], parameters: 0, prints: 'CosBasis(3)', output: [4, 3] },
  fourierBasis: { layer: fourierBasis(5), input: [4], parameters: 0, prints: 'FourierBasis(5)', output: [4, 5] },
  tensorProductLayer: { layer: tensorProductLayer([chebyshevBasis(3), fourierBasis(2)], 2), input: [4, 2], parameters: 12, prints: 'TensorProductLayer(ChebyshevBasis(3) x FourierBasis(2) => 2)', output: [4, 2] },
  'tensorProductLayer of one sample': { layer: tensorProductLayer([legendreBasis(3)], 1), input: [1], parameters: 3, prints: 'TensorProductLayer(LegendreBasis(3) => 1)', output: [1] },
  periodicEmbedding: { layer: periodicEmbedding([2, 0], [2, 3.5]), input: [2, 3], parameters: 0, prints: 'PeriodicEmbedding([2, 0], [2, 3.5])', output: [2, 5] },
  'periodicEmbedding in a chain': { layer: chain(periodicEmbedding([0], [1]), dense(2, 2, 'tanh')), input: [3, 1], parameters: 6, prints: 'Chain(', output: [3, 2] },
  positiveDefinite: { layer: positiveDefinite(dense(2, 3, 'tanh'), [0.5, -1]), input: [4, 2], parameters: 9, prints: 'PositiveDefinite(', output: [4, 1] },
  shiftTo: { layer: shiftTo(chain(dense(2, 3, 'tanh'), dense(3, 2)), [0, 1], [2, 3]), input: [2, 3, 2], parameters: 17, prints: 'ShiftTo(', output: [2, 3, 2] },
  splineLayer: { layer: splineLayer(2, -2, 2, 5), input: [4], parameters: 10, prints: 'SplineLayer([2], 5 points in [-2, 2], cubic)', output: [4, 2] },
  'splineLayer of lines': { layer: splineLayer([2, 2], -1, 1.5, 4, { basis: 'linear', trainGrid: true }), input: [3], parameters: 20, prints: 'SplineLayer([2, 2], 4 points in [-1, 1.5], linear, trainGrid=true)', output: [3, 2, 2] },
  'splineLayer of steps': { layer: splineLayer([], -1, 1, 2, { basis: 'constant' }), input: [2, 2], parameters: 2, prints: 'SplineLayer([], 2 points in [-1, 1], constant)', output: [2, 2] },
  kolmogorovArnold: { layer: kolmogorovArnold(3, 2, 4), input: [4, 3], parameters: 30, prints: 'KolmogorovArnold(3 => 2, 4, spline)', output: [4, 2] },
  'kolmogorovArnold of Gaussians': { layer: kolmogorovArnold(2, 2, 3, { basis: 'rbf', useBaseActivation: false, normalizer: 'tanh' }), input: [2, 3, 2], parameters: 12, prints: 'KolmogorovArnold(2 => 2, 3, rbf, useBaseActivation=false)', output: [2, 3, 2] },
  'kolmogorovArnold of tanh': { layer: kolmogorovArnold(2, 1, 3, { basis: 'rswaf', gridLims: [-2, 2] }), input: [3, 2], parameters: 8, prints: 'KolmogorovArnold(2 => 1, 3, rswaf)', output: [3, 1] },
  'kolmogorovArnold of quadrics': { layer: chain(kolmogorovArnold(2, 2, 3, { basis: 'iqf' }), kolmogorovArnold(2, 1, 3, { basis: 'iqf', baseActivation: 'tanh' })), input: [3, 2], parameters: 24, prints: 'Chain(', output: [3, 1] },
}; // prettier-ignore
