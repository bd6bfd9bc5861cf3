/**
 * The discrete Fourier transform of any length, in double precision: by halves where the length is a power of two (Cooley and
 * Tukey, Math. Comp. 19, 1965), else as a convolution with a chirp by such transforms (Bluestein, IEEE Trans. Audio
 * Electroacoust. 18, 1970).
 */

/** y_k = sum over j of x_j exp(-2 pi i j k / n), in place. */
type Transform = (re: Float64Array, im: Float64Array) => void;

function byHalves(n: number): Transform {
  const cosines = Float64Array.from({ length: n / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / n));
  const sines = Float64Array.from({ length: n / 2 }, (_, k) => -Math.sin((2 * Math.PI * k) / n));
  const mirrored = new Int32Array(n);
  for (let i = 1; i < n; i++) mirrored[i] = (mirrored[i >> 1] >> 1) | ((i & 1) * (n / 2));
  return (re, im) => {
    for (let i = 0; i < n; i++) {
      const j = mirrored[i];
      if (i >= j) continue;
      const [r, s] = [re[i], im[i]];
      re[i] = re[j];
      im[i] = im[j];
      re[j] = r;
      im[j] = s;
    }
    for (let half = 1; half < n; half *= 2) {
      const step = n / (2 * half);
      for (let start = 0; start < n; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [a, b] = [start + k, start + k + half];
          const [c, s] = [cosines[k * step], sines[k * step]];
          const r = re[b] * c - im[b] * s;
          const i = re[b] * s + im[b] * c;
          re[b] = re[a] - r;
          im[b] = im[a] - i;
          re[a] += r;
          im[a] += i;
        }
      }
    }
  };
}

function byChirp(n: number): Transform {
  let m = 1;
  while (m < 2 * n - 1) m *= 2;
  const halves = byHalves(m);
  // exp(-pi i k^2 / n); squares beyond 2n would lose digits.
  const angle = (k: number): number => (Math.PI * ((k * k) % (2 * n))) / n;
  const cosines = Float64Array.from({ length: n }, (_, k) => Math.cos(angle(k)));
  const sines = Float64Array.from({ length: n }, (_, k) => -Math.sin(angle(k)));
  const [fr, fi] = [new Float64Array(m), new Float64Array(m)];
  for (let k = 0; k < n; k++) {
    fr[k] = fr[(m - k) % m] = cosines[k];
    fi[k] = fi[(m - k) % m] = -sines[k];
  }
  halves(fr, fi);
  return (re, im) => {
    const [ar, ai] = [new Float64Array(m), new Float64Array(m)];
    for (let k = 0; k < n; k++) {
      ar[k] = re[k] * cosines[k] - im[k] * sines[k];
      ai[k] = re[k] * sines[k] + im[k] * cosines[k];
    }
    halves(ar, ai);
    for (let k = 0; k < m; k++) {
      const r = ar[k] * fr[k] - ai[k] * fi[k];
      // The inverse of a transform is that of the conjugate, conjugated.
      ai[k] = -(ar[k] * fi[k] + ai[k] * fr[k]);
      ar[k] = r;
    }
    halves(ar, ai);
    for (let k = 0; k < n; k++) {
      const [r, i] = [ar[k] / m, -ai[k] / m];
      re[k] = r * cosines[k] - i * sines[k];
      im[k] = r * sines[k] + i * cosines[k];
    }
  };
}

const known = new Map<number, Transform>();
/** Lengths whose tables are kept. */
const MOST = 16;

export function fourier(n: number): Transform {
  let transform = known.get(n);
  if (transform === undefined) {
    if (known.size >= MOST) known.clear();
    known.set(n, (transform = (n & (n - 1)) === 0 ? byHalves(n) : byChirp(n)));
  }
  return transform;
}
