/**
 * One row of the table of layers that the laws are tried on.
 */
import type { AnyLayer } from '../../../src/index.js';

export type Shapes = readonly (number | readonly number[])[];

export interface Law {
  readonly layer: AnyLayer;
  /** The shape of the input, or of each input of a tuple. */
  readonly input: Shapes;
  /** Numbers in the parameters, counted by hand. */
  readonly parameters: number;
  /** Values in the states; a plain value counts one. Default 0. */
  readonly states?: number;
  /** The first line it prints. */
  readonly prints: string;
  /** The output's shapes, counted by hand. */
  readonly output: Shapes;
  /** Inputs are integers from 0 up to this number, which have no derivative. */
  readonly indices?: number;
  /** Its state remembers what it was given, in test mode too. */
  readonly remembers?: true;
}
