/**
 * The small least-squares problem of Anderson acceleration, on host numbers.
 */

/**
 * Minimises `|r - D gamma|` for the columns `D` in use, given their inner products with each other and with `r`.
 *
 * Columns are scaled to length one, so that the ridge means the same however far the residuals have fallen. A column
 * that the
 * newer ones already span, as far as the precision can tell, gets the coefficient 0.
 */
export class Mixing {
  /** `<d_i, d_j>`, row by row. */
  readonly gram: Float64Array;
  /** `<d_i, r>`. */
  readonly projections: Float64Array;
  readonly gamma: Float64Array;
  private readonly scale: Float64Array;
  private readonly factor: Float64Array;
  private readonly y: Float64Array;
  /** The positions in use, newest first. */
  private readonly order: Int32Array;

  constructor(
    private readonly columns: number,
    private readonly ridge: number,
  ) {
    const m = columns;
    [this.gram, this.factor] = [new Float64Array(m * m), new Float64Array(m * m)];
    [this.projections, this.gamma, this.scale, this.y] = Array.from({ length: 4 }, () => new Float64Array(m));
    this.order = new Int32Array(m);
  }

  /**
   * @param used How many columns are in use: positions 0 to used - 1.
   * @param newest The position of the newest; older ones lie before it, and round the end.
   */
  solve(used: number, newest: number): void {
    const { columns: m, gram, projections, gamma, scale, factor, y, order, ridge } = this;
    gamma.fill(0);
    for (let i = 0, p = newest; i < used; i++, p = p > 0 ? p - 1 : m - 1) order[i] = p;
    // Cholesky's factorisation of the scaled Gram matrix, newest column first. Row i of the factor is that of the i-th
    // newest.
    for (let i = 0; i < used; i++) {
      const p = order[i];
      const length = Math.sqrt(gram[p * m + p]);
      scale[i] = length > 0 ? 1 / length : 0;
      let sum = projections[p] * scale[i];
      for (let j = 0; j < i; j++) {
        let entry = gram[p * m + order[j]] * scale[i] * scale[j];
        for (let k = 0; k < j; k++) entry -= factor[i * m + k] * factor[j * m + k];
        entry *= factor[j * m + j];
        factor[i * m + j] = entry;
        sum -= entry * y[j];
      }
      let pivot = 1 + ridge;
      for (let k = 0; k < i; k++) pivot -= factor[i * m + k] * factor[i * m + k];
      // The inverse of the diagonal entry; 0 leaves the column out.
      factor[i * m + i] = pivot > ridge && scale[i] > 0 ? 1 / Math.sqrt(pivot) : 0;
      y[i] = sum * factor[i * m + i];
    }
    for (let i = used - 1; i >= 0; i--) {
      let sum = y[i];
      for (let k = i + 1; k < used; k++) sum -= factor[k * m + i] * y[k];
      y[i] = sum * factor[i * m + i];
    }
    for (let i = 0; i < used; i++) gamma[order[i]] = y[i] * scale[i];
  }
}
