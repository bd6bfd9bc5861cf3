/**
 * The explicit methods, each with the publication its coefficients come from.
 */
import type { Polynomial, Tableau } from './tableau.js';

const subtract = (b: readonly number[], embedded: readonly number[]): number[] => b.map((x, i) => x - embedded[i]);

/** The polynomial `scale * theta^power * (product of the factors)`, each factor given by its coefficients from 1 up. */
function product(scale: number, power: number, ...factors: readonly (readonly number[])[]): Polynomial {
  let p = [scale];
  for (const factor of factors) {
    const next = new Array<number>(p.length + factor.length - 1).fill(0);
    p.forEach((x, i) => {
      factor.forEach((y, j) => (next[i + j] += x * y));
    });
    p = next;
  }
  return [...new Array<number>(power - 1).fill(0), ...p];
}

const add = (...ps: readonly Polynomial[]): Polynomial =>
  Array.from({ length: Math.max(...ps.map((p) => p.length)) }, (_, i) => ps.reduce((sum, p) => sum + (i < p.length ? p[i] : 0), 0)); // prettier-ignore

export const EULER: Tableau = {
  name: 'Euler',
  source: 'L. Euler, Institutionum calculi integralis, 1768',
  order: 1,
  c: [0],
  a: [[]],
  b: [1],
  fsal: false,
};

export const MIDPOINT: Tableau = {
  name: 'Midpoint',
  source: 'C. Runge, Math. Ann. 46, 1895; embedded Euler',
  order: 2,
  c: [0, 1 / 2],
  a: [[], [1 / 2]],
  b: [0, 1],
  e: subtract([0, 1], [1, 0]),
  fsal: false,
};

export const HEUN: Tableau = {
  name: 'Heun',
  source: 'K. Heun, Z. Math. Phys. 45, 1900; embedded Euler',
  order: 2,
  c: [0, 1],
  a: [[], [1]],
  b: [1 / 2, 1 / 2],
  e: subtract([1 / 2, 1 / 2], [1, 0]),
  fsal: false,
};

export const RALSTON: Tableau = {
  name: 'Ralston',
  source: 'A. Ralston, Math. Comp. 16, 1962 (least bound on the local error); embedded Euler',
  order: 2,
  c: [0, 2 / 3],
  a: [[], [2 / 3]],
  b: [1 / 4, 3 / 4],
  e: subtract([1 / 4, 3 / 4], [1, 0]),
  fsal: false,
};

export const RK4: Tableau = {
  name: 'RK4',
  source: 'W. Kutta, Z. Math. Phys. 46, 1901',
  order: 4,
  c: [0, 1 / 2, 1 / 2, 1],
  a: [[], [1 / 2], [0, 1 / 2], [0, 0, 1]],
  b: [1 / 6, 1 / 3, 1 / 3, 1 / 6],
  fsal: false,
};

const BS3_B = [2 / 9, 1 / 3, 4 / 9, 0];

export const BS3: Tableau = {
  name: 'BS3',
  source: 'P. Bogacki, L. F. Shampine, Appl. Math. Lett. 2, 1989',
  order: 3,
  c: [0, 1 / 2, 3 / 4, 1],
  a: [[], [1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]],
  b: BS3_B,
  e: subtract(BS3_B, [7 / 24, 1 / 4, 1 / 3, 1 / 8]),
  fsal: true,
};

const DOPRI5_B = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0];
/** theta^2 (3 - 2 theta) b: the part of the Hermite interpolant that belongs to u1 - u. */
const ramp = (b: number): Polynomial => [0, 3 * b, -2 * b];
/** theta^2 (theta - 1)^2 (p - q theta), scaled. */
const bump = (scale: number, p: number, q: number): Polynomial => product(scale, 2, [1, -2, 1], [p, -q]);

export const DOPRI5: Tableau = {
  name: 'Dopri5',
  source:
    'J. R. Dormand, P. J. Prince, J. Comp. Appl. Math. 6, 1980; dense output of order 4: L. F. Shampine in E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I, II.6',
  order: 5,
  c: [0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1],
  a: [
    [],
    [1 / 5],
    [3 / 40, 9 / 40],
    [44 / 45, -56 / 15, 32 / 9],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
    [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
  ],
  b: DOPRI5_B,
  e: subtract(DOPRI5_B, [5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40]),
  fsal: true,
  interpolant: [
    add(ramp(DOPRI5_B[0]), [1, -2, 1], bump(-5 / 11282082432, 2558722523, 31403016)),
    [0],
    add(ramp(DOPRI5_B[2]), bump(100 / 32700410799, 882725551, 15701508)),
    add(ramp(DOPRI5_B[3]), bump(-25 / 1880347072, 443332067, 31403016)),
    add(ramp(DOPRI5_B[4]), bump(32805 / 199316789632, 23143187, 3489224)),
    add(ramp(DOPRI5_B[5]), bump(-55 / 822651844, 29972135, 7076736)),
    add([0, -1, 1], bump(10 / 29380423, 7414447, 829305)),
  ],
};

const TSIT5_B = [
  0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774, 0,
];

export const TSIT5: Tableau = {
  name: 'Tsit5',
  source: 'Ch. Tsitouras, Comput. Math. Appl. 62, 2011, coefficients and the interpolant of order 4',
  order: 5,
  c: [0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1],
  a: [
    [],
    [0.161],
    [-0.008480655492356989, 0.335480655492357],
    [2.8971530571054935, -6.359448489975075, 4.3622954328695815],
    [5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525],
    [5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383],
    TSIT5_B.slice(0, 6),
  ],
  b: TSIT5_B,
  e: [
    -0.001780011052225777,
    -0.0008164344596567469,
    0.007880878010261995,
    -0.1447110071732629,
    0.5823571654525552,
    -0.45808210592918697,
    1 / 66,
  ],
  fsal: true,
  interpolant: [
    product(-1.0530884977290216, 1, [-1.329989018975141, 1], [0.7139816917074209, -1.4364028541716352, 1]),
    product(0.1017, 2, [1.294985250737463, -2.1966568338249752, 1]),
    product(2.490627285651253, 2, [1.5780346820809248, -2.3853564547206165, 1]),
    product(-16.548102889244902, 2, [-1.2171292729553325, 1], [-0.6162040603780009, 1]),
    product(47.37952196281928, 2, [-1.2030712083723627, 1], [-0.6580472926535473, 1]),
    product(-34.87065786149661, 2, [-1.2, 1], [-2 / 3, 1]),
    product(2.5, 2, [-1, 1], [-0.6, 1]),
  ],
};
